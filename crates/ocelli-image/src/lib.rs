//! Methods on single pictures: detection, segmentation, enhancement, few-shot learning, hashing.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod cdgcnet;
pub mod crnet_fewshot;
pub mod dmuh;
pub mod fada;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[&cdgcnet::METHOD, &crnet_fewshot::METHOD, &dmuh::METHOD, &fada::METHOD];
