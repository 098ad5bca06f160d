//! Several models as one: by their maps, or by their lists of proposals.

use ocelli_metrics::segment::ScoredSegment;
use thiserror::Error;

use crate::temporal::suppress::Nms;

/// Why models cannot be put together.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EnsembleError {
    /// No model.
    #[error("an ensemble needs at least one model")]
    Empty,
    /// Not one weight for each model.
    #[error("{weights} weights for {models} models")]
    Weights {
        /// Weights given.
        weights: usize,
        /// Models given.
        models: usize,
    },
    /// A weight that cannot be used.
    #[error("weight {index} is {value}; weights are numbers from 0 on, one of them above 0")]
    Weight {
        /// Which, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Values of different sizes.
    #[error(
        "model {index} gives {found} values, the first {expected}: maps are averaged over models of the same T"
    )]
    Sizes {
        /// Which model, from 0.
        index: usize,
        /// Its number of values.
        found: usize,
        /// That of the first.
        expected: usize,
    },
}

/// One usable weight for each of `models`.
pub(super) fn check(models: usize, weights: &[f64]) -> Result<(), EnsembleError> {
    if models == 0 {
        return Err(EnsembleError::Empty);
    }
    if weights.len() != models {
        return Err(EnsembleError::Weights { weights: weights.len(), models });
    }
    let unusable = weights.iter().position(|w| !w.is_finite() || *w < 0.0);
    let unusable = unusable.or_else(|| weights.iter().all(|w| *w == 0.0).then_some(0));
    match unusable {
        Some(index) => Err(EnsembleError::Weight { index, value: weights[index] }),
        None => Ok(()),
    }
}

/// Map level: the weighted mean of boundary sequences, confidence maps or class scores of models, `Σ w x / Σ w`.
///
/// # Errors
/// [`EnsembleError`].
pub fn weighted_mean(models: &[&[f64]], weights: &[f64]) -> Result<Vec<f64>, EnsembleError> {
    check(models.len(), weights)?;
    let expected = models[0].len();
    if let Some(index) = models.iter().position(|m| m.len() != expected) {
        return Err(EnsembleError::Sizes { index, found: models[index].len(), expected });
    }
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; expected];
    for (model, weight) in models.iter().zip(weights) {
        mean.iter_mut().zip(*model).for_each(|(mean, value)| *mean += weight * value);
    }
    mean.iter_mut().for_each(|mean| *mean /= total);
    Ok(mean)
}

/// Lists of scored segments on one scale, one after the other: the scores of each divided by their maximum, times the list's
/// weight. A list whose best score is not above 0 is weighted alone.
///
/// # Errors
/// [`EnsembleError`].
pub fn pooled(lists: &[Vec<ScoredSegment>], weights: &[f64]) -> Result<Vec<ScoredSegment>, EnsembleError> {
    check(lists.len(), weights)?;
    let mut all = Vec::new();
    for (list, weight) in lists.iter().zip(weights) {
        let best = list.iter().map(|p| p.score).fold(f64::NEG_INFINITY, f64::max);
        let factor = if best > 0.0 { weight / best } else { *weight };
        all.extend(list.iter().map(|p| ScoredSegment { score: p.score * factor, ..*p }));
    }
    Ok(all)
}

/// Proposal level, for models of any T: [`pooled`] lists, suppressed once together.
///
/// # Errors
/// [`EnsembleError`].
pub fn union(
    lists: &[Vec<ScoredSegment>],
    weights: &[f64],
    nms: &Nms,
) -> Result<Vec<ScoredSegment>, EnsembleError> {
    Ok(nms.run(&pooled(lists, weights)?).into_iter().map(|taken| taken.scored).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::suppress::{Decay, SoftNms};
    use ocelli_metrics::segment::Segment;

    const SOFT: Nms = Nms::Soft(SoftNms {
        decay: Decay::Gaussian,
        sigma: 0.4,
        threshold: 0.5,
        slope: 0.4,
        keep: 100,
        min_score: 0.0,
        drop_last: false,
    });

    #[test]
    fn maps_are_averaged_by_weight() {
        assert_eq!(weighted_mean(&[&[0.0, 1.0], &[1.0, 1.0]], &[1.0, 3.0]).unwrap(), [0.75, 1.0]);
    }

    #[test]
    fn lists_are_brought_to_one_scale() {
        let list = |start: f64, scores: [f64; 2]| {
            let segment = |k: usize| Segment::new(start + k as f64, start + k as f64 + 0.5);
            (0..2).map(|k| ScoredSegment { segment: segment(k), score: scores[k] }).collect::<Vec<_>>()
        };
        let both = union(&[list(0.0, [0.01, 0.004]), list(5.0, [50.0, 30.0])], &[1.0, 0.5], &SOFT).unwrap();
        let got: Vec<f64> = both.iter().map(|p| p.score).collect();
        assert_eq!(got, [1.0, 0.5, 0.4, 0.3]);
        let nothing = union(&[list(0.0, [0.0, 0.0])], &[1.0], &SOFT).unwrap();
        assert!(nothing.iter().all(|p| p.score == 0.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message =
            |models: &[&[f64]], weights: &[f64]| weighted_mean(models, weights).unwrap_err().to_string();
        assert_eq!(message(&[], &[]), "an ensemble needs at least one model");
        assert_eq!(message(&[&[1.0]], &[1.0, 2.0]), "2 weights for 1 models");
        assert!(message(&[&[1.0], &[1.0]], &[1.0, f64::NAN]).starts_with("weight 1 is NaN"));
        assert!(message(&[&[1.0]], &[0.0]).starts_with("weight 0 is 0"));
        assert!(message(&[&[1.0], &[1.0, 2.0]], &[1.0, 1.0]).starts_with("model 1 gives 2 values"));
    }
}
