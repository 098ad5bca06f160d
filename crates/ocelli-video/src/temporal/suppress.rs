//! Non-maximum suppression of segments, hard and soft.

use ocelli_metrics::segment::{ScoredSegment, Segment};
use serde::{Deserialize, Serialize};

/// How the score of a segment falls that overlaps a better one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Times exp(-tIoU² / sigma).
    Gaussian,
    /// Times 1 - tIoU.
    Linear,
}

/// Soft-NMS (Bodla et al., arXiv 1704.04503) for segments, with a threshold that grows with the length of the segment
/// that is taken: long proposals may overlap more.
///
/// Lengths, and thus the threshold, are in the unit of the segments; the published settings are for fractions of the
/// video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftNms {
    /// How scores fall.
    pub decay: Decay,
    /// The width of the Gaussian decay.
    pub sigma: f64,
    /// Overlap above which scores fall, beside a segment without length.
    pub threshold: f64,
    /// What is added to the threshold for each unit of the taken segment's length.
    pub slope: f64,
    /// At most so many are taken.
    pub keep: usize,
    /// None is taken with a score below this.
    pub min_score: f64,
    /// Whether the last candidate is never taken: the loops of the released codes end while one is left.
    pub drop_last: bool,
}

/// A candidate that was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// Its place among the candidates.
    pub index: usize,
    /// The segment, and its score when it was taken.
    pub scored: ScoredSegment,
}

impl SoftNms {
    /// Takes the best candidate (the first of equal ones), lowers the scores of those that overlap it, and again. The
    /// result is in the order of taking. Candidates whose score is NaN are never taken.
    ///
    /// The overlap is the intersection over union where an intersection of disjoint segments is negative, as in the
    /// released codes; with thresholds from 0 on that makes no difference.
    pub fn run(&self, candidates: &[ScoredSegment]) -> Vec<Taken> {
        let mut left: Vec<Taken> =
            (0..).zip(candidates).map(|(index, &scored)| Taken { index, scored }).collect();
        let mut taken = Vec::new();
        let reserve = usize::from(self.drop_last);
        while left.len() > reserve && taken.len() < self.keep {
            let Some(best) = best(&left).filter(|&b| left[b].scored.score >= self.min_score) else { break };
            let pick = left.remove(best);
            let threshold = self.threshold + self.slope * pick.scored.segment.length();
            for other in &mut left {
                let overlap = overlap(pick.scored.segment, other.scored.segment);
                if overlap > threshold {
                    other.scored.score *= self.factor(overlap);
                }
            }
            taken.push(pick);
        }
        taken
    }

    fn factor(&self, overlap: f64) -> f64 {
        match self.decay {
            Decay::Gaussian => (-(overlap * overlap) / self.sigma).exp(),
            Decay::Linear => 1.0 - overlap,
        }
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that cannot be run with.
    pub fn validate(&self) -> Result<(), String> {
        if self.decay == Decay::Gaussian && !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(format!("sigma: {} is not above 0", self.sigma));
        }
        for (key, value) in [("threshold", self.threshold), ("slope", self.slope)] {
            if !value.is_finite() {
                return Err(format!("{key}: {value} is no number"));
            }
        }
        Ok(())
    }
}

/// The place of the highest score, the first of equal ones.
fn best(left: &[Taken]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (place, taken) in left.iter().enumerate() {
        let score = taken.scored.score;
        if best.map_or(!score.is_nan(), |b| score > left[b].scored.score) {
            best = Some(place);
        }
    }
    best
}

/// Intersection over union, the intersection of disjoint segments being negative: minus the gap between them.
fn overlap(a: Segment, b: Segment) -> f64 {
    let intersection = a.end.min(b.end) - a.start.max(b.start);
    intersection / (a.length() + b.length() - intersection)
}

/// Greedy suppression: by falling score (equal ones in their order), a candidate is taken unless its tIoU with one taken
/// before is above `threshold`. Places of those taken, best first; candidates whose score is NaN are left out.
pub fn hard_nms(candidates: &[ScoredSegment], threshold: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).filter(|&i| !candidates[i].score.is_nan()).collect();
    let score = |i: usize| candidates[i].score + 0.0;
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut taken: Vec<usize> = Vec::new();
    for i in order {
        let segment = candidates[i].segment;
        if taken.iter().all(|&t| candidates[t].segment.tiou(segment) <= threshold) {
            taken.push(i);
        }
    }
    taken
}

/// Either suppression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nms {
    /// Scores fall.
    Soft(SoftNms),
    /// What overlaps a better one above `threshold` goes; the `keep` best are kept.
    Hard {
        /// The tIoU.
        threshold: f64,
        /// Most segments that are kept.
        keep: usize,
    },
}

impl Nms {
    /// The candidates that are taken, best first.
    pub fn run(&self, candidates: &[ScoredSegment]) -> Vec<Taken> {
        match *self {
            Self::Soft(soft) => soft.run(candidates),
            Self::Hard { threshold, keep } => {
                let taken = |index: usize| Taken { index, scored: candidates[index] };
                hard_nms(candidates, threshold).into_iter().take(keep).map(taken).collect()
            }
        }
    }

    /// Whether the result depends on the unit of the segments: a threshold that grows with length does.
    pub fn depends_on_lengths(&self) -> bool {
        matches!(self, Self::Soft(soft) if soft.slope != 0.0)
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that cannot be run with.
    pub fn validate(&self) -> Result<(), String> {
        match *self {
            Self::Soft(soft) => soft.validate(),
            Self::Hard { threshold, .. } if threshold.is_finite() => Ok(()),
            Self::Hard { threshold, .. } => Err(format!("threshold: {threshold} is no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOFT: SoftNms = SoftNms {
        decay: Decay::Gaussian,
        sigma: 0.75,
        threshold: 0.65,
        slope: 0.25,
        keep: 100,
        min_score: 0.0,
        drop_last: false,
    };

    fn scored(start: f64, end: f64, score: f64) -> ScoredSegment {
        ScoredSegment { segment: Segment::new(start, end), score }
    }

    fn indices(taken: &[Taken]) -> Vec<usize> {
        taken.iter().map(|t| t.index).collect()
    }

    #[test]
    fn scores_fall_by_the_overlap() {
        // tIoU 0.9 with the best, whose length 0.2 makes the threshold 0.7.
        let candidates = [scored(0.0, 0.2, 0.9), scored(0.0, 0.18, 0.8), scored(0.0, 0.11, 0.5)];
        let taken = SOFT.run(&candidates);
        assert_eq!(indices(&taken), [0, 2, 1]);
        assert!((taken[2].scored.score - 0.8 * (-0.81_f64 / 0.75).exp()).abs() < 1e-12);
        assert_eq!(taken[1].scored.score, 0.5, "tIoU 0.55 is below the threshold");
        let linear = SoftNms { decay: Decay::Linear, ..SOFT }.run(&candidates);
        assert!((linear[2].scored.score - 0.8 * 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_threshold_grows_with_the_length_of_the_taken() {
        let long = [scored(0.0, 1.0, 0.9), scored(0.0, 0.85, 0.8)];
        assert_eq!(SOFT.run(&long)[1].scored.score, 0.8, "0.85 is below 0.9");
        let short = [scored(0.0, 0.1, 0.9), scored(0.0, 0.085, 0.8)];
        assert!(SOFT.run(&short)[1].scored.score < 0.8, "0.85 is above 0.675");
    }

    #[test]
    fn where_it_ends() {
        let candidates: Vec<_> =
            (0..5).map(|i| scored(f64::from(i), f64::from(i) + 0.5, 0.1 * f64::from(i))).collect();
        assert_eq!(indices(&SOFT.run(&candidates)), [4, 3, 2, 1, 0]);
        assert_eq!(indices(&SoftNms { drop_last: true, ..SOFT }.run(&candidates)), [4, 3, 2, 1]);
        assert_eq!(indices(&SoftNms { keep: 2, ..SOFT }.run(&candidates)), [4, 3]);
        assert_eq!(indices(&SoftNms { min_score: 0.2, ..SOFT }.run(&candidates)), [4, 3, 2]);
        assert!(SOFT.run(&[]).is_empty());
        assert!(SoftNms { drop_last: true, ..SOFT }.run(&candidates[..1]).is_empty());
    }

    #[test]
    fn equal_scores_go_by_their_order_and_nan_stays_out() {
        let tie = [scored(0.0, 0.1, f64::NAN), scored(0.5, 0.6, 0.5), scored(0.2, 0.3, 0.5)];
        assert_eq!(indices(&SOFT.run(&tie)), [1, 2]);
        assert_eq!(hard_nms(&tie, 0.5), [1, 2]);
    }

    #[test]
    fn hard_suppression_drops_what_overlaps() {
        let candidates =
            [scored(0.0, 1.0, 0.5), scored(0.0, 0.9, 0.9), scored(2.0, 3.0, 0.7), scored(0.0, 1.0, 0.6)];
        assert_eq!(hard_nms(&candidates, 0.5), [1, 2]);
        assert_eq!(hard_nms(&candidates, 0.9), [1, 2, 3, 0][..2], "tIoU 0.9 is not above 0.9, 1.0 is");
        let hard = Nms::Hard { threshold: 0.5, keep: 1 };
        assert_eq!(indices(&hard.run(&candidates)), [1]);
        assert!(!hard.depends_on_lengths() && Nms::Soft(SOFT).depends_on_lengths());
    }

    #[test]
    fn settings_are_checked() {
        assert!(SOFT.validate().is_ok());
        let wrong = SoftNms { sigma: 0.0, ..SOFT }.validate().unwrap_err();
        assert_eq!(wrong, "sigma: 0 is not above 0");
        assert!(SoftNms { slope: f64::NAN, ..SOFT }.validate().is_err());
    }

    proptest! {
        /// Scores only fall, the taken come by falling score, and none is taken twice.
        #[test]
        fn taking_is_ordered(list in prop::collection::vec((0.0f64..1.0, 0.01f64..1.0, 0.0f64..1.0), 0..40)) {
            let candidates: Vec<_> = list.iter().map(|&(s, l, p)| scored(s, s + l, p)).collect();
            let taken = SOFT.run(&candidates);
            prop_assert_eq!(taken.len(), candidates.len());
            prop_assert!(taken.is_sorted_by(|a, b| a.scored.score >= b.scored.score));
            prop_assert!(taken.iter().all(|t| t.scored.score <= candidates[t.index].score));
            let mut all = indices(&taken);
            all.sort_unstable();
            prop_assert_eq!(all, (0..candidates.len()).collect::<Vec<_>>());
        }
    }
}
