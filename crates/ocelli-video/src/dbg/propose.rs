//! From the network's maps to ranked proposals (section 3.6 of the paper).

use ocelli_metrics::segment::{ScoredSegment, Segment};
use serde::{Deserialize, Serialize};

use crate::temporal::sampler::proposals;
use crate::temporal::suppress::{Decay, SoftNms};
use crate::temporal::targets::proposal;

/// Settings of inference; the published ones by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProposeConfig {
    /// Proposals of a video at most.
    pub top_number: usize,
    /// Overlap above which Soft-NMS lowers scores, beside a proposal without length.
    pub nms_base: f64,
    /// What is added to it for a proposal as long as the video.
    pub nms_slope: f64,
    /// Width of the decay of Soft-NMS.
    pub sigma: f64,
}

impl Default for ProposeConfig {
    fn default() -> Self {
        Self { top_number: 100, nms_base: 0.65, nms_slope: 0.25, sigma: 0.75 }
    }
}

impl ProposeConfig {
    /// The suppression.
    pub fn soft_nms(&self) -> SoftNms {
        SoftNms {
            decay: Decay::Gaussian,
            sigma: self.sigma,
            threshold: self.nms_base,
            slope: self.nms_slope,
            keep: self.top_number,
            min_score: f64::NEG_INFINITY,
            drop_last: true,
        }
    }
}

/// Scores of one video: of every proposal, row by row, and the boundary scores that they make together.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoScores {
    cells: usize,
    /// Completeness of each proposal, in the order of [`proposals`].
    iou: Vec<f64>,
    /// Start score of each cell: the mean of what the proposals that begin there say.
    pub start: Vec<f64>,
    /// End score of each cell: the mean of what the proposals that end there say.
    pub end: Vec<f64>,
}

/// A proposal with what its score is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its completeness.
    pub iou: f64,
    /// Start score of its first cell.
    pub start: f64,
    /// End score of its last cell.
    pub end: f64,
    /// Its segment as fractions of the video, and the product of the three.
    pub scored: ScoredSegment,
}

impl VideoScores {
    /// From what the network says of each proposal, in the order of [`proposals`].
    ///
    /// # Panics
    /// When a list is not as long as there are proposals.
    pub fn new(cells: usize, [iou, start, end]: [&[f32]; 3]) -> Self {
        let count = cells * (cells + 1) / 2;
        assert!(
            [iou, start, end].iter().all(|list| list.len() == count),
            "a score for each of {count} proposals"
        );
        let (mut starts, mut ends) = (vec![0.0; cells], vec![0.0; cells]);
        for ((i, j), (start, end)) in proposals(cells).zip(start.iter().zip(end)) {
            starts[i] += f64::from(*start);
            ends[j] += f64::from(*end);
        }
        starts.iter_mut().enumerate().for_each(|(i, sum)| *sum /= (cells - i) as f64);
        ends.iter_mut().enumerate().for_each(|(j, sum)| *sum /= (j + 1) as f64);
        Self { cells, iou: iou.iter().map(|&v| f64::from(v)).collect(), start: starts, end: ends }
    }

    /// All proposals, row by row.
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidate = |((i, j), &iou): ((usize, usize), &f64)| {
            let (start, end) = (self.start[i], self.end[j]);
            let scored = ScoredSegment { segment: proposal(i, j, self.cells), score: iou * start * end };
            Candidate { iou, start, end, scored }
        };
        proposals(self.cells).zip(&self.iou).map(candidate).collect()
    }

    /// The proposals that Soft-NMS keeps of all, in seconds, best first.
    pub fn proposals(&self, duration: f64, config: &ProposeConfig) -> Vec<ScoredSegment> {
        let scored: Vec<ScoredSegment> = self.candidates().into_iter().map(|c| c.scored).collect();
        suppressed(&scored, duration, config)
    }
}

/// What Soft-NMS keeps of candidates (fractions of the video), in seconds, best first.
pub fn suppressed(candidates: &[ScoredSegment], duration: f64, config: &ProposeConfig) -> Vec<ScoredSegment> {
    let seconds = |fraction: f64| (fraction * duration).clamp(0.0, duration);
    let taken = config.soft_nms().run(candidates).into_iter().map(|taken| {
        let Segment { start, end } = taken.scored.segment;
        ScoredSegment { segment: Segment::new(seconds(start), seconds(end)), ..taken.scored }
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundary_scores_are_means_over_proposals() {
        // (0,0) (0,1) (1,1)
        let scores = VideoScores::new(2, [&[0.5, 1.0, 0.25], &[0.2, 0.4, 0.6], &[0.8, 0.6, 0.4]]);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(scores.start[0], 0.3) && close(scores.start[1], 0.6));
        assert!(close(scores.end[0], 0.8) && close(scores.end[1], 0.5));
        let whole = scores.candidates()[1];
        assert_eq!(whole.scored.segment, Segment::new(0.0, 1.0));
        assert!(close(whole.scored.score, 1.0 * 0.3 * 0.5));
        let kept = scores.proposals(10.0, &ProposeConfig::default());
        assert_eq!(kept.len(), 2, "the last candidate is never reported");
        assert_eq!(kept[0].segment, Segment::new(0.0, 10.0));
    }
}
