//! Methods on single pictures: detection, segmentation, enhancement, few-shot learning, hashing.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod cdgcnet;
pub mod concurrent_softmax;
pub mod crnet_fewshot;
pub mod cwan;
pub mod dmuh;
pub mod eql;
pub mod fada;
mod rows;
pub mod vdd;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[
    &cdgcnet::METHOD,
    &concurrent_softmax::METHOD,
    &crnet_fewshot::METHOD,
    &cwan::METHOD,
    &dmuh::METHOD,
    &eql::METHOD,
    &fada::METHOD,
    &vdd::METHOD,
];
