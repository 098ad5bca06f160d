//! Methods on vision and language: captions, grounding, retrieval, inference.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod auto_captions;
mod caption_cases;
pub mod captioning_challenge;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&auto_captions::METHOD, &captioning_challenge::METHOD];
