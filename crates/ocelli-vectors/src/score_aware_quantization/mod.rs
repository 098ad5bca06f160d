//! Score-aware quantization: vectors in a few bytes that keep the inner products that are large.
//!
//! Guo, Sun, Lindgren, Geng, Simcha, Chern, Kumar: "Accelerating Large-Scale Inference with Anisotropic Vector
//! Quantization", ICML 2020, arXiv 1908.10396. A query near a vector scores high with it, and then the part of the
//! quantization error along the vector matters most: the loss weighs it by h_par, the rest by h_orth < h_par. Product
//! codebooks are trained jointly under that loss, codes are chosen by coordinate descent, and a search looks scores up
//! in small tables, eight bits an entry, before the best are computed exactly.
//!
//! | file | what it holds |
//! |---|---|
//! | `weights.rs` | the weights of the loss from a score threshold, exact and in the limit of many dimensions |
//! | `loss.rs` | the loss with its two parts |
//! | `normal.rs` | the equations that centres and codewords under the loss are the solutions of |
//! | `partition.rs` | centres of partitions under the loss |
//! | `codebook.rs` | product codebooks: nearest codes, k-means, joint training |
//! | `encode.rs` | codes by coordinate descent |
//! | `table.rs` | lookup tables, floating and in eight bits, and the packed layout of 4-bit codes |
//! | `search.rs` | partitions, tables, exact reordering: the definition that faster searches are tested against |

mod codebook;
mod encode;
mod loss;
mod normal;
mod partition;
mod reproduce;
mod search;
mod table;
mod verify;
mod weights;

use ocelli_method::{Basis, Card, Method};
use thiserror::Error;

pub use codebook::{Codebook, JointTraining, KMeans};
pub use encode::{Encoder, Eta};
pub use loss::{Loss, PointLoss, Weights};
pub(crate) use normal::NormalEquations;
pub use partition::{VectorQuantizer, partition_center};
pub use search::{Found, Partitions, Search, search};
pub use table::{GROUP, IntegerTable, ScoreTable, pack};
pub use weights::{eta_exact, eta_limit};

/// What can be wrong with the input.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum QuantizationError {
    /// An input has the wrong number of elements.
    #[error("{name} has {found} elements, wanted {wanted}")]
    Length {
        /// The input.
        name: &'static str,
        /// Its number of elements.
        found: usize,
        /// What is wanted, in words.
        wanted: String,
    },
    /// NaN or an infinity.
    #[error("{name}[{index}] is {value}; only finite numbers can be quantized")]
    NotFinite {
        /// The input.
        name: &'static str,
        /// Position in the flattened input.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A code or partition that does not exist.
    #[error("{name}[{index}] is {value}, but there are {count}")]
    OutOfRange {
        /// The input.
        name: &'static str,
        /// Position in the flattened input.
        index: usize,
        /// The value.
        value: i64,
        /// How many there are.
        count: usize,
    },
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
    /// A system of equations without a solution.
    #[error("{0} has no unique solution; are all weights above 0?")]
    Singular(&'static str),
}

impl QuantizationError {
    fn setting(key: &'static str, value: impl ToString, wanted: impl Into<String>) -> Self {
        Self::Setting { key, value: value.to_string(), wanted: wanted.into() }
    }
}

/// Shorthand for results of this method.
pub type Result<T, E = QuantizationError> = std::result::Result<T, E>;

/// Fails unless there are whole rows of `dim` finite values; gives their number.
fn rows(name: &'static str, values: &[f64], dim: usize) -> Result<usize> {
    if dim == 0 || !values.len().is_multiple_of(dim) {
        let wanted = format!("whole rows of {dim}");
        return Err(QuantizationError::Length { name, found: values.len(), wanted });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(QuantizationError::NotFinite { name, index, value: values[index] }),
        None => Ok(values.len() / dim),
    }
}

/// Fails unless `found` is `wanted`.
fn same(name: &'static str, found: usize, wanted: usize) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(QuantizationError::Length { name, found, wanted: wanted.to_string() }),
    }
}

/// The number of the smallest value, the first of equals.
fn smallest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (i, value) in values.enumerate() {
        if value < best.0 {
            best = (value, i);
        }
    }
    best.1
}

/// The method.
pub const METHOD: Method = Method {
    card: Card {
        slug: "score-aware-quantization",
        title: "Accelerating Large-Scale Inference with Anisotropic Vector Quantization",
        task: "vector search",
        basis: Basis::Mixed,
        authors: "Ruiqi Guo, Philip Sun, Erik Lindgren, Quan Geng, David Simcha, Felix Chern, Sanjiv Kumar",
        venue: "ICML 2020",
        arxiv: "1908.10396",
        summary: "Product quantization for inner-product search whose loss weighs the error along a vector more than the error across it, because that is what moves large scores.",
        notes: &[
            "Codes and search results equal those of the published package; joint training and weights follow the paper's equations.",
            "The package uses the limit of many dimensions for the weight ratio, which is below the exact one, and trains plain k-means codebooks; both forms are here.",
            "An anisotropic codebook has a higher reconstruction error than k-means: that is its purpose, not a fault.",
        ],
        trains: false,
        predicts: false,
    },
    components: verify::COMPONENTS,
    claim: Some(&reproduce::CLAIM),
};
