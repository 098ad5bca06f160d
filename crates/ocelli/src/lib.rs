//! Ocelli: published computer-vision methods, made to work again.
//!
//! This crate is the front of the house: [`registry`] knows every method, and the crates below are re-exported under
//! short names. The command of the same name is built on it.

pub mod registry;

pub use ocelli_data as data;
pub use ocelli_face as face;
pub use ocelli_image as image;
pub use ocelli_language as language;
pub use ocelli_method as method;
pub use ocelli_metrics as metrics;
pub use ocelli_nn as nn;
pub use ocelli_people as people;
pub use ocelli_report as report;
pub use ocelli_score as score;
pub use ocelli_train as train;
pub use ocelli_vectors as vectors;
pub use ocelli_video as video;
pub use ocelli_world as world;

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
