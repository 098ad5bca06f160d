//! How sure is a score? Percentile intervals over resampled units.

use ocelli_method::random::stream;
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use crate::{Evaluation, Metrics, Result, ScoreError};

/// The middle 95 % of a metric over resampled test sets, about its value on the whole one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The metric.
    pub name: String,
    /// Lower end: the 2.5th percentile less the bias.
    pub low: Option<f64>,
    /// Upper end: the 97.5th percentile less the bias.
    pub high: Option<f64>,
    /// Standard deviation over the samples.
    pub standard_error: Option<f64>,
    /// How far the samples' mean lies from the value on the whole set. A unit that is drawn twice brings its
    /// predictions twice, and average precision over few positives rises by that; the interval is rid of it.
    pub bias: Option<f64>,
}

/// Draws the units `resamples` times with replacement and takes each metric's percentiles (Efron and Tibshirani, 1993,
/// sections 10.6 and 13.3: the bias is taken off). A sample depends on `seed` and its number alone, so the result is the same on any number of threads.
///
/// Samples on which a metric is undefined are left out of that metric's interval; where none is left the interval is
/// empty.
///
/// # Errors
/// [`ScoreError::NoSample`] when no sample can be scored at all; as [`Evaluation::metrics`].
pub fn intervals(evaluation: &dyn Evaluation, resamples: usize, seed: u64) -> Result<Vec<Interval>> {
    let samples = resampled(evaluation, resamples, seed)?;
    let whole = evaluation.overall()?;
    let of = |(name, value): (&str, f64)| {
        let values = samples.iter().filter_map(|m| m.get(name)).filter(|v| v.is_finite()).collect();
        interval(name, value, values)
    };
    Ok(whole.iter().map(of).collect())
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

fn interval(name: &str, whole: f64, mut values: Vec<f64>) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let bias = Some(mean - whole).filter(|bias| bias.is_finite());
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let end = |share: f64| Some(percentile(&values, share)? - bias?);
    Interval {
        name: name.to_owned(),
        low: end(0.025),
        high: end(0.975),
        standard_error: (values.len() > 1).then(|| variance.sqrt()),
        bias,
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
    fn the_bias_is_taken_off() {
        let found = interval("m", 0.5, (0..=100).map(|i| 0.6 + 0.002 * f64::from(i)).collect());
        assert!((found.bias.unwrap() - 0.2).abs() < 1e-12);
        assert!((found.low.unwrap() - 0.405).abs() < 1e-12 && (found.high.unwrap() - 0.595).abs() < 1e-12);
        let none = interval("m", f64::NAN, Vec::new());
        assert_eq!((none.low, none.high, none.standard_error, none.bias), (None, None, None, None));
    }

    #[test]
    fn a_sample_depends_on_its_number_alone() {
        assert_eq!(draw(50, 7, 3), draw(50, 7, 3));
        assert_ne!(draw(50, 7, 3), draw(50, 7, 4));
        assert!(draw(50, 7, 3).is_sorted());
    }
}
