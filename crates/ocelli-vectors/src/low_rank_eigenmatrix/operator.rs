//! Symmetric matrices as products with a vector: given in full, as the covariance of data, or deflated.

use super::{Deflation, EigenError, check};
use crate::linear::{add_scaled, dot, product};

/// A symmetric matrix `[d, d]`.
pub trait Symmetric {
    /// The dimension d.
    fn dim(&self) -> usize;

    /// The product with a vector `[d]`.
    fn apply(&self, x: &[f64]) -> Vec<f64>;

    /// The elements of the diagonal.
    fn diagonal(&self) -> Vec<f64>;

    /// `x^T A x`.
    fn quadratic(&self, x: &[f64]) -> f64 {
        dot(x, &self.apply(x))
    }
}

/// A matrix given in full.
#[derive(Clone, Debug)]
pub struct SymmetricMatrix {
    dim: usize,
    values: Vec<f64>,
}

impl SymmetricMatrix {
    /// Row-major values `[dim, dim]`. Asymmetry is not checked: the power method then finds a direction of `A`, not of
    /// its symmetric part.
    ///
    /// # Errors
    /// [`EigenError::Length`] or [`EigenError::NotFinite`].
    pub fn new(values: Vec<f64>, dim: usize) -> Result<Self, EigenError> {
        check("the matrix", &values, dim * dim)?;
        Ok(Self { dim, values })
    }

    /// The row-major values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

impl Symmetric for SymmetricMatrix {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        product(&self.values, self.dim.max(1), x)
    }

    fn diagonal(&self) -> Vec<f64> {
        (0..self.dim).map(|i| self.values[i * self.dim + i]).collect()
    }
}

/// `Z^T Z / n` of data `Z [n, d]`, never formed: a product costs O(n d).
#[derive(Clone, Debug)]
pub struct Covariance {
    dim: usize,
    rows: usize,
    data: Vec<f64>,
    mean: Vec<f64>,
}

impl Covariance {
    /// Of row-major data `[n, dim]`, its mean taken off unless `center` is unset. Divided by n.
    ///
    /// # Errors
    /// [`EigenError::Length`] when the values fill no row; [`EigenError::NotFinite`].
    pub fn new(data: &[f64], dim: usize, center: bool) -> Result<Self, EigenError> {
        if dim == 0 || data.is_empty() || !data.len().is_multiple_of(dim) {
            let wanted = format!("whole rows of {dim}, at least one");
            return Err(EigenError::Length { name: "the data", found: data.len(), wanted });
        }
        check("the data", data, data.len())?;
        let rows = data.len() / dim;
        let mut mean = vec![0.0; dim];
        if center {
            data.chunks_exact(dim).for_each(|row| add_scaled(&mut mean, 1.0, row));
            mean.iter_mut().for_each(|m| *m /= rows as f64);
        }
        let mut data = data.to_vec();
        data.chunks_exact_mut(dim).for_each(|row| add_scaled(row, -1.0, &mean));
        Ok(Self { dim, rows, data, mean })
    }

    /// What was taken off, `[d]`; zeros when nothing was.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The centred rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.dim)
    }
}

impl Symmetric for Covariance {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.dim];
        for row in self.rows() {
            add_scaled(&mut sum, dot(row, x), row);
        }
        sum.iter_mut().for_each(|v| *v /= self.rows as f64);
        sum
    }

    fn diagonal(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.dim];
        for row in self.rows() {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += v * v);
        }
        sum.iter_mut().for_each(|v| *v /= self.rows as f64);
        sum
    }
}

/// A matrix from which components were taken off, one after the other.
pub struct Deflated<'a> {
    base: &'a dyn Symmetric,
    kind: Deflation,
    taken: Vec<(Vec<f64>, f64)>,
}

impl std::fmt::Debug for Deflated<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflated").field("kind", &self.kind).field("taken", &self.taken.len()).finish()
    }
}

impl<'a> Deflated<'a> {
    /// Nothing taken off yet.
    pub fn new(base: &'a dyn Symmetric, kind: Deflation) -> Self {
        Self { base, kind, taken: Vec::new() }
    }

    /// Takes off the unit vector `x`: by projection `(I - x x^T) A (I - x x^T)`, or after Hotelling `A - Q x x^T` with
    /// Q the variance on the matrix as it is now.
    pub fn take(&mut self, x: &[f64]) {
        let variance = self.quadratic(x);
        self.taken.push((x.to_vec(), variance));
    }
}

/// Takes the direction `x` out of `v`.
fn project(v: &mut [f64], x: &[f64]) {
    let along = dot(v, x);
    add_scaled(v, -along, x);
}

impl Symmetric for Deflated<'_> {
    fn dim(&self) -> usize {
        self.base.dim()
    }

    fn apply(&self, v: &[f64]) -> Vec<f64> {
        match self.kind {
            Deflation::Projection => {
                let mut inner = v.to_vec();
                self.taken.iter().rev().for_each(|(x, _)| project(&mut inner, x));
                let mut outer = self.base.apply(&inner);
                self.taken.iter().for_each(|(x, _)| project(&mut outer, x));
                outer
            }
            Deflation::Hotelling => {
                let mut product = self.base.apply(v);
                for (x, variance) in &self.taken {
                    add_scaled(&mut product, -variance * dot(x, v), x);
                }
                product
            }
        }
    }

    fn diagonal(&self) -> Vec<f64> {
        if self.taken.is_empty() {
            return self.base.diagonal();
        }
        let mut unit = vec![0.0; self.dim()];
        let at = |i: usize| {
            unit[i] = 1.0;
            let value = self.apply(&unit)[i];
            unit[i] = 0.0;
            value
        };
        (0..self.dim()).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: [f64; 12] = [1.0, 2.0, 0.5, -1.0, 0.0, 3.0, 2.5, 1.0, -2.0, 0.0, 1.0, 1.0];

    #[test]
    fn the_covariance_of_data_is_that_of_its_matrix() {
        let implicit = Covariance::new(&DATA, 3, true).unwrap();
        let rows: Vec<&[f64]> = implicit.rows().collect();
        let entry = |i: usize, j: usize| rows.iter().map(|r| r[i] * r[j]).sum::<f64>() / 4.0;
        let full: Vec<f64> = (0..9).map(|at| entry(at / 3, at % 3)).collect();
        let full = SymmetricMatrix::new(full, 3).unwrap();
        let x = [0.3, -1.0, 2.0];
        for (a, b) in implicit.apply(&x).iter().zip(full.apply(&x)) {
            assert!((a - b).abs() < 1e-12);
        }
        for (a, b) in implicit.diagonal().iter().zip(full.diagonal()) {
            assert!((a - b).abs() < 1e-12);
        }
        assert_eq!(Covariance::new(&DATA, 3, false).unwrap().mean(), [0.0; 3]);
    }

    #[test]
    fn deflation_takes_a_direction_away() {
        let base = SymmetricMatrix::new(vec![3.0, 0.0, 0.0, 1.0], 2).unwrap();
        for kind in [Deflation::Projection, Deflation::Hotelling] {
            let mut deflated = Deflated::new(&base, kind);
            deflated.take(&[1.0, 0.0]);
            assert!(deflated.quadratic(&[1.0, 0.0]).abs() < 1e-12);
            assert_eq!(deflated.quadratic(&[0.0, 1.0]), 1.0);
            assert_eq!(deflated.diagonal(), [0.0, 1.0]);
        }
    }

    #[test]
    fn data_that_fills_no_row_is_refused() {
        assert!(Covariance::new(&DATA, 5, true).unwrap_err().to_string().contains("whole rows of 5"));
        assert!(Covariance::new(&[], 3, true).is_err());
        assert!(Covariance::new(&[f64::INFINITY], 1, true).is_err());
        assert!(SymmetricMatrix::new(vec![1.0; 3], 2).is_err());
    }
}
