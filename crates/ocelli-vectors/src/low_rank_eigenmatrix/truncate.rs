//! Cutting a vector back to the feasible set: the unit vectors of low rank, or with few loadings.

use super::{EigenError, check};
use crate::linear::{Svd, unit};

/// Maps a vector to the feasible unit vector with the largest inner product with it.
pub trait Truncate: std::fmt::Debug {
    /// The truncated vector, of length one.
    ///
    /// # Errors
    /// [`EigenError::Zero`] for a vector without direction; [`EigenError::Length`] or [`EigenError::NotFinite`].
    fn truncate(&self, y: &[f64]) -> Result<Vec<f64>, EigenError>;
}

/// Rank at most `rank` as a `p x q` matrix (row-major).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowRank {
    p: usize,
    q: usize,
    rank: usize,
}

impl LowRank {
    /// For vectors of `p * q` elements.
    ///
    /// # Errors
    /// [`EigenError::Setting`] when a side is 0 or the rank is not from 1 to min(p, q).
    pub fn new(p: usize, q: usize, rank: usize) -> Result<Self, EigenError> {
        if p == 0 || q == 0 || p.checked_mul(q).is_none() {
            return Err(EigenError::setting("p, q", format!("{p}, {q}"), "both sides must be at least 1"));
        }
        if rank == 0 || rank > p.min(q) {
            return Err(EigenError::setting(
                "rank",
                rank,
                format!("from 1 to {}, the shorter side", p.min(q)),
            ));
        }
        Ok(Self { p, q, rank })
    }

    /// Number of elements of the vectors.
    pub fn dim(&self) -> usize {
        self.p * self.q
    }

    /// The singular value decomposition of a vector's matrix.
    ///
    /// # Errors
    /// [`EigenError::Length`] or [`EigenError::NotFinite`].
    pub fn svd(&self, y: &[f64]) -> Result<Svd, EigenError> {
        check("y", y, self.dim())?;
        Ok(Svd::new(y, self.p, self.q))
    }
}

impl Truncate for LowRank {
    /// Keeps the `rank` largest singular values and divides by the Frobenius norm (the nearest point by Eckart and
    /// Young). Full rank only divides.
    fn truncate(&self, y: &[f64]) -> Result<Vec<f64>, EigenError> {
        let kept = match self.rank < self.p.min(self.q) {
            true => self.svd(y)?.leading(self.rank),
            false => check("y", y, self.dim()).map(|()| y.to_vec())?,
        };
        unit(&kept).ok_or(EigenError::Zero("the vector to truncate"))
    }
}

/// At most `cardinality` loadings that are not zero (Yuan and Zhang, JMLR 2013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sparse {
    /// Loadings kept; a number above the dimension keeps all.
    pub cardinality: usize,
}

impl Truncate for Sparse {
    /// Keeps the largest magnitudes, of equal ones those that come first.
    fn truncate(&self, y: &[f64]) -> Result<Vec<f64>, EigenError> {
        check("y", y, y.len())?;
        let mut order: Vec<usize> = (0..y.len()).collect();
        order.sort_by(|&a, &b| y[b].abs().total_cmp(&y[a].abs()).then(a.cmp(&b)));
        let mut kept = vec![0.0; y.len()];
        order.iter().take(self.cardinality).for_each(|&i| kept[i] = y[i]);
        unit(&kept).ok_or(EigenError::Zero("the vector to truncate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::{dot, norm};

    #[test]
    fn the_rank_is_cut_and_the_length_is_one() {
        let y: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let cut = LowRank::new(3, 4, 1).unwrap().truncate(&y).unwrap();
        assert!((norm(&cut) - 1.0).abs() < 1e-12);
        assert!(Svd::new(&cut, 3, 4).s[1] < 1e-12);
        let full = LowRank::new(3, 4, 3).unwrap().truncate(&y).unwrap();
        assert!((dot(&full, &y) - norm(&y)).abs() < 1e-12);
    }

    #[test]
    fn of_equal_magnitudes_the_first_are_kept() {
        let cut = Sparse { cardinality: 2 }.truncate(&[0.5, -1.0, 1.0, -0.5, 1.0]).unwrap();
        let kept: Vec<f64> = cut.iter().map(|v| (v * v * 2.0).round() * v.signum()).collect();
        assert_eq!(kept, [0.0, -1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn impossible_inputs_are_named() {
        assert!(LowRank::new(0, 4, 1).is_err());
        assert!(LowRank::new(3, 4, 4).unwrap_err().to_string().contains("from 1 to 3"));
        let rule = LowRank::new(2, 2, 1).unwrap();
        assert_eq!(rule.truncate(&[0.0; 4]), Err(EigenError::Zero("the vector to truncate")));
        assert!(rule.truncate(&[0.0; 3]).unwrap_err().to_string().contains("3 elements, wanted 4"));
        assert!(rule.truncate(&[0.0, f64::NAN, 0.0, 1.0]).unwrap_err().to_string().contains("y[1]"));
        assert!(Sparse { cardinality: 0 }.truncate(&[1.0]).is_err());
    }
}
