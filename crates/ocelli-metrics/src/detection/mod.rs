//! Object detection: which objects were found, in the order of the detector's trust, at several degrees of overlap.
//!
//! [`coco`] and [`lvis`] are two sets of rules over one way of working:
//!
//! 1. [`Matcher::image`] matches what was found in a picture with its truth, for every overlap threshold and range of
//!    areas, and leaves an [`ImageRecord`]: for each detection its score and in which of these it is right or wrong.
//!    This is the expensive step, and pictures are independent of each other.
//! 2. [`Records`] collects the records of a set. Records of shards are joined by [`Records::merge`], which is
//!    associative: the result is exactly that of a single pass.
//! 3. [`Ranking`] puts the detections of each category in order once; [`Ranking::measure`] then gives average precision
//!    and recall over any multiset of the pictures, which is what the bootstrap asks for.
//!
//! Protocols that judge each detection once ([`voc`], [`imagenet_vid`], [`open_images`]) share [`lists`];
//! [`wider_face`] counts at a thousand thresholds of its own.
//!
//! [`box_iou`] and [`object_keypoint_similarity`] are the overlaps of boxes and keypoints; that of masks is
//! [`crate::mask::Region::overlap`].

pub mod coco;
pub mod imagenet_vid;
mod keypoints;
pub mod lists;
pub mod lvis;
mod matching;
pub mod open_images;
mod overlap;
mod ranking;
mod records;
pub mod voc;
pub mod wider_face;

pub use keypoints::{COCO_PERSON_SIGMAS, PointObject, object_keypoint_similarity};
pub use matching::{Found, Geometry, Matcher, Picture, Truth, Unmatched};
pub use overlap::{box_iou, inclusive_area, inclusive_iou, intersection};
pub use ranking::{CategoryMeasure, Measure, Ranking};
pub use records::{ImageRecord, Outcome, Positives, Records};

/// Ranges of areas that are looked at, at most.
pub const MAX_AREAS: usize = 4;
/// Overlap thresholds, at most.
pub const MAX_THRESHOLDS: usize = 16;

/// A range of areas in pixels, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AreaRange {
    /// What results call it: empty for all areas, else a letter.
    pub suffix: &'static str,
    /// The smallest area.
    pub from: f64,
    /// The largest area.
    pub to: f64,
}

impl AreaRange {
    /// All objects.
    pub const ALL: Self = Self { suffix: "", from: 0.0, to: 1e10 };
    /// Up to 32 x 32 pixels.
    pub const SMALL: Self = Self { suffix: "s", from: 0.0, to: 1024.0 };
    /// From 32 x 32 to 96 x 96 pixels.
    pub const MEDIUM: Self = Self { suffix: "m", from: 1024.0, to: 9216.0 };
    /// From 96 x 96 pixels.
    pub const LARGE: Self = Self { suffix: "l", from: 9216.0, to: 1e10 };

    /// Whether an area lies in the range.
    pub fn contains(&self, area: f64) -> bool {
        // As the tools write it, so that an area that is no number is not outside.
        !(area < self.from || area > self.to)
    }
}

/// `count` values from `first` to `last` as NumPy's `linspace` rounds them.
pub(crate) fn linspace(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last - first) / (count - 1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + first).collect();
    values[count - 1] = last;
    values
}

/// The overlaps 0.5, 0.55 … 0.95.
pub fn coco_thresholds() -> Vec<f64> {
    linspace(0.5, 0.95, 10)
}

/// The recalls 0, 0.01 … 1.
pub(crate) fn recall_points() -> Vec<f64> {
    linspace(0.0, 1.0, 101)
}

#[cfg(test)]
mod tests;
