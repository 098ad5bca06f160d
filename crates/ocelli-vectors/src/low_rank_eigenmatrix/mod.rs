//! Low-rank principal eigenmatrix analysis: the leading eigenvector whose matrix form has small rank.
//!
//! Balasubramanian, Chen, Fan, Wu: "Low-Rank Principal Eigenmatrix Analysis", arXiv 1904.12369, 2019. With fewer samples
//! than dimensions the leading eigenvector of a sample covariance is noise. If the true one, reshaped to p x q, has rank
//! k, a power iteration that is cut back to that rank after each step (a matricized, rank-truncated power method) needs of
//! the order of k (p + q) samples instead of p q. Images, space-time data and circulant or Kronecker-structured
//! covariances are of this kind.
//!
//! | file | what it holds |
//! |---|---|
//! | `truncate.rs` | the nearest unit vector of rank k, or with few loadings |
//! | `operator.rs` | covariances as products with a vector: matrices, data, deflated ones |
//! | `power.rs` | the truncated power method, with falling ranks, and plain |
//! | `fit.rs` | the method for users: data in, components out |
//! | `reduction.rs` | vectors as scores on components, which a file keeps |
//! | `synthetic.rs` | spiked, Kronecker and circulant covariances |
//! | `measure.rs` | the energy of the singular values |
//!
//! ```
//! use ocelli_vectors::low_rank_eigenmatrix::{Fit, Settings, spiked};
//!
//! let spike = spiked(12, 12, 1, 3.0, 80, 7);
//! let fit = Fit::new(&spike.samples, &Settings::new(12, 12, 1))?;
//! let agreement = ocelli_metrics::direction::compare(&fit.components[0].x, &spike.truth)?;
//! assert!(agreement.cosine > 0.8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Theory (section 3.6 of the dossier's reading): write A = A' + E with a gap between the first two eigenvalues of A' and
//! the eigenvector of rank k' <= k. Where the gap is above twice rho(E, 2k + k'), the largest |x^T E x| over unit x of that
//! rank, the error shrinks geometrically to the order of rho over the gap; for n Gaussian samples rho is of order
//! sqrt(s (p + q) / n), against sqrt(p q / n) without the restriction.

mod fit;
mod measure;
mod operator;
mod power;
mod reduction;
mod reproduce;
mod synthetic;
mod truncate;
mod verify;

use ocelli_method::{Basis, Card, Method};
use thiserror::Error;

pub use fit::{Component, Deflation, Fit, Order, Settings, Start};
pub use measure::energy;
pub use operator::{Covariance, Deflated, Symmetric, SymmetricMatrix};
pub use power::{Power, Stop, truncated_power, warm_power};
pub use reduction::{REDUCTION, Reduction, ReductionError, Restriction};
pub use synthetic::{Spike, circulant, circulant_eigenvalues, kronecker, spiked};
pub use truncate::{LowRank, Sparse, Truncate};

/// What can be wrong with the input.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum EigenError {
    /// A vector or matrix has the wrong number of elements.
    #[error("{name} has {found} elements, wanted {wanted}")]
    Length {
        /// What is at fault.
        name: &'static str,
        /// Its number of elements.
        found: usize,
        /// What is wanted, in words.
        wanted: String,
    },
    /// NaN or an infinity.
    #[error("{name}[{index}] is {value}; only finite numbers have directions")]
    NotFinite {
        /// What is at fault.
        name: &'static str,
        /// Position in the flattened input.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A vector of length zero has no direction.
    #[error("{0} is zero, so it has no direction")]
    Zero(&'static str),
    /// A setting outside its range.
    #[error("{key} = {value}: {wanted}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        wanted: String,
    },
}

impl EigenError {
    pub(crate) fn setting(key: &'static str, value: impl ToString, wanted: impl Into<String>) -> Self {
        Self::Setting { key, value: value.to_string(), wanted: wanted.into() }
    }
}

/// Fails unless there are `wanted` finite values.
fn check(name: &'static str, values: &[f64], wanted: usize) -> Result<(), EigenError> {
    if values.len() != wanted {
        return Err(EigenError::Length { name, found: values.len(), wanted: wanted.to_string() });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(EigenError::NotFinite { name, index, value: values[index] }),
        None => Ok(()),
    }
}

/// The method.
pub const METHOD: Method = Method {
    card: Card {
        slug: "low-rank-eigenmatrix",
        title: "Low-Rank Principal Eigenmatrix Analysis",
        task: "dimension reduction",
        basis: Basis::Reconstruction,
        authors: "Krishna Balasubramanian, Elynn Y. Chen, Jianqing Fan, Xiang Wu",
        venue: "arXiv preprint, 2019",
        arxiv: "1904.12369",
        summary: "Principal components whose matrix form has low rank, by a power method that is cut back to that rank after each step: consistent with far fewer samples than dimensions.",
        notes: &[
            "Written from title, abstract and the sparse method it modifies: no official code exists, and the paper prints no number that could be checked here.",
            "Below the detection limit (very few samples) it fails as every method does; with rank 2 it may then be worse than plain PCA.",
            "The problem is not convex: with random starts take the best of several.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};
