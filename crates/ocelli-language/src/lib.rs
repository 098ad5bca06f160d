//! Methods on vision and language: captions, grounding, retrieval, inference.
//!
//! One folder a method. Where only a method's evaluator is there so far, its card says so.

pub mod ahgn;
pub mod auto_captions;
mod caption_cases;
pub mod captioning_challenge;
pub mod centerclip;
pub mod loupe;
mod ranks;
pub mod visa;

use ocelli_method::Method;

/// The methods of this field.
pub const METHODS: &[&Method] = &[
    &ahgn::METHOD,
    &auto_captions::METHOD,
    &captioning_challenge::METHOD,
    &centerclip::METHOD,
    &loupe::METHOD,
    &visa::METHOD,
];
