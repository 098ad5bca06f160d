//! Convolutions over sequences.

use burn::tensor::Tensor;
use ocelli_kernels::{ConvOptions, conv1d};

use crate::init::Init;
use crate::store::{Param, Path, Role};

/// A convolution over sequences (`torch.nn.Conv1d`): `weight [out, in / groups, k]`, `bias [out]`.
#[derive(Clone, Debug)]
pub struct Conv1d {
    weight: Param,
    bias: Option<Param>,
    options: ConvOptions<1>,
}

/// How a convolution over sequences is built: stride 1, no padding, one group, with bias, PyTorch's initial values.
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
    /// A convolution from `input` to `output` channels with `kernel` taps.
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

    /// Steps of `stride` positions.
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

    /// Taps `dilation` positions apart.
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

    /// Starting from `init`.
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
                stride: [self.stride],
                padding: [self.padding],
                dilation: [self.dilation],
                groups: self.groups,
            },
        }
    }
}

impl Conv1d {
    /// `[B, C, T]` to `[B, out, T']`, `T' = (T + 2 padding - dilation (k - 1) - 1) / stride + 1`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        conv1d(x, self.weight.value::<3>(), self.bias.as_ref().map(Param::value), self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;
    use crate::tensor::{from_values, values};

    #[test]
    fn taps_slide_along_time() {
        let device = device("cpu").unwrap();
        let store = Store::new(&device, 0);
        let layer = Conv1dConfig::new(2, 1, 3).padding(2).dilation(2).build(&store.root());
        let weight = from_values(vec![1.0, 10.0, 100.0, 0.0, 0.5, 0.0], [6], &device);
        store.find("weight").unwrap().set(weight);
        let x = from_values(vec![1.0, 2.0, 3.0, 4.0, 2.0, 2.0, 2.0, 4.0], [1, 2, 4], &device);
        let y = layer.forward(x);
        assert_eq!(y.dims(), [1, 1, 4]);
        assert_eq!(values(y), [311.0, 421.0, 32.0, 44.0]);
    }

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
