//! Linear layers.

use burn::tensor::Tensor;
use ocelli_kernels::linear;

use super::prepared::Prepared;
use crate::init::Init;
use crate::store::{Param, Path, Role};

/// `y = x Wᵀ + b` (`torch.nn.Linear`): `weight [out, in]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub(super) weight: Param,
    pub(super) bias: Option<Param>,
    /// What fused passes run in its place.
    pub(super) prepared: Prepared,
}

impl Linear {
    /// A layer from `input` to `output` values at `path`.
    pub fn new(path: &Path, input: usize, output: usize, bias: bool, init: Init) -> Self {
        Self {
            weight: path.param("weight", &[output, input], init, Role::Kernel),
            bias: bias.then(|| path.param("bias", &[output], Init::Zeros, Role::Bias)),
            prepared: Prepared::default(),
        }
    }

    /// `[..., in]` to `[..., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        linear(x, self.weight.value(), self.bias.as_ref().map(Param::value))
    }
}
