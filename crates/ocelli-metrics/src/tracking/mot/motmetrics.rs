//! The accumulator of py-motmetrics: kept assignments first, the rest at least cost.

use serde::Serialize;

use super::matching::Matcher;
use super::ratio;
use super::sequence::{Frame, Overlap, Sequence};

/// Sums by py-motmetrics' matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Motmetrics {
    /// Truth boxes.
    pub objects: u64,
    /// Truth tracks.
    pub unique_objects: u64,
    /// Matched boxes, switches included.
    pub detections: u64,
    /// Truth boxes without a match.
    pub misses: u64,
    /// Predictions without a match.
    pub false_positives: u64,
    /// Matches with another prediction than the object's last.
    pub switches: u64,
    /// Times a track is lost between its first and its last match.
    pub fragmentations: u64,
    /// Tracks matched in at least 0.8 of their frames.
    pub mostly_tracked: u64,
    /// Tracks matched in less than 0.2 of their frames.
    pub mostly_lost: u64,
    /// Sum of 1 - IoU over matches.
    pub distance: f64,
}

impl Motmetrics {
    pub(super) fn new(sequence: &Sequence, threshold: f64) -> Self {
        let mut last = vec![None; sequence.objects()];
        let mut courses = vec![Vec::new(); sequence.objects()];
        let mut sums = Self { unique_objects: sequence.objects() as u64, ..Self::default() };
        // The tool compares distances.
        let farthest = 1.0 - threshold;
        let mut matcher = Matcher::default();
        for frame in &sequence.frames {
            let mut partner = kept(frame, farthest, &last);
            assign_rest(frame, farthest, &mut matcher, &mut partner);
            let matched = partner.iter().flatten().count() as u64;
            sums.objects += frame.truth.len() as u64;
            sums.detections += matched;
            sums.misses += frame.truth.len() as u64 - matched;
            sums.false_positives += frame.pred.len() as u64 - matched;
            for (&object, partner) in frame.truth.iter().zip(partner) {
                courses[object].push(partner.is_some());
                if let Some(o) = partner {
                    let track = frame.pred[o.column];
                    sums.switches += u64::from(last[object].is_some_and(|before| before != track));
                    sums.distance += distance(o);
                    last[object] = Some(track);
                }
            }
        }
        courses.iter().for_each(|course| sums.add_course(course));
        sums
    }

    /// Adds what an object's course of matched and missed frames counts for.
    fn add_course(&mut self, course: &[bool]) {
        let first = course.iter().position(|m| *m);
        let last = course.iter().rposition(|m| *m);
        if let (Some(first), Some(last)) = (first, last) {
            self.fragmentations += course[first..=last].windows(2).filter(|w| w[0] && !w[1]).count() as u64;
        }
        let share = course.iter().filter(|m| **m).count() as f64 / course.len() as f64;
        self.mostly_tracked += u64::from(share >= 0.8);
        self.mostly_lost += u64::from(share < 0.2);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.objects += other.objects;
        self.unique_objects += other.unique_objects;
        self.detections += other.detections;
        self.misses += other.misses;
        self.false_positives += other.false_positives;
        self.switches += other.switches;
        self.fragmentations += other.fragmentations;
        self.mostly_tracked += other.mostly_tracked;
        self.mostly_lost += other.mostly_lost;
        self.distance += other.distance;
    }

    /// `1 - (misses + switches + false positives) / objects`.
    pub fn mota(&self) -> f64 {
        1.0 - ratio((self.misses + self.switches + self.false_positives) as f64, self.objects as f64)
    }

    /// Mean of 1 - IoU over matches.
    pub fn motp(&self) -> f64 {
        ratio(self.distance, self.detections as f64)
    }

    /// Matches over predictions.
    pub fn precision(&self) -> f64 {
        ratio(self.detections as f64, (self.detections + self.false_positives) as f64)
    }

    /// Matches over truth boxes.
    pub fn recall(&self) -> f64 {
        ratio(self.detections as f64, self.objects as f64)
    }

    /// Tracks that are neither mostly tracked nor mostly lost.
    pub fn partially_tracked(&self) -> u64 {
        self.unique_objects - self.mostly_tracked - self.mostly_lost
    }
}

fn distance(o: &Overlap) -> f64 {
    1.0 - o.iou
}

/// For each object the overlap with the prediction that it was last assigned, if they still lie close.
fn kept<'a>(frame: &'a Frame, farthest: f64, last: &[Option<usize>]) -> Vec<Option<&'a Overlap>> {
    let mut partner = vec![None; frame.truth.len()];
    let mut taken = vec![false; frame.pred.len()];
    // By rising row: of two objects with one last prediction the first keeps it.
    for o in &frame.overlaps {
        let is_last = last[frame.truth[o.row]] == Some(frame.pred[o.column]);
        if is_last && !taken[o.column] && distance(o) <= farthest {
            partner[o.row] = Some(o);
            taken[o.column] = true;
        }
    }
    partner
}

/// Assigns what has no partner: as many pairs as can be, at the least sum of distances. Sets of equal sums are told apart
/// as by the tool, whose matrix is of all boxes and in which a pair that must not be costs more than any set of others.
fn assign_rest<'a>(
    frame: &'a Frame,
    farthest: f64,
    matcher: &mut Matcher,
    partner: &mut [Option<&'a Overlap>],
) {
    let mut taken = vec![false; frame.pred.len()];
    partner.iter().flatten().for_each(|o| taken[o.column] = true);
    let free: Vec<bool> = partner.iter().map(Option::is_none).collect();
    let may_be = |o: &Overlap| free[o.row] && !taken[o.column] && distance(o) <= farthest;
    let Some(largest) = frame.overlaps.iter().filter(|o| may_be(o)).map(distance).reduce(f64::max) else {
        return;
    };
    let forbidden = 2.0 * free.len().min(taken.len()) as f64 * (largest + 1.0) + 1.0;
    for o in matcher.matched(frame, forbidden, |o| if may_be(o) { distance(o) } else { forbidden }) {
        partner[o.row] = Some(o);
    }
}
