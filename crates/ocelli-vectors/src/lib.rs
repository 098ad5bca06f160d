//! Methods on vectors: search, Hamming search, eigenvectors. No tensor framework; usable alone.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so. [`linear`] is what they share.
//! [`hamming`] searches binary codes.

pub mod hamming;
mod kernels;
pub mod linear;
pub mod low_rank_eigenmatrix;
pub mod score_aware_quantization;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&low_rank_eigenmatrix::METHOD, &score_aware_quantization::METHOD];
