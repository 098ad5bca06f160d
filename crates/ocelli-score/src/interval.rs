//! How sure is a score? Percentile intervals over resampled units.

use ocelli_method::random::stream;
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use crate::{Evaluation, Metrics, Result, ScoreError};

/// The middle 95 % of a metric over resampled test sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The metric.
    pub name: String,
    /// Lower end, the 2.5th percentile.
    pub low: Option<f64>,
    /// Upper end, the 97.5th percentile.
    pub high: Option<f64>,
    /// Standard deviation over the samples.
    pub standard_error: Option<f64>,
}

/// Draws the units `resamples` times with replacement and takes each metric's percentiles (Efron and Tibshirani, 1993,
/// section 13.3). A sample depends on `seed` and its number alone, so the result is the same on any number of threads.
///
/// Samples on which a metric is undefined are left out of that metric's interval; where none is left the interval is
/// empty.
///
/// # Errors
/// [`ScoreError::NoSample`] when no sample can be scored at all.
pub fn intervals(evaluation: &dyn Evaluation, resamples: usize, seed: u64) -> Result<Vec<Interval>> {
    let samples = resampled(evaluation, resamples, seed)?;
    let names: Vec<String> = samples[0].iter().map(|(name, _)| name.to_owned()).collect();
    let of = |name: String| {
        let values = samples.iter().filter_map(|m| m.get(&name)).filter(|v| v.is_finite()).collect();
        interval(name, values)
    };
    Ok(names.into_iter().map(of).collect())
}

/// The metrics of each resample that could be scored, at least one.
fn resampled(evaluation: &dyn Evaluation, resamples: usize, seed: u64) -> Result<Vec<Metrics>> {
    let count = evaluation.units().len();
    let draws = (0..resamples).into_par_iter().map(|i| evaluation.metrics(&draw(count, seed, i)));
    let draws: Vec<Result<Metrics>> = draws.collect();
    let mut reason = "no samples were asked for".to_owned();
    let scored = draws.into_iter().filter_map(|draw| draw.inspect_err(|e| reason = e.to_string()).ok());
    let scored: Vec<Metrics> = scored.collect();
    match scored.is_empty() {
        true => Err(ScoreError::NoSample { unit: evaluation.unit(), reason }),
        false => Ok(scored),
    }
}

/// Sample number `index` of `count` units, in rising order: many protocols read their units in order.
pub(crate) fn draw(count: usize, seed: u64, index: usize) -> Vec<usize> {
    let mut generator = stream(seed, "bootstrap", index as u64);
    // Drawn as 64 bits, so that the stream is the same on machines of other word lengths.
    let mut units: Vec<usize> =
        (0..count).map(|_| generator.random_range(0..count as u64) as usize).collect();
    units.sort_unstable();
    units
}

fn interval(name: String, mut values: Vec<f64>) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Interval {
        name,
        low: percentile(&values, 0.025),
        high: percentile(&values, 0.975),
        standard_error: (values.len() > 1).then(|| variance.sqrt()),
    }
}

/// Of sorted values, interpolated linearly.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_interpolated() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0], 0.975), Some(3.0));
        assert_eq!(percentile(&[0.0, 1.0, 2.0, 3.0], 0.5), Some(1.5));
    }

    #[test]
    fn a_sample_depends_on_its_number_alone() {
        assert_eq!(draw(50, 7, 3), draw(50, 7, 3));
        assert_ne!(draw(50, 7, 3), draw(50, 7, 4));
        assert!(draw(50, 7, 3).is_sorted());
    }
}
