//! Resizing of planes.

use burn::tensor::Tensor;
pub use ocelli_kernels::{ResizeMode, ResizeTo};

/// Resizes the last one, two or three axes of `x` `[B, C, ...]` (`torch.nn.functional.interpolate` without antialiasing), to a
/// size or by a factor an axis.
///
/// # Panics
/// As [`ocelli_kernels::resize`].
pub fn interpolate<const D: usize, const N: usize>(
    x: Tensor<D>,
    to: ResizeTo<N>,
    mode: ResizeMode,
) -> Tensor<D> {
    ocelli_kernels::resize(x, to, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::tensor::{from_values, values};

    #[test]
    fn edges_or_corners_are_aligned() {
        let x = || from_values(vec![0.0, 4.0], [1, 1, 2], &device("cpu").unwrap());
        let doubled = |align_corners| {
            values(interpolate(x(), ResizeTo::Scale([2.0]), ResizeMode::Linear { align_corners }))
        };
        assert_eq!(doubled(false), [0.0, 1.0, 3.0, 4.0]);
        let corners = doubled(true);
        assert!(corners.iter().zip([0.0, 4.0 / 3.0, 8.0 / 3.0, 4.0]).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
