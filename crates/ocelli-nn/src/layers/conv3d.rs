//! Convolutions over volumes.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, conv3d};

use super::pytorch_bias;
use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A convolution over volumes or clips (`torch.nn.Conv3d`): `weight [out, in / groups, kd, kh, kw]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Conv3d {
    weight: Param,
    bias: Option<Param>,
    options: ConvOptions<3>,
}

/// How a convolution over volumes is built: stride 1, no padding, one group, with bias, PyTorch's initial values. Extents
/// are `[depth, height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv3dConfig {
    input: usize,
    output: usize,
    kernel: [usize; 3],
    options: ConvOptions<3>,
    bias: bool,
    init: Init,
}

impl Conv3dConfig {
    /// A convolution from `input` to `output` channels.
    pub fn new(input: usize, output: usize, kernel: [usize; 3]) -> Self {
        let options = ConvOptions::default();
        Self { input, output, kernel, options, bias: true, init: Init::FanInUniform }
    }

    /// Steps of `stride` pixels.
    #[must_use]
    pub fn stride(mut self, stride: [usize; 3]) -> Self {
        self.options.stride = stride;
        self
    }

    /// `padding` zeros on both sides of each axis.
    #[must_use]
    pub fn padding(mut self, padding: [usize; 3]) -> Self {
        self.options.padding = padding;
        self
    }

    /// Kernel elements `dilation` pixels apart.
    #[must_use]
    pub fn dilation(mut self, dilation: [usize; 3]) -> Self {
        self.options.dilation = dilation;
        self
    }

    /// Channels in `groups` independent groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        self
    }

    /// Without a constant added to each output channel.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// Starting from `init` instead of PyTorch's uniform.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the layer at `path`.
    pub fn build(self, path: &Path) -> Conv3d {
        let shape = [&[self.output, self.input / self.options.groups], &self.kernel[..]].concat();
        Conv3d {
            weight: path.param("weight", &shape, self.init, Role::Kernel),
            bias: self.bias.then(|| path.param("bias", &[self.output], pytorch_bias(&shape), Role::Bias)),
            options: self.options,
        }
    }
}

impl Conv3d {
    /// `[B, C, D, H, W]` to `[B, out, D', H', W']`, `D' = (D + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        conv3d(x, self.weight.value::<5>(), self.bias.as_ref().map(Param::value), self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn axes_have_options_of_their_own() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = Conv3dConfig::new(1, 1, [2, 1, 3]).stride([1, 2, 1]).padding([0, 0, 1]);
        let layer = config.build(&store.root());
        store.find("weight").unwrap().set(from_values(vec![1.0, 10.0, 100.0, 0.0, 0.0, 0.5], [6], &device));
        store.find("bias").unwrap().set(from_values(vec![0.25], [1], &device));
        let x = from_values((1..=12).map(|v| v as f32).collect(), [1, 1, 2, 3, 2], &device);
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 1, 1, 2, 2]);
        // Of the rows (1, 2) and (7, 8), and (5, 6) and (11, 12).
        assert_eq!(values(y), [214.25, 21.25, 656.25, 65.25]);
    }

    #[test]
    fn parameters_have_pytorchs_shapes_and_bounds() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        Conv3dConfig::new(8, 6, [3, 3, 1]).groups(2).build(&store.root());
        let [weight, bias] = ["weight", "bias"].map(|name| store.find(name).unwrap());
        assert_eq!(weight.shape(), [6, 4, 3, 3, 1]);
        for values in [weight, bias].map(|entry| values(entry.plain())) {
            assert!(values.iter().all(|value| value.abs() <= 1.0 / 6.0) && values.iter().any(|&v| v != 0.0));
        }
    }
}
