//! HOTA (Luiten et al., IJCV 2021): detection and association, each at nineteen overlaps.

use serde::Serialize;

use super::EPS;
use super::matching::Matcher;
use super::sequence::{Frame, Sequence};

/// Number of overlap thresholds: 0.05, 0.1 … 0.95.
pub const ALPHAS: usize = 19;

type PerAlpha = [f64; ALPHAS];

/// Sums by HOTA's matching, at each threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hota {
    /// Matched boxes.
    pub tp: PerAlpha,
    /// Predictions without a match.
    pub fp: PerAlpha,
    /// Truth boxes without a match.
    pub fn_: PerAlpha,
    /// Sum over matches of the overlap.
    pub overlap: PerAlpha,
    /// Sum over matches of their tracks' association: accuracy, recall, precision.
    pub association: [PerAlpha; 3],
}

/// The measures at each threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HotaReport {
    /// `sqrt(DetA AssA)`.
    pub hota: PerAlpha,
    /// Detection accuracy.
    pub det_a: PerAlpha,
    /// Detection recall.
    pub det_re: PerAlpha,
    /// Detection precision.
    pub det_pr: PerAlpha,
    /// Association accuracy.
    pub ass_a: PerAlpha,
    /// Association recall.
    pub ass_re: PerAlpha,
    /// Association precision.
    pub ass_pr: PerAlpha,
    /// Mean overlap of matches.
    pub loc_a: PerAlpha,
}

impl Default for Hota {
    fn default() -> Self {
        let zero = [0.0; ALPHAS];
        Self { tp: zero, fp: zero, fn_: zero, overlap: zero, association: [zero; 3] }
    }
}

/// From which overlap on boxes match at each threshold, rounded as NumPy's `arange` rounds it.
fn least_overlaps() -> PerAlpha {
    std::array::from_fn(|k| 0.05 + 0.05 * k as f64 - EPS)
}

impl Hota {
    pub(super) fn new(sequence: &Sequence) -> Self {
        let mut sums = Self::default();
        let (object_frames, track_frames) = (sequence.object_frames(), sequence.track_frames());
        let alignment = alignment(sequence, &object_frames, &track_frames);
        // Frames in which a pair of tracks is matched, at each threshold.
        let mut together = vec![[0u32; ALPHAS]; sequence.pairs.len()];
        let mut matcher = Matcher::default();
        for frame in &sequence.frames {
            sums.add_frame(frame, &mut matcher, &alignment, &mut together);
        }
        for (&(object, track), counts) in sequence.pairs.iter().zip(together) {
            let (n, m) = (object_frames[object] as f64, track_frames[track] as f64);
            for (k, count) in counts.into_iter().enumerate() {
                let square = f64::from(count) * f64::from(count);
                let denominators = [n + m - f64::from(count), n, m];
                for (sum, denominator) in sums.association.iter_mut().zip(denominators) {
                    sum[k] += square / denominator.max(1.0);
                }
            }
        }
        sums
    }

    /// `alignment` and `together` are by pair.
    fn add_frame(
        &mut self,
        frame: &Frame,
        matcher: &mut Matcher,
        alignment: &[f64],
        together: &mut [[u32; ALPHAS]],
    ) {
        let least = least_overlaps();
        let mut matched = [0u32; ALPHAS];
        for o in matcher.matched(frame, 0.0, |o| -(alignment[o.pair] * o.iou)) {
            let reached = least.iter().filter(|least| o.iou >= **least).count();
            together[o.pair][..reached].iter_mut().for_each(|frames| *frames += 1);
            matched[..reached].iter_mut().for_each(|boxes| *boxes += 1);
            self.overlap[..reached].iter_mut().for_each(|sum| *sum += o.iou);
        }
        let (rows, columns) = (frame.truth.len(), frame.pred.len());
        for (k, matched) in matched.into_iter().enumerate() {
            self.tp[k] += f64::from(matched);
            self.fn_[k] += rows as f64 - f64::from(matched);
            self.fp[k] += columns as f64 - f64::from(matched);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let mine = [&mut self.tp, &mut self.fp, &mut self.fn_, &mut self.overlap];
        let theirs = [&other.tp, &other.fp, &other.fn_, &other.overlap];
        let pairs = mine.into_iter().zip(theirs).chain(self.association.iter_mut().zip(&other.association));
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// The measures. Over several sequences, association is averaged by true positives.
    pub fn report(&self) -> HotaReport {
        let per = |of: &dyn Fn(usize) -> f64| std::array::from_fn::<f64, ALPHAS, _>(of);
        let (tp, fp, fn_) = (&self.tp, &self.fp, &self.fn_);
        let det_a = per(&|k| tp[k] / (tp[k] + fn_[k] + fp[k]).max(1.0));
        let associated = |part: usize| per(&|k| self.association[part][k] / tp[k].max(1.0));
        let ass_a = associated(0);
        HotaReport {
            hota: per(&|k| (det_a[k] * ass_a[k]).sqrt()),
            det_a,
            det_re: per(&|k| tp[k] / (tp[k] + fn_[k]).max(1.0)),
            det_pr: per(&|k| tp[k] / (tp[k] + fp[k]).max(1.0)),
            ass_a,
            ass_re: associated(1),
            ass_pr: associated(2),
            loc_a: per(&|k| self.overlap[k].max(1e-10) / tp[k].max(1e-10)),
        }
    }
}

impl HotaReport {
    /// The mean over thresholds of a measure.
    pub fn mean(of: &PerAlpha) -> f64 {
        of.iter().sum::<f64>() / ALPHAS as f64
    }
}

/// How well each pair of tracks agrees over the whole sequence: overlap, shared among a frame's candidates, summed, over
/// the frames of both.
fn alignment(sequence: &Sequence, objects: &[u64], tracks: &[u64]) -> Vec<f64> {
    let mut sums = vec![0.0; sequence.pairs.len()];
    let (mut of_row, mut of_column) = (Vec::new(), Vec::new());
    for frame in &sequence.frames {
        for (sums, side) in [(&mut of_row, &frame.truth), (&mut of_column, &frame.pred)] {
            sums.clear();
            sums.resize(side.len(), 0.0);
        }
        for o in &frame.overlaps {
            of_row[o.row] += o.iou;
            of_column[o.column] += o.iou;
        }
        for o in &frame.overlaps {
            let denominator = of_column[o.column] + of_row[o.row] - o.iou;
            if denominator > EPS {
                sums[o.pair] += o.iou / denominator;
            }
        }
    }
    for (sum, &(object, track)) in sums.iter_mut().zip(&sequence.pairs) {
        *sum /= objects[object] as f64 + tracks[track] as f64 - *sum;
    }
    sums
}
