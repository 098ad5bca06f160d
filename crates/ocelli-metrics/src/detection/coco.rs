//! COCO detection: average precision and recall of boxes, masks and keypoints (Lin et al., ECCV 2014;
//! <https://cocodataset.org/#detection-eval>), equal to pycocotools' `COCOeval`.
//!
//! | quirk | the tool (pycocotools) | here | pinned by |
//! |---|---|---|---|
//! | COCO-1 | AP over all areas and overlaps is read at exactly 100 detections (keypoints: 20); under other limits it is -1 | strict; corrected: the largest limit | `ap_is_read_at_a_hundred_detections` |
//! | COCO-2 | a match with an object of number 0 is stored as 0, which means none: a false alarm that still uses up the object | strict; corrected | `an_object_of_number_zero_cannot_be_found` |
//! | COCO-3 | an object's `ignore` is overwritten by `iscrowd` | strict; corrected: either | `ignore_is_forgotten_unless_corrected` |
//! | COCO-4 | of equal overlaps the later object is taken, those to be ignored coming last | strict | `the_later_of_equal_overlaps_is_taken` |
//! | COCO-5 | an object that counts is not given up for an ignored one of larger overlap | strict | `an_ignored_object_is_the_second_choice` |
//! | COCO-6 | a crowd may be found many times, by the share of the detection inside of it | strict | `a_crowd_swallows_detections` |
//! | COCO-7 | ranges of areas include both ends, so 32 x 32 is small and medium | strict | `areas_at_the_ends_of_ranges_are_in_both` |
//! | COCO-8 | overlap 1 is not asked for: thresholds end at 1 - 1e-10 | strict | `thresholds_end_below_one` |
//! | COCO-9 | categories without objects are -1 and left out of the means; objects without detections give 0 | strict | `categories_without_objects_are_left_out` |
//! | COCO-10 | limits hold a picture and category, not a picture | strict | `limits_hold_for_each_category` |
//! | COCO-11 | pictures are taken in the order of their numbers, equal scores in the order of pictures, then of the file | strict | `equal_scores_keep_the_order_of_pictures` |
//! | COCO-12 | a person without labelled keypoints is ignored, and found by points within twice its box | strict | `people_without_keypoints_are_ignored` |
//! | COCO-13 | precision is tp / (fp + tp + 2.2e-16) | strict | `truth_against_itself_is_perfect` |
//! | COCO-14 | recall is rounded before it is compared, so hit 57 of 100 does not reach recall 0.57 | strict | `recall_is_compared_as_rounded` |

use super::matching::Matcher;
use super::{AreaRange, CategoryMeasure, Measure, Ranking, Records, coco_thresholds};
use crate::named::named_variants;
use crate::{Result, check};

/// What is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Boxes.
    #[default]
    Boxes,
    /// Masks.
    Masks,
    /// Keypoints of people, by object keypoint similarity.
    Keypoints,
}

named_variants!(Shape, "COCO variant", { Boxes => "bbox", Masks => "segm", Keypoints => "keypoints" });

/// Whether known errors of the official tool are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fidelity {
    /// The tool's numbers, errors and all.
    #[default]
    Strict,
    /// Errors mended, see the table of quirks.
    Corrected,
}

named_variants!(Fidelity, "fidelity", { Strict => "strict", Corrected => "corrected" });

/// The rules.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoOptions {
    /// What is compared.
    pub shape: Shape,
    /// Overlaps, rising.
    pub thresholds: Vec<f64>,
    /// Detections of a picture and category, rising.
    pub limits: Vec<u32>,
    /// Whether errors of the tool are kept.
    pub fidelity: Fidelity,
}

impl CocoOptions {
    /// The official rules.
    pub fn official(shape: Shape) -> Self {
        let limits = if shape == Shape::Keypoints { vec![20] } else { vec![1, 10, 100] };
        Self { shape, thresholds: coco_thresholds(), limits, fidelity: Fidelity::default() }
    }

    /// The ranges of areas that are looked at.
    pub fn areas(&self) -> Vec<AreaRange> {
        match self.shape {
            Shape::Keypoints => vec![AreaRange::ALL, AreaRange::MEDIUM, AreaRange::LARGE],
            _ => vec![AreaRange::ALL, AreaRange::SMALL, AreaRange::MEDIUM, AreaRange::LARGE],
        }
    }

    /// Whether an object is to be ignored, from what the file says of it. `labelled` is the number of its labelled
    /// keypoints.
    pub fn ignores(&self, crowd: bool, ignore: bool, labelled: Option<u32>) -> bool {
        let flagged = crowd || (ignore && self.fidelity == Fidelity::Corrected);
        flagged || (self.shape == Shape::Keypoints && labelled == Some(0))
    }

    /// Whether a match with the object of this number goes unnoticed.
    pub fn overlooks(&self, id: i64) -> bool {
        id == 0 && self.fidelity == Fidelity::Strict
    }

    /// The matcher of these rules.
    ///
    /// # Errors
    /// [`crate::MetricError::Setting`] for limits or thresholds that are none or do not rise.
    pub fn matcher(&self) -> Result<Matcher> {
        Matcher::new(self.thresholds.clone(), self.areas(), largest_limit(&self.limits)? as usize)
    }

    /// Orders the records of `categories` categories.
    ///
    /// # Errors
    /// As [`Ranking::new`], and [`crate::MetricError::Setting`] for no limits.
    pub fn rank(&self, records: Records, categories: usize) -> Result<Ranking> {
        largest_limit(&self.limits)?;
        let size = [self.thresholds.len(), self.areas().len()];
        Ranking::new(records, categories, size, self.limits.clone())
    }

    /// The official metrics by name: `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, then average recall `AR@n` for each limit
    /// n, and by area at the largest one; for keypoints `AP`, `AP50`, `AP75`, `APm`, `APl` and the same of `AR`. What is
    /// undefined is -1, as the tool prints it.
    pub fn metrics(&self, measure: &Measure) -> Vec<(String, f64)> {
        let categories = || measure.categories.iter();
        let areas = self.areas();
        let at = |overlap: f64| self.thresholds.iter().position(|&t| t == overlap);
        let half = [(50, at(0.5)), (75, at(0.75))];
        let mut metrics = Vec::new();
        metrics.push((
            "AP".to_owned(),
            if self.reads_ap() { mean(categories(), Part::precision(0)) } else { -1.0 },
        ));
        for (percent, threshold) in half {
            metrics.push((format!("AP{percent}"), mean_at(categories(), Part::precision(0), threshold)));
        }
        for (a, area) in areas.iter().enumerate().skip(1) {
            metrics.push((format!("AP{}", area.suffix), mean(categories(), Part::precision(a))));
        }
        let last = self.limits.len() - 1;
        let name = |suffix: &str, limit: usize| match self.shape {
            Shape::Keypoints => format!("AR{suffix}"),
            _ => format!("AR{suffix}@{}", self.limits[limit]),
        };
        if self.shape == Shape::Keypoints {
            metrics.push((name("", last), mean(categories(), Part::recall(0, last))));
            for (percent, threshold) in half {
                let value = mean_at(categories(), Part::recall(0, last), threshold);
                metrics.push((name(&percent.to_string(), last), value));
            }
        } else {
            for limit in 0..=last {
                metrics.push((name("", limit), mean(categories(), Part::recall(0, limit))));
            }
        }
        for (a, area) in areas.iter().enumerate().skip(1) {
            metrics.push((name(area.suffix, last), mean(categories(), Part::recall(a, last))));
        }
        metrics
    }

    /// Whether the tool finds a value for AP under these limits (quirk COCO-1).
    pub fn reads_ap(&self) -> bool {
        let wanted = if self.shape == Shape::Keypoints { 20 } else { 100 };
        self.fidelity == Fidelity::Corrected || self.limits.last() == Some(&wanted)
    }
}

/// The largest of rising limits.
pub(super) fn largest_limit(limits: &[u32]) -> Result<u32> {
    let rising = limits.windows(2).all(|w| w[0] < w[1]) && limits.first() != Some(&0);
    match limits.last() {
        Some(&last) if rising => Ok(last),
        _ => Err(check::setting("max_dets", format!("{limits:?}"), "rising numbers from 1 on")),
    }
}

/// A part of a category's measures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    area: usize,
    /// Recall with this limit, or else precision.
    limit: Option<usize>,
}

impl Part {
    pub(super) fn precision(area: usize) -> Self {
        Self { area, limit: None }
    }

    pub(super) fn recall(area: usize, limit: usize) -> Self {
        Self { area, limit: Some(limit) }
    }

    /// The values at each threshold.
    fn of(self, category: &CategoryMeasure) -> Option<&[f64]> {
        let by_area = match self.limit {
            None => &category.precision,
            Some(limit) => &category.recall[limit],
        };
        by_area[self.area].as_deref()
    }
}

/// The mean over categories that have objects, and over all thresholds; -1 without any.
pub(super) fn mean<'a>(categories: impl Iterator<Item = &'a CategoryMeasure>, part: Part) -> f64 {
    average(categories.filter_map(|c| part.of(c)).flatten().copied())
}

/// The same at one threshold, which may not be among those looked at.
pub(super) fn mean_at<'a>(
    categories: impl Iterator<Item = &'a CategoryMeasure>,
    part: Part,
    threshold: Option<usize>,
) -> f64 {
    let Some(t) = threshold else { return -1.0 };
    average(categories.filter_map(|c| part.of(c)).map(|values| values[t]))
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), v| (sum + v, count + 1));
    if count == 0 { -1.0 } else { sum / f64::from(count) }
}

impl CategoryMeasure {
    /// Average precision over all areas and thresholds; `None` without objects.
    pub fn ap(&self) -> Option<f64> {
        let values = self.precision.first()?.as_ref()?;
        Some(average(values.iter().copied()))
    }

    /// The same at the threshold of this number.
    pub fn ap_at(&self, threshold: usize) -> Option<f64> {
        self.precision.first()?.as_ref()?.get(threshold).copied()
    }

    /// Average recall over all areas and thresholds with the largest limit; `None` without objects.
    pub fn ar(&self) -> Option<f64> {
        let values = self.recall.last()?.first()?.as_ref()?;
        Some(average(values.iter().copied()))
    }
}
