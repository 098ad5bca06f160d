//! Convolutions.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, conv2d};

use super::prepared::Prepared;
use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A convolution over pictures (`torch.nn.Conv2d`): `weight [out, in / groups, k, k]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub(super) weight: Param,
    pub(super) bias: Option<Param>,
    pub(super) options: ConvOptions,
    /// What fused passes run in its place.
    pub(super) prepared: Prepared,
}

/// How a convolution is built: stride 1, no padding, one group, no bias unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dConfig {
    input: usize,
    output: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
    bias: bool,
    init: Init,
}

impl Conv2dConfig {
    /// A convolution from `input` to `output` channels with a square kernel.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self {
            input,
            output,
            kernel: [kernel; 2],
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: false,
            init: Init::KaimingNormalFanOut,
        }
    }

    /// A kernel of another height and width.
    #[must_use]
    pub fn kernel(mut self, height: usize, width: usize) -> Self {
        self.kernel = [height, width];
        self
    }

    /// Steps of `stride` pixels.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// `padding` zeros on every side.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Kernel elements `dilation` pixels apart.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    /// Channels in `groups` independent groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// With a constant added to each output channel.
    #[must_use]
    pub fn bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Starting from `init` instead of Kaiming's normal with fan-out.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the layer at `path`.
    pub fn build(self, path: &Path) -> Conv2d {
        let [kh, kw] = self.kernel;
        let shape = [self.output, self.input / self.groups, kh, kw];
        Conv2d {
            weight: path.param("weight", &shape, self.init, Role::Kernel),
            bias: self.bias.then(|| path.param("bias", &[self.output], Init::Zeros, Role::Bias)),
            options: ConvOptions {
                stride: [self.stride; 2],
                padding: [self.padding; 2],
                dilation: [self.dilation; 2],
                groups: self.groups,
            },
            prepared: Prepared::default(),
        }
    }
}

impl Conv2d {
    /// `[B, C, H, W]` to `[B, out, H', W']`, `H' = (H + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::value);
        conv2d(x, self.weight.value::<4>(), bias, self.options)
    }
}
