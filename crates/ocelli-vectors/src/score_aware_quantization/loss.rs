//! The score-aware loss: what a quantization error costs along a vector and across it (section 3.1).

use super::{QuantizationError, Result, rows, same};
use crate::linear::{dot, unit};

/// Weights of the two parts, one pair a vector; only their ratio moves a solution, their size the vectors against each
/// other.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Of the squared error along each vector, `[N]`.
    pub parallel: &'a [f64],
    /// Of the squared error across it, `[N]`, above 0.
    pub orthogonal: &'a [f64],
}

impl Weights<'_> {
    /// Fails unless there is a usable pair for each of `count` vectors.
    pub(super) fn check(&self, count: usize) -> Result<()> {
        same("h_par", self.parallel.len(), count)?;
        same("h_orth", self.orthogonal.len(), count)?;
        rows("h_par", self.parallel, 1)?;
        rows("h_orth", self.orthogonal, 1)?;
        match self.orthogonal.iter().find(|w| **w <= 0.0) {
            Some(weight) => Err(QuantizationError::setting("h_orth", weight, "weights above 0")),
            None => Ok(()),
        }
    }
}

/// The loss of one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PointLoss {
    /// Squared length of the error along the vector.
    pub parallel: f64,
    /// Squared length of the error across it.
    pub orthogonal: f64,
    /// The weighted sum.
    pub loss: f64,
}

impl PointLoss {
    /// Of a residual `r = x - x~` where `x` has this direction; without a direction (a zero vector) all of the error is
    /// across.
    pub(super) fn new(residual: &[f64], direction: Option<&[f64]>, h_par: f64, h_orth: f64) -> Self {
        let along = direction.map_or(0.0, |u| dot(residual, u));
        let parallel = along * along;
        let orthogonal = (dot(residual, residual) - parallel).max(0.0);
        Self { parallel, orthogonal, loss: h_par * parallel + h_orth * orthogonal }
    }
}

/// The losses of a set of vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Of each vector.
    pub points: Vec<PointLoss>,
    /// Their mean.
    pub mean: f64,
    /// Gradient of the mean with respect to the quantized vectors, `[N, dim]`.
    pub gradient: Vec<f64>,
}

impl Loss {
    /// Of vectors `x [N, dim]` quantized to `xq [N, dim]`.
    ///
    /// # Errors
    /// [`QuantizationError`] naming the input.
    pub fn new(x: &[f64], xq: &[f64], dim: usize, weights: Weights<'_>) -> Result<Self> {
        let count = rows("x", x, dim)?;
        rows("xq", xq, dim)?;
        same("xq", xq.len(), x.len())?;
        weights.check(count)?;
        let mut points = Vec::with_capacity(count);
        let mut gradient = Vec::with_capacity(x.len());
        for (i, (x, xq)) in x.chunks_exact(dim).zip(xq.chunks_exact(dim)).enumerate() {
            let residual: Vec<f64> = x.iter().zip(xq).map(|(a, b)| a - b).collect();
            let direction = unit(x);
            let (h_par, h_orth) = (weights.parallel[i], weights.orthogonal[i]);
            points.push(PointLoss::new(&residual, direction.as_deref(), h_par, h_orth));
            let along = direction.as_deref().map_or(0.0, |u| dot(&residual, u));
            let scale = -2.0 / count as f64;
            gradient.extend((0..dim).map(|k| {
                let u = direction.as_ref().map_or(0.0, |u| u[k]);
                scale * (h_orth * residual[k] + (h_par - h_orth) * along * u)
            }));
        }
        let mean = points.iter().map(|p| p.loss).sum::<f64>() / count.max(1) as f64;
        Ok(Self { points, mean, gradient })
    }
}
