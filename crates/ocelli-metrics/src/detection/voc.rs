//! PASCAL VOC detection (Everingham et al., IJCV 2010): average precision of boxes at one overlap, by 11 points as until
//! 2009 and by area as since.
//!
//! | quirk | the tool (VOC devkit, `voc_eval`) | here | pinned by |
//! |---|---|---|---|
//! | VOC-1 | boxes hold their last pixel, so widths and heights are one more than the difference of the corners | strict | `corners_belong_to_the_box` |
//! | VOC-2 | an overlap must be larger than 0.5, not equal | strict | `an_overlap_of_a_half_is_not_enough` |
//! | VOC-3 | a detection looks at the object it overlaps most and at no other; if that is taken, it is false | strict | `there_is_no_second_choice` |
//! | VOC-4 | a detection of a difficult object counts neither way, and such objects need not be found | strict | `difficult_objects_do_not_count` |
//! | VOC-5 | widely copied evaluators divide recall by one object too many | corrected; strict as `official` | `one_object_too_many` |
//! | VOC-6 | a category without objects has no average precision; in the official variant its recall is 0 / 1 and it counts 0 | corrected: left out of the mean | `one_object_too_many` |
//! | VOC-7 | equal scores stay in the order of the file, over all pictures | strict | `equal_scores_stay_in_file_order` |

use serde::Serialize;

use super::lists::{Curve, Judged, JudgedImage, Lists, area, eleven_points, mean};
use super::overlap::inclusive_iou;
use crate::named::named_variants;

/// Whose numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VocVariant {
    /// Recall is the share of the objects found, as in the devkit.
    #[default]
    Corrected,
    /// Recall is divided by one object too many, as in widely copied evaluators.
    Official,
}

named_variants!(VocVariant, "VOC variant", { Corrected => "corrected", Official => "official" });

/// An object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocObject {
    /// Its category.
    pub category: u32,
    /// `[x1, y1, x2, y2]`, the last pixel included.
    pub corners: [f64; 4],
    /// Hard to recognise.
    pub difficult: bool,
}

/// A detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocFound {
    /// Its category.
    pub category: u32,
    /// The more, the surer.
    pub score: f64,
    /// `[x1, y1, x2, y2]`, the last pixel included.
    pub corners: [f64; 4],
    /// Its place in the file, which orders equal scores.
    pub place: u64,
}

/// Average precision of a category.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VocAp {
    /// Area under the precision made non-increasing.
    pub area: f64,
    /// Mean over 11 recalls.
    pub eleven: f64,
}

/// Average precision of all categories.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VocMeasure {
    /// By category; `None` where it is undefined.
    pub categories: Vec<Option<VocAp>>,
}

impl VocMeasure {
    /// The means over the categories that have one: by area, by 11 points.
    pub fn means(&self) -> VocAp {
        let over = |part: fn(&VocAp) -> f64| mean(self.categories.iter().map(|c| c.as_ref().map(part)));
        VocAp { area: over(|ap| ap.area), eleven: over(|ap| ap.eleven) }
    }
}

/// Places in falling order of score, then of `place`.
pub(super) fn surest_first<T>(found: &[T], key: impl Fn(&T) -> (f64, u64)) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by(|&a, &b| {
        let ((a_score, a_place), (b_score, b_place)) = (key(&found[a]), key(&found[b]));
        b_score.partial_cmp(&a_score).unwrap_or(std::cmp::Ordering::Equal).then(a_place.cmp(&b_place))
    });
    order
}

/// The number of objects by category.
pub(super) fn count_by_category(categories: impl Iterator<Item = (u32, f64)>) -> Vec<(u32, f64)> {
    let mut counts = std::collections::BTreeMap::new();
    categories.for_each(|(category, weight)| *counts.entry(category).or_insert(0.0) += weight);
    counts.into_iter().collect()
}

/// Judges the detections of picture number `image`: found when they overlap an object by more than `overlap`.
pub fn judge(image: i64, objects: &[VocObject], found: &[VocFound], overlap: f64) -> JudgedImage {
    let mut taken = vec![false; objects.len()];
    let mut judged = Vec::with_capacity(found.len());
    for d in surest_first(found, |f| (f.score, f.place)) {
        let VocFound { category, score, corners, place } = found[d];
        let mut best: Option<(usize, f64)> = None;
        for (k, object) in objects.iter().enumerate().filter(|(_, o)| o.category == category) {
            let iou = inclusive_iou(&object.corners, &corners);
            if best.is_none_or(|(_, most)| iou > most) {
                best = Some((k, iou));
            }
        }
        let (hit, miss) = match best.filter(|&(_, iou)| iou > overlap) {
            Some((k, _)) if objects[k].difficult => (0.0, 0.0),
            Some((k, _)) if !taken[k] => {
                taken[k] = true;
                (1.0, 0.0)
            }
            _ => (0.0, 1.0),
        };
        judged.push(Judged { category, score, place, hit, miss });
    }
    let wanted = objects.iter().filter(|o| !o.difficult);
    let positives = count_by_category(wanted.map(|o| (o.category, 1.0)));
    JudgedImage { image, found: judged, positives, bare: objects.is_empty() }
}

impl VocVariant {
    /// By how many objects recall is divided.
    pub fn positives(self, curve: &Curve) -> f64 {
        match self {
            Self::Corrected => curve.positives,
            Self::Official => curve.positives + 1.0,
        }
    }

    /// Average precision of a list; `None` where recall is undefined.
    pub fn average_precision(self, curve: &Curve) -> Option<VocAp> {
        let positives = self.positives(curve);
        if positives == 0.0 {
            return None;
        }
        let (recall, precision) = (curve.recall(positives), curve.precision());
        Some(VocAp { area: area(&recall, &precision), eleven: eleven_points(&recall, &precision) })
    }

    /// Average precision of all categories over these pictures, each counted as often as it is named.
    ///
    /// # Panics
    /// When a picture is named that is not there.
    pub fn measure(self, lists: &Lists, sample: &[usize]) -> VocMeasure {
        let times = lists.times(sample);
        let of = |category| self.average_precision(&lists.curve(category, &times, 1.0));
        VocMeasure { categories: (0..lists.categories()).map(of).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(corners: [f64; 4]) -> VocObject {
        VocObject { category: 0, corners, difficult: false }
    }

    fn found(score: f64, corners: [f64; 4]) -> VocFound {
        VocFound { category: 0, score, corners, place: 0 }
    }

    fn outcomes(objects: &[VocObject], found: &[VocFound]) -> Vec<(f64, f64)> {
        judge(1, objects, found, 0.5).found.iter().map(|j| (j.hit, j.miss)).collect()
    }

    const HIT: (f64, f64) = (1.0, 0.0);
    const MISS: (f64, f64) = (0.0, 1.0);

    #[test]
    fn corners_belong_to_the_box() {
        // 3 x 1 pixels against 2 x 1: overlap 2/3. Without the last pixel it would be 1/2.
        let outcome = outcomes(&[object([0.0, 0.0, 2.0, 0.0])], &[found(1.0, [0.0, 0.0, 1.0, 0.0])]);
        assert_eq!(outcome, [HIT]);
    }

    #[test]
    fn an_overlap_of_a_half_is_not_enough() {
        let wide = [object([0.0, 0.0, 3.0, 0.0])];
        assert_eq!(outcomes(&wide, &[found(1.0, [0.0, 0.0, 1.0, 0.0])]), [MISS]);
        assert_eq!(outcomes(&wide, &[found(1.0, [0.0, 0.0, 2.0, 0.0])]), [HIT]);
    }

    #[test]
    fn there_is_no_second_choice() {
        let objects = [object([0.0, 0.0, 9.0, 9.0]), object([1.0, 0.0, 10.0, 9.0])];
        // Both overlap the second object too, but the first one more.
        let twice = [found(0.9, [0.0, 0.0, 9.0, 9.0]), found(0.8, [0.0, 0.0, 9.0, 9.0])];
        assert_eq!(outcomes(&objects, &twice), [HIT, MISS]);
    }

    #[test]
    fn difficult_objects_do_not_count() {
        let hard = VocObject { difficult: true, ..object([0.0, 0.0, 9.0, 9.0]) };
        let judged = judge(1, &[hard], &[found(0.9, hard.corners), found(0.8, hard.corners)], 0.5);
        assert!(judged.found.iter().all(|j| j.hit == 0.0 && j.miss == 0.0));
        assert!(judged.positives.is_empty() && !judged.bare);
    }

    #[test]
    fn one_object_too_many() {
        let objects = [object([0.0, 0.0, 9.0, 9.0])];
        let judged = judge(1, &objects, &[found(1.0, objects[0].corners)], 0.5);
        let lists = Lists::new([judged].into_iter().collect(), 2).unwrap();
        let corrected = VocVariant::Corrected.measure(&lists, &[0]);
        // Eleven times 1/11 is not quite 1.
        assert!((corrected.means().eleven - 1.0).abs() < 1e-15);
        assert_eq!((corrected.means().area, corrected.categories[1]), (1.0, None));
        let official = VocVariant::Official.measure(&lists, &[0]);
        // Recall 1/2 is reached: six of eleven points.
        assert_eq!(official.categories[0].unwrap().area, 0.5);
        assert!((official.categories[0].unwrap().eleven - 6.0 / 11.0).abs() < 1e-15);
        assert_eq!(official.means().area, 0.25);
    }

    #[test]
    fn equal_scores_stay_in_file_order() {
        let right = |image: i64, place: u64| {
            let object = object([0.0, 0.0, 9.0, 9.0]);
            judge(image, &[object], &[VocFound { place, ..found(0.5, object.corners) }], 0.5)
        };
        let wrong = |image: i64, place: u64| {
            judge(image, &[], &[VocFound { place, ..found(0.5, [0.0, 0.0, 9.0, 9.0]) }], 0.5)
        };
        let ap = |records: [JudgedImage; 2]| {
            let lists = Lists::new(records.into_iter().collect(), 1).unwrap();
            VocVariant::Corrected.measure(&lists, &[0, 1]).means().area
        };
        assert_eq!(ap([wrong(1, 1), right(2, 0)]), 1.0);
        assert_eq!(ap([wrong(1, 0), right(2, 1)]), 0.5);
    }
}
