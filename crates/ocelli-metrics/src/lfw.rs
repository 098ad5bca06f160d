//! Verification of pairs by k-fold cross-validation: the protocol of Labeled Faces in the Wild and its successors.
//!
//! Pairs come in k consecutive folds. For each fold a threshold is chosen on the *other* folds, and the accuracy is that
//! on the fold itself; reported is the mean. Four evaluators in use differ in everything else:
//!
//! | variant | value of a pair | candidate thresholds | chosen by (first maximum) | correct when | spread |
//! |---|---|---|---|---|---|
//! | [`curricularface`](LfwVariant::CurricularFace) | squared distance | a fixed grid, 0, 0.01 … 3.99 | accuracy | d < t is *same* | – |
//! | [`ir-softmax`](LfwVariant::IrSoftmax) | similarity | the distinct values of the other folds | accuracy | s ≥ t is *same* | – |
//! | [`npcface`](LfwVariant::NpcFace) | similarity | min + k (max-min)/1000 of the other folds, k = 1 … 1000 | TPR - FPR, strict | s > t *same*, s < t *different* | ddof 1 |
//! | [`search-softmax`](LfwVariant::SearchSoftmax) | similarity | the same values, rates from a histogram around them | (VR + 1 - FAR)/2 | s ≥ t is *same* | ddof 0 |
//!
//! The spread is the standard error of the mean over folds, the standard deviation over √k; the two evaluators that
//! print none get the usual one (ddof 1).
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | LFW-1 | uneven folds: the first N mod k are one pair longer | strict | `first_folds_are_longer` |
//! | LFW-2 | thresholds range over the other folds only, so a score of the fold beyond them plays no part | strict | `range_is_that_of_the_other_folds` |
//! | LFW-3 | npcface: a score equal to the threshold is wrong, whatever the label | strict | `equal_scores_are_wrong_for_npcface` |
//! | LFW-4 | npcface: the smallest score is no candidate, the largest is | strict | `equal_scores_are_wrong_for_npcface` |
//! | LFW-5 | search-softmax: bins are shifted by half a step less 2e-6, but the decision uses the unshifted threshold | strict | `shifted_bins_unshifted_decision` |
//! | LFW-6 | curricularface: a rate without pairs is 0, not undefined, and enters the mean over folds | strict | `rates_without_pairs_are_zero` |
//! | LFW-7 | curricularface: false rejects have d > t although d = t is also refused | strict | `equal_distance_is_no_false_reject` |
//! | LFW-8 | npcface, search-softmax: other folds of one class make the rates 0/0 | corrected: an error | `one_class_in_the_other_folds` |

use crate::evenly_spaced::{Accepted, EvenlySpaced, first_maximum};
use crate::named::named_variants;
use crate::roc::PairScores;
use crate::similarity::{Measure, of_pairs, squared_distances_of_pairs};
use crate::{Matrix, Result, check};
use rayon::prelude::*;
use serde::Serialize;
use std::ops::Range;

/// Which evaluator; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LfwVariant {
    /// Squared distances on a fixed grid of thresholds (InsightFace and its descendants).
    #[default]
    CurricularFace,
    /// Every score of the other folds is a candidate.
    IrSoftmax,
    /// FaceX-Zoo; also the evaluator of Semi-Siamese Training.
    NpcFace,
    /// The histogram evaluator of Loss Function Search.
    SearchSoftmax,
}

named_variants!(LfwVariant, "LFW variant", {
    CurricularFace => "curricularface",
    IrSoftmax => "ir-softmax",
    NpcFace => "npcface",
    SearchSoftmax => "search-softmax",
});

impl LfwVariant {
    /// The value of each pair that this evaluator expects, from embeddings whose rows 2k and 2k+1 are pair k:
    /// squared distances for [`CurricularFace`](Self::CurricularFace), cosines for the others.
    pub fn values_of_pairs(self, embeddings: Matrix<'_>) -> Result<Vec<f64>> {
        match self {
            Self::CurricularFace => squared_distances_of_pairs(embeddings),
            _ => of_pairs(embeddings, Measure::Cosine),
        }
    }

    /// Whether a pair of this value and label is judged rightly at the threshold.
    fn is_correct(self, value: f64, same: bool, threshold: f64) -> bool {
        match self {
            Self::CurricularFace => (value < threshold) == same,
            Self::IrSoftmax | Self::SearchSoftmax => (value >= threshold) == same,
            Self::NpcFace if same => value > threshold,
            Self::NpcFace => value < threshold,
        }
    }

    /// Degrees of freedom taken off in the spread.
    fn ddof(self) -> usize {
        usize::from(self != Self::SearchSoftmax)
    }
}

/// Candidate thresholds `start + i step` below `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ThresholdGrid {
    /// The first one.
    pub start: f64,
    /// None is as large as this.
    pub stop: f64,
    /// Their distance, above 0.
    pub step: f64,
}

impl ThresholdGrid {
    /// The thresholds, rising, with NumPy's `arange` arithmetic.
    pub fn thresholds(&self) -> Result<Vec<f64>> {
        let count = ((self.stop - self.start) / self.step).ceil();
        if !(self.step > 0.0 && (1.0..1e8).contains(&count)) {
            let wanted = "start < stop and a step above 0, fewer than 1e8 steps in all";
            return Err(check::setting(
                "threshold grid",
                format!("{}..{} by {}", self.start, self.stop, self.step),
                wanted,
            ));
        }
        let step = (self.start + self.step) - self.start;
        Ok((0..count as usize).map(|i| self.start + step * i as f64).collect())
    }
}

/// Settings of the four evaluators; each reads what concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KFoldOptions {
    /// Number of folds, at least 2.
    pub folds: usize,
    /// Candidate thresholds of [`LfwVariant::CurricularFace`].
    pub distance_grid: ThresholdGrid,
    /// Number of candidate thresholds of [`LfwVariant::NpcFace`] and [`LfwVariant::SearchSoftmax`].
    pub num_thresholds: usize,
}

impl Default for KFoldOptions {
    /// Ten folds; the grid 0, 0.01 … 3.99; 1,000 thresholds.
    fn default() -> Self {
        let distance_grid = ThresholdGrid { start: 0.0, stop: 4.0, step: 0.01 };
        Self { folds: 10, distance_grid, num_thresholds: 1000 }
    }
}

/// Accuracy by cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KFold {
    /// Mean of the accuracies of the folds.
    pub mean_accuracy: f64,
    /// Standard error of that mean over folds.
    pub standard_error: f64,
    /// Accuracy on each fold.
    pub fold_accuracy: Vec<f64>,
    /// Threshold used on each fold, chosen on the others.
    pub fold_threshold: Vec<f64>,
}

/// What [`LfwVariant::CurricularFace`] reports beyond the accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DistanceKFold {
    /// Accuracies and thresholds.
    pub accuracy: KFold,
    /// The candidate thresholds.
    pub thresholds: Vec<f64>,
    /// Share of accepted pairs of the same person at each threshold, mean over folds.
    pub mean_tpr: Vec<f64>,
    /// Share of accepted pairs of different people at each threshold, mean over folds.
    pub mean_fpr: Vec<f64>,
    /// Indices of the pairs of the same person farther apart than their fold's threshold, rising.
    pub false_reject_pairs: Vec<usize>,
}

/// Cross-validated accuracy of pairs by the named evaluator.
///
/// `values[k]` is the squared distance of pair k for [`LfwVariant::CurricularFace`], its similarity for the others
/// ([`LfwVariant::values_of_pairs`] makes them from embeddings); `same[k]` says whether it shows one person.
pub fn k_fold(variant: LfwVariant, values: &[f64], same: &[bool], options: &KFoldOptions) -> Result<KFold> {
    if variant == LfwVariant::CurricularFace {
        return Ok(k_fold_distances(values, same, options)?.accuracy);
    }
    let pairs = Pairs::new(values, same, options.folds)?;
    let thresholds = match variant {
        LfwVariant::IrSoftmax => pairs.best_own_values(),
        _ => {
            let each = (0..pairs.folds.len()).map(|k| pairs.best_even_threshold(variant, k, options));
            each.collect::<Result<_>>()?
        }
    };
    Ok(pairs.judge(variant, thresholds))
}

/// [`k_fold`] for [`LfwVariant::CurricularFace`] with all that its evaluator reports.
pub fn k_fold_distances(
    squared_distances: &[f64],
    same: &[bool],
    options: &KFoldOptions,
) -> Result<DistanceKFold> {
    let pairs = Pairs::new(squared_distances, same, options.folds)?;
    let thresholds = options.distance_grid.thresholds()?;
    let counts: Vec<Accepted> =
        pairs.folds.iter().map(|fold| pairs.accepted_within(fold.clone(), &thresholds)).collect();

    // Correct pairs over all folds, less those of one fold, are those on the others.
    let correct = |c: &Accepted, i: usize| c.genuine[i] + c.impostor_total - c.impostor[i];
    let all: Vec<usize> = (0..thresholds.len()).map(|i| counts.iter().map(|c| correct(c, i)).sum()).collect();
    let best = counts.iter().map(|c| first_maximum(all.iter().enumerate().map(|(i, n)| n - correct(c, i))));
    let fold_threshold: Vec<f64> = best.map(|i| thresholds[i]).collect();

    let mean_rate = |rate: fn(&Accepted, usize) -> f64| -> Vec<f64> {
        let mean = |i| counts.iter().map(|c| rate(c, i)).sum::<f64>() / counts.len() as f64;
        (0..thresholds.len()).map(mean).collect()
    };
    let mean_tpr = mean_rate(|c, i| rate_or_zero(c.genuine[i], c.genuine_total));
    let mean_fpr = mean_rate(|c, i| rate_or_zero(c.impostor[i], c.impostor_total));
    let false_reject_pairs = pairs.false_rejects(&fold_threshold);
    let accuracy = pairs.judge(LfwVariant::CurricularFace, fold_threshold);
    Ok(DistanceKFold { accuracy, thresholds, mean_tpr, mean_fpr, false_reject_pairs })
}

/// The best balanced accuracy over all thresholds, and the largest threshold that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BalancedAccuracy {
    /// (share of genuine pairs ≥ threshold + share of impostors < threshold) / 2.
    pub accuracy: f64,
    /// The threshold.
    pub threshold: f64,
}

/// SurvFace's "mean accuracy": the largest balanced accuracy over the distinct scores as thresholds, on all pairs at
/// once, without folds; hence optimistic.
pub fn balanced_accuracy(scores: &PairScores) -> BalancedAccuracy {
    let (genuine, impostor) = (scores.genuine().len() as f64, scores.impostor().len() as f64);
    let steps = scores.steps();
    let accuracies: Vec<f64> = steps
        .iter()
        .map(|s| (s.genuine as f64 / genuine + (impostor - s.impostor as f64) / impostor) / 2.0)
        .collect();
    let best = first_maximum(accuracies.iter());
    BalancedAccuracy { accuracy: accuracies[best], threshold: steps[best].threshold }
}

/// `folds` consecutive ranges that cover `0..pairs`, the first `pairs % folds` of them one longer.
pub fn fold_ranges(pairs: usize, folds: usize) -> Vec<Range<usize>> {
    let folds = folds.max(1);
    let start = |k: usize| k * (pairs / folds) + k.min(pairs % folds);
    (0..folds).map(|k| start(k)..start(k + 1)).collect()
}

fn rate_or_zero(count: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { count as f64 / total as f64 }
}

/// Checked pairs in folds.
struct Pairs<'a> {
    values: &'a [f64],
    same: &'a [bool],
    folds: Vec<Range<usize>>,
}

impl<'a> Pairs<'a> {
    fn new(values: &'a [f64], same: &'a [bool], folds: usize) -> Result<Self> {
        check::same_length("same", same.len(), "pairs", values.len())?;
        check::finite("pairs", values)?;
        if folds < 2 {
            return Err(check::setting(
                "folds",
                folds,
                "at least 2: thresholds are chosen on the other folds",
            ));
        }
        check::at_least("pairs", values.len(), folds)?;
        let genuine = same.iter().filter(|s| **s).count();
        check::both_classes(genuine, same.len() - genuine, "the pairs")?;
        Ok(Self { values, same, folds: fold_ranges(values.len(), folds) })
    }

    /// Indices of the pairs of all folds but one.
    fn others(&self, fold: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let Range { start, end } = self.folds[fold];
        (0..start).chain(end..self.values.len())
    }

    /// Pairs of a fold with values below each of the rising thresholds.
    fn accepted_within(&self, fold: Range<usize>, thresholds: &[f64]) -> Accepted {
        // The last thresholds accept a small distance, so candidates are counted from the far end.
        let count = thresholds.len();
        let refusing = |d: f64| thresholds.partition_point(|&t| t <= d);
        let pairs = fold.map(|i| (count - refusing(self.values[i]), self.same[i]));
        let mut accepted = Accepted::count(pairs, count);
        accepted.genuine.reverse();
        accepted.impostor.reverse();
        accepted
    }

    /// For each fold the smallest of the other folds' values with the largest accuracy there, same when ≥.
    fn best_own_values(&self) -> Vec<f64> {
        // Values travel with index and label: a million of them are walked once a fold.
        let pairs = self.values.iter().zip(self.same).enumerate();
        let mut rising: Vec<(f64, usize, bool)> = pairs.map(|(i, (v, same))| (*v, i, *same)).collect();
        rising.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.folds.iter().map(|fold| Self::best_own_value(fold, &rising)).collect()
    }

    fn best_own_value(fold: &Range<usize>, rising: &[(f64, usize, bool)]) -> f64 {
        let others = || rising.iter().filter(|(_, i, _)| !fold.contains(i));
        // At the smallest value every pair is accepted; raising the threshold refuses one more pair at a time.
        let mut correct = others().filter(|(_, _, same)| *same).count();
        let (mut best, mut best_correct) = (f64::NAN, None);
        let mut previous = None;
        for &(value, _, same) in others() {
            if previous != Some(value) && best_correct.is_none_or(|b| correct > b) {
                (best, best_correct) = (value, Some(correct));
            }
            previous = Some(value);
            if same { correct -= 1 } else { correct += 1 }
        }
        best
    }

    /// The best of evenly spaced thresholds over the other folds, by the variant's criterion.
    fn best_even_threshold(&self, variant: LfwVariant, fold: usize, options: &KFoldOptions) -> Result<f64> {
        if options.num_thresholds == 0 {
            return Err(check::setting("num_thresholds", 0, "at least 1"));
        }
        let pairs = self.others(fold).map(|i| (self.values[i], self.same[i]));
        let even = EvenlySpaced::over(pairs.clone().map(|p| p.0), options.num_thresholds);
        let in_bins = variant == LfwVariant::SearchSoftmax;
        let c = if in_bins { even.accepted_in_bins(pairs) } else { even.accepted_above(pairs) };
        let within = format!("the folds other than fold {}", fold + 1);
        check::both_classes(c.genuine_total, c.impostor_total, &within)?;
        let quality = |i| {
            let (tar, far) = (c.true_accept_rate(i), c.false_accept_rate(i));
            if in_bins { (tar + 1.0 - far) / 2.0 } else { tar - far }
        };
        let best = first_maximum((0..options.num_thresholds).map(quality));
        Ok(even.thresholds[best])
    }

    /// Pairs of the same person beyond their fold's threshold.
    fn false_rejects(&self, fold_threshold: &[f64]) -> Vec<usize> {
        let rejected = |(fold, &t): (&Range<usize>, &f64)| {
            fold.clone().filter(move |&i| self.same[i] && self.values[i] > t).collect::<Vec<_>>()
        };
        self.folds.iter().zip(fold_threshold).flat_map(rejected).collect()
    }

    /// Accuracy of each fold at its threshold.
    fn judge(&self, variant: LfwVariant, fold_threshold: Vec<f64>) -> KFold {
        let accuracy = |(fold, &t): (&Range<usize>, &f64)| {
            let correct = fold.clone().filter(|&i| variant.is_correct(self.values[i], self.same[i], t));
            correct.count() as f64 / fold.len() as f64
        };
        let fold_accuracy: Vec<f64> = self.folds.iter().zip(&fold_threshold).map(accuracy).collect();
        let count = fold_accuracy.len();
        let mean_accuracy = fold_accuracy.iter().sum::<f64>() / count as f64;
        let squares: f64 = fold_accuracy.iter().map(|a| (a - mean_accuracy).powi(2)).sum();
        let deviation = (squares / (count - variant.ddof()) as f64).sqrt();
        KFold {
            mean_accuracy,
            standard_error: deviation / (count as f64).sqrt(),
            fold_accuracy,
            fold_threshold,
        }
    }
}

#[cfg(test)]
mod tests;
