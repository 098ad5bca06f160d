//! One-to-one matching of a frame's boxes, for many frames.

use super::sequence::{Frame, Overlap};
use crate::tracking::assignment::least_cost;

/// Matches the two sides of frames, one frame after another, in the same memory.
///
/// What it finds is what [`least_cost`] finds on the full matrix of costs, less the pairs that cost as much as boxes that
/// are apart; what a pair saves is its weight. Most pairs of a frame leave no choice, though: one that weighs more than the best others of its row and
/// of its column together is in every best assignment. Such pairs are taken, their row and column go, and so on. A few
/// pairs that stay open are tried in every combination; only a frame with more of them, or one in which two combinations
/// are as good, is assigned as a matrix.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    /// Pairs that are not settled.
    open: Vec<Edge>,
    /// The best of each row and column.
    rows: Vec<Best>,
    columns: Vec<Best>,
    /// For each row the place of the overlap that it is matched by.
    chosen: Vec<Option<usize>>,
}

/// A pair with a weight above 0.
#[derive(Clone, Copy, Debug)]
struct Edge {
    row: usize,
    column: usize,
    /// Its place among the overlaps.
    place: usize,
    weight: f64,
}

/// The largest two weights of a row or column, and whose the largest is.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    place: usize,
    first: f64,
    second: f64,
    taken: bool,
}

impl Best {
    fn see(&mut self, edge: &Edge) {
        if edge.weight > self.first {
            (self.place, self.second, self.first) = (edge.place, self.first, edge.weight);
        } else if edge.weight > self.second {
            self.second = edge.weight;
        }
    }
}

/// By how much of the largest weight a pair must outweigh others, lest rounding in [`least_cost`] decide otherwise.
const CLEARLY: f64 = 1e-9;

/// Of how many pairs all combinations are tried.
const FEW: usize = 8;

impl Matcher {
    /// The overlaps of the assignment with the least sum of `cost`, by rising row, less those that save nothing. Boxes
    /// without an overlap cost `apart`, more than which no pair costs.
    pub(super) fn matched<'f>(
        &mut self,
        frame: &'f Frame,
        apart: f64,
        cost: impl Fn(&Overlap) -> f64,
    ) -> impl Iterator<Item = &'f Overlap> {
        let (rows, columns) = (frame.truth.len(), frame.pred.len());
        self.open.clear();
        for (place, o) in frame.overlaps.iter().enumerate() {
            let weight = apart - cost(o);
            if weight > 0.0 {
                self.open.push(Edge { row: o.row, column: o.column, place, weight });
            }
        }
        self.chosen.clear();
        self.chosen.resize(rows, None);
        if !self.settle(rows, columns) {
            let mut costs = vec![apart; rows * columns];
            frame.overlaps.iter().for_each(|o| costs[o.row * columns + o.column] = cost(o));
            for (row, column) in least_cost(&costs, rows, columns) {
                let saves = costs[row * columns + column] < apart;
                self.chosen[row] = frame.place(row, column).filter(|_| saves);
            }
        }
        self.chosen.iter().flatten().map(|&place| &frame.overlaps[place])
    }

    /// Chooses pairs; gives whether this is clearly the best that can be.
    fn settle(&mut self, rows: usize, columns: usize) -> bool {
        let margin = CLEARLY * self.open.iter().map(|e| e.weight).fold(0.0, f64::max);
        self.take_clear(rows, columns, margin);
        if self.open.len() > FEW {
            return false;
        }
        let mut trial = Trial { pairs: &self.open, best: 0, first: 0.0, second: f64::NEG_INFINITY };
        trial.extend(0, 0, 0.0);
        if trial.first <= trial.second + margin {
            return false;
        }
        let best = trial.best;
        for edge in self.open.iter().enumerate().filter(|(at, _)| best >> at & 1 == 1).map(|(_, edge)| edge) {
            self.chosen[edge.row] = Some(edge.place);
        }
        true
    }

    /// Takes pairs that leave no choice, as long as there are any.
    fn take_clear(&mut self, rows: usize, columns: usize, margin: f64) {
        let Self { open, rows: by_row, columns: by_column, chosen } = self;
        for (sides, count) in [(&mut *by_row, rows), (&mut *by_column, columns)] {
            sides.clear();
            sides.resize(count, Best::default());
        }
        while !open.is_empty() {
            for edge in &*open {
                by_row[edge.row].see(edge);
                by_column[edge.column].see(edge);
            }
            let before = open.len();
            for edge in &*open {
                let (row, column) = (&mut by_row[edge.row], &mut by_column[edge.column]);
                let best = row.place == edge.place && column.place == edge.place;
                if best && edge.weight > row.second + column.second + margin {
                    chosen[edge.row] = Some(edge.place);
                    (row.taken, column.taken) = (true, true);
                }
            }
            open.retain(|edge| !by_row[edge.row].taken && !by_column[edge.column].taken);
            if open.len() == before {
                return;
            }
            for edge in &*open {
                (by_row[edge.row], by_column[edge.column]) = Default::default();
            }
        }
    }
}

/// All combinations of a few pairs that share no row and no column.
struct Trial<'a> {
    pairs: &'a [Edge],
    /// The combination of the largest total, a bit a pair.
    best: u32,
    /// The largest two totals.
    first: f64,
    second: f64,
}

impl Trial<'_> {
    /// Tries all combinations that agree with one of the pairs before `next`.
    fn extend(&mut self, next: usize, taken: u32, total: f64) {
        let Some(pair) = self.pairs.get(next) else {
            if total > self.first {
                (self.best, self.second, self.first) = (taken, self.first, total);
            } else if taken != 0 {
                self.second = self.second.max(total);
            }
            return;
        };
        self.extend(next + 1, taken, total);
        let apart = |(at, other): (usize, &Edge)| {
            taken >> at & 1 == 0 || (other.row != pair.row && other.column != pair.column)
        };
        if self.pairs[..next].iter().enumerate().all(apart) {
            self.extend(next + 1, taken | 1 << next, total + pair.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(rows: usize, columns: usize, weights: &[f64]) -> Frame {
        let overlaps = (0..rows * columns)
            .filter(|&at| weights[at] > 0.0)
            .map(|at| Overlap { row: at / columns, column: at % columns, pair: 0, iou: weights[at] })
            .collect();
        Frame { truth: vec![0; rows], pred: vec![0; columns], overlaps }
    }

    proptest! {
        /// On few different weights, so that there are ties, and on many; with rows and columns of any number of pairs.
        #[test]
        fn matching_is_the_full_assignment(rows in 0usize..9, columns in 0usize..9, kinds in 1u32..200, fill in 1u32..10,
                                           draws in prop::collection::vec((0u32..10, 0u32..1000), 64)) {
            let weights: Vec<f64> = draws[..rows * columns]
                .iter()
                .map(|&(dense, draw)| if dense < fill { f64::from(draw % kinds) / 7.0 } else { 0.0 })
                .collect();
            let frame = frame(rows, columns, &weights);
            let mut matcher = Matcher::default();
            // The second time as many pairs as can be, whatever they weigh.
            for apart in [0.0, 1e4] {
                let cost = |weight: f64| if weight > 0.0 { 0.0 - weight } else { apart };
                let costs: Vec<f64> = weights.iter().map(|weight| cost(*weight)).collect();
                let mut wanted = least_cost(&costs, rows, columns);
                wanted.retain(|&(row, column)| weights[row * columns + column] > 0.0);
                let found = matcher.matched(&frame, apart, |o| cost(o.iou));
                prop_assert_eq!(found.map(|o| (o.row, o.column)).collect::<Vec<_>>(), wanted);
            }
        }
    }

    #[test]
    fn chains_are_settled_and_ties_are_not() {
        let settled = |rows, columns, weights: &[f64]| {
            let mut matcher = Matcher::default();
            let frame = frame(rows, columns, weights);
            drop(matcher.matched(&frame, 0.0, |o| -o.iou));
            matcher.open.is_empty()
        };
        assert!(settled(3, 3, &[0.9, 0.1, 0.0, 0.2, 0.8, 0.3, 0.0, 0.3, 0.2]));
        assert!(!settled(2, 2, &[0.5, 0.5, 0.5, 0.5]));
    }
}
