//! Products of matrices in scratch memory, built on the register tile.

use std::ops::Range;

use crate::tile::{HEIGHT, Product, Sums, UNIT, WIDTH, Walk};

/// Columns that a row of a right-hand side is padded to.
pub(crate) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(UNIT)
}

/// A matrix in rows that lie `pitch` numbers apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) pitch: usize,
}

/// Some rows of the left-hand side, `depth` numbers of each from column `first` on.
#[derive(Clone)]
pub(crate) struct Left<'a> {
    pub(crate) matrix: Rows<'a>,
    pub(crate) rows: Range<usize>,
    pub(crate) first: usize,
    pub(crate) depth: usize,
}

/// Stores the product of `left` and the first rows of `right` in the first rows of `target`, or adds it to them.
///
/// All `right.pitch` columns are computed; the pitch must be [`padded`], and the target's is the same. The depth must be
/// at least 1.
pub(crate) fn multiply(left: &Left<'_>, right: Rows<'_>, target: &mut [f32], add: bool) {
    let Rows { values, pitch } = right;
    let mut sums: Sums = [[0.0; WIDTH]; HEIGHT];
    // A panel of columns stays in the nearest cache while all rows pass by.
    for column in (0..pitch).step_by(WIDTH) {
        let width = WIDTH.min(pitch - column);
        for row in left.rows.clone().step_by(HEIGHT) {
            let lines = HEIGHT.min(left.rows.end - row);
            let starts = (row..row + lines).map(|row| row * left.matrix.pitch + left.first);
            let walk = Walk::Strided { stride: pitch, depth: left.depth };
            let product = Product::new(&values[column..], width / UNIT, left.matrix.values, starts, walk);
            let place = (row - left.rows.start) * pitch + column;
            if add {
                for (line, sums) in sums.iter_mut().enumerate().take(lines) {
                    sums[..width].copy_from_slice(&target[place + line * pitch..][..width]);
                }
            }
            product.apply(&mut sums, add);
            for (line, sums) in sums.iter().enumerate().take(lines) {
                target[place + line * pitch..][..width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// Rows of `[rows, columns]` numbers without gaps, each padded with zeros.
pub(crate) fn padded_rows(source: &[f32], columns: usize) -> Vec<f32> {
    let pitch = padded(columns);
    let mut target = vec![0.0; source.len() / columns.max(1) * pitch];
    for (target, source) in target.chunks_exact_mut(pitch).zip(source.chunks_exact(columns)) {
        target[..columns].copy_from_slice(source);
    }
    target
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_match_the_definition(
            rows in 1..20_usize,
            depth in 1..30_usize,
            columns in 1..120_usize,
            first in 0..3_usize,
            skipped in 0..3_usize,
            add: bool,
        ) {
            let numbers = |count: usize, step: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * step) % 17) as f32 - 8.0).collect()
            };
            let a = Rows { values: &numbers((rows + skipped) * (depth + first), 5), pitch: depth + first };
            let source = numbers(depth * columns, 7);
            let b = Rows { values: &padded_rows(&source, columns), pitch: padded(columns) };
            let mut target = vec![1.0; rows * b.pitch];
            let left = Left { matrix: a, rows: skipped..skipped + rows, first, depth };
            multiply(&left, b, &mut target, add);
            for row in 0..rows {
                for column in 0..columns {
                    // Small whole numbers: every order of summation gives the same.
                    let expected: f32 = (0..depth)
                        .map(|k| a.values[(skipped + row) * a.pitch + first + k] * source[k * columns + column])
                        .sum();
                    prop_assert_eq!(target[row * b.pitch + column], expected + f32::from(u8::from(add)));
                }
            }
        }
    }
}
