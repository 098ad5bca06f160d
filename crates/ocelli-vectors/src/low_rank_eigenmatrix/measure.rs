//! How the energy of an eigenmatrix is spread over its singular values.

use super::{EigenError, check};
use crate::linear::Svd;

/// Share of the squared singular values of the `p x q` matrix in the leading r, for r = 1 … min(p, q).
///
/// # Errors
/// [`EigenError::Length`], [`EigenError::NotFinite`], [`EigenError::Zero`].
pub fn energy(x: &[f64], p: usize, q: usize) -> Result<Vec<f64>, EigenError> {
    check("x", x, p * q)?;
    let squares: Vec<f64> = Svd::new(x, p, q).s.iter().map(|s| s * s).collect();
    let total: f64 = squares.iter().sum();
    if total <= 0.0 {
        return Err(EigenError::Zero("x"));
    }
    let mut sum = 0.0;
    let share = |square: f64| {
        sum += square;
        sum / total
    };
    Ok(squares.into_iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_rises_to_one() {
        let shares = energy(&[3.0, 0.0, 0.0, 4.0], 2, 2).unwrap();
        assert!((shares[0] - 16.0 / 25.0).abs() < 1e-12 && (shares[1] - 1.0).abs() < 1e-12);
    }
}
