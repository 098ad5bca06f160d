//! The two adversaries: one looks at feature maps, the other at faces.

use burn::tensor::Tensor;
use ocelli_nn::layers::{Conv2d, Conv2dConfig, Linear, global_average};
use ocelli_nn::ops::activation::leaky_relu;
use ocelli_nn::{Init, Path};

/// Slope of the leaky rectifiers.
const SLOPE: f64 = 0.2;

/// Whether an identity map comes from a face in high resolution.
#[derive(Clone, Debug)]
pub struct FeatureDiscriminator {
    conv1: Conv2d,
    conv2: Conv2d,
    fc: Linear,
}

impl FeatureDiscriminator {
    /// Channels of the first layer of the full network.
    pub const WIDTH: usize = 256;

    /// For maps of `channels` channels; the first layer has `width`, the second half of that.
    pub fn new(path: &Path, channels: usize, width: usize) -> Self {
        let conv = |i, o, name: &str| {
            Conv2dConfig::new(i, o, 1).bias().init(Init::FanInUniform).build(&path.at(name))
        };
        Self {
            conv1: conv(channels, width, "conv1"),
            conv2: conv(width, width / 2, "conv2"),
            fc: Linear::new(&path.at("fc"), width / 2, 1, true, Init::FanInUniform),
        }
    }

    /// Maps `[B, C, H, W]` to logits `[B]`: positive for high resolution.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<1> {
        let x = leaky_relu(self.conv1.forward(map), SLOPE);
        let x = leaky_relu(self.conv2.forward(x), SLOPE);
        self.fc.forward(global_average(x)).flatten(0, 1)
    }
}

/// Whether a face is a photograph.
#[derive(Clone, Debug)]
pub struct ImageDiscriminator {
    convs: Vec<Conv2d>,
    last: Conv2d,
}

impl ImageDiscriminator {
    /// Channels of the layers of the full network.
    pub const WIDTHS: [usize; 4] = [64, 128, 256, 512];

    /// Layers of `widths` channels, each halving the sides.
    pub fn new(path: &Path, widths: &[usize]) -> Self {
        let mut input = 3;
        let mut conv = |(k, &width): (usize, &usize)| {
            let layer =
                Conv2dConfig::new(input, width, 4).stride(2).padding(1).bias().init(Init::FanInUniform);
            input = width;
            layer.build(&path.at("convs").at(k))
        };
        let convs = widths.iter().enumerate().map(&mut conv).collect();
        let last = Conv2dConfig::new(input, 1, 3).padding(1).bias().init(Init::FanInUniform);
        Self { convs, last: last.build(&path.at("last")) }
    }

    /// Pictures `[B, 3, H, W]` in [-1, 1] to logits `[B]`: positive for photographs.
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<1> {
        let x = self.convs.iter().fold(picture, |x, conv| leaky_relu(conv.forward(x), SLOPE));
        global_average(self.last.forward(x)).flatten(0, 1)
    }
}
