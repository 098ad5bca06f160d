//! Resizing of planes by interpolation, with the arithmetic of `torch.nn.functional.interpolate`.

use burn::tensor::Tensor;

use crate::band::Band;
use crate::pool::extents;
use crate::separable::{Axes, map_planes};

/// How the numbers between the input's are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// The input at the scaled place, rounded down (`nearest`).
    Nearest,
    /// The input whose area holds the output's centre (`nearest-exact`).
    NearestExact,
    /// Between two neighbours along each axis (`linear`, `bilinear`, `trilinear`).
    Linear {
        /// Whether the first and last places of input and output coincide, instead of the outer edges.
        align_corners: bool,
    },
    /// By a cubic over four neighbours along each axis, of slope -0.75 (`bicubic`).
    Cubic {
        /// Whether the first and last places of input and output coincide, instead of the outer edges.
        align_corners: bool,
    },
}

/// The extents of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResizeTo<const N: usize> {
    /// These.
    Size([usize; N]),
    /// The input's times these, rounded down; places are scaled by exactly these.
    Scale([f64; N]),
}

impl<const N: usize> ResizeTo<N> {
    /// Extent of the output along an axis, and from one of its places to the next in the input, edges aligned.
    fn along(&self, axis: usize, inputs: usize) -> (usize, f32) {
        match self {
            Self::Size(size) => (size[axis], inputs as f32 / size[axis] as f32),
            Self::Scale(scale) => {
                ((inputs as f64 * scale[axis]).floor() as usize, (1.0 / scale[axis]) as f32)
            }
        }
    }
}

/// Resizes the last one, two or three axes of `x` `[B, C, ...]` (`torch.nn.functional.interpolate` without antialiasing).
///
/// Gradients flow to `x`. On the CPU, 32-bit tensors take this crate's kernel; every other device or number type takes
/// matrix products.
///
/// # Panics
/// If an axis of the input has no place while the output's has, or a scale is not above 0.
pub fn resize<const D: usize, const N: usize>(x: Tensor<D>, to: ResizeTo<N>, mode: ResizeMode) -> Tensor<D> {
    if let ResizeTo::Scale(scale) = to {
        assert!(
            scale.iter().all(|&s| s > 0.0 && s.is_finite()),
            "resize: scales are above 0, found {scale:?}"
        );
    }
    let extents = extents::<D, N>(&x);
    let bands = extents.iter().enumerate().map(|(axis, &inputs)| {
        let (outputs, step) = to.along(axis, inputs);
        assert!(inputs > 0 || outputs == 0, "resize: there is nothing to interpolate");
        band(mode, inputs, outputs, step)
    });
    map_planes(x, &Axes::new(bands.collect()))
}

/// An axis of `inputs` places as one of `outputs`, which lie `step` apart where edges are aligned.
fn band(mode: ResizeMode, inputs: usize, outputs: usize, step: f32) -> Band {
    let corners = if outputs > 1 { (inputs as f32 - 1.0) / (outputs as f32 - 1.0) } else { 0.0 };
    let place = |output: usize, align_corners: bool| match align_corners {
        true => corners * output as f32,
        false => step * (output as f32 + 0.5) - 0.5,
    };
    let nearest = |place: f32| [((place.floor() as usize).min(inputs - 1), 1.0)];
    match mode {
        // Places that the framework whose results are wanted does not compute from the step, whatever it is.
        ResizeMode::Nearest if inputs == outputs || 2 * inputs == outputs => {
            Band::from_taps(inputs, (0..outputs).map(|o| [(o * inputs / outputs, 1.0)]))
        }
        ResizeMode::Nearest => Band::from_taps(inputs, (0..outputs).map(|o| nearest(o as f32 * step))),
        ResizeMode::NearestExact => {
            Band::from_taps(inputs, (0..outputs).map(|o| nearest((o as f32 + 0.5) * step)))
        }
        // The framework whose results are wanted leaves the places alone as well.
        ResizeMode::Linear { .. } if inputs == outputs => {
            Band::from_taps(inputs, (0..outputs).map(|o| [(o, 1.0)]))
        }
        ResizeMode::Linear { align_corners } => Band::from_taps(
            inputs,
            (0..outputs).map(|o| linear_taps(inputs, place(o, align_corners).max(0.0))),
        ),
        ResizeMode::Cubic { align_corners } => {
            Band::from_taps(inputs, (0..outputs).map(|o| cubic_taps(inputs, place(o, align_corners))))
        }
    }
}

/// The two neighbours of a place; behind the last input there is none.
fn linear_taps(inputs: usize, place: f32) -> [(usize, f32); 2] {
    let index = (place.floor() as usize).min(inputs - 1);
    let share = (place - index as f32).clamp(0.0, 1.0);
    [(index, 1.0 - share), ((index + 1).min(inputs - 1), share)]
}

/// The four neighbours of a place; beyond the ends the last input repeats.
fn cubic_taps(inputs: usize, place: f32) -> [(usize, f32); 4] {
    const SLOPE: f32 = -0.75;
    let near = |t: f32| ((SLOPE + 2.0) * t - (SLOPE + 3.0)) * t * t + 1.0;
    let far = |t: f32| ((SLOPE * t - 5.0 * SLOPE) * t + 8.0 * SLOPE) * t - 4.0 * SLOPE;
    let index = place.floor();
    let share = (place - index).clamp(0.0, 1.0);
    let weights = [far(share + 1.0), near(share), near(1.0 - share), far(2.0 - share)];
    let input = |tap: usize| (index as isize + tap as isize - 1).clamp(0, inputs as isize - 1) as usize;
    std::array::from_fn(|tap| (input(tap), weights[tap]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs_of(mode: ResizeMode, inputs: usize, outputs: usize) -> Vec<usize> {
        let band = band(mode, inputs, outputs, inputs as f32 / outputs as f32);
        (0..outputs).map(|output| band.row(output).0).collect()
    }

    #[test]
    fn nearest_modes_differ_in_where_an_output_lies() {
        assert_eq!(inputs_of(ResizeMode::Nearest, 5, 3), [0, 1, 3]);
        assert_eq!(inputs_of(ResizeMode::NearestExact, 5, 3), [0, 2, 4]);
    }

    #[test]
    fn weights_of_an_output_sum_to_one() {
        for align_corners in [false, true] {
            for mode in [ResizeMode::Linear { align_corners }, ResizeMode::Cubic { align_corners }] {
                for (inputs, outputs) in [(1, 1), (1, 5), (4, 9), (9, 4), (3, 1)] {
                    let band = band(mode, inputs, outputs, inputs as f32 / outputs as f32);
                    for output in 0..outputs {
                        let sum: f32 = band.row(output).1.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-5, "{mode:?} {inputs} {outputs}: {sum}");
                    }
                }
            }
        }
    }
}
