//! Methods on vision and language: captions, grounding, retrieval, inference.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[];
