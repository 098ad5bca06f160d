//! Activations with parameters.

use burn::tensor::Tensor;

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// `max(0, x) + a · min(0, x)` with a learned slope a channel (`torch.nn.PReLU(channels)`): `weight [C]`.
#[derive(Clone, Debug)]
pub struct Prelu {
    weight: Param,
}

impl Prelu {
    /// Slopes for `channels` channels, starting at 0.25, at `path`.
    pub fn new(path: &Path, channels: usize) -> Self {
        Self { weight: path.param("weight", &[channels], Init::Constant(0.25), Role::Other) }
    }

    /// `[B, C, ...]` to the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ocelli_kernels::prelu(x, self.weight.value())
    }
}
