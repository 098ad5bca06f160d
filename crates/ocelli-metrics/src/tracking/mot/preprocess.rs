//! Which boxes of MOT16 and later count (as TrackEval prepares them).

use super::EPS;
use super::matching::Matcher;
use super::sequence::{BoxRow, Frame, Sequence, frames};
use crate::Result;

/// A truth box with what its file says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TruthRow {
    /// The box.
    pub row: BoxRow,
    /// The class; 1 is a pedestrian.
    pub class: i64,
    /// Whether the file lets it count.
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
    /// As [`Sequence::new`]; what is taken out may have an id twice.
    pub fn of_pedestrians(truth: &[TruthRow], pred: &[BoxRow]) -> Result<Self> {
        let rows: Vec<BoxRow> = truth.iter().map(|t| t.row).collect();
        let mut frames = frames(&rows, pred)?;
        let mut matcher = Matcher::default();
        let (mut on_distractor, mut places) = (Vec::new(), [Vec::new(), Vec::new()]);
        for frame in &mut frames {
            on_distractor.clear();
            on_distractor.resize(frame.pred.len(), false);
            for o in matcher.matched(frame, |o| if o.iou >= ON_IT - EPS { o.iou } else { 0.0 }) {
                on_distractor[o.column] = DISTRACTORS.contains(&truth[frame.truth[o.row]].class);
            }
            let [rows, columns] = &mut places;
            keep(&mut frame.truth, rows, |_, at| truth[at].counts && truth[at].class == PEDESTRIAN);
            keep(&mut frame.pred, columns, |column, _| !on_distractor[column]);
            keep_overlaps(frame, rows, columns);
        }
        Self::numbered(&rows, pred, frames)
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
        let truth = [
            TruthRow { row: row(1, 0.0), class: 1, counts: true },
            TruthRow { row: row(2, 100.0), class: 7, counts: false },
            TruthRow { row: row(3, 200.0), class: 1, counts: false },
            TruthRow { row: row(4, 300.0), class: 3, counts: true },
            TruthRow { row: row(5, 401.0), class: 1, counts: true },
        ];
        let xs = [1.0, 101.0, 201.0, 301.0, 400.0, 900.0];
        let pred: Vec<BoxRow> = (11..).zip(xs).map(|(id, x)| row(id, x)).collect();
        let found = Sequence::of_pedestrians(&truth, &pred).unwrap();
        let kept = |rows: &[BoxRow], places: &[usize]| places.iter().map(|&at| rows[at]).collect::<Vec<_>>();
        let rows: Vec<BoxRow> = truth.iter().map(|t| t.row).collect();
        let wanted = Sequence::new(&kept(&rows, &[0, 4]), &kept(&pred, &[0, 2, 3, 4, 5])).unwrap();
        assert_eq!(found, wanted);
        assert_eq!(found.frames[0].overlaps.len(), 2);
    }

    #[test]
    fn what_does_not_count_may_be_there_twice() {
        let row = BoxRow { frame: 1, id: 1, xywh: [0.0, 0.0, 10.0, 10.0] };
        let counted = TruthRow { row, class: 1, counts: true };
        let other = TruthRow { class: 7, ..counted };
        assert_eq!(Sequence::of_pedestrians(&[counted, other], &[]).unwrap().objects(), 1);
        let twice = Sequence::of_pedestrians(&[other, counted, counted], &[]).unwrap_err().to_string();
        assert!(twice.contains("truth[2]"), "{twice}");
    }
}
