//! Covariances with a known answer.

use ocelli_method::random::{Generator, stream};

use super::{EigenError, SymmetricMatrix, check};
use crate::linear::{Svd, normal, unit};

/// Samples with a planted direction.
#[derive(Clone, Debug)]
pub struct Spike {
    /// `[n, p q]`, row-major.
    pub samples: Vec<f64>,
    /// The planted unit vector `[p q]`.
    pub truth: Vec<f64>,
}

/// `n` samples `sqrt(strength) g u + noise` with standard normal g and noise, where `mat(u) [p, q]` has `rank` equal
/// singular values.
///
/// # Panics
/// When `rank` is 0 or above min(p, q).
pub fn spiked(p: usize, q: usize, rank: usize, strength: f64, n: usize, seed: u64) -> Spike {
    assert!((1..=p.min(q)).contains(&rank), "rank {rank} of {p} x {q}");
    let mut generator = stream(seed, "spike", 0);
    let drawn: Vec<f64> = (0..p * q).map(|_| normal(&mut generator)).collect();
    let mut svd = Svd::new(&drawn, p, q);
    svd.s.iter_mut().for_each(|s| *s = 1.0 / (rank as f64).sqrt());
    let truth = svd.leading(rank);
    let mut samples = Vec::with_capacity(n * p * q);
    for _ in 0..n {
        let along = strength.sqrt() * normal(&mut generator);
        samples.extend(truth.iter().map(|u| along * u).map(|v| v + normal(&mut generator)));
    }
    Spike { samples, truth }
}

/// The Kronecker product of two symmetric matrices `[p, p]` and `[q, q]`; its leading eigenvector is that of the
/// factors, a matrix of rank 1.
///
/// # Errors
/// [`EigenError::Length`] or [`EigenError::NotFinite`].
pub fn kronecker(left: &[f64], p: usize, right: &[f64], q: usize) -> Result<SymmetricMatrix, EigenError> {
    check("the left factor", left, p * p)?;
    check("the right factor", right, q * q)?;
    let d = p * q;
    let entry = |at: usize| {
        let (i, j) = (at / d, at % d);
        left[(i / q) * p + j / q] * right[(i % q) * q + j % q]
    };
    SymmetricMatrix::new((0..d * d).map(entry).collect(), d)
}

/// The circulant matrix `A[i, j] = c[(i - j) mod d]`; symmetric if `c[m] = c[d - m]`.
///
/// # Errors
/// [`EigenError::Zero`] for an empty `c`; [`EigenError::NotFinite`].
pub fn circulant(c: &[f64]) -> Result<SymmetricMatrix, EigenError> {
    let d = c.len();
    if d == 0 {
        return Err(EigenError::Zero("c"));
    }
    let entry = |at: usize| c[(at / d + d - at % d) % d];
    SymmetricMatrix::new((0..d * d).map(entry).collect(), d)
}

/// The eigenvalues of a symmetric circulant matrix in the order of their frequencies: the real part of the DFT of `c`.
pub fn circulant_eigenvalues(c: &[f64]) -> Vec<f64> {
    (0..c.len()).map(|frequency| c.iter().zip(wave(c.len(), frequency)).map(|(c, w)| c * w).sum()).collect()
}

/// `cos(2 pi frequency l / d)` for l = 0 … d-1.
pub(super) fn wave(d: usize, frequency: usize) -> Vec<f64> {
    // Reduced first: the cosine of a large angle would lose digits.
    (0..d).map(|l| (std::f64::consts::TAU * ((frequency * l) % d) as f64 / d as f64).cos()).collect()
}

/// A random unit vector.
pub(super) fn random_unit(d: usize, generator: &mut Generator) -> Vec<f64> {
    let drawn: Vec<f64> = (0..d).map(|_| normal(generator)).collect();
    unit(&drawn).unwrap_or_else(|| vec![1.0; d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_rank_eigenmatrix::{LowRank, Stop, Symmetric, truncated_power};
    use ocelli_metrics::direction::compare;

    #[test]
    fn waves_are_eigenvectors_of_circulant_matrices() {
        let c = [2.0, 0.5, -0.3, 0.1, -0.3, 0.5];
        let a = circulant(&c).unwrap();
        for (frequency, value) in circulant_eigenvalues(&c).into_iter().enumerate() {
            let x = wave(6, frequency);
            for (ax, x) in a.apply(&x).iter().zip(&x) {
                assert!((ax - value * x).abs() < 1e-12);
            }
        }
        assert!(circulant(&[]).is_err());
    }

    #[test]
    fn a_kronecker_product_has_a_separable_leading_vector() {
        let left = [2.0, 0.5, 0.5, 1.0];
        let right = [1.0, 0.2, 0.0, 0.2, 3.0, 0.4, 0.0, 0.4, 1.5];
        let a = kronecker(&left, 2, &right, 3).unwrap();
        let stop = Stop { iterations: 300, tolerance: 0.0 };
        let full = truncated_power(&a, &[1.0; 6], &LowRank::new(2, 3, 2).unwrap(), stop).unwrap();
        let cut = truncated_power(&a, &[1.0; 6], &LowRank::new(2, 3, 1).unwrap(), stop).unwrap();
        assert!(compare(&full.x, &cut.x).unwrap().sin < 1e-7);
    }
}
