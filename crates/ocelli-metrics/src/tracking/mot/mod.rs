//! Many objects: how completely they are found, and whether they keep their identities.
//!
//! Two tools are in use and match boxes differently; both are here, each with its own matching:
//!
//! * py-motmetrics ([`Motmetrics`]): an object keeps the prediction it was last assigned as long as they overlap, the
//!   rest is assigned at least cost. Its MOTP is a mean *distance*, 1 - IoU. IDF1 and what it is made of are from here too.
//! * TrackEval ([`Clear`], [`Hota`]): one assignment a frame that prefers the previous frame's pairs; HOTA (Luiten et
//!   al., IJCV 2021) has an assignment of its own, by overlap and by how well whole tracks agree.
//!
//! A [`Sequence`] holds the boxes of one video; [`SequenceRecord`] all that the measures of any set of videos are summed
//! from: records add up in any grouping.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | MOT-1 | motmetrics: an object keeps its last prediction however long ago that was | strict | `an_assignment_is_kept_over_gaps` |
//! | MOT-2 | motmetrics: MOTP is the mean of 1 - IoU, TrackEval's the mean of IoU | strict | `precision_is_distance_or_overlap` |
//! | MOT-3 | motmetrics: an object is mostly lost below 0.2 of its frames, mostly tracked from 0.8 on; TrackEval: above 0.8 | strict | `shares_at_the_limits` |
//! | MOT-4 | TrackEval: a frame with an empty side does not touch what the previous frame's pairs were | strict | `an_empty_frame_keeps_the_previous_pairs` |
//! | MOT-5 | TrackEval: an overlap within 2.2e-16 below the threshold is a match | strict | `an_overlap_at_the_threshold_matches` |
//! | MOT-6 | HOTA: localisation is 1 where nothing is matched | strict | `nothing_found_is_located_perfectly` |
//! | MOT-7 | HOTA over sequences: association is averaged by true positives, not recomputed | strict | `records_add_up` |
//! | MOT-8 | motmetrics: which of several assignments of equal distance is taken depends on the boxes that are assigned already, whose rows and columns stay in the matrix | strict | `equal_distances_are_told_apart_in_the_matrix_of_all_boxes` |

mod clear;
mod hota;
mod identity;
mod matching;
mod motmetrics;
mod numbers;
mod preprocess;
mod sequence;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::Result;

pub use clear::Clear;
pub use hota::{ALPHAS, Hota, HotaReport};
pub use identity::Identity;
pub use motmetrics::Motmetrics;
pub use preprocess::Label;
pub use sequence::{BoxRow, Sequence};

/// What TrackEval calls `eps`.
const EPS: f64 = f64::EPSILON;

/// Which families of measures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// [`Motmetrics`].
    pub motmetrics: bool,
    /// [`Clear`].
    pub clear: bool,
    /// [`Identity`].
    pub identity: bool,
    /// [`Hota`].
    pub hota: bool,
}

impl Families {
    /// Every one.
    pub const ALL: Self = Self { motmetrics: true, clear: true, identity: true, hota: true };
}

/// The sums of one sequence, or of several; empty for a family that was not wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SequenceRecord {
    /// By py-motmetrics' matching.
    pub motmetrics: Motmetrics,
    /// By TrackEval's CLEAR matching.
    pub clear: Clear,
    /// By the best assignment of whole tracks.
    pub identity: Identity,
    /// By HOTA's matching.
    pub hota: Hota,
}

impl SequenceRecord {
    /// Evaluates a sequence by every measure; boxes match from this overlap on (HOTA has thresholds of its own).
    ///
    /// # Errors
    /// [`crate::MetricError::Setting`] for a threshold outside (0, 1].
    pub fn new(sequence: &Sequence, iou_threshold: f64) -> Result<Self> {
        Self::of(Families::ALL, sequence, iou_threshold)
    }

    /// Evaluates a sequence by some families of measures.
    ///
    /// # Errors
    /// As [`SequenceRecord::new`].
    pub fn of(wanted: Families, sequence: &Sequence, iou_threshold: f64) -> Result<Self> {
        if !(iou_threshold > 0.0 && iou_threshold <= 1.0) {
            return Err(crate::check::setting("iou_threshold", iou_threshold, "above 0 and at most 1"));
        }
        let mut record = Self::default();
        if wanted.motmetrics {
            record.motmetrics = Motmetrics::new(sequence, iou_threshold);
        }
        if wanted.clear {
            record.clear = Clear::new(sequence, iou_threshold);
        }
        if wanted.identity {
            record.identity = Identity::new(sequence, iou_threshold);
        }
        if wanted.hota {
            record.hota = Hota::new(sequence);
        }
        Ok(record)
    }

    /// Adds the sums of other sequences.
    pub fn merge(&mut self, other: &Self) {
        self.motmetrics.merge(&other.motmetrics);
        self.clear.merge(&other.clear);
        self.identity.merge(&other.identity);
        self.hota.merge(&other.hota);
    }
}

/// `a / b`, NaN where there is nothing to divide by.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { f64::NAN } else { a / b }
}
