//! Pictures seen through a grid of places, as spatial transformers have it.

use burn::tensor::Tensor;
pub use ocelli_kernels::{SampleMode, SampleOptions, SamplePadding, grid_sample};

use crate::tensor::from_values;

/// The places of a picture's pixels under affine maps `theta` `[B, 2, 3]` (`torch.nn.functional.affine_grid`): `[B, H, W, 2]`,
/// (x, y) from -1 to 1, for [`grid_sample`]. Gradients flow to `theta`.
///
/// # Panics
/// If the maps are not of shape `[B, 2, 3]`.
pub fn affine_grid(theta: Tensor<3>, [height, width]: [usize; 2], align_corners: bool) -> Tensor<4> {
    let [b, two, three] = theta.dims();
    assert!([two, three] == [2, 3], "affine_grid: maps are [B, 2, 3], found {:?}", theta.dims());
    let place = |index: usize, extent: usize| match (extent, align_corners) {
        (1, _) => 0.0,
        (_, true) => 2.0 * index as f32 / (extent as f32 - 1.0) - 1.0,
        (_, false) => (2.0 * index as f32 + 1.0) / extent as f32 - 1.0,
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let places = pixels.flat_map(|(y, x)| [place(x, width), place(y, height), 1.0]).collect();
    let device = theta.device().without_autodiff();
    let places = from_values::<3>(places, [1, height * width, 3], &device).cast(theta.dtype());
    let grid = places.expand([b, height * width, 3]).matmul(theta.swap_dims(1, 2));
    grid.reshape([b, height, width, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::tensor::values;

    #[test]
    fn the_identity_samples_the_picture_itself() {
        let device = device("cpu").unwrap();
        for align_corners in [false, true] {
            let theta = from_values(vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1, 2, 3], &device);
            let numbers: Vec<f32> = (0..12).map(|i| (i * 7 % 12) as f32).collect();
            let x = from_values(numbers.clone(), [1, 1, 3, 4], &device);
            let options = SampleOptions { align_corners, ..SampleOptions::default() };
            let same = values(grid_sample(x, affine_grid(theta, [3, 4], align_corners), options));
            assert!(same.iter().zip(&numbers).all(|(a, b)| (a - b).abs() < 1e-5), "{same:?}");
        }
    }

    #[test]
    fn gradients_flow_to_the_map() {
        let device = device("cpu").unwrap().autodiff();
        let theta = from_values(vec![0.5, 0.0, 0.25, 0.0, 1.0, 0.0], [1, 2, 3], &device).require_grad();
        let grid = affine_grid(theta.clone(), [2, 2], true);
        let tape = grid.narrow(3, 0, 1).sum().backward();
        let gradient = values(theta.grad(&tape).unwrap());
        assert_eq!(gradient, [0.0, 0.0, 4.0, 0.0, 0.0, 0.0]);
    }
}
