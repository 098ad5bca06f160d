//! Verification over all pairs: true accepts at a given rate of false accepts, ROC, equal error rate, AUC.
//!
//! Pairs of the same person are *genuine*, the others *impostors*; larger scores mean more alike. With n impostors,
//! whose scores in falling order are d\[0\] ≥ d\[1\] ≥ …, the threshold for a false-accept rate f has six definitions:
//!
//! | rule | k | threshold | accepted |
//! |---|---|---|---|
//! | [`rank-round`](FarRule::RankRound) | f n rounded, half to even | d\[k-1\]; d\[0\] + 1e-8 for k = 0 | ≥ |
//! | [`rank-floor`](FarRule::RankFloor) | ⌊f n⌋ | d\[k-1\]; d\[0\] + 1e-8 for k = 0 | ≥ |
//! | [`next-strict`](FarRule::NextStrict) | ⌊f n⌋ | d\[k\]; none for k = n | > |
//! | [`at-least-one`](FarRule::AtLeastOne) | max(1, ⌊f n⌋) | d\[k-1\] | > |
//! | [`nearest`](FarRule::Nearest) | – | the ROC point of the nearest false-accept rate | ≥ |
//! | [`histogram`](FarRule::Histogram) | – | read off a ROC of 1,000 bins, between two of them | – |
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | ROC-1 | rank-round: f n rounds half to even, so 2.5 impostors are 2 | strict | `half_ranks_round_to_even` |
//! | ROC-2 | with k = 0 the threshold is the best impostor + 1e-8: a genuine pair must beat it by that much | strict | `rank_zero_lies_just_above_the_best_impostor` |
//! | ROC-3 | f n is the product in double precision: 0.29 of 100 is 28 | strict | `products_are_floored_in_double_precision` |
//! | ROC-4 | ≥ lets impostors tied with the threshold in, so the realised rate may exceed f | strict, and the realised rate is reported | `ties_at_the_threshold` |
//! | ROC-5 | next-strict: ties at the threshold are all refused | strict | `ties_at_the_threshold` |
//! | ROC-6 | at-least-one: f = 0 still takes d\[0\] | strict | `ties_at_the_threshold` |
//! | ROC-7 | nearest: collinear ROC points are dropped first, so the nearest kept point may be far away | strict | `nearest_takes_only_corners` |
//! | ROC-8 | nearest: of equally near points the one of the larger false-accept rate, then of the larger true-accept rate | strict | `nearest_prefers_the_larger_rate` |
//! | ROC-9 | histogram: 0 where the bin's rate is 8 or more times f | strict | `histogram_gives_up_far_from_the_target` |
//! | ROC-10 | histogram: outside the range of the bins the line is prolonged, even below 0; between equal rates it is 0/0 | strict but for 0/0: there the lower bin's value | `histogram_between_equal_rates` |
//! | ROC-11 | equal error rate: first minimiser of the difference; scanning down or up finds another threshold on ties | strict, [`Scan`] chooses | `equal_error_rate_scans_both_ways` |
//! | ROC-12 | equal error rate: differences are compared in double precision, so rounding decides between candidates that are equal on paper | strict | `rounding_decides_between_equal_errors` |

use crate::evenly_spaced::{Accepted, EvenlySpaced};
use crate::named::named_variants;
use crate::{Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// How a threshold is found for a false-accept rate; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FarRule {
    /// The impostor of rank round(f n) still passes (CurricularFace's evaluator).
    #[default]
    RankRound,
    /// The impostor of rank ⌊f n⌋ still passes (SurvFace).
    RankFloor,
    /// At most ⌊f n⌋ impostors pass (IR-Softmax, DVG-Face).
    NextStrict,
    /// The impostor of rank max(1, ⌊f n⌋) no longer passes (CelebA-Spoof).
    AtLeastOne,
    /// The nearest corner of the ROC (IJB).
    Nearest,
    /// Interpolated between bins of a histogram (Search-Softmax).
    Histogram,
}

named_variants!(FarRule, "threshold rule", {
    RankRound => "rank-round",
    RankFloor => "rank-floor",
    NextStrict => "next-strict",
    AtLeastOne => "at-least-one",
    Nearest => "nearest",
    Histogram => "histogram",
});

/// One answer of [`PairScores::tar_at_far`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// The false-accept rate asked for.
    pub target_far: f64,
    /// The false-accept rate realised on these scores; for [`FarRule::Histogram`] the rate that `tar` was read at.
    pub far: f64,
    /// Share of genuine pairs accepted.
    pub tar: f64,
    /// The threshold; infinite when nobody or everybody is accepted; none for [`FarRule::Histogram`], which reads
    /// between two.
    pub threshold: Option<f64>,
}

/// The receiver operating characteristic, from (0, 0) at an infinite threshold to (1, 1) at the smallest score.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RocCurve {
    /// Share of impostors with scores ≥ `threshold`, rising.
    pub far: Vec<f64>,
    /// Share of genuine pairs with scores ≥ `threshold`, rising.
    pub tar: Vec<f64>,
    /// Distinct scores in falling order after infinity.
    pub threshold: Vec<f64>,
}

/// The direction in which candidate thresholds for the equal error rate are tried; the first of equals is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    /// Infinity, then the distinct scores in falling order.
    #[default]
    Falling,
    /// The distinct scores in rising order. (A last candidate above them all could not be the first minimiser: it is as
    /// one-sided as the smallest score.)
    Rising,
}

named_variants!(Scan, "scan", { Falling => "falling", Rising => "rising" });

/// Where false accepts and false rejects are equally frequent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EqualError {
    /// Mean of the two error rates at the threshold.
    pub rate: f64,
    /// Pairs with scores ≥ it are accepted.
    pub threshold: f64,
}

/// Number of bins of [`FarRule::Histogram`].
pub const HISTOGRAM_BINS: usize = 1000;

/// The scores of genuine pairs and of impostors, sorted once for all questions.
#[derive(Clone, Debug)]
pub struct PairScores {
    genuine: Vec<f64>,
    impostor: Vec<f64>,
}

/// Accepted pairs when the threshold is the score of this step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) threshold: f64,
    pub(crate) genuine: usize,
    pub(crate) impostor: usize,
}

/// Before the first step.
const NOBODY: Step = Step { threshold: f64::INFINITY, genuine: 0, impostor: 0 };

impl PairScores {
    /// From a score and a label a pair. Fails on values that are not finite and when either class is empty.
    pub fn new(scores: &[f64], same: &[bool]) -> Result<Self> {
        check::same_length("same", same.len(), "scores", scores.len())?;
        let of = |class| scores.iter().zip(same).filter(move |(_, s)| **s == class).map(|(v, _)| *v);
        check::finite("scores", scores)?;
        Self::from_classes(of(true).collect(), of(false).collect())
    }

    /// From the scores of the two classes. Fails on values that are not finite and when either class is empty.
    pub fn from_classes(mut genuine: Vec<f64>, mut impostor: Vec<f64>) -> Result<Self> {
        check::finite("genuine", &genuine)?;
        check::finite("impostor", &impostor)?;
        check::both_classes(genuine.len(), impostor.len(), "the scores")?;
        sort_falling(&mut genuine);
        sort_falling(&mut impostor);
        Ok(Self { genuine, impostor })
    }

    /// Scores of genuine pairs in falling order.
    pub fn genuine(&self) -> &[f64] {
        &self.genuine
    }

    /// Scores of impostors in falling order.
    pub fn impostor(&self) -> &[f64] {
        &self.impostor
    }

    /// True-accept rates at the false-accept rates `fars`, each in [0, 1] (above 0 for [`FarRule::Histogram`]).
    pub fn tar_at_far(&self, fars: &[f64], rule: FarRule) -> Result<Vec<OperatingPoint>> {
        check::rates("fars", fars)?;
        let threshold = match rule {
            FarRule::RankRound => rank_round,
            FarRule::RankFloor => rank_floor,
            FarRule::NextStrict => next_strict,
            FarRule::AtLeastOne => at_least_one,
            FarRule::Nearest => return Ok(self.nearest(fars)),
            FarRule::Histogram => return self.tar_at_far_by_histogram(fars, HISTOGRAM_BINS),
        };
        Ok(fars.iter().map(|&f| self.at_threshold(f, threshold(&self.impostor, f))).collect())
    }

    /// [`FarRule::Histogram`] with another number of bins.
    pub fn tar_at_far_by_histogram(&self, fars: &[f64], bins: usize) -> Result<Vec<OperatingPoint>> {
        check::rates("fars", fars)?;
        if bins < 2 {
            return Err(check::setting("bins", bins, "at least 2"));
        }
        if fars.contains(&0.0) {
            return Err(check::setting("fars", 0, "rates above 0: a histogram cannot be read there"));
        }
        let pairs = self.genuine.iter().map(|s| (*s, true)).chain(self.impostor.iter().map(|s| (*s, false)));
        let accepted = EvenlySpaced::over(pairs.clone().map(|p| p.0), bins).accepted_in_bins(pairs);
        let point = |&target_far: &f64| {
            let tar = interpolated_tar(&accepted, target_far);
            OperatingPoint { target_far, far: target_far, tar, threshold: None }
        };
        Ok(fars.iter().map(point).collect())
    }

    /// The ROC, all of its points or only its corners (`drop_collinear`), as scikit-learn's `roc_curve` gives them.
    pub fn roc_curve(&self, drop_collinear: bool) -> RocCurve {
        let steps = self.steps();
        let slope = |i: usize, count: fn(&Step) -> usize| count(&steps[i + 1]) - count(&steps[i]);
        let bends = |i: usize| {
            slope(i - 1, |s| s.genuine) != slope(i, |s| s.genuine)
                || slope(i - 1, |s| s.impostor) != slope(i, |s| s.impostor)
        };
        let mut curve = RocCurve { far: vec![0.0], tar: vec![0.0], threshold: vec![f64::INFINITY] };
        for (i, step) in steps.iter().enumerate() {
            if drop_collinear && i > 0 && i + 1 < steps.len() && !bends(i) {
                continue;
            }
            curve.far.push(self.far(step));
            curve.tar.push(step.genuine as f64 / self.genuine.len() as f64);
            curve.threshold.push(step.threshold);
        }
        curve
    }

    /// The threshold at which the shares of accepted impostors and of refused genuine pairs differ least.
    pub fn equal_error(&self, scan: Scan) -> EqualError {
        let mut steps = self.steps();
        match scan {
            Scan::Falling => steps.insert(0, NOBODY),
            Scan::Rising => steps.reverse(),
        }
        // The shares themselves are compared, not exact fractions: rounding decides between equals, as in the tools.
        let errors = |s: &Step| {
            let frr = (self.genuine.len() - s.genuine) as f64 / self.genuine.len() as f64;
            (frr, self.far(s))
        };
        let difference = |s: &Step| {
            let (frr, far) = errors(s);
            (frr - far).abs()
        };
        let mut best = steps[0];
        for step in &steps[1..] {
            if difference(step) < difference(&best) {
                best = *step;
            }
        }
        let (frr, far) = errors(&best);
        EqualError { rate: (frr + far) / 2.0, threshold: best.threshold }
    }

    /// Area under the ROC: the chance that a genuine pair scores above an impostor, ties counting one half
    /// (Mann-Whitney).
    pub fn auc(&self) -> f64 {
        let mut twice_wins: u128 = 0;
        let mut before = NOBODY;
        for step in self.steps() {
            let impostors = (step.impostor - before.impostor) as u128;
            twice_wins += impostors * (before.genuine + step.genuine) as u128;
            before = step;
        }
        twice_wins as f64 / 2.0 / (self.genuine.len() as f64 * self.impostor.len() as f64)
    }

    /// Pairs accepted at each distinct score, in falling order.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let (mut genuine, mut impostor) = (0, 0);
        let mut steps = Vec::new();
        loop {
            let threshold = match (self.genuine.get(genuine), self.impostor.get(impostor)) {
                (Some(g), Some(i)) => g.max(*i),
                (Some(s), None) | (None, Some(s)) => *s,
                (None, None) => return steps,
            };
            genuine += self.genuine[genuine..].iter().take_while(|s| **s == threshold).count();
            impostor += self.impostor[impostor..].iter().take_while(|s| **s == threshold).count();
            steps.push(Step { threshold, genuine, impostor });
        }
    }

    fn far(&self, step: &Step) -> f64 {
        step.impostor as f64 / self.impostor.len() as f64
    }

    fn at_threshold(&self, target_far: f64, threshold: Threshold) -> OperatingPoint {
        let far = threshold.share_accepted(&self.impostor);
        let tar = threshold.share_accepted(&self.genuine);
        OperatingPoint { target_far, far, tar, threshold: Some(threshold.value) }
    }

    /// [`FarRule::Nearest`].
    fn nearest(&self, fars: &[f64]) -> Vec<OperatingPoint> {
        let curve = self.roc_curve(true);
        let point = |&target_far: &f64| {
            let mut best = curve.far.len() - 1;
            for i in (0..best).rev() {
                if (curve.far[i] - target_far).abs() < (curve.far[best] - target_far).abs() {
                    best = i;
                }
            }
            let (far, tar) = (curve.far[best], curve.tar[best]);
            OperatingPoint { target_far, far, tar, threshold: Some(curve.threshold[best]) }
        };
        fars.iter().map(point).collect()
    }
}

/// A threshold and whether a score equal to it is accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) value: f64,
    inclusive: bool,
}

impl Threshold {
    /// Share of `falling` scores accepted.
    pub(crate) fn share_accepted(self, falling: &[f64]) -> f64 {
        let accepted = falling.partition_point(|&s| s > self.value || (self.inclusive && s == self.value));
        accepted as f64 / falling.len() as f64
    }
}

/// [`FarRule::RankRound`] on impostors' scores in falling order, of which there is at least one.
pub(crate) fn rank_round(impostor: &[f64], far: f64) -> Threshold {
    last_accepted(impostor, (far * impostor.len() as f64).round_ties_even() as usize)
}

fn rank_floor(impostor: &[f64], far: f64) -> Threshold {
    last_accepted(impostor, whole_impostors(impostor, far))
}

fn next_strict(impostor: &[f64], far: f64) -> Threshold {
    first_refused(impostor, whole_impostors(impostor, far))
}

fn at_least_one(impostor: &[f64], far: f64) -> Threshold {
    first_refused(impostor, whole_impostors(impostor, far).max(1) - 1)
}

fn whole_impostors(impostor: &[f64], far: f64) -> usize {
    (far * impostor.len() as f64).floor() as usize
}

/// The first `k` impostors pass, and whoever ties with the last of them.
fn last_accepted(impostor: &[f64], k: usize) -> Threshold {
    let value = if k == 0 { impostor[0] + 1e-8 } else { impostor[k - 1] };
    Threshold { value, inclusive: true }
}

/// The impostor at `index` (from 0) and whoever ties with it do not pass.
fn first_refused(impostor: &[f64], index: usize) -> Threshold {
    let value = impostor.get(index).copied().unwrap_or(f64::NEG_INFINITY);
    Threshold { value, inclusive: false }
}

/// The true-accept rate at false-accept rate `target` on the line between two bins, found by bisection.
fn interpolated_tar(accepted: &Accepted, target: f64) -> f64 {
    let far = |i| accepted.false_accept_rate(i);
    let tar = |i| accepted.true_accept_rate(i);
    let (mut low, mut high) = (0, accepted.impostor.len() - 1);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if far(middle) == target {
            return tar(middle);
        }
        if far(middle) < target { high = middle } else { low = middle }
    }
    if far(low) >= 8.0 * target {
        0.0
    } else if far(low) == far(high) {
        tar(low)
    } else {
        tar(low) + (target - far(low)) / (far(high) - far(low)) * (tar(high) - tar(low))
    }
}

fn sort_falling(values: &mut [f64]) {
    values.par_sort_unstable_by(|a, b| b.total_cmp(a));
}

#[cfg(test)]
mod tests;
