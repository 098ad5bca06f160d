//! Convolutions over sequences.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, conv2d};

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A convolution over time (`torch.nn.Conv1d`): `weight [out, in / groups, k]`, `bias [out]`. It runs on the kernels of
/// pictures one pixel high.
#[derive(Clone, Debug)]
pub struct Conv1d {
    weight: Param,
    bias: Option<Param>,
    options: ConvOptions,
}

/// How a convolution is built: stride 1, no padding, one group, with a bias and PyTorch's initial weights unless said
/// otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Conv1dConfig {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
    bias: bool,
    init: Init,
}

impl Conv1dConfig {
    /// A convolution from `input` to `output` channels with a kernel of `kernel` steps.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self {
            input,
            output,
            kernel,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
            init: Init::FanInUniform,
        }
    }

    /// Moved on by `stride` steps.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// `padding` zeros at both ends.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }

    /// Kernel elements `dilation` steps apart.
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

    /// Without a constant added to each output channel.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// Starting from `init` instead of the uniform values by fan-in.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the layer at `path`.
    pub fn build(self, path: &Path) -> Conv1d {
        let shape = [self.output, self.input / self.groups, self.kernel];
        Conv1d {
            weight: path.param("weight", &shape, self.init, Role::Kernel),
            bias: self.bias.then(|| path.param("bias", &[self.output], Init::Zeros, Role::Bias)),
            options: ConvOptions {
                stride: [1, self.stride],
                padding: [0, self.padding],
                dilation: [1, self.dilation],
                groups: self.groups,
            },
        }
    }
}

impl Conv1d {
    /// `[B, C, T]` to `[B, out, T']`, `T' = (T + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let bias = self.bias.as_ref().map(Param::value);
        let weight = self.weight.value::<3>().unsqueeze_dim::<4>(2);
        conv2d(x.unsqueeze_dim::<4>(2), weight, bias, self.options).squeeze_dim::<3>(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn a_dilated_kernel_reaches_past_its_neighbours_into_zeros() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let config = Conv1dConfig::new(1, 1, 3).padding(4).dilation(4);
        let conv = config.build(&store.root());
        store.find("weight").unwrap().set(from_values(vec![100.0, 10.0, 1.0], [3], &device));
        store.find("bias").unwrap().set(from_values(vec![0.5], [1], &device));
        let x = from_values((1..=6).map(|v| v as f32).collect(), [1, 1, 6], &device);
        // Step t sees 100 x[t - 4] + 10 x[t] + x[t + 4].
        assert_eq!(values(conv.forward(x)), [15.5, 26.5, 30.5, 40.5, 150.5, 260.5]);
        // Shorter than the dilation, only the middle of the kernel meets anything.
        let x = from_values(vec![3.0, 4.0], [1, 1, 2], &device);
        assert_eq!(values(conv.forward(x)), [30.5, 40.5]);
    }
}
