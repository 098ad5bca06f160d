//! Identity measures (Ristani et al. 2016): the best assignment of whole tracks to whole objects.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ratio;
use super::sequence::{Frame, Sequence};
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
    pub(super) fn new(sequence: &Sequence, frames: &[Frame], threshold: f64) -> Self {
        let mut shared: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for frame in frames {
            for (row, &object) in frame.truth.iter().enumerate() {
                for (column, &track) in frame.pred.iter().enumerate() {
                    if frame.iou(row, column) >= threshold {
                        *shared.entry((object, track)).or_default() += 1;
                    }
                }
            }
        }
        let (objects, tracks) = (sequence.objects(), sequence.tracks());
        let mut costs = vec![0.0; objects * tracks];
        shared.iter().for_each(|(&(o, t), &n)| costs[o * tracks + t] = -(n as f64));
        let pairs = least_cost(&costs, objects, tracks);
        let idtp = pairs.into_iter().filter_map(|pair| shared.get(&pair)).sum();
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
