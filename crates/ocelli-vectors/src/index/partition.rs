//! Partitions: k-means on a sample, and the nearest centre of each vector.

use ocelli_simd::vectorized;
use rayon::prelude::*;

use super::rows::{Rows, normalize};
use crate::kernels::bytes::ByteColumns;
use crate::kernels::product::{Columns, rows_by_rows};
use crate::kernels::rows::row_f32;

/// Vectors whose products with all centres are computed at a time.
const TILE: usize = 256;

/// Centres `[K, dim]` and what is added to an inner product to rank by distance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Centers {
    pub(super) data: Vec<f32>,
    pub(super) dim: usize,
    /// `-|c|^2 / 2`.
    pub(super) offsets: Vec<f32>,
    /// The same centres for products with a single vector.
    columns: Columns,
    /// The same once more, for a look at which are good.
    bytes: ByteColumns,
}

impl Centers {
    pub(super) fn new(data: Vec<f32>, dim: usize) -> Self {
        let (columns, bytes) = (Columns::new(&data, dim), ByteColumns::new(&data, dim));
        Self { offsets: offsets(&data, dim), data, dim, columns, bytes }
    }

    /// Inner products of all centres with queries: `[Q, K]`.
    pub(super) fn products(&self, queries: &[f32], products: &mut Vec<f32>) {
        if queries.len() == self.dim {
            return self.columns.times(queries, products);
        }
        products.resize(queries.len() / self.dim * self.count(), 0.0);
        rows_by_rows(queries, &self.data, self.dim, products);
    }

    /// About the same, from centres in eight bits.
    pub(super) fn rough_products(&self, queries: &[f32], products: &mut Vec<f32>) {
        products.resize(queries.len() / self.dim * self.count(), 0.0);
        self.bytes.times(queries, self.dim, products);
    }

    pub(super) fn count(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn center(&self, index: usize) -> &[f32] {
        &self.data[index * self.dim..(index + 1) * self.dim]
    }

    /// Centres by Lloyd iterations over `rows`, which are in random order, from the first of them.
    pub(super) fn train(rows: Rows<'_>, count: usize, iterations: usize) -> Self {
        Self::train_on(&[(rows, iterations)], count, false)
    }

    /// The same in two stages: twice the iterations on a quarter of the rows, where centres still move far, then seven tenths
    /// on all. Of vectors of one length centres may be found by their directions alone, as in spherical k-means (Dhillon
    /// and Modha, 2001): a centre between several groups, which is shorter, then has no advantage over one in the midst of
    /// its group. In the end each is at the mean, which leaves the shortest residuals.
    pub(super) fn train_in_two(rows: Rows<'_>, count: usize, iterations: usize, directions: bool) -> Self {
        let some = rows.first((rows.count() / 4).max(count));
        let stages = [(some, 2 * iterations), (rows, (7 * iterations).div_ceil(10))];
        Self::train_on(&stages, count, directions)
    }

    /// Lloyd iterations over rows and how often, from the first of the first rows; by directions all but the last.
    fn train_on(stages: &[(Rows<'_>, usize)], count: usize, directions: bool) -> Self {
        let first = stages[0].0;
        let mut centers = Self::new(first.first(count).data().to_vec(), first.dim());
        let mut left: usize = stages.iter().map(|(_, iterations)| iterations).sum();
        for rows in stages.iter().flat_map(|&(rows, iterations)| std::iter::repeat_n(rows, iterations)) {
            centers.data = centers.moved(rows);
            left -= 1;
            if directions && left > 0 {
                centers.data.chunks_exact_mut(centers.dim).for_each(normalize);
            }
            centers.offsets = offsets(&centers.data, centers.dim);
        }
        Self::new(centers.data, centers.dim)
    }

    /// Each centre at the mean of the vectors nearest to it; one without vectors at one of the largest partition.
    fn moved(&self, rows: Rows<'_>) -> Vec<f32> {
        let (dim, count) = (self.dim, self.count());
        let nearest = self.nearest(rows);
        let mut sums = vec![0.0f64; count * dim];
        let mut counts = vec![0u32; count];
        for (row, &center) in rows.data().chunks_exact(dim).zip(&nearest) {
            let center = center as usize;
            counts[center] += 1;
            let sums = &mut sums[center * dim..(center + 1) * dim];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let mut data = self.data.clone();
        let largest = (0..count).max_by_key(|&i| (counts[i], std::cmp::Reverse(i))).unwrap_or(0);
        let mut spare = nearest.iter().enumerate().filter(|(_, center)| **center as usize == largest);
        for (i, center) in data.chunks_exact_mut(dim).enumerate() {
            if counts[i] > 0 {
                let sums = &sums[i * dim..(i + 1) * dim];
                let inverse = 1.0 / f64::from(counts[i]);
                let mean = |(value, sum): (&mut f32, &f64)| *value = (sum * inverse) as f32;
                center.iter_mut().zip(sums).for_each(mean);
            } else if let Some((row, _)) = spare.next() {
                center.copy_from_slice(rows.row(row));
            }
        }
        data
    }

    /// The nearest centre of each vector.
    pub(super) fn nearest(&self, rows: Rows<'_>) -> Vec<u32> {
        let assign = |rows: &[f32]| {
            let count = rows.len() / self.dim;
            let mut products = vec![0.0; count * self.count()];
            rows_by_rows(rows, &self.data, self.dim, &mut products);
            let best = |products: &[f32]| largest(products, &self.offsets);
            products.chunks_exact(self.count()).map(best).collect::<Vec<u32>>()
        };
        rows.data().par_chunks(TILE * self.dim).flat_map_iter(assign).collect()
    }

    /// Second centres (Sun, Simcha, Dopson, Guo, Kumar: "SOAR", NeurIPS 2023): nearest again, but for the part of the new
    /// residual along the first, whose square counts `1 + lambda` times, since a query that the first residual hides a
    /// vector from is hidden by a parallel one as well.
    pub(super) fn second(&self, rows: Rows<'_>, first: &[u32], lambda: f32) -> Vec<u32> {
        let dim = self.dim;
        let assign = |(rows, first): (&[f32], &[u32])| {
            let count = rows.len() / dim;
            let number = self.count();
            let (mut products, mut along) = (vec![0.0; count * number], vec![0.0; count * number]);
            rows_by_rows(rows, &self.data, dim, &mut products);
            let mut directions = Vec::with_capacity(rows.len());
            for (row, &center) in rows.chunks_exact(dim).zip(first) {
                let start = directions.len();
                directions.extend(row.iter().zip(self.center(center as usize)).map(|(x, c)| x - c));
                normalize(&mut directions[start..]);
            }
            rows_by_rows(&directions, &self.data, dim, &mut along);
            let choose = |i: usize| {
                let (row, direction) = (&rows[i * dim..(i + 1) * dim], &directions[i * dim..(i + 1) * dim]);
                let own = row_f32(row, direction);
                let loss = &mut products[i * number..(i + 1) * number];
                for ((loss, along), offset) in loss.iter_mut().zip(&along[i * number..]).zip(&self.offsets) {
                    // Half of what is to be as small as possible, negated, but for what all centres share.
                    let parallel = own - along;
                    *loss += offset - 0.5 * lambda * parallel * parallel;
                }
                loss[first[i] as usize] = f32::NEG_INFINITY;
                largest(loss, &[])
            };
            (0..count).map(choose).collect::<Vec<u32>>()
        };
        rows.data().par_chunks(TILE * dim).zip(first.par_chunks(TILE)).flat_map_iter(assign).collect()
    }
}

fn offsets(centers: &[f32], dim: usize) -> Vec<f32> {
    centers.chunks_exact(dim).map(|center| -0.5 * row_f32(center, center)).collect()
}

vectorized! {
    /// Where `values + offsets` is largest, the first of equals; no offsets count as zeros.
    fn largest(values: &[f32], offsets: &[f32]) -> u32 {
        const LANES: usize = 16;
        let (mut best, mut at) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
        let (groups, rest) = values.as_chunks::<LANES>();
        for (group, values) in groups.iter().enumerate() {
            let mut sums = *values;
            if let Some(offsets) = offsets.get(group * LANES..(group + 1) * LANES) {
                for lane in 0..LANES {
                    sums[lane] += offsets[lane];
                }
            }
            for lane in 0..LANES {
                let higher = sums[lane] > best[lane];
                at[lane] = if higher { group as u32 } else { at[lane] };
                best[lane] = if higher { sums[lane] } else { best[lane] };
            }
        }
        let (mut value, mut place) = (f32::NEG_INFINITY, 0);
        for lane in 0..LANES {
            let index = at[lane] * LANES as u32 + lane as u32;
            if best[lane] > value || (best[lane] == value && index < place) {
                (value, place) = (best[lane], index);
            }
        }
        for (i, rest) in rest.iter().enumerate() {
            let index = groups.len() * LANES + i;
            let sum = rest + offsets.get(index).copied().unwrap_or(0.0);
            if sum > value {
                (value, place) = (sum, index as u32);
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors around two directions, in turns.
    fn two_groups(count: usize) -> Vec<f32> {
        let wobble = |i: usize| ((i * 7919) % 101) as f32 / 500.0 - 0.1;
        let mut rows: Vec<f32> = (0..count)
            .flat_map(|i| match i % 2 {
                0 => [1.0, wobble(i), 0.2],
                _ => [wobble(i), -1.0, 0.3],
            })
            .collect();
        rows.chunks_exact_mut(3).for_each(normalize);
        rows
    }

    #[test]
    fn centres_end_at_the_means_of_their_groups() {
        let data = two_groups(1000);
        let rows = Rows::new("the rows", &data, 3).unwrap();
        let mean = |group: usize| {
            let own = data.chunks_exact(3).skip(group).step_by(2);
            own.fold([0.0f64; 3], |sum, row| std::array::from_fn(|d| sum[d] + f64::from(row[d]) / 500.0))
        };
        for directions in [false, true] {
            let centers = Centers::train_in_two(rows, 2, 10, directions);
            for group in 0..2 {
                let found = centers.center(group);
                for (found, expected) in found.iter().zip(mean(group)) {
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, expected {expected}");
                }
            }
            let nearest = centers.nearest(rows);
            assert!(nearest.iter().enumerate().all(|(row, &center)| center as usize == row % 2));
        }
    }

    #[test]
    fn without_iterations_centres_are_the_first_rows() {
        let data = two_groups(20);
        let rows = Rows::new("the rows", &data, 3).unwrap();
        assert_eq!(Centers::train_in_two(rows, 5, 0, true).data, data[..15]);
    }
}
