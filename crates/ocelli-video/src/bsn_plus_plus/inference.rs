//! From the network's maps to scored proposals.

use ocelli_metrics::segment::ScoredSegment;
use serde::{Deserialize, Serialize};

use crate::temporal::suppress::{Decay, SoftNms};
use crate::temporal::targets::proposal;

/// Which pairs of start and end become proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Candidates {
    /// All.
    #[default]
    All,
    /// Those whose boundaries both are above half of the largest or above both their neighbours.
    Peaks,
}

/// How the two maps become one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// Their product.
    #[default]
    Product,
    /// The root of it, as in the paper of BMN.
    Sqrt,
}

/// The released Soft-NMS: the threshold grows from `t1` to `t2` with the length of the segment taken, and the last candidate
/// is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Suppression {
    /// Width of the Gaussian decay.
    pub alpha: f64,
    /// Threshold beside a segment without length.
    pub t1: f64,
    /// Threshold beside the whole video.
    pub t2: f64,
    /// At most so many are taken.
    pub keep: usize,
}

impl Default for Suppression {
    fn default() -> Self {
        Self { alpha: 0.4, t1: 0.5, t2: 0.9, keep: 101 }
    }
}

impl From<Suppression> for SoftNms {
    fn from(s: Suppression) -> Self {
        Self {
            decay: Decay::Gaussian,
            sigma: s.alpha,
            threshold: s.t1,
            slope: s.t2 - s.t1,
            keep: s.keep,
            min_score: 0.0,
            drop_last: true,
        }
    }
}

/// The boundary scores of both passes: forward ones, and those of the pass over reversed time as the network gives them.
///
/// A start is seen as an end there: the score is the geometric mean of the two.
pub fn fuse([start, end]: [&[f32]; 2], [start_backward, end_backward]: [&[f32]; 2]) -> [Vec<f64>; 2] {
    let mean = |forward: &[f32], backward: &[f32]| {
        let pairs = forward.iter().zip(backward.iter().rev());
        pairs.map(|(&f, &b)| (f64::from(f) * f64::from(b)).sqrt()).collect()
    };
    [mean(start, end_backward), mean(end, start_backward)]
}

/// What a video's proposals are scored by: boundaries `[T]`, and the maps `[T, T]` start by end.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Score of each snippet as a start.
    pub start: Vec<f64>,
    /// As an end.
    pub end: Vec<f64>,
    /// Overlap by regression.
    pub reg: Vec<f32>,
    /// Overlap by classification.
    pub cls: Vec<f32>,
}

impl Evidence {
    /// All proposals `[i / T, (j + 1) / T]`, `i <= j < T - 1`, as fractions of the video, by start and then by end. The end is
    /// scored at j + 1: no proposal reaches the end of the video.
    pub fn proposals(&self, candidates: Candidates, fusion: Fusion) -> Vec<ScoredSegment> {
        let cells = self.start.len();
        let chosen = |scores: &[f64]| match candidates {
            Candidates::All => vec![true; cells],
            Candidates::Peaks => peaks(scores),
        };
        let (starts, ends) = (chosen(&self.start), chosen(&self.end));
        let mut proposals = Vec::new();
        for i in (0..cells).filter(|&i| starts[i]) {
            for j in (i..cells.saturating_sub(1)).filter(|&j| ends[j + 1]) {
                let place = i * cells + j;
                let fit = f64::from(self.reg[place]) * f64::from(self.cls[place]);
                let fit = if fusion == Fusion::Sqrt { fit.sqrt() } else { fit };
                let score = self.start[i] * self.end[j + 1] * fit;
                proposals.push(ScoredSegment { segment: proposal(i, j, cells), score });
            }
        }
        proposals
    }
}

/// Where a score is above half of the largest, or above both its neighbours; those at the ends have no two.
fn peaks(scores: &[f64]) -> Vec<bool> {
    let half = 0.5 * scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let rises =
        |k: usize| k > 0 && k + 1 < scores.len() && scores[k] > scores[k - 1] && scores[k] > scores[k + 1];
    (0..scores.len()).map(|k| scores[k] > half || rises(k)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_high_or_between_lower_ones() {
        assert_eq!(peaks(&[0.9, 0.1, 0.2, 0.1, 0.1, 0.3]), [true, false, true, false, false, false]);
        assert!(peaks(&[]).is_empty());
    }

    #[test]
    fn no_proposal_reaches_the_last_cell() {
        let evidence =
            Evidence { start: vec![1.0; 3], end: vec![1.0; 3], reg: vec![0.25; 9], cls: vec![1.0; 9] };
        let proposals = evidence.proposals(Candidates::All, Fusion::Sqrt);
        assert_eq!(proposals.len(), 3);
        assert!(proposals.iter().all(|p| p.score == 0.5 && p.segment.end < 1.0));
    }

    #[test]
    fn a_start_is_an_end_backwards() {
        let [start, end] = fuse([&[0.25, 0.0], &[0.0, 1.0]], [&[0.25, 0.5], &[0.7, 1.0]]);
        assert_eq!((start, end), (vec![0.5, 0.0], vec![0.0, 0.5]));
    }
}
