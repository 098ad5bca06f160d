//! Methods on vision and language: captions, grounding, retrieval, inference.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod centerclip;
pub mod loupe;
mod ranks;
pub mod visa;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&centerclip::METHOD, &loupe::METHOD, &visa::METHOD];
