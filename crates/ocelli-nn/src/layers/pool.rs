//! Pooling.

use burn::tensor::Tensor;
use burn::tensor::ops::MaxPoolOptions;

/// Largest value of every `kernel` x `kernel` window (`torch.nn.MaxPool2d`): `[B, C, H, W]` to `[B, C, H', W']`.
pub fn max_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let mut options = MaxPoolOptions::new([kernel; 2]);
    options.stride = [stride; 2];
    options.padding = [(padding, padding); 2];
    burn::tensor::module::max_pool2d(x, options)
}

/// Every `stride`-th pixel from the first, what a 1x1 max pool does: `[B, C, H, W]` to `[B, C, ceil(H / s), ceil(W / s)]`.
pub fn subsample(x: Tensor<4>, stride: usize) -> Tensor<4> {
    if stride == 1 {
        return x;
    }
    ocelli_kernels::subsample(x, [stride; 2])
}

/// Every pixel `factor` x `factor` times (`torch.nn.Upsample`, nearest): `[B, C, H, W]` to `[B, C, H factor, W factor]`.
pub fn upsample_nearest(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let spread = x.reshape([b, c, h, 1, w, 1]).expand([b, c, h, factor, w, factor]);
    spread.reshape([b, c, h * factor, w * factor])
}

/// Mean over all pixels: `[B, C, H, W]` to `[B, C]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [b, c, ..] = x.dims();
    x.reshape([b as i32, c as i32, -1]).mean_dim(2).reshape([b, c])
}
