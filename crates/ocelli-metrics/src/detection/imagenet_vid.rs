//! ImageNet VID: average precision of boxes in the frames of videos, also by the speed of the objects (Russakovsky et al.,
//! IJCV 2015; the split by speed is that of flow-guided feature aggregation, Zhu et al., ICCV 2017).
//!
//! An object's speed is its *motion IoU*: the mean overlap with itself in the frames within [`MOTION_REACH`] of its
//! own. Slow objects have more than 0.9, fast ones less than 0.7.
//!
//! | quirk | the tool (`vid_eval`, `vid_eval_motion`) | here | pinned by |
//! |---|---|---|---|
//! | VID-1 | boxes hold their last pixel | strict | `small_objects_are_found_by_less` |
//! | VID-2 | an object of w x h pixels needs an overlap of w h / ((w + 10)(h + 10)), 0.5 at most; reaching it is enough | strict | `small_objects_are_found_by_less` |
//! | VID-3 | of the free objects whose own threshold it reaches, a detection takes the one it overlaps most, the first of equals | strict | `a_taken_object_leaves_the_next_one` |
//! | VID-4 | a category without objects is undefined | strict: left out of the mean | `a_category_without_objects_is_left_out` |
//! | VID-5 | in a range of speeds, a detection of an object outside of it counts neither way, and takes it | strict | `objects_of_other_speeds_do_not_count` |
//! | VID-6 | there, a false alarm counts if it is nearer to an object of the range than to any other, of whatever category; not if it is nearer to another; and if neither, by the share of the picture's objects that lie *outside* of the range | strict | `false_alarms_belong_to_the_nearest_speed` |
//! | VID-7 | on a frame without objects a false alarm counts by the share of the set's objects that lie in the range | strict | `empty_frames_share_their_false_alarms` |

use serde::Serialize;

use super::lists::{Judged, JudgedImage, JudgedImages, Lists, area, mean};
use super::overlap::inclusive_iou;
use super::voc::{count_by_category, surest_first};
use crate::{MetricError, Result, check};

/// Frames on either side within which an object is compared with itself.
pub const MOTION_REACH: usize = 10;

/// A range of motion IoU, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MotionRange {
    /// What results call it; empty for all objects.
    pub name: &'static str,
    /// The least motion IoU.
    pub from: f64,
    /// The largest.
    pub to: f64,
}

impl MotionRange {
    /// All objects.
    pub const ALL: Self = Self { name: "", from: 0.0, to: 1.0 };
    /// Objects that hardly move.
    pub const SLOW: Self = Self { name: "slow", from: 0.9, to: 1.0 };
    /// Objects between slow and fast.
    pub const MEDIUM: Self = Self { name: "medium", from: 0.7, to: 0.9 };
    /// Objects that move far.
    pub const FAST: Self = Self { name: "fast", from: 0.0, to: 0.7 };

    fn contains(&self, motion: f64) -> bool {
        self.from <= motion && motion <= self.to
    }
}

/// An object in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VidObject {
    /// Its category.
    pub category: u32,
    /// `[x1, y1, x2, y2]`, the last pixel included.
    pub corners: [f64; 4],
    /// Its motion IoU, in [0, 1].
    pub motion: f64,
}

/// A detection in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VidFound {
    /// Its category.
    pub category: u32,
    /// The more, the surer.
    pub score: f64,
    /// `[x1, y1, x2, y2]`, the last pixel included.
    pub corners: [f64; 4],
}

/// The rules.
#[derive(Clone, Debug, PartialEq)]
pub struct VidOptions {
    /// The overlap that finds a large object.
    pub overlap: f64,
    /// Pixels by which a box may be off, which lowers the overlap asked of small objects.
    pub tolerance: f64,
    /// Ranges of speeds that are measured.
    pub ranges: Vec<MotionRange>,
}

impl Default for VidOptions {
    /// Overlap 0.5, 10 pixels, all objects as one.
    fn default() -> Self {
        Self { overlap: 0.5, tolerance: 10.0, ranges: vec![MotionRange::ALL] }
    }
}

/// What matching leaves of a frame, in each range of speeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameRecord {
    /// The frame's number.
    pub image: i64,
    /// A record for each range.
    ranges: Vec<JudgedImage>,
    /// Objects in each range.
    within: Vec<u32>,
    /// Objects.
    objects: u32,
}

/// Frames of a set, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FrameRecords(Vec<FrameRecord>);

impl FrameRecords {
    /// Adds the frames of another part of the set. The order in which parts are added does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl FromIterator<FrameRecord> for FrameRecords {
    fn from_iter<I: IntoIterator<Item = FrameRecord>>(records: I) -> Self {
        Self(records.into_iter().collect())
    }
}

impl VidOptions {
    /// With the split into slow, medium and fast objects.
    pub fn by_motion() -> Self {
        let ranges = vec![MotionRange::ALL, MotionRange::SLOW, MotionRange::MEDIUM, MotionRange::FAST];
        Self { ranges, ..Self::default() }
    }

    /// The overlap that finds an object.
    fn threshold(&self, object: &VidObject) -> f64 {
        let [x1, y1, x2, y2] = object.corners;
        let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
        let lenient = width * height / ((width + self.tolerance) * (height + self.tolerance));
        lenient.min(self.overlap)
    }

    /// Judges the detections of frame number `image`.
    pub fn judge(&self, image: i64, objects: &[VidObject], found: &[VidFound]) -> FrameRecord {
        let thresholds: Vec<f64> = objects.iter().map(|o| self.threshold(o)).collect();
        let order = surest_first(found, |f| (f.score, 0));
        let matches = matches(objects, &thresholds, found, &order);
        let record = |range: &MotionRange| {
            let inside: Vec<bool> = objects.iter().map(|o| range.contains(o.motion)).collect();
            let judged = order.iter().zip(&matches).map(|(&d, taken)| {
                let (hit, miss) = match taken {
                    Some(k) => (f64::from(u8::from(inside[*k])), 0.0),
                    None => (0.0, false_alarm(&found[d], objects, &inside)),
                };
                Judged { category: found[d].category, score: found[d].score, place: 0, hit, miss }
            });
            let wanted = objects.iter().zip(&inside).filter(|(_, inside)| **inside);
            JudgedImage {
                image,
                found: judged.collect(),
                positives: count_by_category(wanted.map(|(o, _)| (o.category, 1.0))),
                bare: objects.is_empty(),
            }
        };
        let within = |range: &MotionRange| objects.iter().filter(|o| range.contains(o.motion)).count() as u32;
        FrameRecord {
            image,
            ranges: self.ranges.iter().map(record).collect(),
            within: self.ranges.iter().map(within).collect(),
            objects: objects.len() as u32,
        }
    }

    /// Orders the detections of `categories` categories.
    ///
    /// # Errors
    /// As [`Lists::new`], and [`MetricError::Length`] for records made under other ranges.
    pub fn rank(&self, records: FrameRecords, categories: usize) -> Result<VidRanking> {
        let mut records = records.0;
        records.sort_by_key(|record| record.image);
        let wrong = records.iter().find(|r| r.ranges.len() != self.ranges.len());
        if let Some(wrong) = wrong {
            check::same_length("ranges of a record", wrong.ranges.len(), "the options", self.ranges.len())?;
        }
        let objects = records.iter().map(|r| (r.objects, r.within.clone())).collect();
        let mut by_range: Vec<JudgedImages> = vec![JudgedImages::default(); self.ranges.len()];
        for record in records {
            for (all, own) in by_range.iter_mut().zip(record.ranges) {
                *all = std::mem::take(all).merge(std::iter::once(own).collect());
            }
        }
        let lists: Result<Vec<Lists>> = by_range.into_iter().map(|own| Lists::new(own, categories)).collect();
        Ok(VidRanking { lists: lists?, objects })
    }
}

/// The object that each detection takes, in the order given.
fn matches(
    objects: &[VidObject],
    thresholds: &[f64],
    found: &[VidFound],
    order: &[usize],
) -> Vec<Option<usize>> {
    let mut taken = vec![false; objects.len()];
    let take = |&d: &usize| {
        let mut best: Option<(usize, f64)> = None;
        for (k, object) in objects.iter().enumerate() {
            if taken[k] || object.category != found[d].category {
                continue;
            }
            let iou = inclusive_iou(&found[d].corners, &object.corners);
            if iou >= thresholds[k] && best.is_none_or(|(_, most)| iou > most) {
                best = Some((k, iou));
            }
        }
        let (k, _) = best?;
        taken[k] = true;
        Some(k)
    };
    order.iter().map(take).collect()
}

/// How much a detection that took no object counts as a false alarm (quirks VID-6, VID-7).
fn false_alarm(found: &VidFound, objects: &[VidObject], inside: &[bool]) -> f64 {
    if objects.is_empty() {
        return 1.0;
    }
    let nearest = |wanted: bool| {
        let own = objects.iter().zip(inside).filter(|(_, inside)| **inside == wanted);
        own.map(|(o, _)| inclusive_iou(&found.corners, &o.corners)).fold(-1.0, f64::max)
    };
    let (inner, outer) = (nearest(true), nearest(false));
    if inner > outer {
        1.0
    } else if outer > inner {
        0.0
    } else {
        inside.iter().filter(|inside| !**inside).count() as f64 / objects.len() as f64
    }
}

/// Frames with the detections of each category in order, for each range of speeds.
#[derive(Clone, Debug)]
pub struct VidRanking {
    lists: Vec<Lists>,
    /// Of each frame the number of objects, and of those in each range.
    objects: Vec<(u32, Vec<u32>)>,
}

impl VidRanking {
    /// The frames' numbers, rising; a sample names frames by their place here.
    pub fn images(&self) -> &[i64] {
        self.lists.first().map_or(&[], Lists::images)
    }

    /// The lists of a range.
    pub fn lists(&self, range: usize) -> Option<&Lists> {
        self.lists.get(range)
    }

    /// Average precision in a range of each category over these frames, each counted as often as it is named; `None`
    /// without objects.
    ///
    /// # Panics
    /// When a frame or range is named that is not there.
    pub fn measure(&self, range: usize, sample: &[usize]) -> Vec<Option<f64>> {
        let lists = &self.lists[range];
        let times = lists.times(sample);
        let (mut all, mut within) = (0.0, 0.0);
        for &frame in sample {
            all += f64::from(self.objects[frame].0);
            within += f64::from(self.objects[frame].1[range]);
        }
        let share = if all > 0.0 { within / all } else { 1.0 };
        let ap = |category| {
            let curve = lists.curve(category, &times, share);
            (curve.positives > 0.0).then(|| area(&curve.recall(curve.positives), &curve.precision()))
        };
        (0..lists.categories()).map(ap).collect()
    }

    /// The mean over categories that have objects.
    pub fn mean(average_precisions: &[Option<f64>]) -> f64 {
        mean(average_precisions.iter().copied())
    }
}

/// The motion IoU of a thing in each frame of `track`, which holds its boxes (`[x1, y1, x2, y2]`, the last pixel included)
/// by frame and no frame twice: the mean overlap with itself in the frames within [`MOTION_REACH`], 0 where it is in none.
///
/// # Errors
/// [`MetricError::Repeated`] for a frame that is there twice.
pub fn motion_iou(track: &[(i64, [f64; 4])]) -> Result<Vec<f64>> {
    let mut order: Vec<usize> = (0..track.len()).collect();
    order.sort_by_key(|&i| track[i].0);
    if let Some(pair) = order.windows(2).find(|p| track[p[0]].0 == track[p[1]].0) {
        return Err(MetricError::Repeated { what: "frame", id: track[pair[0]].0 });
    }
    let mut motions = vec![0.0; track.len()];
    for (place, &i) in order.iter().enumerate() {
        let (frame, corners) = &track[i];
        let near = |j: &&usize| track[**j].0.abs_diff(*frame) <= MOTION_REACH as u64;
        let earlier = order[..place].iter().rev().take_while(near);
        let others = earlier.chain(order[place + 1..].iter().take_while(near));
        let (sum, count) = others
            .fold((0.0, 0u32), |(sum, count), &j| (sum + inclusive_iou(corners, &track[j].1), count + 1));
        motions[i] = if count == 0 { 0.0 } else { sum / f64::from(count) };
    }
    Ok(motions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(corners: [f64; 4], motion: f64) -> VidObject {
        VidObject { category: 0, corners, motion }
    }

    fn found(score: f64, corners: [f64; 4]) -> VidFound {
        VidFound { category: 0, score, corners }
    }

    const LEFT: [f64; 4] = [0.0, 0.0, 99.0, 99.0];
    const RIGHT: [f64; 4] = [500.0, 0.0, 599.0, 99.0];

    fn outcomes(
        options: &VidOptions,
        range: usize,
        objects: &[VidObject],
        found: &[VidFound],
    ) -> Vec<(f64, f64)> {
        options.judge(1, objects, found).ranges[range].found.iter().map(|j| (j.hit, j.miss)).collect()
    }

    #[test]
    fn small_objects_are_found_by_less() {
        let options = VidOptions::default();
        // 10 x 10 pixels need an overlap of 100 / 400; 5 x 5 of them are just that.
        let small = [object([0.0, 0.0, 9.0, 9.0], 1.0)];
        assert_eq!(outcomes(&options, 0, &small, &[found(1.0, [0.0, 0.0, 4.0, 4.0])]), [(1.0, 0.0)]);
        assert_eq!(outcomes(&options, 0, &small, &[found(1.0, [0.0, 0.0, 4.0, 3.0])]), [(0.0, 1.0)]);
        let large = [object(LEFT, 1.0)];
        assert_eq!(outcomes(&options, 0, &large, &[found(1.0, [0.0, 0.0, 99.0, 49.0])]), [(1.0, 0.0)]);
        assert_eq!(outcomes(&options, 0, &large, &[found(1.0, [0.0, 0.0, 99.0, 48.0])]), [(0.0, 1.0)]);
    }

    #[test]
    fn a_taken_object_leaves_the_next_one() {
        let near = [10.0, 0.0, 109.0, 99.0];
        let objects = [object(LEFT, 1.0), object(near, 1.0)];
        let detections = [found(0.9, LEFT), found(0.8, LEFT), found(0.7, LEFT)];
        let outcome = outcomes(&VidOptions::default(), 0, &objects, &detections);
        assert_eq!(outcome, [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]);
    }

    #[test]
    fn a_category_without_objects_is_left_out() {
        let options = VidOptions::default();
        let record = options.judge(1, &[object(LEFT, 1.0)], &[found(0.9, LEFT)]);
        let ranking = options.rank([record].into_iter().collect(), 2).unwrap();
        let aps = ranking.measure(0, &[0]);
        assert_eq!((&aps[..], VidRanking::mean(&aps)), (&[Some(1.0), None][..], 1.0));
    }

    #[test]
    fn objects_of_other_speeds_do_not_count() {
        let options = VidOptions::by_motion();
        let objects = [object(LEFT, 0.95), object(RIGHT, 0.5)];
        let detections = [found(0.9, LEFT), found(0.8, RIGHT)];
        assert_eq!(outcomes(&options, 0, &objects, &detections), [(1.0, 0.0), (1.0, 0.0)]);
        assert_eq!(outcomes(&options, 1, &objects, &detections), [(1.0, 0.0), (0.0, 0.0)]);
        assert_eq!(outcomes(&options, 2, &objects, &detections), [(0.0, 0.0), (0.0, 0.0)]);
        let ranking =
            options.rank([options.judge(1, &objects, &detections)].into_iter().collect(), 1).unwrap();
        let ap = |range| ranking.measure(range, &[0])[0];
        assert_eq!([ap(0), ap(1), ap(2), ap(3)], [Some(1.0), Some(1.0), None, Some(1.0)]);
    }

    #[test]
    fn false_alarms_belong_to_the_nearest_speed() {
        let options = VidOptions::by_motion();
        let objects = [object(LEFT, 0.95), object(RIGHT, 0.5), object(RIGHT, 0.5)];
        let at_left = [found(0.9, [80.0, 0.0, 179.0, 99.0])];
        assert_eq!(outcomes(&options, 1, &objects, &at_left), [(0.0, 1.0)]);
        assert_eq!(outcomes(&options, 3, &objects, &at_left), [(0.0, 0.0)]);
        let nowhere = [found(0.9, [0.0, 500.0, 99.0, 599.0])];
        assert_eq!(outcomes(&options, 1, &objects, &nowhere), [(0.0, 2.0 / 3.0)]);
        assert_eq!(outcomes(&options, 0, &objects, &nowhere), [(0.0, 1.0)]);
    }

    #[test]
    fn empty_frames_share_their_false_alarms() {
        let options = VidOptions::by_motion();
        let objects = [object(LEFT, 0.95), object(RIGHT, 0.5)];
        let full = options.judge(1, &objects, &[found(0.5, LEFT)]);
        let empty = options.judge(2, &[], &[found(0.9, LEFT)]);
        let shards = |first: &FrameRecord, second: &FrameRecord| {
            let one = |r: &FrameRecord| -> FrameRecords { [r.clone()].into_iter().collect() };
            options.rank(one(first).merge(one(second)), 1).unwrap()
        };
        let ranking = shards(&full, &empty);
        // Half of the objects are slow, so the false alarm counts 1/2 before the hit.
        assert_eq!(ranking.measure(1, &[0, 1]), [Some(1.0 / 1.5)]);
        assert_eq!(ranking.measure(0, &[0, 1]), [Some(0.5 * 0.5)]);
        assert_eq!(shards(&empty, &full).measure(1, &[0, 1]), ranking.measure(1, &[0, 1]));
        assert_eq!(ranking.images(), [1, 2]);
    }

    #[test]
    fn motion_is_the_overlap_with_near_frames() {
        let track = [(1, LEFT), (30, LEFT), (2, [50.0, 0.0, 149.0, 99.0]), (12, LEFT)];
        let motions = motion_iou(&track).unwrap();
        assert!((motions[0] - 1.0 / 3.0).abs() < 1e-12 && (motions[2] - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(motions[1], 0.0);
        assert!((motions[3] - 1.0 / 3.0).abs() < 1e-12);
        assert!(motion_iou(&[(1, LEFT), (1, LEFT)]).is_err());
    }
}
