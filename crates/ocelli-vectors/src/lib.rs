//! Methods on vectors: search, Hamming search, eigenvectors. No tensor framework; usable alone.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so. [`linear`] is what they share.
//! [`index`] searches vectors, [`hamming`] binary codes; [`container`] is the file both lie in, [`scann`] reads the published
//! package's indexes.

pub mod container;
pub mod hamming;
pub mod index;
mod kernels;
pub mod linear;
pub mod low_rank_eigenmatrix;
pub mod scann;
pub mod score_aware_quantization;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&low_rank_eigenmatrix::METHOD, &score_aware_quantization::METHOD];
