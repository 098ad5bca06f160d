//! Methods on single pictures: detection, segmentation, enhancement, few-shot learning, hashing.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod eql;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&eql::METHOD];
