//! Is one prediction file better than another, or only luckier? A paired test over the units of one truth.

use rayon::prelude::*;
use serde::Serialize;

use crate::interval::{draw, percentile};
use crate::{Evaluation, Metrics, Result, ScoreError};

/// A metric of two prediction files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The metric.
    pub name: String,
    /// Of the first file.
    pub a: Option<f64>,
    /// Of the second file.
    pub b: Option<f64>,
    /// `b - a`.
    pub difference: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// Two-sided p-value: how often a resampled difference falls on the other side of zero, twice.
    pub p: Option<f64>,
}

/// Compares two evaluations of the same units by the paired bootstrap: both are scored on the same `resamples` samples
/// of units, and the differences are looked at (Koehn, EMNLP 2004; the p-value counts zero on both sides and adds one
/// sample, so it is never 0).
///
/// # Errors
/// [`ScoreError::Unpaired`] when the units are not the same; [`ScoreError::NoSample`] when no sample can be scored.
pub fn compare(
    a: &dyn Evaluation,
    b: &dyn Evaluation,
    resamples: usize,
    seed: u64,
) -> Result<Vec<Difference>> {
    check_pairing(a, b)?;
    let (whole_a, whole_b) = (a.overall()?, b.overall()?);
    let samples: Vec<Result<(Metrics, Metrics)>> = (0..resamples)
        .into_par_iter()
        .map(|i| {
            let units = draw(a.units().len(), seed, i);
            Ok((a.metrics(&units)?, b.metrics(&units)?))
        })
        .collect();
    let mut reason = "no samples were asked for".to_owned();
    let scored = samples.into_iter().filter_map(|s| s.inspect_err(|e| reason = e.to_string()).ok());
    let scored: Vec<(Metrics, Metrics)> = scored.collect();
    if scored.is_empty() {
        return Err(ScoreError::NoSample { unit: a.unit(), reason });
    }
    let names = whole_a.iter().map(|(name, _)| name).filter(|name| whole_b.get(name).is_some());
    Ok(names.map(|name| difference(name, &whole_a, &whole_b, &scored)).collect())
}

fn check_pairing(a: &dyn Evaluation, b: &dyn Evaluation) -> Result<()> {
    let (left, right) = (a.units(), b.units());
    if left.len() != right.len() {
        let unit = a.unit();
        return Err(ScoreError::Unpaired(format!("{} {unit}s against {}", left.len(), right.len())));
    }
    match left.iter().zip(right).find(|(l, r)| l != r) {
        Some((l, r)) => Err(ScoreError::Unpaired(format!("{} `{l}` stands against `{r}`", a.unit()))),
        None => Ok(()),
    }
}

fn difference(name: &str, a: &Metrics, b: &Metrics, samples: &[(Metrics, Metrics)]) -> Difference {
    let finite = |m: &Metrics| m.get(name).filter(|v| v.is_finite());
    let gap = |a: &Metrics, b: &Metrics| Some(finite(b)? - finite(a)?);
    let mut gaps: Vec<f64> = samples.iter().filter_map(|(a, b)| gap(a, b)).collect();
    gaps.sort_unstable_by(f64::total_cmp);
    let count = |side: fn(f64) -> bool| gaps.iter().filter(|&&g| side(g)).count();
    let tail = count(|g| g <= 0.0).min(count(|g| g >= 0.0));
    let p = (2 * (tail + 1)) as f64 / (gaps.len() + 1) as f64;
    Difference {
        name: name.to_owned(),
        a: finite(a),
        b: finite(b),
        difference: gap(a, b),
        low: percentile(&gaps, 0.025),
        high: percentile(&gaps, 0.975),
        p: (!gaps.is_empty()).then(|| p.min(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of one number a unit.
    #[derive(Debug)]
    struct Mean(Vec<String>, Vec<f64>);

    impl Mean {
        fn new(values: &[f64]) -> Self {
            Self((0..values.len()).map(|i| format!("unit {i}")).collect(), values.to_vec())
        }
    }

    impl Evaluation for Mean {
        fn unit(&self) -> &'static str {
            "unit"
        }

        fn units(&self) -> &[String] {
            &self.0
        }

        fn metrics(&self, sample: &[usize]) -> Result<Metrics> {
            let sum: f64 = sample.iter().map(|&i| self.1[i]).sum();
            Ok(Metrics::new().with("mean", sum / sample.len() as f64).with("undefined", f64::NAN))
        }
    }

    #[test]
    fn a_constant_advantage_is_certain_and_none_is_not() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i % 7)).collect();
        let better: Vec<f64> = values.iter().map(|v| v + 0.01).collect();
        let (a, b) = (Mean::new(&values), Mean::new(&better));
        let found = compare(&a, &b, 200, 1).unwrap();
        assert!((found[0].difference.unwrap() - 0.01).abs() < 1e-12);
        assert!(found[0].p.unwrap() < 0.02 && found[0].low.unwrap() > 0.0);
        assert_eq!((found[1].difference, found[1].p), (None, None));
        assert_eq!(compare(&a, &a, 200, 1).unwrap()[0].p, Some(1.0));
    }

    #[test]
    fn other_units_are_refused_by_name() {
        let (a, mut b) = (Mean::new(&[1.0, 2.0]), Mean::new(&[1.0, 2.0]));
        b.0[1] = "stranger".to_owned();
        assert!(
            compare(&a, &b, 10, 1).unwrap_err().to_string().contains("`unit 1` stands against `stranger`")
        );
        assert!(
            compare(&a, &Mean::new(&[1.0]), 10, 1).unwrap_err().to_string().contains("2 units against 1")
        );
    }
}
