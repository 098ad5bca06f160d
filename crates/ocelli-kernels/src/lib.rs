//! Fast CPU kernels for convolutional networks, as an extension of the Burn tensor framework.

mod activation;
mod backend;
mod conv;
mod lanes;
mod memory;
mod norm;
mod planes;
mod tile;
mod vector;

pub use activation::prelu;
pub use conv::{ConvError, ConvOptions, conv2d};
pub use norm::batch_norm_train;
