//! Factors laid out in the order in which tiles read them.

use ocelli_simd::vectorized;

use super::View;

/// Lines of the left factor side by side, a multiple of the height of all tiles.
pub(super) const LINES: usize = 8;

/// Numbers that `lines` x `depth` scalars take when packed.
pub(super) fn left_len(lines: usize, depth: usize) -> usize {
    lines.next_multiple_of(LINES) * depth
}

/// Lays out `lines` x `depth` scalars in panels of [`LINES`] lines, steps one after the other.
pub(super) fn pack_left(source: View<'_>, lines: usize, depth: usize, target: &mut [f32]) {
    for (panel, target) in target.chunks_exact_mut(LINES * depth.max(1)).enumerate() {
        let first = panel * LINES;
        let count = LINES.min(lines - first);
        let source = source.at(first, 0);
        if source.column == 1 && depth >= BLOCK {
            turn(source.values, source.row, [count, depth], target, LINES);
        } else {
            pack_rows(source.transposed(), [depth, count], target, LINES);
        }
    }
}

/// Lays out `depth` x `columns` numbers in rows of `width` numbers, a multiple of [`LINES`]; what follows the columns is any
/// number.
pub(super) fn pack_right(source: View<'_>, [depth, columns]: [usize; 2], target: &mut [f32], width: usize) {
    if source.row == 1 && source.column != 1 && depth >= BLOCK {
        turn(source.values, source.column, [columns, depth], target, width);
    } else {
        pack_rows(source, [depth, columns], target, width);
    }
}

/// Rows and columns turned at a time.
const BLOCK: usize = 8;

vectorized! {
    /// Writes `[rows, columns]` numbers, rows `pitch` apart and at least [`BLOCK`] columns, as columns `width` apart. There is
    /// room for a multiple of [`BLOCK`] rows; those that do not exist get the numbers of the last one.
    fn turn(source: &[f32], pitch: usize, shape: [usize; 2], target: &mut [f32], width: usize) {
        let [rows, columns] = shape;
        for row in (0..rows).step_by(BLOCK) {
            let starts: [usize; BLOCK] = std::array::from_fn(|i| (row + i).min(rows - 1) * pitch);
            for column in (0..columns).step_by(BLOCK) {
                // The last block begins early rather than end late.
                let column = column.min(columns - BLOCK);
                let mut block = [[0.0; BLOCK]; BLOCK];
                for (line, start) in block.iter_mut().zip(starts) {
                    line.copy_from_slice(&source[start + column..][..BLOCK]);
                }
                for j in 0..BLOCK {
                    let turned: [f32; BLOCK] = std::array::from_fn(|i| block[i][j]);
                    target[(column + j) * width + row..][..BLOCK].copy_from_slice(&turned);
                }
            }
        }
    }
}

vectorized! {
    /// Copies rows of `[rows, columns]` numbers, which then lie `pitch` apart.
    fn pack_rows(source: View<'_>, shape: [usize; 2], target: &mut [f32], pitch: usize) {
        let [rows, columns] = shape;
        for (row, target) in target.chunks_mut(pitch).enumerate().take(rows) {
            if source.column == 1 {
                let source = &source.values[row * source.row..][..columns];
                let target = &mut target[..columns];
                let (blocks, rest) = source.as_chunks::<8>();
                let (target_blocks, target_rest) = target.as_chunks_mut::<8>();
                target_blocks.iter_mut().zip(blocks).for_each(|(target, block)| *target = *block);
                target_rest.iter_mut().zip(rest).for_each(|(target, value)| *target = *value);
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
        let values: Vec<f32> = (0..4000).map(|i| i as f32).collect();
        let views = [(70, 1), (1, 80), (140, 2), (0, 1), (1, 0)];
        for (lines, depth) in [(1, 1), (8, 8), (13, 9), (20, 17), (3, 0)] {
            for (row, column) in views {
                let view = View { values: &values, row, column };
                let mut left = vec![f32::NAN; left_len(lines, depth)];
                pack_left(view, lines, depth, &mut left);
                let mut right = vec![f32::NAN; depth * 48];
                pack_right(view.transposed(), [depth, lines], &mut right, 48);
                for line in 0..lines {
                    for k in 0..depth {
                        let want = values[line * row + k * column];
                        assert_eq!(left[(line / LINES * depth + k) * LINES + line % LINES], want);
                        assert_eq!(right[k * 48 + line], want);
                    }
                }
            }
        }
    }
}
