//! Gathering columns: what every tap reads at the positions of a panel, side by side.

use crate::tile::{Offsets, UNIT, WIDTH};
use ocelli_simd::vectorized;

/// Numbers of a panel of `depth` taps, with room for a vector that starts in its last lane.
pub(crate) fn panel_len(depth: usize) -> usize {
    depth * WIDTH + UNIT
}

/// A piece of a panel row: up to a vector of neighbours.
#[derive(Clone, Copy, Default)]
struct Move {
    /// First number in the slab, relative to the tap's offset.
    source: u32,
    lane: u32,
    len: u32,
}

/// The pieces that make up every row of a panel, in the order of their lanes.
pub(crate) struct Moves {
    moves: [Move; WIDTH],
    count: usize,
    /// One more than the last number, relative to the tap's offset, that moves of whole vectors read.
    reach: usize,
}

impl Moves {
    /// The moves for runs of positions, each given as first number in the slab, first lane and length.
    pub(crate) fn new(runs: impl Iterator<Item = (usize, usize, usize)>) -> Self {
        let mut result = Self { moves: [Move::default(); WIDTH], count: 0, reach: 0 };
        for (source, lane, len) in runs {
            assert!(
                lane + len <= WIDTH && u32::try_from(source + len).is_ok(),
                "run outside the panel or the slab"
            );
            for first in (0..len).step_by(UNIT) {
                result.moves[result.count] = Move {
                    source: (source + first) as u32,
                    lane: (lane + first) as u32,
                    len: (len - first).min(UNIT) as u32,
                };
                result.count += 1;
                result.reach = result.reach.max(source + first + UNIT);
            }
        }
        result
    }

    /// Fills a panel row for each of `taps`.
    pub(crate) fn gather(&self, slab: &[f32], taps: &Offsets, panel: &mut [f32]) {
        let (offsets, moves) = (taps.values(), &self.moves[..self.count]);
        assert!(panel.len() >= panel_len(offsets.len()), "panel too small");
        if taps.bound() + self.reach <= slab.len() + 1 {
            gather_vectors(slab, offsets, moves, panel);
        } else {
            gather_exactly(slab, offsets, moves, panel);
        }
    }
}

vectorized! {
    /// Moves whole vectors. What spills over the end of a run is overwritten by the next move, or lies in lanes that are
    /// not used.
    fn gather_vectors(slab: &[f32], offsets: &[u32], moves: &[Move], panel: &mut [f32]) {
        let (slab, panel) = (slab.as_ptr(), panel.as_mut_ptr());
        for (tap, &offset) in offsets.iter().enumerate() {
            let row = panel.wrapping_add(tap * WIDTH);
            let source = slab.wrapping_add(offset as usize);
            for piece in moves {
                // SAFETY: `Moves::gather`, the only caller, checked that the farthest vector of the farthest tap ends
                // inside the slab, and that the panel has room for a vector in the last lane of the last row.
                unsafe {
                    let target = row.add(piece.lane as usize);
                    target.copy_from_nonoverlapping(source.add(piece.source as usize), UNIT);
                }
            }
        }
    }
}

/// Moves no more than is needed: where a whole vector would reach past the slab.
fn gather_exactly(slab: &[f32], offsets: &[u32], moves: &[Move], panel: &mut [f32]) {
    for (row, &offset) in panel.chunks_exact_mut(WIDTH).zip(offsets) {
        for piece in moves {
            let (source, lane) = ((offset + piece.source) as usize, piece.lane as usize);
            let len = piece.len as usize;
            row[lane..lane + len].copy_from_slice(&slab[source..source + len]);
        }
    }
}
