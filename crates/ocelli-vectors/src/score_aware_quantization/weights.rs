//! The weights of the score-aware loss from a threshold on the score (section 3.1; theorem 3.2 of the paper).

use std::f64::consts::{FRAC_PI_2, PI};
use std::sync::OnceLock;

use super::{QuantizationError, Result};

/// Points of the quadrature.
const POINTS: usize = 256;
/// Where the integrand is below this share of its largest value it does not count.
const NEGLIGIBLE: f64 = 1e-20;

/// Nodes and weights of the Gauss-Legendre quadrature on [-1, 1].
fn legendre() -> &'static [(f64, f64)] {
    static RULE: OnceLock<Vec<(f64, f64)>> = OnceLock::new();
    RULE.get_or_init(|| {
        let n = POINTS as f64;
        let node = |i: usize| {
            // Newton's iteration from the asymptotic root converges in a few steps.
            let mut x = (PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut previous, mut value) = (1.0, x);
                for k in 2..=POINTS {
                    let k = k as f64;
                    (previous, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * previous) / k);
                }
                slope = n * (x * value - previous) / (x * x - 1.0);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        };
        (0..POINTS).map(node).collect()
    })
}

/// The exact ratio eta = h_par / h_orth for `w(t) = 1[t >= threshold]` at a vector of length `norm` in `dim` dimensions:
/// `(d - 1) (I_{d-2}(alpha) / I_d(alpha) - 1)`, `alpha = arccos(threshold / norm)`, `I_k` the integral of sin^k from 0.
///
/// The difference is integrated as `sin^{d-2} cos²`, which cancels nowhere. A vector no longer than the threshold can
/// reach no score that counts; its ratio is infinite.
///
/// # Errors
/// [`QuantizationError::Setting`] for fewer than 2 dimensions or a length or threshold that is no number of 0 or more.
pub fn eta_exact(norm: f64, threshold: f64, dim: usize) -> Result<f64> {
    check(norm, threshold, dim)?;
    if norm <= threshold {
        return Ok(if threshold > 0.0 { f64::INFINITY } else { 1.0 });
    }
    let alpha = (threshold / norm).clamp(-1.0, 1.0).acos();
    let power = (dim - 2) as f64;
    let top = alpha.min(FRAC_PI_2).sin();
    let low = if power > 0.0 { (top * NEGLIGIBLE.powf(1.0 / power)).asin().min(alpha) } else { 0.0 };
    let (half, middle) = ((alpha - low) / 2.0, f64::midpoint(alpha, low));
    let (mut along, mut across) = (0.0, 0.0);
    for (node, weight) in legendre() {
        let (sine, cosine) = (middle + half * node).sin_cos();
        // Relative to the largest value: the power itself would underflow in many dimensions.
        let value = weight * (power * (sine / top).ln()).exp();
        along += value * cosine * cosine;
        across += value * sine * sine;
    }
    Ok((dim - 1) as f64 * along / across)
}

/// The ratio in the limit of many dimensions, which the published package uses for all:
/// `(d - 1) r² / (1 - r²)`, `r = threshold / norm`. Below 1 where `r < 1 / sqrt(d)`; negative where the vector is shorter
/// than the threshold.
///
/// # Errors
/// As [`eta_exact`].
pub fn eta_limit(norm: f64, threshold: f64, dim: usize) -> Result<f64> {
    check(norm, threshold, dim)?;
    let square = (threshold / norm).powi(2);
    Ok((dim - 1) as f64 * square / (1.0 - square))
}

fn check(norm: f64, threshold: f64, dim: usize) -> Result<()> {
    if dim < 2 {
        return Err(QuantizationError::setting(
            "dim",
            dim,
            "at least 2: there must be a part across the vector",
        ));
    }
    if !(threshold.is_finite() && threshold >= 0.0) {
        return Err(QuantizationError::setting("threshold", threshold, "a score of 0 or more"));
    }
    match norm.is_finite() && norm >= 0.0 {
        true => Ok(()),
        false => Err(QuantizationError::setting("norm", norm, "a length of 0 or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I_k by its recursion, which is exact enough away from alpha = 0.
    fn integral(k: usize, alpha: f64) -> f64 {
        match k {
            0 => alpha,
            1 => 1.0 - alpha.cos(),
            _ => {
                -alpha.cos() * alpha.sin().powi(k as i32 - 1) / k as f64
                    + (k - 1) as f64 / k as f64 * integral(k - 2, alpha)
            }
        }
    }

    #[test]
    fn quadrature_equals_the_recursion() {
        for (dim, ratio) in [(2, 0.3), (3, 0.5), (16, 0.2), (32, 0.2), (100, 0.1)] {
            let alpha = f64::acos(ratio);
            let wanted = (dim - 1) as f64 * (integral(dim - 2, alpha) / integral(dim, alpha) - 1.0);
            let found = eta_exact(1.0, ratio, dim).unwrap();
            assert!((found / wanted - 1.0).abs() < 1e-10, "{dim} {ratio}: {found} {wanted}");
        }
    }

    #[test]
    fn known_values() {
        for dim in [2, 3, 16, 100, 4096] {
            assert!((eta_exact(0.7, 0.0, dim).unwrap() - 1.0).abs() < 1e-12, "{dim}");
        }
        assert!((eta_exact(1.0, 0.2, 32).unwrap() - 2.94).abs() < 0.01);
        assert!((eta_limit(1.0, 0.2, 32).unwrap() - 1.29).abs() < 0.01);
        // Scores close to the largest possible: everything is along the vector.
        assert!(eta_exact(1.0, 1.0 - 1e-9, 8).unwrap() > 1e8);
        assert_eq!(eta_exact(0.1, 0.2, 8).unwrap(), f64::INFINITY);
        let (exact, limit) = (eta_exact(1.0, 0.9, 100_000).unwrap(), eta_limit(1.0, 0.9, 100_000).unwrap());
        assert!((exact / limit - 1.0).abs() < 1e-3);
    }

    #[test]
    fn impossible_inputs_are_named() {
        assert!(eta_exact(1.0, 0.2, 1).unwrap_err().to_string().contains("dim = 1"));
        assert!(eta_exact(f64::NAN, 0.2, 4).unwrap_err().to_string().contains("norm"));
        assert!(eta_limit(1.0, -0.2, 4).unwrap_err().to_string().contains("threshold"));
    }
}
