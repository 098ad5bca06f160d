//! What matching leaves of a picture, and the collection of many.

use serde::Serialize;

use super::{MAX_AREAS, MAX_THRESHOLDS};
use crate::{MetricError, Result};

/// What matching leaves of a detection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Its category.
    pub category: u32,
    /// Its place among the detections of its category in its picture, from 0, surest first.
    pub rank: u32,
    /// Its score.
    pub score: f64,
    /// For each range of areas the thresholds, a bit each, at which it found an object.
    pub hits: [u16; MAX_AREAS],
    /// For each range of areas the thresholds at which it is a false alarm. Where neither bit is set, it does not count.
    pub misses: [u16; MAX_AREAS],
}

/// How many objects of a category a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Positives {
    /// The category.
    pub category: u32,
    /// Their number in each range of areas.
    pub counts: [u32; MAX_AREAS],
}

/// What matching leaves of a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageRecord {
    /// The picture's number; pictures are taken in the order of their numbers, whatever the order of the records.
    pub image: i64,
    /// Its detections, category by category, surest first.
    pub outcomes: Vec<Outcome>,
    /// Its objects, category by category.
    pub positives: Vec<Positives>,
}

/// Records of a set of pictures, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Records(Vec<ImageRecord>);

impl Records {
    /// Of no pictures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a picture.
    pub fn push(&mut self, record: ImageRecord) {
        self.0.push(record);
    }

    /// Adds the pictures of another part of the set. The order in which parts are added does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The records in the order of the pictures' numbers.
    ///
    /// # Errors
    /// [`MetricError::Repeated`] for a picture that is there twice.
    pub fn into_sorted(self) -> Result<Vec<ImageRecord>> {
        let mut records = self.0;
        records.sort_by_key(|record| record.image);
        match records.windows(2).find(|pair| pair[0].image == pair[1].image) {
            Some(pair) => Err(MetricError::Repeated { what: "image", id: pair[0].image }),
            None => Ok(records),
        }
    }
}

impl FromIterator<ImageRecord> for Records {
    fn from_iter<I: IntoIterator<Item = ImageRecord>>(records: I) -> Self {
        Self(records.into_iter().collect())
    }
}

/// The bits of `count` thresholds.
pub(super) fn all_thresholds(count: usize) -> u16 {
    debug_assert!(count <= MAX_THRESHOLDS);
    (u32::MAX >> (32 - count as u32)) as u16
}
