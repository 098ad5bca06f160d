//! Softmax of rows of numbers, in place.

use ocelli_simd::lanes::Lanes;
use ocelli_simd::vectorized;

/// Below this the exponential function leaves the normal numbers; it stands still there.
const LOWEST: f32 = -87.0;
/// 1.5 * 2^23: adding it rounds to a whole number, which is then found in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// The exponential function for numbers up to 0, to two units in the last place; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // A comparison and not `max`, which would lose a NaN.
    let x = if x < LOWEST { LOWEST } else { x };
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, of which the first has few digits and is exact.
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    // Taylor's series: its ninth term is below the rounding.
    let mut series = 1.0 / 40_320.0;
    for factor in [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series * r + factor;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127);
    series * f32::from_bits(exponent << 23)
}

vectorized! {
    /// Replaces logits by their softmax.
    pub(crate) fn softmax_row(row: &mut [f32]) {
        let mut largest = [f32::NEG_INFINITY; 16];
        let (blocks, rest) = row.as_chunks::<16>();
        for block in blocks {
            for (largest, &value) in largest.iter_mut().zip(block) {
                *largest = if value > *largest { value } else { *largest };
            }
        }
        let largest = largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|value| *value = exp(*value - largest));
        let mut sum = Lanes::new();
        sum.add([row], |[value]| value);
        let factor = (1.0 / sum.sum()) as f32;
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

vectorized! {
    /// Replaces the gradient of a softmax with these weights by that of its logits.
    pub(crate) fn softmax_gradient(weights: &[f32], gradient: &mut [f32]) {
        let mut mean = Lanes::new();
        mean.add([weights, gradient], |[weight, gradient]| weight * gradient);
        let mean = mean.sum() as f32;
        for (gradient, weight) in gradient.iter_mut().zip(weights) {
            *gradient = weight * (*gradient - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_exact_to_the_last_digits() {
        for step in 0..87_000 {
            let x = -(step as f32) * 1e-3;
            let (got, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / expected - 1.0).abs() < 2.5e-7, "exp({x}) = {got}, expected {expected}");
        }
        assert!(exp(-1e9) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn rows_sum_to_one_and_keep_nan() {
        for count in [1, 5, 16, 100] {
            let mut row: Vec<f32> = (0..count).map(|i| 40.0 * (i as f32).sin()).collect();
            let total: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
            let expected: Vec<f64> = row.iter().map(|&v| f64::from(v).exp() / total).collect();
            softmax_row(&mut row);
            for (got, expected) in row.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-6, "{got}, expected {expected}");
            }
        }
        let mut row = vec![0.0, f32::NAN, 1.0];
        softmax_row(&mut row);
        assert!(row[0].is_nan());
    }
}
