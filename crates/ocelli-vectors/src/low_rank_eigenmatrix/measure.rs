//! How far an estimate is from the truth, sign and length aside.

use serde::Serialize;

use super::{EigenError, check};
use crate::linear::{Svd, dot, norm, unit};

/// Agreement of two directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Magnitude of the cosine.
    pub cosine: f64,
    /// Sine of the angle, `sqrt(1 - cosine²)`.
    pub sin: f64,
    /// `sqrt(1 - cosine)`.
    pub one_minus: f64,
    /// Distance of the unit vectors under the better sign.
    pub l2: f64,
}

/// Compares an estimate with the truth; both are divided by their lengths first.
///
/// # Errors
/// [`EigenError::Length`], [`EigenError::NotFinite`], [`EigenError::Zero`].
pub fn direction(x: &[f64], truth: &[f64]) -> Result<Direction, EigenError> {
    check("x", x, truth.len())?;
    check("the truth", truth, truth.len())?;
    let x = unit(x).ok_or(EigenError::Zero("x"))?;
    let truth = unit(truth).ok_or(EigenError::Zero("the truth"))?;
    let cosine = dot(&x, &truth).abs().min(1.0);
    let apart = |sign: f64| {
        let difference: Vec<f64> = x.iter().zip(&truth).map(|(a, b)| a - sign * b).collect();
        norm(&difference)
    };
    Ok(Direction {
        cosine,
        sin: (1.0 - cosine * cosine).sqrt(),
        one_minus: (1.0 - cosine).sqrt(),
        l2: apart(1.0).min(apart(-1.0)),
    })
}

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
    fn sign_and_length_do_not_count() {
        let same = direction(&[-3.0, 0.0], &[0.5, 0.0]).unwrap();
        assert_eq!((same.cosine, same.sin, same.one_minus, same.l2), (1.0, 0.0, 0.0, 0.0));
        let apart = direction(&[0.0, 2.0], &[1.0, 0.0]).unwrap();
        assert_eq!((apart.cosine, apart.sin), (0.0, 1.0));
        assert!((apart.l2 - 2f64.sqrt()).abs() < 1e-12);
        assert!(direction(&[0.0, 0.0], &[1.0, 0.0]).is_err());
    }

    #[test]
    fn energy_rises_to_one() {
        let shares = energy(&[3.0, 0.0, 0.0, 4.0], 2, 2).unwrap();
        assert!((shares[0] - 16.0 / 25.0).abs() < 1e-12 && (shares[1] - 1.0).abs() < 1e-12);
    }
}
