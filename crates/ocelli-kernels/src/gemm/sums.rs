//! A row times a matrix that lies in rows: the sum of the rows, each times a number.
//!
//! Every number of the matrix is used once, so that such a product is as fast as the matrix comes from memory. Rows lie
//! too far apart, and often a multiple of a page apart, for the processor to fetch them in time by itself.

use ocelli_simd::{MulAdd, vectorized};

use super::View;
use crate::prefetch;

/// Rows added in a visit to the target.
const ROWS: usize = 9;

vectorized! {
    /// Adds the rows of `source`, each times its scale, to `target`, one after the other.
    pub(super) fn add_rows<M>(target: &mut [f32], source: View<'_>, scales: &[f32]) {
        let (blocks, rest) = scales.as_chunks::<ROWS>();
        for (block, scales) in blocks.iter().enumerate() {
            add::<M, ROWS>(target, source.at(block * ROWS, 0), scales);
        }
        for (row, scale) in rest.iter().enumerate() {
            add::<M, 1>(target, source.at(blocks.len() * ROWS + row, 0), &[*scale]);
        }
    }
}

/// Adds `N` rows, and asks for as many that follow.
#[inline(always)]
fn add<M: MulAdd, const N: usize>(target: &mut [f32], source: View<'_>, scales: &[f32; N]) {
    let columns = target.len();
    let mut rows = [[].as_slice(); N];
    for (row, values) in rows.iter_mut().enumerate() {
        *values = &source.values[row * source.row..][..columns];
    }
    let (whole, rest) = target.as_chunks_mut::<{ prefetch::LINE }>();
    let end = whole.len() * prefetch::LINE;
    for (index, target) in whole.iter_mut().enumerate() {
        let first = index * prefetch::LINE;
        let mut sums = *target;
        for (row, scale) in rows.iter().zip(scales) {
            prefetch::soon(row.as_ptr().wrapping_add(N * source.row + first));
            for (sum, value) in sums.iter_mut().zip(&row[first..][..prefetch::LINE]) {
                *sum = M::mul_add(*value, *scale, *sum);
            }
        }
        *target = sums;
    }
    for (column, sum) in rest.iter_mut().enumerate() {
        for (row, scale) in rows.iter().zip(scales) {
            *sum = M::mul_add(row[end + column], *scale, *sum);
        }
    }
}
