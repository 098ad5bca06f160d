//! Classification: top-k accuracy, accuracy of each class, confusion, and the scores of several views of one item.
//!
//! The record of an item is its [`Ranked`] answer; merging parts of a set is listing their records.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | TOP-1 | of equal scores the class of the smaller index ranks first (a stable sort) | strict | `the_smaller_class_wins_ties` |
//! | TOP-2 | with fewer than k classes every item is right | strict | `k_beyond_the_classes` |
//! | TOP-3 | views are averaged as probabilities (softmax first) or as scores; the two rank differently | both, [`ViewMean`] | `views_average_as_scores_or_as_probabilities` |
//! | TOP-4 | classes without items are in no mean of classes | strict | `mean_over_classes_leaves_the_empty_out` |
//! | TOP-5 | statements: a true one is right at p ≥ t, a false one at p < t, so p = t is called true | strict | `the_threshold_itself_is_true` |

use crate::named::named_variants;
use crate::segmentation::Confusion;
use crate::{Matrix, MetricError, Result, check};
use serde::Serialize;

/// How the scores of several views (crops, clips) of one item become one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewMean {
    /// The mean of the scores.
    #[default]
    Scores,
    /// The mean of their softmax.
    Probabilities,
}

named_variants!(ViewMean, "mean of views", { Scores => "scores", Probabilities => "probabilities" });

/// How an item was classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ranked {
    /// Its class.
    pub label: usize,
    /// The class of the largest score.
    pub predicted: usize,
    /// Rank of its class, from 1.
    pub rank: usize,
}

/// Accuracies, as fractions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// For each k asked for, the share of items whose class is among the k best.
    pub top: Vec<f64>,
    /// Share of items of each class predicted as it; NaN without items.
    pub per_class: Vec<f64>,
    /// Mean of that over the classes with items.
    pub mean_class_accuracy: f64,
    /// Which class was predicted as which.
    pub confusion: Confusion,
}

impl Ranked {
    /// Ranks the class `label` by a score a class.
    pub fn new(scores: &[f64], label: i64) -> Result<Self> {
        check::at_least("scores", scores.len(), 1)?;
        check::finite("scores", scores)?;
        let classes = scores.len();
        let own = usize::try_from(label).ok().filter(|l| *l < classes);
        let own = own.ok_or(MetricError::Class { name: "labels", index: 0, class: label, classes })?;
        let ahead = |(k, s): (usize, &f64)| *s > scores[own] || (*s == scores[own] && k < own);
        let rank = 1 + scores.iter().enumerate().filter(|e| ahead(*e)).count();
        Ok(Self { label: own, predicted: crate::evenly_spaced::first_maximum(scores.iter()), rank })
    }
}

/// Ranks the labels of all rows of `scores` `[N, K]`.
pub fn rank_rows(scores: Matrix<'_>, labels: &[i64]) -> Result<Vec<Ranked>> {
    check::same_length("labels", labels.len(), scores.name(), scores.rows())?;
    let place = |index: usize| {
        move |error: MetricError| match error {
            MetricError::Class { name, class, classes, .. } => {
                MetricError::Class { name, index, class, classes }
            }
            other => other,
        }
    };
    let rows = scores.iter().zip(labels).enumerate();
    rows.map(|(i, (row, &label))| Ranked::new(row, label).map_err(place(i))).collect()
}

/// Accuracies over items of `classes` classes.
pub fn report<'a>(
    items: impl IntoIterator<Item = &'a Ranked>,
    classes: usize,
    ks: &[usize],
) -> Result<ClassificationReport> {
    check::ranks("ks", ks)?;
    let mut confusion = Confusion::new(classes)?;
    let (mut found, mut total) = (vec![0usize; ks.len()], 0usize);
    for item in items {
        confusion.add(&[item.label as i64], &[item.predicted as i64], None)?;
        found.iter_mut().zip(ks).for_each(|(n, k)| *n += usize::from(item.rank <= *k));
        total += 1;
    }
    check::at_least("items", total, 1)?;
    let totals = confusion.label_totals();
    let per_class: Vec<f64> =
        confusion.hits().iter().zip(&totals).map(|(&hits, &all)| hits as f64 / all as f64).collect();
    let filled = || per_class.iter().filter(|a| !a.is_nan());
    Ok(ClassificationReport {
        top: found.iter().map(|n| *n as f64 / total as f64).collect(),
        mean_class_accuracy: filled().sum::<f64>() / filled().count() as f64,
        per_class,
        confusion,
    })
}

/// One row of scores from `[views, K]`.
pub fn mean_of_views(views: Matrix<'_>, mean: ViewMean) -> Vec<f64> {
    let mut sum = vec![0.0; views.columns()];
    for row in views.iter() {
        let row = match mean {
            ViewMean::Scores => row.to_vec(),
            ViewMean::Probabilities => softmax(row),
        };
        sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
    sum.iter_mut().for_each(|s| *s /= views.rows() as f64);
    sum
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|v| (v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// Whether each statement was judged rightly: `probability[i]` that statement i is true, and whether it is.
pub fn judge_statements(probability: &[f64], is_true: &[bool], threshold: f64) -> Result<Vec<bool>> {
    check::same_length("is_true", is_true.len(), "probabilities", probability.len())?;
    check::finite("probabilities", probability)?;
    Ok(probability.iter().zip(is_true).map(|(&p, &truth)| (p >= threshold) == truth).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_class_wins_ties() {
        let ranks = [0, 1, 2].map(|label| Ranked::new(&[0.3, 0.4, 0.4], label).unwrap().rank);
        assert_eq!(ranks, [3, 1, 2]);
        assert_eq!(Ranked::new(&[0.4, 0.4], 1).unwrap().predicted, 0);
    }

    #[test]
    fn k_beyond_the_classes() {
        let scores = Matrix::new("scores", &[0.1, 0.9, 0.8, 0.2], [2, 2]).unwrap();
        let items = rank_rows(scores, &[0, 0]).unwrap();
        assert_eq!(report(&items, 2, &[1, 5]).unwrap().top, [0.5, 1.0]);
    }

    #[test]
    fn views_average_as_scores_or_as_probabilities() {
        // One view is very sure of class 1, two are mildly for class 0.
        let views = Matrix::new("views", &[1.0, 0.0, 1.0, 0.0, -8.0, 0.0], [3, 2]).unwrap();
        let first = |mean| Ranked::new(&mean_of_views(views, mean), 0).unwrap().predicted;
        assert_eq!((first(ViewMean::Scores), first(ViewMean::Probabilities)), (1, 1));
        let views = Matrix::new("views", &[3.0, 0.0, 3.0, 0.0, -8.0, 0.0], [3, 2]).unwrap();
        let first = |mean| Ranked::new(&mean_of_views(views, mean), 0).unwrap().predicted;
        assert_eq!((first(ViewMean::Scores), first(ViewMean::Probabilities)), (1, 0));
        assert!((mean_of_views(views, ViewMean::Probabilities).iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn mean_over_classes_leaves_the_empty_out() {
        let item = |label, predicted| Ranked { label, predicted, rank: 1 + usize::from(label != predicted) };
        let items = [item(0, 0), item(0, 0), item(0, 1), item(2, 2)];
        let found = report(&items, 3, &[1]).unwrap();
        assert_eq!((found.top[0], found.mean_class_accuracy), (0.75, (2.0 / 3.0 + 1.0) / 2.0));
        assert!(found.per_class[1].is_nan());
        assert_eq!(found.confusion.count(0, 1), 1);
        // Listing the records of two shards is the single pass.
        let (a, b) = items.split_at(3);
        assert_eq!(report(a.iter().chain(b), 3, &[1]).unwrap().confusion, found.confusion);
    }

    #[test]
    fn the_threshold_itself_is_true() {
        let judged = judge_statements(&[0.5, 0.5, 0.4], &[true, false, false], 0.5).unwrap();
        assert_eq!(judged, [true, false, true]);
        assert!(judge_statements(&[0.5], &[], 0.5).is_err());
        assert!(judge_statements(&[f64::NAN], &[true], 0.5).is_err());
    }

    #[test]
    fn refuses_bad_input() {
        let scores = Matrix::new("scores", &[0.1, 0.9, 0.8, 0.2], [2, 2]).unwrap();
        assert_eq!(
            rank_rows(scores, &[1, 2]).unwrap_err().to_string(),
            "labels[1] is class 2; the classes are 0 to 1"
        );
        assert!(rank_rows(scores, &[1]).is_err());
        assert!(rank_rows(scores, &[-1, 0]).is_err());
        assert!(report([], 2, &[1]).is_err());
        assert!(report(&rank_rows(scores, &[0, 0]).unwrap(), 2, &[0]).is_err());
        assert!(Ranked::new(&[], 0).is_err());
    }
}
