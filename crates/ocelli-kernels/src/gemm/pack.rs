//! Factors laid out in the order in which tiles read them.

use ocelli_simd::vectorized;

use super::View;
use super::turn::{SQUARE, turn};
use crate::prefetch;

/// Lines of the left factor side by side, a multiple of the height of all tiles.
pub(super) const LINES: usize = 8;

/// Numbers that `lines` x `depth` scalars take when packed.
pub(super) fn left_len(lines: usize, depth: usize) -> usize {
    lines.next_multiple_of(LINES) * depth
}

/// Lays out `lines` x `depth` scalars in panels of [`LINES`] lines, steps one after the other.
pub(super) fn pack_left(source: View<'_>, lines: usize, depth: usize, target: &mut [f32]) {
    if source.row == 1 && depth > 0 {
        return pack_lines(source, [lines, depth], target);
    }
    for (panel, target) in target.chunks_exact_mut(LINES * depth.max(1)).enumerate() {
        let first = panel * LINES;
        let count = LINES.min(lines - first);
        let source = source.at(first, 0);
        if source.column == 1 && depth >= SQUARE {
            turn(source.values, source.row, [count, depth], target, LINES);
        } else {
            pack_rows(source.transposed(), [depth, count], target, LINES);
        }
    }
}

/// Lays out `depth` x `columns` numbers in rows of `width` numbers, a multiple of [`LINES`]; what follows the columns is any
/// number.
pub(super) fn pack_right(source: View<'_>, [depth, columns]: [usize; 2], target: &mut [f32], width: usize) {
    if source.row == 1 && source.column != 1 && depth >= SQUARE {
        turn(source.values, source.column, [columns, depth], target, width);
    } else if source.column == 1 && columns == width && matches!(width, 16 | 32 | 48) {
        pack_whole_rows(source, [depth, columns], target);
    } else {
        pack_rows(source, [depth, columns], target, width);
    }
}

/// Rows between what is copied and what is asked for: rows may lie too far apart for the processor to guess the next.
const AHEAD: usize = 8;

vectorized! {
    /// Lays out `[lines, depth]` scalars, of which lines are neighbours in memory, as [`pack_left`] does: a few panels at a
    /// time, so that what one visit to a step fetches from afar is used whole.
    fn pack_lines(source: View<'_>, shape: [usize; 2], target: &mut [f32]) {
        /// Panels of a visit.
        const PANELS: usize = 8;
        let [lines, depth] = shape;
        for (group, target) in target.chunks_mut(PANELS * LINES * depth).enumerate() {
            let first = group * PANELS * LINES;
            let count = (PANELS * LINES).min(lines - first);
            for k in 0..depth {
                let from = k * source.column + first;
                for line in (0..count).step_by(prefetch::LINE) {
                    prefetch::read(source.values.as_ptr().wrapping_add(from + AHEAD * source.column + line));
                }
                let (whole, rest) = source.values[from..][..count].as_chunks::<LINES>();
                for (panel, block) in whole.iter().enumerate() {
                    target[(panel * depth + k) * LINES..][..LINES].copy_from_slice(block);
                }
                let place = (whole.len() * depth + k) * LINES;
                for (line, value) in rest.iter().enumerate() {
                    target[place + line] = *value;
                }
            }
        }
    }
}

vectorized! {
    /// Copies `[rows, columns]` numbers so that no gaps are between rows.
    fn pack_whole_rows(source: View<'_>, shape: [usize; 2], target: &mut [f32]) {
        // A copy of a known size takes no call.
        match shape[1] {
            48 => copy_rows::<48>(source, shape[0], target),
            32 => copy_rows::<32>(source, shape[0], target),
            _ => copy_rows::<16>(source, shape[0], target),
        }
    }
}

/// Copies rows of `N` numbers so that no gaps are between them.
#[inline(always)]
fn copy_rows<const N: usize>(source: View<'_>, rows: usize, target: &mut [f32]) {
    for (row, target) in target.as_chunks_mut::<N>().0.iter_mut().enumerate().take(rows) {
        let values = &source.values[row * source.row..][..N];
        for column in (0..N).step_by(prefetch::LINE) {
            prefetch::read(values.as_ptr().wrapping_add(AHEAD * source.row + column));
        }
        target.copy_from_slice(values);
    }
}

vectorized! {
    /// Copies rows of `[rows, columns]` numbers, which then lie `pitch` apart.
    fn pack_rows(source: View<'_>, shape: [usize; 2], target: &mut [f32], pitch: usize) {
        let [rows, columns] = shape;
        for (row, target) in target.chunks_mut(pitch).enumerate().take(rows) {
            if source.column == 1 {
                target[..columns].copy_from_slice(&source.values[row * source.row..][..columns]);
            } else {
                for (column, target) in target[..columns].iter_mut().enumerate() {
                    *target = source.values[row * source.row + column * source.column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_packed_alike() {
        let values: Vec<f32> = (0..20_000).map(|i| i as f32).collect();
        let views = [(70, 1), (1, 150), (140, 2), (0, 1), (1, 0)];
        let shapes =
            [(1, 1), (8, 8), (13, 9), (20, 17), (3, 0), (16, 5), (32, 9), (48, 8), (64, 3), (139, 20)];
        for (lines, depth) in shapes {
            for (row, column) in views {
                let view = View { values: &values, row, column };
                let mut left = vec![f32::NAN; left_len(lines, depth)];
                pack_left(view, lines, depth, &mut left);
                let width = lines.next_multiple_of(16);
                let mut right = vec![f32::NAN; depth * width];
                pack_right(view.transposed(), [depth, lines], &mut right, width);
                for line in 0..lines {
                    for k in 0..depth {
                        let want = values[line * row + k * column];
                        assert_eq!(left[(line / LINES * depth + k) * LINES + line % LINES], want);
                        assert_eq!(right[k * width + line], want);
                    }
                }
            }
        }
    }
}
