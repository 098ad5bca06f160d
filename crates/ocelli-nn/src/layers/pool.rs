//! Pooling.

use burn::tensor::Tensor;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::s;
use ocelli_kernels::by_pixel;

/// Largest value of every `kernel` x `kernel` window (`torch.nn.MaxPool2d`): `[B, C, H, W]` to `[B, C, H', W']`.
pub fn max_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    if by_pixel::lies_by_pixel(&x) && 2 * padding <= kernel {
        return by_pixel::max_pool2d(x, [kernel, stride, padding]);
    }
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
    if by_pixel::lies_by_pixel(&x) {
        return x.slice(s![.., .., ..;stride as isize, ..;stride as isize]);
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
    let [b, c, h, w] = x.dims();
    if by_pixel::lies_by_pixel(&x) {
        return x.permute([0, 2, 3, 1]).reshape([b, h * w, c]).mean_dim(1).reshape([b, c]);
    }
    x.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
}
