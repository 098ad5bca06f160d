//! How sure is an accuracy? Intervals by the bootstrap.
//!
//! A difference of two methods on the same items should be judged by [`bootstrap_mean`] of the per-item differences,
//! which is far sharper than two separate intervals.
//!
//! ```
//! use ocelli_metrics::confidence::bootstrap_mean;
//! use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
//!
//! let hits = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0];
//! let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
//! let interval = bootstrap_mean(&hits, 2000, 0.95, &mut generator)?;
//! assert!(interval.low < 0.75 && 0.75 < interval.high);
//! # Ok::<(), ocelli_metrics::MetricError>(())
//! ```

use crate::{Result, check};
use rand::{Rng, RngExt};
use serde::Serialize;

/// A mean and what it would be on other samples of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean of the sample.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard deviation of the means of the resamples.
    pub standard_error: f64,
}

/// Percentile bootstrap of a mean (Efron and Tibshirani, 1993, section 13.3): items are drawn with replacement
/// `resamples` times, and the interval holds the middle share `level` of their means.
///
/// `values` are per-item results, for instance 1 for a hit and 0 for a miss. Fails on empty or non-finite values, fewer
/// than 2 resamples, or a level outside (0, 1).
pub fn bootstrap_mean(
    values: &[f64],
    resamples: usize,
    level: f64,
    generator: &mut impl Rng,
) -> Result<Interval> {
    check::at_least("values", values.len(), 1)?;
    check::finite("values", values)?;
    if resamples < 2 {
        return Err(check::setting("resamples", resamples, "at least 2"));
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(check::setting("level", level, "a share between 0 and 1, such as 0.95"));
    }
    // Drawn as 64 bits, so that the stream is the same on machines of other word lengths.
    let count = values.len() as u64;
    let mut draw = || values[generator.random_range(0..count) as usize];
    let mut means: Vec<f64> =
        (0..resamples).map(|_| (0..count).map(|_| draw()).sum::<f64>() / count as f64).collect();
    means.sort_unstable_by(f64::total_cmp);
    let center = means.iter().sum::<f64>() / resamples as f64;
    let variance = means.iter().map(|m| (m - center).powi(2)).sum::<f64>() / (resamples - 1) as f64;
    Ok(Interval {
        mean: values.iter().sum::<f64>() / count as f64,
        low: quantile(&means, (1.0 - level) / 2.0),
        high: quantile(&means, (1.0 + level) / 2.0),
        standard_error: variance.sqrt(),
    })
}

/// Quantile of rising values by linear interpolation between the two nearest.
fn quantile(rising: &[f64], share: f64) -> f64 {
    let position = share * (rising.len() - 1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    rising[low] + (rising[high] - rising[low]) * (position - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};

    fn interval(values: &[f64], seed: u64) -> Interval {
        bootstrap_mean(values, 4000, 0.95, &mut Xoshiro256PlusPlus::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn matches_the_binomial() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 != 0))).collect();
        let found = interval(&values, 3);
        let expected = (0.75f64 * 0.25 / 400.0).sqrt();
        assert_eq!(found.mean, 0.75);
        assert!((found.standard_error / expected - 1.0).abs() < 0.05, "{found:?}");
        assert!((found.low - (0.75 - 1.96 * expected)).abs() < 0.005, "{found:?}");
        assert!((found.high - (0.75 + 1.96 * expected)).abs() < 0.005, "{found:?}");
    }

    #[test]
    fn a_seed_fixes_the_interval() {
        let values = [0.0, 1.0, 0.5, 0.25];
        assert_eq!(interval(&values, 1), interval(&values, 1));
        assert_ne!(interval(&values, 1), interval(&values, 2));
        let constant = interval(&[0.5; 9], 1);
        assert_eq!((constant.low, constant.high, constant.standard_error), (0.5, 0.5, 0.0));
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
    }

    #[test]
    fn refuses_bad_input() {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
        assert!(bootstrap_mean(&[], 10, 0.9, &mut generator).is_err());
        assert!(bootstrap_mean(&[f64::NAN], 10, 0.9, &mut generator).is_err());
        assert!(bootstrap_mean(&[1.0], 1, 0.9, &mut generator).is_err());
        for level in [0.0, 1.0, f64::NAN] {
            assert!(bootstrap_mean(&[1.0], 10, level, &mut generator).is_err());
        }
    }
}
