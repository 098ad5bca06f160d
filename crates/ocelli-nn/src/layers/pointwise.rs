//! Convolutions with a kernel of one, on rows.

use burn::tensor::Tensor;
use ocelli_kernels::linear;

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A 1x1 convolution (`torch.nn.Conv2d`) that works on rows of channels instead of planes: `weight [out, in, 1, 1]`,
/// `bias [out]`. Of a map only the places that matter need rows.
#[derive(Clone, Debug)]
pub struct Pointwise {
    weight: Param,
    bias: Param,
    channels: [usize; 2],
}

impl Pointwise {
    /// From `input` to `output` channels at `path`; the bias starts at 0.
    pub fn new(path: &Path, input: usize, output: usize, init: Init) -> Self {
        Self {
            weight: path.param("weight", &[output, input, 1, 1], init, Role::Kernel),
            bias: path.param("bias", &[output], Init::Zeros, Role::Bias),
            channels: [input, output],
        }
    }

    /// `[R, in]` to `[R, out]`.
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let [input, output] = self.channels;
        let weight = self.weight.value::<4>().reshape([output, input]);
        linear(rows, weight, Some(self.bias.value()))
    }
}
