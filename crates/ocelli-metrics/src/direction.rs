//! How well an estimated vector has the direction of the true one, whatever its length and sign.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | DIR-1 | both vectors are scaled to length 1 first | strict | `length_and_sign_do_not_matter` |
//! | DIR-2 | an eigenvector's sign is arbitrary: x and -x are equally good | strict | `length_and_sign_do_not_matter` |
//! | DIR-3 | rounding may take the cosine above 1 and the roots to NaN | corrected: the cosine is at most 1 | `rounding_never_makes_it_undefined` |

use crate::similarity::dot;
use crate::{MetricError, Result, check};
use serde::Serialize;

/// Agreement of two directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DirectionReport {
    /// |⟨x, t⟩| of the unit vectors.
    pub cosine: f64,
    /// √(1 - cosine²).
    pub sin: f64,
    /// √(1 - cosine).
    pub one_minus: f64,
    /// The smaller of ‖x - t‖ and ‖x + t‖ of the unit vectors.
    pub l2: f64,
}

/// Compares an estimate with the truth. Fails when one of them has length zero.
pub fn compare(estimate: &[f64], truth: &[f64]) -> Result<DirectionReport> {
    check::same_length("estimate", estimate.len(), "truth", truth.len())?;
    let (x, t) = (unit("estimate", estimate)?, unit("truth", truth)?);
    let cosine = dot(&x, &t).abs().min(1.0);
    let distance = |sign: f64| x.iter().zip(&t).map(|(x, t)| (x - sign * t).powi(2)).sum::<f64>().sqrt();
    Ok(DirectionReport {
        cosine,
        sin: (1.0 - cosine * cosine).sqrt(),
        one_minus: (1.0 - cosine).sqrt(),
        l2: distance(1.0).min(distance(-1.0)),
    })
}

fn unit(name: &'static str, vector: &[f64]) -> Result<Vec<f64>> {
    check::finite(name, vector)?;
    let norm = dot(vector, vector).sqrt();
    if norm == 0.0 {
        return Err(MetricError::ZeroNorm { name, row: 0 });
    }
    Ok(vector.iter().map(|v| v / norm).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_sign_do_not_matter() {
        let found = compare(&[3.0, 4.0], &[-6.0, 0.0]).unwrap();
        assert!((found.cosine - 0.6).abs() < 1e-15 && (found.sin - 0.8).abs() < 1e-15);
        assert!((found.one_minus - 0.4f64.sqrt()).abs() < 1e-15);
        assert!((found.l2 - 0.8f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn rounding_never_makes_it_undefined() {
        for i in 1..200 {
            let vector: Vec<f64> = (0..7).map(|j| 0.1 * f64::from(i) + f64::from(j * j) / 3.0).collect();
            let found = compare(&vector, &vector).unwrap();
            assert!(found.sin < 1e-7 && found.one_minus < 1e-7 && found.l2 < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn refuses_bad_input() {
        assert!(matches!(compare(&[0.0], &[1.0]), Err(MetricError::ZeroNorm { name: "estimate", .. })));
        assert!(compare(&[1.0], &[]).is_err());
        assert!(compare(&[], &[]).is_err());
        assert!(compare(&[f64::NAN], &[1.0]).is_err());
    }
}
