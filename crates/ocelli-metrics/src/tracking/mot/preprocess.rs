//! Which boxes of MOT16 and later count (as TrackEval prepares them).

use super::EPS;
use super::matching::Matcher;
use super::sequence::{BoxRow, Frame, Sequence, frames};
use crate::{Result, check};

/// What a truth file says of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The class; 1 is a pedestrian.
    pub class: i64,
    /// Whether the file lets the box count.
    pub counts: bool,
}

/// Pedestrians.
const PEDESTRIAN: i64 = 1;
/// On a vehicle, standing still, distractor, reflection: finding one is neither right nor wrong.
const DISTRACTORS: [i64; 4] = [2, 7, 8, 12];
/// A prediction on a distractor overlaps it by this much.
const ON_IT: f64 = 0.5;

impl Sequence {
    /// Of pedestrians that count and predictions that do not lie on a distractor: predictions are assigned to all truth
    /// boxes of their frame by overlap, whatever their class, and those assigned to a distractor are taken out.
    ///
    /// # Errors
    /// As [`Sequence::new`], save that what is taken out may have an id twice; [`crate::MetricError::Length`] unless
    /// each truth box has a label.
    pub fn of_pedestrians(truth: &[BoxRow], labels: &[Label], pred: &[BoxRow]) -> Result<Self> {
        check::same_length("labels", labels.len(), "truth", truth.len())?;
        let mut matcher = Matcher::default();
        let (mut on_distractor, mut rows, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        let frames = frames(truth, pred, |frame| {
            on_distractor.clear();
            on_distractor.resize(frame.pred.len(), false);
            for o in matcher.matched(frame, 0.0, |o| if o.iou >= ON_IT - EPS { -o.iou } else { 0.0 }) {
                on_distractor[o.column] = DISTRACTORS.contains(&labels[frame.truth[o.row]].class);
            }
            keep(&mut frame.truth, &mut rows, |_, at| labels[at].counts && labels[at].class == PEDESTRIAN);
            keep(&mut frame.pred, &mut columns, |column, _| !on_distractor[column]);
            keep_overlaps(frame, &rows, &columns);
        })?;
        Self::numbered(truth, pred, frames)
    }
}

/// Keeps some rows of a side; writes the new place of each row, where it has one.
fn keep(side: &mut Vec<usize>, places: &mut Vec<Option<usize>>, stays: impl Fn(usize, usize) -> bool) {
    places.clear();
    let mut kept = 0;
    for old in 0..side.len() {
        let at = side[old];
        let place = stays(old, at).then_some(kept);
        places.push(place);
        if place.is_some() {
            side[kept] = at;
            kept += 1;
        }
    }
    side.truncate(kept);
}

/// Keeps the overlaps of rows and columns that have a place.
fn keep_overlaps(frame: &mut Frame, rows: &[Option<usize>], columns: &[Option<usize>]) {
    frame.overlaps.retain_mut(|o| match (rows[o.row], columns[o.column]) {
        (Some(row), Some(column)) => {
            (o.row, o.column) = (row, column);
            true
        }
        _ => false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_on_distractors_do_not_count() {
        let row = |id, x| BoxRow { frame: 1, id, xywh: [x, 0.0, 10.0, 10.0] };
        let truth = [row(1, 0.0), row(2, 100.0), row(3, 200.0), row(4, 300.0), row(5, 401.0)];
        let labels = [(1, true), (7, false), (1, false), (3, true), (1, true)]
            .map(|(class, counts)| Label { class, counts });
        let xs = [1.0, 101.0, 201.0, 301.0, 400.0, 900.0];
        let pred: Vec<BoxRow> = (11..).zip(xs).map(|(id, x)| row(id, x)).collect();
        let found = Sequence::of_pedestrians(&truth, &labels, &pred).unwrap();
        let kept = |rows: &[BoxRow], places: &[usize]| places.iter().map(|&at| rows[at]).collect::<Vec<_>>();
        let wanted = Sequence::new(&kept(&truth, &[0, 4]), &kept(&pred, &[0, 2, 3, 4, 5])).unwrap();
        assert_eq!(found, wanted);
        assert_eq!(found.frames[0].overlaps.len(), 2);
    }

    #[test]
    fn what_does_not_count_may_be_there_twice() {
        let row = BoxRow { frame: 1, id: 1, xywh: [0.0, 0.0, 10.0, 10.0] };
        let (counted, other) = (Label { class: 1, counts: true }, Label { class: 7, counts: true });
        let of = |labels: &[Label]| Sequence::of_pedestrians(&vec![row; labels.len()], labels, &[]);
        assert_eq!(of(&[counted, other]).unwrap().objects(), 1);
        let twice = of(&[other, counted, counted]).unwrap_err().to_string();
        assert!(twice.contains("truth[2]"), "{twice}");
        assert!(Sequence::of_pedestrians(&[row], &[], &[]).is_err());
    }
}
