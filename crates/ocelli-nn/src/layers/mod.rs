//! Layers with weights, under PyTorch's state-dict names and with its exact semantics.
//!
//! Every network of the house takes its layers from here, so that there is one place to choose a faster kernel.

mod activation;
mod attention;
mod conv;
mod conv1d;
mod dropout;
mod layer_norm;
mod linear;
mod norm;
mod pointwise;
mod pool;
mod squeeze;

pub use activation::Prelu;
pub use attention::MultiHeadAttention;
pub use conv::{Conv2d, Conv2dConfig};
pub use conv1d::{Conv1d, Conv1dConfig};
pub use dropout::Dropout;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use norm::{BatchNorm, BatchNormConfig};
pub use pointwise::Pointwise;
pub use pool::{
    PoolOptions, adaptive_avg_pool, adaptive_max_pool, avg_pool, global_average, max_pool, max_pool2d,
    subsample, upsample_nearest,
};
pub use squeeze::SqueezeExcitation;
