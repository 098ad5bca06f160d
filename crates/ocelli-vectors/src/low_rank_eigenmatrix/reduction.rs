//! Fewer dimensions: vectors as scores on components, which a file keeps for vectors that come later.

use std::path::Path;

use ocelli_method::random::stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fit::{Deflation, Fit, Settings, Start};
use super::operator::{Covariance, Deflated, Symmetric};
use super::power::{Stop, truncated_power};
use super::synthetic::random_unit;
use super::truncate::{LowRank, Sparse};
use super::{EigenError, check};
use crate::container::{Container, ContainerError, ContainerWriter};
use crate::linear::dot;

/// The kind of container that holds components.
pub const REDUCTION: &str = "reduction";

/// What components are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restriction {
    /// Nothing: principal components.
    Free,
    /// A low rank of the `p x q` matrix that a component is, row by row.
    LowRank {
        /// Rows.
        p: usize,
        /// Columns.
        q: usize,
        /// Rank at most.
        rank: usize,
    },
    /// Few loadings that are not zero (Yuan and Zhang, JMLR 2013).
    Sparse {
        /// How many at most.
        cardinality: usize,
    },
}

/// A mean and components that vectors are reduced to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// What components were held to.
    pub restriction: Restriction,
    /// Taken off all vectors, `[d]`.
    pub mean: Vec<f64>,
    /// Unit vectors `[d]`.
    pub components: Vec<Vec<f64>>,
    /// The variance of the data along each.
    pub variances: Vec<f64>,
    /// The variance of the data in all dimensions.
    pub total_variance: f64,
}

/// Why components cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReductionError {
    /// The file is no readable container, or a section is missing or of another type.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The numbers in it are no components.
    #[error(transparent)]
    Numbers(#[from] EigenError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    restriction: Restriction,
    total_variance: f64,
}

impl Reduction {
    /// Fits `count` components to row-major samples `[n, d]`.
    ///
    /// # Errors
    /// [`EigenError`] naming input or setting.
    pub fn fit(
        samples: &[f64],
        dim: usize,
        count: usize,
        restriction: Restriction,
        start: Start,
        seed: u64,
    ) -> Result<Self, EigenError> {
        let settings = match restriction {
            Restriction::LowRank { p, q, rank } => {
                let found = LowRank::new(p, q, rank)?.dim();
                if found != dim {
                    let wanted = format!("sides whose product is the {dim} elements of a vector");
                    return Err(EigenError::setting("shape", format!("{p} x {q}"), wanted));
                }
                Settings::new(p, q, rank)
            }
            // A matrix of one row has no rank to restrict.
            Restriction::Free => Settings::new(1, dim, 1),
            Restriction::Sparse { cardinality } => return sparse(samples, dim, count, cardinality, seed),
        };
        let fit = Fit::new(samples, &Settings { components: count, start, seed, ..settings })?;
        let variances = fit.components.iter().map(|component| component.variance).collect();
        let components = fit.components.into_iter().map(|component| component.x).collect();
        Ok(Self { restriction, mean: fit.mean, components, variances, total_variance: fit.total_variance })
    }

    /// Length of the vectors that can be reduced.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Scores of row-major vectors `[n, d]` on the components, `[n, m]`.
    ///
    /// # Errors
    /// [`EigenError::Length`] for vectors that are not whole.
    pub fn transform(&self, rows: &[f32]) -> Result<Vec<f32>, EigenError> {
        let dim = self.dim();
        if !rows.len().is_multiple_of(dim) {
            let wanted = format!("whole rows of {dim}");
            return Err(EigenError::Length { name: "the vectors", found: rows.len(), wanted });
        }
        let score = |row: &[f32]| {
            let row: Vec<f64> = row.iter().zip(&self.mean).map(|(x, mean)| f64::from(*x) - mean).collect();
            self.components.iter().map(|component| dot(component, &row) as f32).collect::<Vec<f32>>()
        };
        Ok(rows.par_chunks(dim).flat_map_iter(score).collect())
    }

    /// Writes mean and components beside their place and puts them there when all is written.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ContainerError> {
        let mut writer = ContainerWriter::create(path, REDUCTION)?;
        let Self { restriction, total_variance, .. } = *self;
        writer.metadata(&Metadata { restriction, total_variance })?;
        writer.section("mean", &[self.dim()], &self.mean)?;
        let components: Vec<f64> = self.components.concat();
        writer.section("components", &[self.components.len(), self.dim()], &components)?;
        writer.section("variances", &[self.variances.len()], &self.variances)?;
        writer.finish()
    }

    /// Opens what [`Reduction::save`] wrote; checksums are compared.
    ///
    /// # Errors
    /// [`ReductionError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReductionError> {
        let container = Container::read(path)?;
        container.expect_kind(REDUCTION)?;
        let Metadata { restriction, total_variance } = container.metadata()?;
        let ([dim], mean) = container.array::<f64, 1>("mean")?;
        let ([count, width], components) = container.array::<f64, 2>("components")?;
        let ([variances], values) = container.array::<f64, 1>("variances")?;
        check("mean", mean, dim)?;
        check("components", components, components.len())?;
        check("variances", values, count)?;
        if width != dim || dim == 0 || count == 0 || variances != count {
            let (name, found) = ("components", width);
            return Err(EigenError::Length { name, found, wanted: format!("{dim} a component") }.into());
        }
        Ok(Self {
            restriction,
            mean: mean.to_vec(),
            components: components.chunks_exact(dim).map(<[f64]>::to_vec).collect(),
            variances: values.to_vec(),
            total_variance,
        })
    }
}

/// Components one after the other, each started from that of all loadings, with the earlier ones projected out.
fn sparse(
    samples: &[f64],
    dim: usize,
    count: usize,
    cardinality: usize,
    seed: u64,
) -> Result<Reduction, EigenError> {
    for (key, value) in [("components", count), ("cardinality", cardinality)] {
        if value == 0 || value > dim {
            return Err(EigenError::setting(key, value, format!("from 1 to {dim}")));
        }
    }
    let covariance = Covariance::new(samples, dim, true)?;
    let mut deflated = Deflated::new(&covariance, Deflation::Projection);
    let (mut components, mut variances) = (Vec::new(), Vec::new());
    for number in 0..count {
        let start = random_unit(dim, &mut stream(seed, "sparse start", number as u64));
        let full = Sparse { cardinality: dim };
        let dense = truncated_power(&deflated, &start, &full, Stop { iterations: 1000, tolerance: 1e-10 })?.x;
        let found = truncated_power(&deflated, &dense, &Sparse { cardinality }, Stop::default())?.x;
        deflated.take(&found);
        variances.push(covariance.quadratic(&found));
        components.push(found);
    }
    Ok(Reduction {
        restriction: Restriction::Sparse { cardinality },
        mean: covariance.mean().to_vec(),
        components,
        variances,
        total_variance: covariance.diagonal().iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::norm;
    use crate::low_rank_eigenmatrix::spiked;

    #[test]
    fn every_restriction_is_kept_and_comes_back_from_a_file() {
        let spike = spiked(6, 4, 1, 6.0, 120, 3);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("components");
        let rows: Vec<f32> = spike.samples.iter().map(|value| *value as f32).collect();
        for restriction in [
            Restriction::Free,
            Restriction::LowRank { p: 6, q: 4, rank: 1 },
            Restriction::Sparse { cardinality: 5 },
        ] {
            let fit = Reduction::fit(&spike.samples, 24, 3, restriction, Start::Pca, 1).unwrap();
            assert!(fit.variances[0] > fit.variances[1] && fit.variances[0] < fit.total_variance);
            assert!(fit.components.iter().all(|x| (norm(x) - 1.0).abs() < 1e-9));
            if let Restriction::Sparse { cardinality } = restriction {
                assert!(
                    fit.components.iter().all(|x| x.iter().filter(|v| **v != 0.0).count() <= cardinality)
                );
            }
            fit.save(&path).unwrap();
            let opened = Reduction::open(&path).unwrap();
            assert_eq!(opened, fit);
            let scores = opened.transform(&rows).unwrap();
            assert_eq!(scores.len(), 120 * 3);
            let mean = scores.chunks_exact(3).map(|row| f64::from(row[0])).sum::<f64>() / 120.0;
            assert!(mean.abs() < 1e-5, "scores are centred: {mean}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let spike = spiked(3, 3, 1, 4.0, 20, 3);
        let says = |restriction, count| {
            Reduction::fit(&spike.samples, 9, count, restriction, Start::Pca, 0).unwrap_err().to_string()
        };
        assert!(says(Restriction::LowRank { p: 2, q: 3, rank: 1 }, 1).contains("shape = 2 x 3"));
        assert!(says(Restriction::Sparse { cardinality: 10 }, 1).contains("cardinality = 10"));
        assert!(says(Restriction::Sparse { cardinality: 1 }, 10).contains("components = 10"));
        assert!(says(Restriction::Free, 0).contains("components = 0"));
    }
}
