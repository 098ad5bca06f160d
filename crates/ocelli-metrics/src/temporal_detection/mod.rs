//! Temporal action detection: mean average precision at thresholds of temporal overlap (mAP@tIoU).
//!
//! | variant | a detection is a hit when | area | used for |
//! |---|---|---|---|
//! | [`ActivityNet`](TemporalVariant::ActivityNet) | some free segment of its video and class overlaps ≥ t; it takes the one that overlaps most | envelope | ActivityNet, and by habit THUMOS14 |
//! | [`Thumos`](TemporalVariant::Thumos) | as above | precision at each hit | THUMOS14 |
//! | [`ThumosKit`](TemporalVariant::ThumosKit) | a segment, taken in turn, chooses it as the free detection that overlaps most, > t | 11 points | THUMOS14's evaluation kit in MATLAB |
//!
//! The three give different numbers on one file, so a number without its variant says little.
//!
//! A [`JudgedVideo`] holds which of a video's detections are hits at which thresholds: videos are judged apart, in
//! parallel and only once. [`DetectionRecords`] collects them and may be merged; [`RankedDetections`] has them sorted by
//! class and score, and gives the mAP of any multiset of videos.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | TAD-1 | a detection whose best segment is taken falls through to the next best free one | strict | `a_taken_segment_lets_the_next_best_be_hit` |
//! | TAD-2 | of two segments that overlap equally the later one is taken first | strict | `of_equal_overlaps_the_later_is_taken` |
//! | TAD-3 | detections in videos without truth of their class are false | strict | `detections_elsewhere_are_false` |
//! | TAD-4 | classes without truth have AP 0 and are left out of the mean; classes without detections count 0 | strict | `classes_without_truth_are_out_of_the_mean` |
//! | TAD-5 | an overlap of two segments without length is 0/0 and passes as a hit | corrected: it is 0 | `two_empty_segments_are_no_hit` |
//! | TAD-6 | equal scores come in no certain order | corrected: in the order given | `equal_scores_keep_their_order` |
//! | TAD-7 | thumos-kit: a segment takes the detection that overlaps most, however unsure it is | strict | `the_kit_lets_segments_choose` |
//! | TAD-8 | thumos-kit: an overlap equal to the threshold is no hit | strict | `at_the_threshold_only_the_kit_refuses` |
//! | TAD-9 | thumos-kit: of equal scores hits come before false ones | strict | `the_kit_ranks_hits_before_equal_scores` |
//! | TAD-10 | thumos-kit: detections that touch an ambiguous segment are hits or nothing, never false | strict, in `thumos` as well | `what_touches_the_ambiguous_is_never_false` |
//! | TAD-11 | thumos-kit: the eleven recalls are MATLAB's `0:0.1:1`, whose 0.7 is not NumPy's | strict | `the_eleven_recalls_are_matlabs` |

mod judge;
mod ranked;

pub use judge::{Detection, Instance, JudgedVideo};
pub use ranked::{RankedDetections, TemporalMap};

use crate::named::named_variants;
use crate::segment::{check_thresholds, linspace};
use crate::{Result, check};
use serde::Serialize;

/// Which evaluator; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemporalVariant {
    /// The ActivityNet toolkit.
    #[default]
    ActivityNet,
    /// Its matching with THUMOS' non-interpolated average precision.
    Thumos,
    /// The THUMOS14 evaluation kit.
    ThumosKit,
}

named_variants!(TemporalVariant, "temporal detection variant", {
    ActivityNet => "activitynet",
    Thumos => "thumos",
    ThumosKit => "thumos-kit",
});

impl TemporalVariant {
    /// The thresholds that results are usually given at: 0.5:0.05:0.95 and 0.3:0.1:0.7.
    pub fn usual_thresholds(self) -> Vec<f64> {
        match self {
            Self::ActivityNet => linspace(0.5, 0.95, 10),
            Self::Thumos | Self::ThumosKit => linspace(0.3, 0.7, 5),
        }
    }
}

/// What all videos of a test set are judged by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemporalOptions {
    /// The evaluator.
    pub variant: TemporalVariant,
    /// Overlaps from which a detection is a hit, at most 64.
    pub thresholds: Vec<f64>,
    /// Number of classes.
    pub classes: usize,
}

impl TemporalOptions {
    fn check(&self) -> Result<()> {
        check_thresholds(&self.thresholds)?;
        check::at_least("classes", self.classes, 1)?;
        match self.thresholds.len() {
            0..=64 => Ok(()),
            count => Err(check::setting("number of tIoU thresholds", count, "at most 64")),
        }
    }
}

/// The judged videos of a test set, in the order in which equal scores are ranked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionRecords {
    options: TemporalOptions,
    videos: Vec<JudgedVideo>,
}

impl DetectionRecords {
    /// No videos yet.
    ///
    /// # Errors
    /// No class, no threshold or more than 64, or one outside [0, 1].
    pub fn new(options: TemporalOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options, videos: Vec::new() })
    }

    /// What the videos are judged by.
    pub fn options(&self) -> &TemporalOptions {
        &self.options
    }

    /// The videos.
    pub fn videos(&self) -> &[JudgedVideo] {
        &self.videos
    }

    /// Adds a video that was judged by the same options.
    pub fn push(&mut self, video: JudgedVideo) {
        self.videos.push(video);
    }

    /// Adds the videos of another part of the test set.
    ///
    /// # Errors
    /// When it was judged by other options.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options {
            let found = format!("{:?}", other.options);
            return Err(check::setting("options of a part", found, "those of the other parts"));
        }
        self.videos.extend(other.videos);
        Ok(())
    }

    /// Sorts all detections by class and score.
    pub fn ranked(&self) -> RankedDetections {
        RankedDetections::new(&self.options, &self.videos)
    }
}

#[cfg(test)]
mod tests;
