//! Layers with weights, under PyTorch's state-dict names and with its exact semantics.
//!
//! Every network of the house takes its layers from here, so that there is one place to choose a faster kernel.

mod activation;
mod attention;
mod block;
mod conv;
mod conv_transpose;
mod dropout;
mod group_norm;
mod gru;
mod layer_norm;
mod linear;
mod lstm;
mod norm;
mod pointwise;
mod pool;
mod prepared;
mod recurrent;
mod row_block;
mod squeeze;

pub use activation::Prelu;
pub use attention::MultiHeadAttention;
pub use block::{BlockActivation, ConvBlock, LinearBlock};
pub use conv::{Conv, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvConfig, Extents};
pub use conv_transpose::{
    ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, ConvTransposeConfig,
};
pub use dropout::Dropout;
pub use group_norm::GroupNorm;
pub use gru::Gru;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use lstm::{Lstm, LstmState};
pub use norm::{BatchNorm, BatchNormConfig};
pub use pointwise::Pointwise;
pub use pool::{
    PoolOptions, adaptive_avg_pool, adaptive_max_pool, avg_pool, global_average, max_pool, max_pool2d,
    subsample, upsample_nearest,
};
pub use recurrent::RecurrentConfig;
pub use row_block::RowBlock;
pub use squeeze::SqueezeExcitation;

/// What PyTorch gives the bias of a convolution whose weight has this shape: the bound of the weight's own uniform.
fn pytorch_bias(weight: &[usize]) -> crate::init::Init {
    let fan_in: usize = weight.iter().skip(1).product();
    crate::init::Init::Uniform { bound: (fan_in.max(1) as f64).sqrt().recip() }
}
