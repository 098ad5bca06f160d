//! Softmax of rows of numbers, in place.

use ocelli_simd::lanes::Lanes;
use ocelli_simd::math::exp_of_negative;
use ocelli_simd::vectorized;

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
        row.iter_mut().for_each(|value| *value = exp_of_negative(*value - largest));
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
