//! Products of matrices in single precision.

use gemm::Parallelism;
use ocelli_simd::vectorized;

/// Rows that lie side by side in [`Columns`].
const SIDE: usize = 16;
/// Groups of rows whose sums are independent chains.
const GROUPS: usize = 4;
/// Vectors whose products are formed together, so that rows are read once for all of them.
const TOGETHER: usize = 4;

/// Rows `[n, k]` in groups of 16, element by element: products with one vector need no sums across registers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns {
    /// `[groups, k, 16]`, whole fours of groups; rows that are not there are zeros.
    groups: Vec<[f32; SIDE]>,
    count: usize,
}

impl Columns {
    pub(crate) fn new(rows: &[f32], k: usize) -> Self {
        let count = rows.len() / k;
        let mut groups = vec![[0.0; SIDE]; count.div_ceil(SIDE * GROUPS) * GROUPS * k];
        for (i, row) in rows.chunks_exact(k).enumerate() {
            for (d, value) in row.iter().enumerate() {
                groups[(i / SIDE * k) + d][i % SIDE] = *value;
            }
        }
        Self { groups, count }
    }

    /// `[m, n]`: inner products of the rows with those of `a [m, k]`, each summed in the same order, whatever `m`.
    pub(crate) fn times(&self, a: &[f32], k: usize, out: &mut [f32]) {
        assert_eq!((a.len() % k, out.len()), (0, a.len() / k * self.count));
        for (a, out) in a.chunks(TOGETHER * k).zip(out.chunks_mut(TOGETHER * self.count)) {
            match a.len() / k {
                TOGETHER => columns_times_many(&self.groups, a, self.count, out),
                _ => a.chunks_exact(k).zip(out.chunks_exact_mut(self.count)).for_each(|(a, out)| {
                    columns_times(&self.groups, a, self.count, out);
                }),
            }
        }
    }
}

vectorized! {
    fn columns_times(groups: &[[f32; SIDE]], a: &[f32], count: usize, out: &mut [f32]) {
        tiles::<1, GROUPS>(groups, a, count, out);
    }
}

vectorized! {
    fn columns_times_many(groups: &[[f32; SIDE]], a: &[f32], count: usize, out: &mut [f32]) {
        tiles::<TOGETHER, GROUPS>(groups, a, count, out);
    }
}

/// Products of `M` vectors with all rows, `G` groups of rows at a time: `M * G` registers of sums.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // counted loops over small arrays stay in registers
fn tiles<const M: usize, const G: usize>(groups: &[[f32; SIDE]], a: &[f32], count: usize, out: &mut [f32]) {
    let k = a.len() / M;
    for (tile, groups) in groups.chunks_exact(G * k).enumerate() {
        let mut sums = [[[0.0f32; SIDE]; G]; M];
        let columns: [&[[f32; SIDE]]; G] = std::array::from_fn(|g| &groups[g * k..(g + 1) * k]);
        let vectors: [&[f32]; M] = std::array::from_fn(|m| &a[m * k..(m + 1) * k]);
        for d in 0..k {
            let columns: [[f32; SIDE]; G] = std::array::from_fn(|g| columns[g][d]);
            for m in 0..M {
                let value = vectors[m][d];
                for g in 0..G {
                    for lane in 0..SIDE {
                        sums[m][g][lane] = value.mul_add(columns[g][lane], sums[m][g][lane]);
                    }
                }
            }
        }
        let start = tile * G * SIDE;
        let there = count.saturating_sub(start).min(G * SIDE);
        for m in 0..M {
            let out = &mut out[m * count + start..][..there];
            out.copy_from_slice(&sums[m].as_flattened()[..there]);
        }
    }
}

/// `[m, n]`: inner products of the rows of `a [m, k]` with the rows of `b [n, k]`, on one thread.
#[allow(unsafe_code)] // the library takes pointers
pub(crate) fn rows_by_rows(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    if k == 0 || a.is_empty() || b.is_empty() {
        out.fill(0.0);
        return;
    }
    let (m, n) = (a.len() / k, b.len() / k);
    assert_eq!((a.len(), b.len(), out.len()), (m * k, n * k, m * n));
    // SAFETY: the strides describe row-major matrices of exactly these lengths, asserted above; `out` is borrowed
    // mutably, so that it overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            k as isize,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_sums() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (40, 33, 100), (0, 3, 4), (2, 0, 4), (1, 316, 100)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i * 7 % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..n * k).map(|i| (i * 5 % 11) as f32 - 5.0).collect();
            let mut out = vec![f32::NAN; m * n];
            rows_by_rows(&a, &b, k, &mut out);
            for i in 0..m {
                for j in 0..n {
                    // Small whole numbers: every order of summation gives the same.
                    let sum: f32 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                    assert_eq!(out[i * n + j], sum);
                }
            }
            let mut columns = vec![f32::NAN; m * n];
            Columns::new(&b, k).times(&a, k, &mut columns);
            assert_eq!(columns, out);
        }
    }

    #[test]
    fn a_product_is_the_same_alone_and_among_others() {
        let (m, n, k) = (7, 150, 33);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.37).sin()).collect();
        let columns = Columns::new(&(0..n * k).map(|i| (i as f32 * 0.73).cos()).collect::<Vec<f32>>(), k);
        let mut all = vec![0.0; m * n];
        columns.times(&a, k, &mut all);
        for (a, of_all) in a.chunks_exact(k).zip(all.chunks_exact(n)) {
            let mut alone = vec![0.0; n];
            columns.times(a, k, &mut alone);
            assert_eq!(alone, of_all);
        }
    }
}
