//! Which boxes of MOT16 and later count (as TrackEval prepares them).

use super::EPS;
use super::sequence::{BoxRow, iou};
use crate::tracking::assignment::least_cost;
use std::collections::BTreeMap;

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

/// Leaves pedestrians that count, and predictions that do not lie on a distractor: predictions are assigned to all truth
/// boxes of their frame by overlap, whatever their class, and those assigned to a distractor are taken out.
pub fn pedestrians(truth: &[TruthRow], pred: &[BoxRow]) -> (Vec<BoxRow>, Vec<BoxRow>) {
    let mut frames: BTreeMap<i64, Vec<&TruthRow>> = BTreeMap::new();
    truth.iter().for_each(|t| frames.entry(t.row.frame).or_default().push(t));
    let mut found: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    pred.iter().enumerate().for_each(|(i, p)| found.entry(p.frame).or_default().push(i));
    let mut kept = vec![true; pred.len()];
    for (frame, columns) in &found {
        let Some(rows) = frames.get(frame) else { continue };
        let mut costs = vec![0.0; rows.len() * columns.len()];
        for (costs, truth) in costs.chunks_exact_mut(columns.len()).zip(rows) {
            for (cost, &p) in costs.iter_mut().zip(columns) {
                let iou = iou(&truth.row.xywh, &pred[p].xywh);
                if iou >= ON_IT - EPS {
                    *cost = -iou;
                }
            }
        }
        for (row, column) in least_cost(&costs, rows.len(), columns.len()) {
            let lies_on = -costs[row * columns.len() + column] > EPS;
            if lies_on && DISTRACTORS.contains(&rows[row].class) {
                kept[columns[column]] = false;
            }
        }
    }
    let counted = truth.iter().filter(|t| t.counts && t.class == PEDESTRIAN).map(|t| t.row).collect();
    (counted, pred.iter().zip(kept).filter(|(_, kept)| *kept).map(|(p, _)| *p).collect())
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
        ];
        let pred = [row(11, 1.0), row(12, 101.0), row(13, 201.0), row(14, 301.0), row(15, 900.0)];
        let (truth, pred) = pedestrians(&truth, &pred);
        assert_eq!(truth.iter().map(|r| r.id).collect::<Vec<_>>(), [1]);
        assert_eq!(pred.iter().map(|r| r.id).collect::<Vec<_>>(), [11, 13, 14, 15]);
    }
}
