//! The accumulator of py-motmetrics: kept assignments first, the rest at least cost.

use serde::Serialize;

use super::ratio;
use super::sequence::{Frame, Sequence};
use crate::tracking::assignment::least_cost;

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
        for frame in &sequence.frames {
            let partner = sums.match_frame(frame, threshold, &last);
            for (row, &object) in frame.truth.iter().enumerate() {
                courses[object].push(partner[row].is_some());
                if let Some(column) = partner[row] {
                    let track = frame.pred[column];
                    sums.switches += u64::from(last[object].is_some_and(|before| before != track));
                    sums.distance += 1.0 - frame.iou(row, column);
                    last[object] = Some(track);
                }
            }
        }
        courses.iter().for_each(|course| sums.add_course(course));
        sums
    }

    /// The prediction of each object, as columns; counts what is matched and what is not.
    fn match_frame(&mut self, frame: &Frame, threshold: f64, last: &[Option<usize>]) -> Vec<Option<usize>> {
        let mut partner = vec![None; frame.truth.len()];
        let mut taken = vec![false; frame.pred.len()];
        for (row, &object) in frame.truth.iter().enumerate() {
            let column = last[object].and_then(|track| frame.pred.iter().position(|p| *p == track));
            if let Some(column) = column.filter(|&c| !taken[c] && frame.iou(row, c) >= threshold) {
                partner[row] = Some(column);
                taken[column] = true;
            }
        }
        let rows: Vec<usize> = (0..partner.len()).filter(|&r| partner[r].is_none()).collect();
        let columns: Vec<usize> = (0..taken.len()).filter(|&c| !taken[c]).collect();
        // A forbidden pair costs more than any set of allowed ones, so as many as possible are allowed.
        let forbidden = 2.0 * (rows.len().min(columns.len()) as f64 + 1.0);
        let mut costs = vec![forbidden; rows.len() * columns.len()];
        for o in frame.overlaps.iter().filter(|o| o.iou >= threshold) {
            if let (Ok(row), Ok(column)) = (rows.binary_search(&o.row), columns.binary_search(&o.column)) {
                costs[row * columns.len() + column] = 1.0 - o.iou;
            }
        }
        for (row, column) in least_cost(&costs, rows.len(), columns.len()) {
            if costs[row * columns.len() + column] < forbidden {
                partner[rows[row]] = Some(columns[column]);
            }
        }
        let matched = partner.iter().flatten().count() as u64;
        self.objects += frame.truth.len() as u64;
        self.detections += matched;
        self.misses += frame.truth.len() as u64 - matched;
        self.false_positives += frame.pred.len() as u64 - matched;
        partner
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
