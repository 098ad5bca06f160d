//! Few-shot classification: the mean accuracy over episodes with its 95 % interval, and the meta shift.
//!
//! The records are the episodes' accuracies; merging parts of a run is listing them.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | FEW-1 | half the interval is 1.96 standard errors, with the sample's standard deviation (ddof 1) | strict | `half_width_is_of_the_sample` |
//! | FEW-2 | one episode has no spread: 0/0 | strict: NaN | `half_width_is_of_the_sample` |

use crate::{Matrix, Result, check};
use serde::Serialize;

/// A mean with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval95 {
    /// The mean.
    pub mean: f64,
    /// The interval is the mean ± this.
    pub half_width: f64,
}

/// Mean over episodes and half the width of its 95 % interval.
pub fn mean_interval(accuracies: &[f64]) -> Result<Interval95> {
    check::at_least("accuracies", accuracies.len(), 1)?;
    check::finite("accuracies", accuracies)?;
    let count = accuracies.len() as f64;
    let mean = accuracies.iter().sum::<f64>() / count;
    let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Ok(Interval95 { mean, half_width: 1.96 * variance.sqrt() / count.sqrt() })
}

/// How far a class's descriptor moves from task to task (the Class Regularization Network's meta shift): mean squared
/// distance of `descriptors` `[T, D]` to their mean, divided by that mean's squared length; infinite where that is 0.
pub fn meta_shift(descriptors: Matrix<'_>) -> f64 {
    let count = descriptors.rows() as f64;
    let mut mean = vec![0.0; descriptors.columns()];
    for row in descriptors.iter() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= count);
    let spread =
        descriptors.iter().map(|row| crate::similarity::squared_distance(row, &mean)).sum::<f64>() / count;
    spread / crate::similarity::dot(&mean, &mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_width_is_of_the_sample() {
        let found = mean_interval(&[0.2, 0.4, 0.6, 0.8]).unwrap();
        let variance: f64 = (0.09 + 0.01 + 0.01 + 0.09) / 3.0;
        assert!((found.mean - 0.5).abs() < 1e-15);
        assert!((found.half_width - 1.96 * variance.sqrt() / 2.0).abs() < 1e-15);
        assert!(mean_interval(&[0.5]).unwrap().half_width.is_nan());
        assert!(mean_interval(&[]).is_err());
        assert!(mean_interval(&[f64::NAN]).is_err());
    }

    #[test]
    fn shift_is_relative_to_the_mean() {
        let descriptors = Matrix::new("descriptors", &[1.0, 2.0, 3.0, 2.0], [2, 2]).unwrap();
        assert_eq!(meta_shift(descriptors), 1.0 / 8.0);
        assert!(meta_shift(Matrix::new("descriptors", &[1.0, -1.0], [2, 1]).unwrap()).is_infinite());
    }
}
