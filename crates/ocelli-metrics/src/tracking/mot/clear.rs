//! CLEAR (Bernardin and Stiefelhagen 2008) as TrackEval counts it.

use serde::Serialize;

use super::EPS;
use super::matching::Matcher;
use super::sequence::{Overlap, Sequence};

/// Sums by TrackEval's CLEAR matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Clear {
    /// Matched boxes.
    pub tp: u64,
    /// Predictions without a match.
    pub fp: u64,
    /// Truth boxes without a match.
    pub fn_: u64,
    /// Matches with another prediction than the object's last.
    pub idsw: u64,
    /// Times a track is taken up again.
    pub frag: u64,
    /// Tracks matched in more than 0.8 of their frames.
    pub mostly_tracked: u64,
    /// Tracks matched in 0.2 to 0.8 of their frames.
    pub partially_tracked: u64,
    /// Tracks matched in less than 0.2 of their frames.
    pub mostly_lost: u64,
    /// Sum of IoU over matches.
    pub overlap: f64,
}

/// How much more a pair of the previous frame counts than any overlap.
const KEPT: f64 = 1000.0;

impl Clear {
    pub(super) fn new(sequence: &Sequence, threshold: f64) -> Self {
        let mut sums = Self::default();
        let objects = sequence.objects();
        let (mut last, mut previous) = (vec![None; objects], vec![None; objects]);
        let (mut begun, mut matched) = (vec![0u64; objects], vec![0u64; objects]);
        let (mut matcher, mut pairs, mut before) = (Matcher::default(), Vec::new(), Vec::new());
        for frame in &sequence.frames {
            if frame.truth.is_empty() || frame.pred.is_empty() {
                sums.fp += frame.pred.len() as u64;
                sums.fn_ += frame.truth.len() as u64;
                continue;
            }
            let named = |o: &Overlap| (frame.truth[o.row], frame.pred[o.column]);
            // The assignment of largest overlap, pairs of the previous frame above all others.
            let score = |o: &Overlap| {
                if o.iou < threshold - EPS {
                    return 0.0;
                }
                let (object, track) = named(o);
                o.iou + if previous[object] == Some(track) { KEPT } else { 0.0 }
            };
            std::mem::swap(&mut pairs, &mut before);
            pairs.clear();
            pairs.extend(
                matcher
                    .matched(frame, 0.0, |o| -score(o))
                    .filter(|o| score(o) > EPS)
                    .map(|o| (named(o), o.iou)),
            );
            for &((object, track), iou) in &pairs {
                sums.idsw += u64::from(last[object].is_some_and(|t| t != track));
                sums.overlap += iou;
                matched[object] += 1;
                begun[object] += u64::from(previous[object].is_none());
                last[object] = Some(track);
            }
            before.iter().for_each(|&((object, _), _)| previous[object] = None);
            pairs.iter().for_each(|&((object, track), _)| previous[object] = Some(track));
            sums.tp += pairs.len() as u64;
            sums.fn_ += (frame.truth.len() - pairs.len()) as u64;
            sums.fp += (frame.pred.len() - pairs.len()) as u64;
        }
        sums.frag = begun.iter().map(|n| n.saturating_sub(1)).sum();
        for (matched, frames) in matched.iter().zip(sequence.object_frames()) {
            let share = *matched as f64 / frames as f64;
            match share {
                s if s > 0.8 => sums.mostly_tracked += 1,
                s if s >= 0.2 => sums.partially_tracked += 1,
                _ => sums.mostly_lost += 1,
            }
        }
        sums
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
        self.idsw += other.idsw;
        self.frag += other.frag;
        self.mostly_tracked += other.mostly_tracked;
        self.partially_tracked += other.partially_tracked;
        self.mostly_lost += other.mostly_lost;
        self.overlap += other.overlap;
    }

    /// `(TP - FP - IDSW) / (TP + FN)`.
    pub fn mota(&self) -> f64 {
        (self.tp as f64 - self.fp as f64 - self.idsw as f64) / ((self.tp + self.fn_).max(1) as f64)
    }

    /// Mean overlap of matches.
    pub fn motp(&self) -> f64 {
        self.overlap / self.tp.max(1) as f64
    }
}
