//! Identity measures (Ristani et al. 2016): the best assignment of whole tracks to whole objects.

use serde::Serialize;

use super::ratio;
use super::sequence::Sequence;
use crate::tracking::assignment::least_cost;

/// Sums by the best one-to-one assignment of tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Identity {
    /// Boxes of tracks that lie on the object assigned to them.
    pub idtp: u64,
    /// Other predictions.
    pub idfp: u64,
    /// Other truth boxes.
    pub idfn: u64,
}

impl Identity {
    /// Leaving a pair out costs both all their frames; assigning it saves the frames it shares twice: least cost is most
    /// shared frames.
    pub(super) fn new(sequence: &Sequence, threshold: f64) -> Self {
        // Frames that each pair shares.
        let mut shared = vec![0u64; sequence.pairs.len()];
        for o in sequence.frames.iter().flat_map(|frame| &frame.overlaps) {
            shared[o.pair] += u64::from(o.iou >= threshold);
        }
        let (objects, tracks) = (sequence.objects(), sequence.tracks());
        let mut costs = vec![0.0; objects * tracks];
        for (&(object, track), &frames) in sequence.pairs.iter().zip(&shared) {
            costs[object * tracks + track] = -(frames as f64);
        }
        let assigned = least_cost(&costs, objects, tracks).into_iter();
        let idtp = assigned.filter_map(|pair| Some(shared[sequence.pairs.binary_search(&pair).ok()?])).sum();
        let total = |counts: Vec<u64>| counts.iter().sum::<u64>();
        Self {
            idtp,
            idfp: total(sequence.track_frames()) - idtp,
            idfn: total(sequence.object_frames()) - idtp,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.idtp += other.idtp;
        self.idfp += other.idfp;
        self.idfn += other.idfn;
    }

    /// `IDTP / (IDTP + IDFP)`.
    pub fn idp(&self) -> f64 {
        ratio(self.idtp as f64, (self.idtp + self.idfp) as f64)
    }

    /// `IDTP / (IDTP + IDFN)`.
    pub fn idr(&self) -> f64 {
        ratio(self.idtp as f64, (self.idtp + self.idfn) as f64)
    }

    /// `2 IDTP / (objects + predictions)`.
    pub fn idf1(&self) -> f64 {
        let twice = 2.0 * self.idtp as f64;
        ratio(twice, twice + (self.idfp + self.idfn) as f64)
    }
}
