//! Squeeze-and-excitation.

use burn::tensor::Tensor;
use ocelli_kernels::activation::{relu, sigmoid};

use super::conv::{Conv2d, Conv2dConfig};
use super::pool::global_average;
use crate::init::Init;
use crate::store::Path;

/// Scales every channel by what a two-layer network makes of all channel means (Hu et al. 2018, section 3):
/// `fc1` and `fc2` are 1x1 convolutions without bias.
#[derive(Clone, Debug)]
pub struct SqueezeExcitation {
    fc1: Conv2d,
    fc2: Conv2d,
}

impl SqueezeExcitation {
    /// Over `channels` channels, squeezed to `channels / reduction`, at `path`.
    pub fn new(path: &Path, channels: usize, reduction: usize) -> Self {
        let squeezed = channels / reduction;
        let conv = |i, o| Conv2dConfig::new(i, o, 1).init(Init::XavierUniform);
        Self {
            fc1: conv(channels, squeezed).build(&path.at("fc1")),
            fc2: conv(squeezed, channels).build(&path.at("fc2")),
        }
    }

    /// `[B, C, H, W]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, ..] = x.dims();
        let mean = global_average(x.clone()).reshape([b, c, 1, 1]);
        let gate = sigmoid(self.fc2.forward(relu(self.fc1.forward(mean))));
        x * gate
    }
}
