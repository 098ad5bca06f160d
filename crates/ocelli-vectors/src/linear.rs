//! Small dense linear algebra in double precision: what the methods need and no more.
//!
//! Matrices are row-major slices with their dimensions beside them.

use ocelli_method::random::Generator;
use rand::RngExt;

/// A standard normal value, by Box and Muller.
pub fn normal(generator: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * generator.random::<f64>()).cos()
}

/// Inner product.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Euclidean length.
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `a` divided by its length; `None` when it has none.
pub fn unit(a: &[f64]) -> Option<Vec<f64>> {
    let length = norm(a);
    (length > 0.0 && length.is_finite()).then(|| a.iter().map(|v| v / length).collect())
}

/// Adds `factor * x` to `y`.
pub fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// The product of the matrix `[rows, columns]` with a vector `[columns]`.
pub fn product(matrix: &[f64], columns: usize, x: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(columns).map(|row| dot(row, x)).collect()
}

/// A thin singular value decomposition: `sum_r s_r u_r v_r^T`, singular values falling.
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// Left singular vectors, each `[p]`.
    pub u: Vec<Vec<f64>>,
    /// Singular values, falling, min(p, q) of them.
    pub s: Vec<f64>,
    /// Right singular vectors, each `[q]`.
    pub v: Vec<Vec<f64>>,
}

/// Sweeps of Jacobi rotations; convergence is quadratic and takes about ten.
const SWEEPS: usize = 60;

impl Svd {
    /// Of the matrix `[p, q]`, by one-sided Jacobi rotations (Hestenes 1958), which find small singular values to full
    /// relative precision. The vectors of a singular value 0 are zero.
    pub fn new(matrix: &[f64], p: usize, q: usize) -> Self {
        // Rotations orthogonalise the shorter side's vectors.
        let wide = p < q;
        let (count, length) = if wide { (p, q) } else { (q, p) };
        let entry = |vector: usize, i: usize| {
            if wide { matrix[vector * q + i] } else { matrix[i * q + vector] }
        };
        let mut vectors: Vec<Vec<f64>> =
            (0..count).map(|vector| (0..length).map(|i| entry(vector, i)).collect()).collect();
        let mut turns: Vec<Vec<f64>> =
            (0..count).map(|i| (0..count).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        for _ in 0..SWEEPS {
            if !sweep(&mut vectors, &mut turns) {
                break;
            }
        }
        let mut order: Vec<(f64, usize)> =
            vectors.iter().enumerate().map(|(i, vector)| (norm(vector), i)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let s: Vec<f64> = order.iter().map(|(s, _)| *s).collect();
        let long = |(s, i): &(f64, usize)| {
            vectors[*i].iter().map(|v| if *s > 0.0 { v / s } else { 0.0 }).collect::<Vec<f64>>()
        };
        let long: Vec<_> = order.iter().map(long).collect();
        let short: Vec<_> = order.iter().map(|(_, i)| turns[*i].clone()).collect();
        let (u, v) = if wide { (short, long) } else { (long, short) };
        Self { u, s, v }
    }

    /// The sum of the leading `rank` terms, `[p, q]` row-major.
    pub fn leading(&self, rank: usize) -> Vec<f64> {
        let (p, q) = (self.u.first().map_or(0, Vec::len), self.v.first().map_or(0, Vec::len));
        let mut sum = vec![0.0; p * q];
        for ((u, s), v) in self.u.iter().zip(&self.s).zip(&self.v).take(rank) {
            for (row, u) in sum.chunks_exact_mut(q).zip(u) {
                add_scaled(row, s * u, v);
            }
        }
        sum
    }
}

/// Rotates each pair of vectors until it is orthogonal, once; says whether any pair was not.
fn sweep(vectors: &mut [Vec<f64>], turns: &mut [Vec<f64>]) -> bool {
    let mut turned = false;
    for i in 0..vectors.len() {
        for j in i + 1..vectors.len() {
            let (a, b) = (dot(&vectors[i], &vectors[i]), dot(&vectors[j], &vectors[j]));
            let c = dot(&vectors[i], &vectors[j]);
            if c.abs() <= f64::EPSILON * (a * b).sqrt() || c == 0.0 {
                continue;
            }
            turned = true;
            let zeta = (b - a) / (2.0 * c);
            let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
            let cosine = 1.0 / t.hypot(1.0);
            rotate(vectors, i, j, cosine, cosine * t);
            rotate(turns, i, j, cosine, cosine * t);
        }
    }
    turned
}

fn rotate(vectors: &mut [Vec<f64>], i: usize, j: usize, cosine: f64, sine: f64) {
    let (head, tail) = vectors.split_at_mut(j);
    for (x, y) in head[i].iter_mut().zip(tail[0].iter_mut()) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// Solves `matrix x = right` for a symmetric positive definite matrix `[n, n]` by Cholesky factorisation; `None` when it
/// is not positive definite. Only the lower triangle is read.
pub fn solve_positive(mut matrix: Vec<f64>, right: &[f64]) -> Option<Vec<f64>> {
    let n = right.len();
    for i in 0..n {
        for j in 0..=i {
            let (head, tail) = matrix.split_at_mut(i * n);
            let row = &mut tail[..n];
            if j < i {
                let other = &head[j * n..j * n + j + 1];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            } else {
                let pivot = row[i] - dot(&row[..i], &row[..i]);
                if pivot.is_nan() || pivot <= 0.0 {
                    return None;
                }
                row[i] = pivot.sqrt();
            }
        }
    }
    let mut x = right.to_vec();
    for i in 0..n {
        x[i] = (x[i] - dot(&matrix[i * n..i * n + i], &x[..i])) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] /= matrix[i * n + i];
        let (value, row) = (x[i], &matrix[i * n..i * n + i]);
        add_scaled(&mut x[..i], -value, row);
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn svd_restores_the_matrix(p in 1usize..7, q in 1usize..7, values in prop::collection::vec(-3.0..3.0f64, 36)) {
            let matrix = &values[..p * q];
            let svd = Svd::new(matrix, p, q);
            prop_assert_eq!(svd.s.len(), p.min(q));
            prop_assert!(svd.s.is_sorted_by(|a, b| a >= b));
            for (a, b) in svd.leading(p.min(q)).iter().zip(matrix) {
                prop_assert!((a - b).abs() < 1e-12);
            }
            for set in [&svd.u, &svd.v] {
                for (i, a) in set.iter().enumerate() {
                    for (j, b) in set.iter().enumerate() {
                        let degenerate = svd.s[i] < 1e-9 || svd.s[j] < 1e-9;
                        let wanted = f64::from(u8::from(i == j));
                        prop_assert!(degenerate || (dot(a, b) - wanted).abs() < 1e-10);
                    }
                }
            }
        }

        #[test]
        fn positive_systems_are_solved(n in 1usize..7, values in prop::collection::vec(-2.0..2.0f64, 42)) {
            let root = &values[..n * n];
            let mut matrix = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    matrix[i * n + j] = dot(&root[i * n..][..n], &root[j * n..][..n]) + f64::from(u8::from(i == j));
                }
            }
            let right = &values[36..36 + n];
            let x = solve_positive(matrix.clone(), right).unwrap();
            for (found, wanted) in product(&matrix, n, &x).iter().zip(right) {
                prop_assert!((found - wanted).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_told() {
        assert_eq!(solve_positive(vec![1.0, 2.0, 2.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(solve_positive(vec![f64::NAN], &[1.0]), None);
    }

    #[test]
    fn a_zero_matrix_has_zero_singular_values() {
        let svd = Svd::new(&[0.0; 6], 2, 3);
        assert_eq!(svd.s, [0.0, 0.0]);
        assert_eq!(svd.leading(2), [0.0; 6]);
    }
}
