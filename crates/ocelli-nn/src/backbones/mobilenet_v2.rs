//! MobileNetV2 (Sandler et al. 2018) under torchvision's names.

use burn::tensor::Tensor;
use ocelli_kernels::Joint;

use crate::init::Init;
use crate::layers::{
    BatchNorm, BatchNormConfig, BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Dropout, Linear, RowBlock,
    global_average,
};
use crate::pass::Pass;
use crate::store::Path;

/// Expansion, channels, units and stride of the first unit: table 2 of the paper.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// How the network is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MobileNetV2Config {
    /// Multiplier of all widths, above 0; the published networks have 1, 0.75, 0.5, 0.35 and 1.4.
    pub width: f64,
    /// Outputs of the classifier.
    pub classes: usize,
    /// Share of the classifier's inputs dropped in training.
    pub dropout: f64,
}

impl Default for MobileNetV2Config {
    fn default() -> Self {
        Self { width: 1.0, classes: 1000, dropout: 0.2 }
    }
}

impl MobileNetV2Config {
    /// So many channels at this width: a multiple of 8, and never a tenth below.
    fn channels(&self, published: usize) -> usize {
        let exact = published as f64 * self.width;
        let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
        if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
    }

    /// Channels of the last map: never fewer than published.
    fn last(&self) -> usize {
        Self { width: self.width.max(1.0), ..*self }.channels(1280)
    }

    /// Builds the network at `path`.
    pub fn build(&self, path: &Path) -> MobileNetV2 {
        let features = path.at("features");
        let stem_channels = self.channels(32);
        let stem = Conv2dConfig::new(3, stem_channels, 3).stride(2).padding(1);
        let stem = Layer::new([features.at(0).at(0), features.at(0).at(1)], stem, stem_channels, true);
        let mut units: Vec<InvertedResidual> = Vec::new();
        let mut channels = stem_channels;
        for (expansion, published, count, stride) in STAGES {
            let output = self.channels(published);
            for unit in 0..count {
                let at = features.at(units.len() + 1).at("conv");
                let stride = if unit == 0 { stride } else { 1 };
                units.push(InvertedResidual::new(&at, [channels, expansion * channels, output], stride));
                channels = output;
            }
        }
        let at = features.at(units.len() + 1);
        let last =
            Layer::new([at.at(0), at.at(1)], Conv2dConfig::new(channels, self.last(), 1), self.last(), true);
        let init = Init::Normal { std: 0.01 };
        let classifier = Linear::new(&path.at("classifier").at(1), self.last(), self.classes, true, init);
        MobileNetV2 { stem, units, last, dropout: Dropout { p: self.dropout }, classifier }
    }
}

/// Convolution, normalisation and, but for projections, ReLU6.
#[derive(Clone, Debug)]
struct Layer {
    conv: Conv2d,
    norm: BatchNorm,
    activated: bool,
}

impl Layer {
    fn new([conv, norm]: [Path; 2], config: Conv2dConfig, channels: usize, activated: bool) -> Self {
        Self { conv: config.build(&conv), norm: BatchNormConfig::new(channels).build(&norm), activated }
    }

    fn block(&self) -> ConvBlock<'_> {
        let block = ConvBlock::new(&self.conv).after(&self.norm);
        if self.activated { block.activation(BlockActivation::Relu6) } else { block }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.block().forward(x, pass)
    }
}

/// 1x1 to more channels, depthwise 3x3 with the stride, 1x1 projection; residual where the shape stays (figure 4).
#[derive(Clone, Debug)]
struct InvertedResidual {
    activated: Vec<Layer>,
    projection: Layer,
    residual: bool,
}

impl InvertedResidual {
    fn new(path: &Path, [input, hidden, output]: [usize; 3], stride: usize) -> Self {
        let mut layers = Vec::new();
        // Each activated layer is a folder of its own; convolution and normalisation of the projection lie beside them.
        let activated = |layers: &mut Vec<Layer>, config| {
            let at = path.at(layers.len());
            layers.push(Layer::new([at.at(0), at.at(1)], config, hidden, true));
        };
        if hidden != input {
            activated(&mut layers, Conv2dConfig::new(input, hidden, 1));
        }
        activated(&mut layers, Conv2dConfig::new(hidden, hidden, 3).stride(stride).padding(1).groups(hidden));
        let places = [path.at(layers.len()), path.at(layers.len() + 1)];
        let projection = Layer::new(places, Conv2dConfig::new(hidden, output, 1), output, false);
        Self { activated: layers, projection, residual: stride == 1 && input == output }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let y = self.activated.iter().fold(x.clone(), |y, layer| layer.forward(y, pass));
        let projection = self.projection.block();
        let joined = if self.residual { projection.shortcut(x, Joint::AfterActivation) } else { projection };
        joined.forward(y, pass)
    }
}

/// The network.
#[derive(Clone, Debug)]
pub struct MobileNetV2 {
    stem: Layer,
    units: Vec<InvertedResidual>,
    last: Layer,
    dropout: Dropout,
    classifier: Linear,
}

impl MobileNetV2 {
    /// Pictures `[B, 3, H, W]`, each channel normalised by ImageNet's mean and deviation, to the last map
    /// `[B, 1280, H / 32, W / 32]`, rounded up; wider networks have more channels.
    pub fn features(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let x = self.units.iter().fold(self.stem.forward(x, pass), |x, unit| unit.forward(x, pass));
        self.last.forward(x, pass)
    }

    /// Pictures as for [`MobileNetV2::features`] to logits `[B, classes]`.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let pooled = global_average(self.features(x, pass));
        RowBlock::new(&self.classifier).forward(self.dropout.forward(pooled, pass), pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::device;
    use crate::store::Store;

    #[test]
    fn widths_are_multiples_of_eight() {
        let channels = |width| {
            let config = MobileNetV2Config { width, ..MobileNetV2Config::default() };
            (STAGES.map(|(_, published, ..)| config.channels(published)), config.last())
        };
        assert_eq!(channels(1.0), ([16, 24, 32, 64, 96, 160, 320], 1280));
        assert_eq!(channels(0.35), ([8, 8, 16, 24, 32, 56, 112], 1280));
        assert_eq!(channels(1.4), ([24, 32, 48, 88, 136, 224, 448], 1792));
    }

    #[test]
    fn names_are_those_of_torchvision() {
        let store = Store::new(&device("cpu").unwrap(), 0);
        MobileNetV2Config::default().build(&store.root());
        assert_eq!(store.count_parameters(), 3_504_872);
        let names = store.names();
        assert_eq!(names.len(), 314);
        for name in [
            "features.0.0.weight",
            "features.1.conv.0.0.weight",
            "features.1.conv.1.weight",
            "features.1.conv.2.running_var",
            "features.2.conv.1.1.bias",
            "features.2.conv.2.weight",
            "features.17.conv.3.num_batches_tracked",
            "features.18.1.weight",
            "classifier.1.bias",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }
}
