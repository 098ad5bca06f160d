//! Open Images detection: average precision where one box may stand for a group, and only some categories are known of a
//! picture (Kuznetsova et al., IJCV 2020), equal to the evaluator of the TensorFlow Object Detection API.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | OID-1 | in the challenge, a detection counts only if its category has a box on the picture or a verified label, present or absent; on a picture without any, nothing counts | strict | `only_verified_categories_count` |
//! | OID-2 | V2 has no such filter | strict, variant `v2` | `only_verified_categories_count` |
//! | OID-3 | a detection looks at the single box it overlaps most and at no other; reaching the overlap is enough | strict | `reaching_the_overlap_is_enough` |
//! | OID-4 | a detection that found nothing and lies in a group by half of its area is dropped; the group counts once, with the best such score | strict | `a_group_is_found_once` |
//! | OID-5 | a group weighs 1 in the challenge, among the objects too; 0 in V2, where it only swallows detections | strict | `a_group_is_found_once` |
//! | OID-6 | a group whose detections have no score above 0 is not found | strict | `a_group_needs_a_score_above_zero` |
//! | OID-7 | detections without extent are removed | strict | `detections_without_extent_are_removed` |
//! | OID-8 | predictions are not expanded along the hierarchy; boxes and labels of the truth are | strict, [`Hierarchy`] | `truth_is_expanded_along_the_hierarchy` |

use std::collections::{BTreeMap, BTreeSet};

use super::lists::{Curve, Judged, JudgedImage, Lists, area, mean};
use super::overlap::intersection;
use super::voc::{count_by_category, surest_first};
use crate::named::named_variants;

/// Which rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenImagesVariant {
    /// The challenges: verified categories only, groups weigh 1.
    #[default]
    Challenge,
    /// The V2 metric: no filter, groups weigh 0.
    V2,
}

named_variants!(OpenImagesVariant, "Open Images variant", { Challenge => "challenge", V2 => "v2" });

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenImagesOptions {
    /// Which detections count.
    pub variant: OpenImagesVariant,
    /// How much a group weighs.
    pub group_weight: f64,
    /// The overlap that finds an object, and the share of a detection that must lie in a group.
    pub overlap: f64,
}

impl OpenImagesOptions {
    /// The official rules.
    pub fn official(variant: OpenImagesVariant) -> Self {
        let group_weight = if variant == OpenImagesVariant::Challenge { 1.0 } else { 0.0 };
        Self { variant, group_weight, overlap: 0.5 }
    }
}

/// A box of the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenImagesObject {
    /// Its category.
    pub category: u32,
    /// `[x1, y1, x2, y2]` in any unit.
    pub corners: [f64; 4],
    /// Whether it stands for several objects.
    pub group: bool,
}

/// A detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenImagesFound {
    /// Its category.
    pub category: u32,
    /// The more, the surer.
    pub score: f64,
    /// `[x1, y1, x2, y2]` in the unit of the truth.
    pub corners: [f64; 4],
}

impl OpenImagesOptions {
    /// Judges the detections of picture number `image`; `verified` are the categories that people looked for there, found
    /// or not.
    pub fn judge(
        &self,
        image: i64,
        objects: &[OpenImagesObject],
        verified: &[u32],
        found: &[OpenImagesFound],
    ) -> JudgedImage {
        let known: BTreeSet<u32> =
            objects.iter().map(|o| o.category).chain(verified.iter().copied()).collect();
        let counts = |f: &OpenImagesFound| {
            let [x1, y1, x2, y2] = f.corners;
            let filtered = self.variant == OpenImagesVariant::Challenge && !known.contains(&f.category);
            !filtered && x1 < x2 && y1 < y2
        };
        let mut by_category: BTreeMap<u32, Vec<OpenImagesFound>> = BTreeMap::new();
        for d in surest_first(found, |f| (f.score, 0)) {
            if counts(&found[d]) {
                by_category.entry(found[d].category).or_default().push(found[d]);
            }
        }
        let mut judged = Vec::new();
        for (category, found) in by_category {
            let own = |group: bool| {
                let own = objects.iter().filter(move |o| o.category == category && o.group == group);
                own.map(|o| o.corners).collect::<Vec<_>>()
            };
            judged.extend(self.category(category, &own(false), &own(true), &found));
        }
        let weight = |o: &OpenImagesObject| if o.group { self.group_weight } else { 1.0 };
        let positives = count_by_category(objects.iter().map(|o| (o.category, weight(o))));
        JudgedImage { image, found: judged, positives, bare: objects.is_empty() }
    }

    /// Judges the detections of a category, surest first.
    fn category(
        &self,
        category: u32,
        single: &[[f64; 4]],
        groups: &[[f64; 4]],
        found: &[OpenImagesFound],
    ) -> Vec<Judged> {
        let mut judged = Vec::with_capacity(found.len());
        let mut taken = vec![false; single.len()];
        let mut group_scores = vec![0.0f64; groups.len()];
        for f in found {
            let mut add = |hit: f64, miss: f64| {
                judged.push(Judged { category, score: f.score, place: 0, hit, miss });
            };
            let best = first_best(single.iter().map(|o| iou(&f.corners, o)));
            match best.filter(|&(k, iou)| iou >= self.overlap && !taken[k]) {
                Some((k, _)) => {
                    taken[k] = true;
                    add(1.0, 0.0);
                }
                None => {
                    let inside = |group| intersection(&f.corners, group) / box_area(&f.corners);
                    match first_best(groups.iter().map(inside)).filter(|&(_, ioa)| ioa >= self.overlap) {
                        Some((g, _)) => group_scores[g] = group_scores[g].max(f.score),
                        None => add(0.0, 1.0),
                    }
                }
            }
        }
        if self.group_weight > 0.0 {
            for score in group_scores.into_iter().filter(|score| *score > 0.0) {
                judged.push(Judged { category, score, place: 0, hit: self.group_weight, miss: 0.0 });
            }
        }
        judged
    }

    /// Average precision of a list; `None` without objects.
    pub fn average_precision(&self, curve: &Curve) -> Option<f64> {
        (curve.positives > 0.0).then(|| area(&curve.recall(curve.positives), &curve.precision()))
    }

    /// Average precision of each category over these pictures, each counted as often as it is named.
    ///
    /// # Panics
    /// When a picture is named that is not there.
    pub fn measure(&self, lists: &Lists, sample: &[usize]) -> Vec<Option<f64>> {
        let times = lists.times(sample);
        (0..lists.categories()).map(|c| self.average_precision(&lists.curve(c, &times, 1.0))).collect()
    }

    /// The mean over categories that have objects; NaN without any.
    pub fn mean(average_precisions: &[Option<f64>]) -> f64 {
        mean(average_precisions.iter().copied())
    }
}

/// The first of the largest values, with its place.
fn first_best(values: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    values.enumerate().fold(None, |best, (k, value)| match best {
        Some((_, most)) if value <= most => best,
        _ => Some((k, value)),
    })
}

fn box_area([x1, y1, x2, y2]: &[f64; 4]) -> f64 {
    (x2 - x1) * (y2 - y1)
}

fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let common = intersection(a, b);
    common / (box_area(a) + box_area(b) - common)
}

/// Which categories are kinds of which.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hierarchy {
    /// All ancestors of each category, without itself.
    ancestors: Vec<BTreeSet<u32>>,
}

impl Hierarchy {
    /// Of `categories` categories, from pairs of a category and one of its parents; a category may have several. The
    /// virtual root is not among them.
    ///
    /// Categories beyond their number are passed over, and a category that is its own ancestor is not repeated.
    pub fn new(categories: usize, parents: &[(u32, u32)]) -> Self {
        let mut above: Vec<Vec<u32>> = vec![Vec::new(); categories];
        for &(child, parent) in parents {
            if (parent as usize) < categories
                && let Some(own) = above.get_mut(child as usize)
            {
                own.push(parent);
            }
        }
        let ancestors_of = |category: usize| {
            let mut all = BTreeSet::new();
            let mut open = above[category].clone();
            while let Some(next) = open.pop() {
                if next as usize != category && all.insert(next) {
                    open.extend(&above[next as usize]);
                }
            }
            all
        };
        Self { ancestors: (0..categories).map(ancestors_of).collect() }
    }

    /// A category and all it is a kind of: what a box, or a label that confirms it, says. Rising.
    pub fn upwards(&self, category: u32) -> Vec<u32> {
        let above = self.ancestors.get(category as usize).into_iter().flatten().copied();
        let all: BTreeSet<u32> = above.chain([category]).collect();
        all.into_iter().collect()
    }

    /// A category and all its kinds: what a label that denies it says. Rising.
    pub fn downwards(&self, category: u32) -> Vec<u32> {
        let is_kind = |c: &u32| *c == category || self.ancestors[*c as usize].contains(&category);
        let mut all: Vec<u32> = (0..self.ancestors.len() as u32).filter(is_kind).collect();
        if all.is_empty() {
            all.push(category);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: [f64; 4] = [0.0, 0.0, 1.0, 1.0];

    fn object(corners: [f64; 4], group: bool) -> OpenImagesObject {
        OpenImagesObject { category: 0, corners, group }
    }

    fn found(category: u32, score: f64, corners: [f64; 4]) -> OpenImagesFound {
        OpenImagesFound { category, score, corners }
    }

    fn official(variant: OpenImagesVariant) -> OpenImagesOptions {
        OpenImagesOptions::official(variant)
    }

    fn outcomes(record: &JudgedImage) -> Vec<(f64, f64, f64)> {
        record.found.iter().map(|j| (j.score, j.hit, j.miss)).collect()
    }

    #[test]
    fn only_verified_categories_count() {
        let detections = [found(0, 0.9, UNIT), found(1, 0.8, UNIT), found(2, 0.7, UNIT)];
        let objects = [object(UNIT, false)];
        let challenge = official(OpenImagesVariant::Challenge);
        assert_eq!(
            outcomes(&challenge.judge(1, &objects, &[2], &detections)),
            [(0.9, 1.0, 0.0), (0.7, 0.0, 1.0)]
        );
        assert!(challenge.judge(1, &[], &[], &detections).found.is_empty());
        assert_eq!(official(OpenImagesVariant::V2).judge(1, &[], &[], &detections).found.len(), 3);
    }

    #[test]
    fn reaching_the_overlap_is_enough() {
        let objects = [object(UNIT, false), object([0.0, 0.0, 1.0, 0.9], false)];
        let half = [found(0, 0.9, [0.0, 0.0, 1.0, 0.5]), found(0, 0.8, [0.0, 0.0, 1.0, 0.5])];
        let v2 = official(OpenImagesVariant::V2);
        assert_eq!(outcomes(&v2.judge(1, &objects[..1], &[], &half)), [(0.9, 1.0, 0.0), (0.8, 0.0, 1.0)]);
        // Both overlap the smaller box most: the second is false although the larger one is free.
        assert_eq!(outcomes(&v2.judge(1, &objects, &[], &half)), [(0.9, 1.0, 0.0), (0.8, 0.0, 1.0)]);
    }

    #[test]
    fn a_group_is_found_once() {
        let objects = [object(UNIT, true), object([5.0, 5.0, 6.0, 6.0], false)];
        let inside = [0.2, 0.2, 0.4, 0.4];
        let detections = [found(0, 0.9, inside), found(0, 0.8, inside), found(0, 0.7, [3.0, 3.0, 4.0, 4.0])];
        let challenge = official(OpenImagesVariant::Challenge).judge(1, &objects, &[], &detections);
        assert_eq!(outcomes(&challenge), [(0.7, 0.0, 1.0), (0.9, 1.0, 0.0)]);
        assert_eq!(challenge.positives, [(0, 2.0)]);
        let v2 = official(OpenImagesVariant::V2).judge(1, &objects, &[], &detections);
        assert_eq!((outcomes(&v2), &v2.positives[..]), (vec![(0.7, 0.0, 1.0)], &[(0, 1.0)][..]));
        let options = official(OpenImagesVariant::Challenge);
        let lists = Lists::new([challenge].into_iter().collect(), 2).unwrap();
        let aps = options.measure(&lists, &[0]);
        assert_eq!((&aps[..], OpenImagesOptions::mean(&aps)), (&[Some(0.5), None][..], 0.5));
    }

    #[test]
    fn a_group_needs_a_score_above_zero() {
        let record = official(OpenImagesVariant::Challenge).judge(
            1,
            &[object(UNIT, true)],
            &[],
            &[found(0, 0.0, UNIT)],
        );
        assert!(record.found.is_empty());
    }

    #[test]
    fn detections_without_extent_are_removed() {
        let flat = [found(0, 0.9, [0.5, 0.0, 0.5, 1.0]), found(0, 0.8, [0.7, 0.0, 0.5, 1.0])];
        let record = official(OpenImagesVariant::V2).judge(1, &[object(UNIT, false)], &[], &flat);
        assert!(record.found.is_empty());
    }

    #[test]
    fn truth_is_expanded_along_the_hierarchy() {
        // 0 is a kind of 1 and of 3, both kinds of 2; 4 stands alone; a circle does no harm.
        let hierarchy = Hierarchy::new(5, &[(0, 1), (1, 2), (0, 3), (3, 2), (2, 0), (9, 1), (1, 9)]);
        assert_eq!(hierarchy.upwards(4), [4]);
        let tree = Hierarchy::new(5, &[(0, 1), (1, 2), (0, 3), (3, 2)]);
        assert_eq!((tree.upwards(0), tree.upwards(1)), (vec![0, 1, 2, 3], vec![1, 2]));
        assert_eq!((tree.downwards(2), tree.downwards(0)), (vec![0, 1, 2, 3], vec![0]));
        assert_eq!((hierarchy.upwards(0), tree.downwards(4)), (vec![0, 1, 2, 3], vec![4]));
    }
}
