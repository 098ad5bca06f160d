//! The units that the networks are built of: a convolution, batch normalisation, ReLU.

use burn::tensor::Tensor;
use ocelli_nn::layers::{BatchNorm, BatchNormConfig, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use ocelli_nn::ops::activation::relu;
use ocelli_nn::{Init, Pass, Path};

/// Over sequences, three taps.
#[derive(Clone, Debug)]
pub(super) struct SequenceUnit {
    conv: Conv1d,
    norm: BatchNorm,
}

impl SequenceUnit {
    /// From `input` to `output` channels, the convolution and the normalisation at their places.
    pub(super) fn new([conv, norm]: [&Path; 2], [input, output]: [usize; 2], groups: usize) -> Self {
        let conv = Conv1dConfig::new(input, output, 3).padding(1).groups(groups).build(conv);
        Self { conv, norm: BatchNormConfig::new(output).build(norm) }
    }

    /// `[B, input, T]` to `[B, output, T]`.
    pub(super) fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        relu(self.norm.forward(self.conv.forward(x), pass))
    }
}

/// A convolution over maps with bias, PyTorch's initial values and as many zeros around as keep the size.
pub(super) fn map_conv(path: &Path, [input, output]: [usize; 2], kernel: usize) -> Conv2d {
    let config = Conv2dConfig::new(input, output, kernel).padding(kernel / 2);
    config.bias().init(Init::FanInUniform).build(path)
}

/// Over maps.
#[derive(Clone, Debug)]
pub(super) struct MapUnit {
    conv: Conv2d,
    norm: BatchNorm,
}

impl MapUnit {
    /// From `input` to `output` channels with an odd kernel: convolution and normalisation at `path.0` and `path.1`.
    pub(super) fn new(path: &Path, channels: [usize; 2], kernel: usize) -> Self {
        let conv = map_conv(&path.at(0), channels, kernel);
        Self { conv, norm: BatchNormConfig::new(channels[1]).build(&path.at(1)) }
    }

    /// `[B, input, H, W]` to `[B, output, H, W]`.
    pub(super) fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        relu(self.linear(x, pass))
    }

    /// Without the ReLU.
    pub(super) fn linear(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), pass)
    }
}
