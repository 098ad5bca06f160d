//! LVIS detection: average precision over a long tail of categories of which each picture is annotated for a few (Gupta
//! et al., CVPR 2019), equal to the package `lvis`.
//!
//! | quirk | the tool (lvis 0.5.3) | here | pinned by |
//! |---|---|---|---|
//! | LVIS-1 | a picture's `max_dets` surest detections are kept before anything else, over all categories, those that do not count included | strict | `the_limit_comes_first` |
//! | LVIS-2 | a detection counts only if its picture shows the category or is known not to | strict | `only_known_categories_count` |
//! | LVIS-3 | a false alarm does not count where not all objects of the category are annotated | strict | `false_alarms_pass_where_annotation_is_not_exhaustive` |
//! | LVIS-4 | objects and detections of area 0 are dropped; such an object does not make its category known | strict | `empty_objects_are_dropped` |
//! | LVIS-5 | there are no crowds; `ignore` is honoured | strict | `ignore_is_honoured` |
//! | LVIS-6 | a match with an object of number 0 counts as none, as in COCO | strict; corrected | `an_object_of_number_zero_cannot_be_found_in_lvis` |
//! | LVIS-7 | groups by frequency have no recall | strict | `frequencies_group_the_categories` |

use super::coco::{Fidelity, Part, largest_limit, mean, mean_at};
use super::matching::{Found, Matcher, Truth, Unmatched};
use super::{AreaRange, Measure, Ranking, Records, coco_thresholds};
use crate::Result;

/// The rules.
#[derive(Clone, Debug, PartialEq)]
pub struct LvisOptions {
    /// Overlaps, rising.
    pub thresholds: Vec<f64>,
    /// Detections of a picture, over all categories.
    pub max_dets: u32,
    /// Whether errors of the tool are kept.
    pub fidelity: Fidelity,
}

impl Default for LvisOptions {
    fn default() -> Self {
        Self { thresholds: coco_thresholds(), max_dets: 300, fidelity: Fidelity::default() }
    }
}

/// What people looked for in a picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knowledge<'a> {
    /// Categories known to be absent.
    pub negative: &'a [u32],
    /// Categories of which not every object is annotated.
    pub not_exhaustive: &'a [u32],
}

impl Knowledge<'_> {
    /// What becomes of false alarms of a category.
    pub fn unmatched(&self, category: u32) -> Unmatched {
        if self.not_exhaustive.contains(&category) { Unmatched::Passes } else { Unmatched::Counts }
    }
}

/// How often a category is seen in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Ten training pictures at most.
    Rare,
    /// A hundred at most.
    Common,
    /// More.
    Frequent,
}

impl LvisOptions {
    /// The ranges of areas that are looked at.
    pub fn areas(&self) -> Vec<AreaRange> {
        vec![AreaRange::ALL, AreaRange::SMALL, AreaRange::MEDIUM, AreaRange::LARGE]
    }

    /// Whether a match with the object of this number goes unnoticed.
    pub fn overlooks(&self, id: i64) -> bool {
        id == 0 && self.fidelity == Fidelity::Strict
    }

    /// The matcher of these rules.
    ///
    /// # Errors
    /// [`crate::MetricError::Setting`] for a limit of 0, or thresholds that are none or do not rise.
    pub fn matcher(&self) -> Result<Matcher> {
        largest_limit(&[self.max_dets])?;
        Matcher::new(self.thresholds.clone(), self.areas(), usize::MAX)
    }

    /// Orders the records of `categories` categories.
    ///
    /// # Errors
    /// As [`Ranking::new`].
    pub fn rank(&self, records: Records, categories: usize) -> Result<Ranking> {
        Ranking::new(records, categories, [self.thresholds.len(), self.areas().len()], vec![u32::MAX])
    }

    /// The places of a picture's objects that take part.
    pub fn objects_kept(&self, truth: &[Truth]) -> Vec<usize> {
        (0..truth.len()).filter(|&i| truth[i].area > 0.0).collect()
    }

    /// The places of a picture's detections with these scores that are looked at, rising; this comes before anything
    /// else, over all categories, known or not.
    pub fn within_limit(&self, scores: &[f64]) -> Vec<usize> {
        let mut places: Vec<usize> = (0..scores.len()).collect();
        let limit = self.max_dets as usize;
        if places.len() > limit {
            places.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap_or(std::cmp::Ordering::Equal));
            places.truncate(limit);
            places.sort_unstable();
        }
        places
    }

    /// The places of a picture's detections that count, in file order. `truth` are the objects that take part.
    pub fn detections_kept(&self, found: &[Found], truth: &[Truth], known: &Knowledge<'_>) -> Vec<usize> {
        let is_known = |category: u32| {
            known.negative.contains(&category) || truth.iter().any(|object| object.category == category)
        };
        let counts = |&place: &usize| found[place].area > 0.0 && is_known(found[place].category);
        (0..found.len()).filter(counts).collect()
    }

    /// The official metrics by name: `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, `APr`, `APc`, `APf`, then average recall
    /// `AR@n`, `ARs@n`, `ARm@n`, `ARl@n` with n the limit. `tails` has an entry a category, `None` for one of unknown
    /// frequency. What is undefined is -1, as the tool prints it.
    pub fn metrics(&self, measure: &Measure, tails: &[Option<Tail>]) -> Vec<(String, f64)> {
        let categories = || measure.categories.iter();
        let areas = self.areas();
        let mut metrics = vec![("AP".to_owned(), mean(categories(), Part::precision(0)))];
        for (percent, overlap) in [(50, 0.5), (75, 0.75)] {
            let threshold = self.thresholds.iter().position(|&t| t == overlap);
            metrics.push((format!("AP{percent}"), mean_at(categories(), Part::precision(0), threshold)));
        }
        for (a, area) in areas.iter().enumerate().skip(1) {
            metrics.push((format!("AP{}", area.suffix), mean(categories(), Part::precision(a))));
        }
        for (letter, tail) in [("r", Tail::Rare), ("c", Tail::Common), ("f", Tail::Frequent)] {
            let group = categories().zip(tails).filter(|(_, t)| **t == Some(tail)).map(|(c, _)| c);
            metrics.push((format!("AP{letter}"), mean(group, Part::precision(0))));
        }
        for (a, area) in areas.iter().enumerate() {
            let name = format!("AR{}@{}", area.suffix, self.max_dets);
            metrics.push((name, mean(categories(), Part::recall(a, 0))));
        }
        metrics
    }
}
