//! Pooling and enlarging of planes.

use burn::tensor::{Tensor, s};
pub use ocelli_kernels::{PoolOptions, adaptive_avg_pool, adaptive_max_pool, avg_pool, max_pool};
use ocelli_kernels::{ResizeMode, ResizeTo, by_pixel, resize};

/// Largest value of every `kernel` x `kernel` window (`torch.nn.MaxPool2d`): `[B, C, H, W]` to `[B, C, H', W']`.
pub fn max_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    if by_pixel::lies_by_pixel(&x) && 2 * padding <= kernel {
        return by_pixel::max_pool2d(x, [kernel, stride, padding]);
    }
    max_pool(x, PoolOptions::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]))
}

/// Every `stride`-th pixel from the first, what a 1x1 max pool does: `[B, C, H, W]` to `[B, C, ceil(H / s), ceil(W / s)]`.
pub fn subsample(x: Tensor<4>, stride: usize) -> Tensor<4> {
    if stride == 1 {
        return x;
    }
    if by_pixel::lies_by_pixel(&x) {
        return x.slice(s![.., .., ..;stride as isize, ..;stride as isize]);
    }
    ocelli_kernels::subsample(x, [stride; 2])
}

/// Every pixel `factor` x `factor` times (`torch.nn.Upsample`, nearest): `[B, C, H, W]` to `[B, C, H factor, W factor]`.
pub fn upsample_nearest(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    resize(x, ResizeTo::Size([h * factor, w * factor]), ResizeMode::Nearest)
}

/// Mean over all pixels: `[B, C, H, W]` to `[B, C]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    if by_pixel::lies_by_pixel(&x) {
        return x.permute([0, 2, 3, 1]).reshape([b, h * w, c]).mean_dim(1).reshape([b, c]);
    }
    adaptive_avg_pool(x, [1, 1]).reshape([b, c])
}
