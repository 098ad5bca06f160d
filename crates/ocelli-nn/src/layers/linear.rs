//! Linear layers.

use burn::tensor::Tensor;

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// `y = x Wᵀ + b` (`torch.nn.Linear`): `weight [out, in]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// A layer from `input` to `output` values at `path`.
    pub fn new(path: &Path, input: usize, output: usize, bias: bool, init: Init) -> Self {
        Self {
            weight: path.param("weight", &[output, input], init, Role::Kernel),
            bias: bias.then(|| path.param("bias", &[output], Init::Zeros, Role::Bias)),
        }
    }

    /// `[B, in]` to `[B, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.value::<2>().transpose());
        match &self.bias {
            Some(bias) => y + bias.value::<1>().unsqueeze(),
            None => y,
        }
    }
}
