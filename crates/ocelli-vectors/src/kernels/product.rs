//! Products of matrices in single precision.

use gemm::Parallelism;
use ocelli_simd::vectorized;

/// Rows that lie side by side in [`Columns`].
const SIDE: usize = 16;
/// Groups of rows whose sums are independent chains.
const GROUPS: usize = 4;

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

    /// `[n]`: inner products of the rows with `a [k]`.
    pub(crate) fn times(&self, a: &[f32], out: &mut Vec<f32>) {
        out.resize(self.groups.len() / a.len().max(1) * SIDE, 0.0);
        columns_times(&self.groups, a, out);
        out.truncate(self.count);
    }
}

vectorized! {
    fn columns_times(groups: &[[f32; SIDE]], a: &[f32], out: &mut [f32]) {
        let k = a.len();
        for (groups, out) in groups.chunks_exact(GROUPS * k).zip(out.chunks_exact_mut(GROUPS * SIDE)) {
            let mut sums = [[0.0f32; SIDE]; GROUPS];
            let (first, rest) = groups.split_at(k);
            let (second, rest) = rest.split_at(k);
            let (third, fourth) = rest.split_at(k);
            for ((((a, first), second), third), fourth) in a.iter().zip(first).zip(second).zip(third).zip(fourth) {
                for lane in 0..SIDE {
                    sums[0][lane] = a.mul_add(first[lane], sums[0][lane]);
                    sums[1][lane] = a.mul_add(second[lane], sums[1][lane]);
                    sums[2][lane] = a.mul_add(third[lane], sums[2][lane]);
                    sums[3][lane] = a.mul_add(fourth[lane], sums[3][lane]);
                }
            }
            out.copy_from_slice(sums.as_flattened());
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
            if m == 1 {
                let mut columns = Vec::new();
                Columns::new(&b, k).times(&a, &mut columns);
                assert_eq!(columns, out);
            }
        }
    }
}
