//! Transposed convolutions over sequences, pictures and volumes.

use burn::tensor::Tensor;
use ocelli_kernels::{TransposeOptions, conv_transpose1d, conv_transpose2d, conv_transpose3d};

use super::pytorch_bias;
use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A transposed convolution with `N` spatial axes (`torch.nn.ConvTranspose1d` and its kin):
/// `weight [in, out / groups, ...]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct ConvTranspose<const N: usize> {
    weight: Param,
    bias: Option<Param>,
    options: TransposeOptions<N>,
}

/// A transposed convolution over sequences.
pub type ConvTranspose1d = ConvTranspose<1>;
/// A transposed convolution over pictures.
pub type ConvTranspose2d = ConvTranspose<2>;
/// A transposed convolution over volumes.
pub type ConvTranspose3d = ConvTranspose<3>;

/// How a transposed convolution is built: stride 1, no padding, one group, with bias, PyTorch's initial values. Extents
/// are in the order of the tensor's axes.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeConfig<const N: usize> {
    input: usize,
    output: usize,
    kernel: [usize; N],
    options: TransposeOptions<N>,
    bias: bool,
    init: Init,
}

impl<const N: usize> ConvTransposeConfig<N> {
    /// A transposed convolution from `input` to `output` channels.
    pub fn new(input: usize, output: usize, kernel: [usize; N]) -> Self {
        let options = TransposeOptions::default();
        Self { input, output, kernel, options, bias: true, init: Init::FanInUniform }
    }

    /// Output pixels `stride` apart for neighbouring input pixels.
    #[must_use]
    pub fn stride(mut self, stride: [usize; N]) -> Self {
        self.options.stride = stride;
        self
    }

    /// `padding` pixels cut off on both sides of each axis.
    #[must_use]
    pub fn padding(mut self, padding: [usize; N]) -> Self {
        self.options.padding = padding;
        self
    }

    /// `padding` pixels more at the end of each axis.
    #[must_use]
    pub fn output_padding(mut self, padding: [usize; N]) -> Self {
        self.options.output_padding = padding;
        self
    }

    /// Kernel elements `dilation` pixels apart.
    #[must_use]
    pub fn dilation(mut self, dilation: [usize; N]) -> Self {
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
    pub fn build(self, path: &Path) -> ConvTranspose<N> {
        let shape = [&[self.input, self.output / self.options.groups], &self.kernel[..]].concat();
        ConvTranspose {
            weight: path.param("weight", &shape, self.init, Role::Kernel),
            bias: self.bias.then(|| path.param("bias", &[self.output], pytorch_bias(&shape), Role::Bias)),
            options: self.options,
        }
    }
}

impl<const N: usize> ConvTranspose<N> {
    fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::value)
    }
}

impl ConvTranspose<1> {
    /// `[B, C, T]` to `[B, out, T']`,
    /// `T' = (T - 1) stride - 2 padding + dilation (k - 1) + output padding + 1`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        conv_transpose1d(x, self.weight.value::<3>(), self.bias(), self.options)
    }
}

impl ConvTranspose<2> {
    /// `[B, C, H, W]` to `[B, out, H', W']`,
    /// `H' = (H - 1) stride - 2 padding + dilation (k - 1) + output padding + 1`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv_transpose2d(x, self.weight.value::<4>(), self.bias(), self.options)
    }
}

impl ConvTranspose<3> {
    /// `[B, C, D, H, W]` to `[B, out, D', H', W']`,
    /// `D' = (D - 1) stride - 2 padding + dilation (k - 1) + output padding + 1`.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        conv_transpose3d(x, self.weight.value::<5>(), self.bias(), self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn pixels_are_spread_over_the_output() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = ConvTransposeConfig::new(1, 1, [3]).stride([2]).padding([1]).output_padding([1]);
        let layer: ConvTranspose1d = config.build(&store.root());
        store.find("weight").unwrap().set(from_values(vec![1.0, 10.0, 100.0], [3], &device));
        store.find("bias").unwrap().set(from_values(vec![0.5], [1], &device));
        let y = layer.forward(from_values(vec![2.0, 3.0], [1, 1, 2], &device));
        // 2, 20, 200 + 3, 30, 300 without the first.
        assert_eq!(values(y), [20.5, 203.5, 30.5, 300.5]);
    }

    #[test]
    fn weights_have_the_input_first() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let path = store.root();
        let config = ConvTransposeConfig::new(6, 8, [4, 2]).stride([2, 1]).groups(2);
        let layer: ConvTranspose2d = config.build(&path.at("flat"));
        assert_eq!(store.find("flat.weight").unwrap().shape(), [6, 4, 4, 2]);
        assert_eq!(layer.forward(Tensor::zeros([1, 6, 5, 5], &device)).dims(), [1, 8, 12, 6]);
        let config = ConvTransposeConfig::new(2, 3, [1, 2, 3]).without_bias();
        let layer: ConvTranspose3d = config.build(&path.at("deep"));
        assert!(store.find("deep.bias").is_none());
        assert_eq!(layer.forward(Tensor::zeros([2, 2, 4, 5, 6], &device)).dims(), [2, 3, 4, 6, 8]);
    }
}
