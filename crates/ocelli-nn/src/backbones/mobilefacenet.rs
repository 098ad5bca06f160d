//! MobileFaceNet (Chen et al. 2018): depthwise residual units, under the names of two releases.

use burn::tensor::Tensor;

use ocelli_kernels::Joint;

use super::Embedded;
use crate::init::Init;
use crate::layers::{
    BatchNorm, BatchNormConfig, BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Linear, LinearBlock, Prelu,
};
use crate::pass::Pass;
use crate::store::Path;

/// How the final map becomes an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MobileFaceNetTail {
    /// Global depthwise convolution, linear layer, normalisation.
    Gdc,
    /// Global norm-aware pooling. It weighs positions by norms averaged over the whole batch, so an embedding
    /// depends on its companions, also at test time.
    Gnap,
    /// As `Gdc`, in FaceX-Zoo's dialect: its layers stand at the top of the state dict, and size of map and embedding
    /// are free.
    FaceX {
        /// Length of the embedding.
        embedding: usize,
        /// Height and width of the last map: a sixteenth of those of the pictures.
        map: [usize; 2],
    },
}

impl MobileFaceNetTail {
    /// FaceX-Zoo's tail for the usual pictures of 112 pixels and embeddings of 512 values.
    pub const FACEX: Self = Self::FaceX { embedding: EMBEDDING, map: [7; 2] };
}

/// Convolution, normalisation and, but for projections, PReLU.
#[derive(Clone, Debug)]
pub(super) struct ConvUnit {
    conv: Conv2d,
    norm: BatchNorm,
    prelu: Option<Prelu>,
}

impl ConvUnit {
    pub(super) fn new(path: &Path, config: Conv2dConfig, channels: usize, activated: bool) -> Self {
        Self::named(path, ["conv", "bn"], activated.then_some("prelu"), config, channels)
    }

    /// With its layers under names of one's own.
    pub(super) fn named(
        path: &Path,
        [conv, norm]: [&str; 2],
        prelu: Option<&str>,
        config: Conv2dConfig,
        channels: usize,
    ) -> Self {
        Self {
            conv: config.build(&path.at(conv)),
            norm: BatchNormConfig::new(channels).build(&path.at(norm)),
            prelu: prelu.map(|prelu| Prelu::new(&path.at(prelu), channels)),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.block().forward(x, pass)
    }

    fn block(&self) -> ConvBlock<'_> {
        let activation = self.prelu.as_ref().map_or(BlockActivation::Identity, BlockActivation::Prelu);
        ConvBlock::new(&self.conv).after(&self.norm).activation(activation)
    }
}

/// 1x1 to `groups` channels, depthwise 3x3 with the stride, 1x1 projection; residual where the stride is 1.
#[derive(Clone, Debug)]
pub(super) struct DepthUnit {
    pub(super) conv: ConvUnit,
    pub(super) depthwise: ConvUnit,
    pub(super) project: ConvUnit,
    pub(super) residual: bool,
}

impl DepthUnit {
    fn new(path: &Path, input: usize, output: usize, groups: usize, stride: usize, residual: bool) -> Self {
        let depthwise = Conv2dConfig::new(groups, groups, 3).stride(stride).padding(1).groups(groups);
        Self {
            conv: ConvUnit::new(&path.at("conv"), Conv2dConfig::new(input, groups, 1), groups, true),
            depthwise: ConvUnit::new(&path.at("conv_dw"), depthwise, groups, true),
            project: ConvUnit::new(&path.at("project"), Conv2dConfig::new(groups, output, 1), output, false),
            residual,
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let y = self.conv.forward(x.clone(), pass);
        let y = self.depthwise.forward(y, pass);
        let project = self.project.block();
        match self.residual {
            true => project.shortcut(x, Joint::AfterActivation).forward(y, pass),
            false => project.forward(y, pass),
        }
    }
}

#[derive(Clone, Debug)]
enum Tail {
    Depthwise { depthwise: ConvUnit, linear: Linear, norm: BatchNorm },
    Gnap { map_norm: BatchNorm, norm: BatchNorm },
}

/// The network.
#[derive(Clone, Debug)]
pub struct MobileFaceNet {
    stem: ConvUnit,
    stem_depthwise: ConvUnit,
    units: Vec<DepthUnit>,
    separate: ConvUnit,
    tail: Tail,
}

const EMBEDDING: usize = 512;

/// Channels of the last map.
const WIDTH: usize = 512;

impl MobileFaceNet {
    /// Builds the network at `path`.
    pub fn new(path: &Path, tail: MobileFaceNetTail) -> Self {
        let stem = Conv2dConfig::new(3, 64, 3).stride(2).padding(1);
        let depthwise = Conv2dConfig::new(64, 64, 3).padding(1).groups(64);
        let stem = ConvUnit::new(&path.at("conv1"), stem, 64, true);
        let stem_depthwise = ConvUnit::new(&path.at("conv2_dw"), depthwise, 64, true);
        let mut units = vec![DepthUnit::new(&path.at("conv_23"), 64, 64, 128, 2, false)];
        let residual = |units: &mut Vec<DepthUnit>, name: &str, channels, groups, count| {
            for k in 0..count {
                let at = path.at(name).at("model").at(k);
                units.push(DepthUnit::new(&at, channels, channels, groups, 1, true));
            }
        };
        residual(&mut units, "conv_3", 64, 128, 4);
        units.push(DepthUnit::new(&path.at("conv_34"), 64, 128, 256, 2, false));
        residual(&mut units, "conv_4", 128, 256, 6);
        units.push(DepthUnit::new(&path.at("conv_45"), 128, 128, 512, 2, false));
        residual(&mut units, "conv_5", 128, 256, 2);
        let separate = Conv2dConfig::new(128, WIDTH, 1);
        let separate = ConvUnit::new(&path.at("conv_6_sep"), separate, WIDTH, true);
        let tail = Self::build_tail(path, tail);
        Self { stem, stem_depthwise, units, separate, tail }
    }

    fn build_tail(path: &Path, tail: MobileFaceNetTail) -> Tail {
        let at = path.at("output_layer");
        let plain = |name: &str| BatchNormConfig::new(WIDTH).without_affine().build(&at.at(name));
        match tail {
            MobileFaceNetTail::Gdc => Self::depthwise_tail(&at, EMBEDDING, [7; 2]),
            MobileFaceNetTail::FaceX { embedding, map } => Self::depthwise_tail(path, embedding, map),
            MobileFaceNetTail::Gnap => Tail::Gnap { map_norm: plain("bn1"), norm: plain("bn2") },
        }
    }

    fn depthwise_tail(path: &Path, embedding: usize, map: [usize; 2]) -> Tail {
        let depthwise = Conv2dConfig::new(WIDTH, WIDTH, map).groups(WIDTH);
        Tail::Depthwise {
            depthwise: ConvUnit::new(&path.at("conv_6_dw"), depthwise, WIDTH, false),
            linear: Linear::new(&path.at("linear"), WIDTH, embedding, false, Init::KaimingNormalFanOut),
            norm: BatchNormConfig::new(embedding).build(&path.at("bn")),
        }
    }

    /// Pictures `[B, 3, H, W]` in [-1, 1] to embeddings `[B, D]`; the features are the output of `conv_6_sep`.
    ///
    /// H and W are 112 and D is 512 unless the tail says otherwise.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Embedded {
        let x = self.stem_depthwise.forward(self.stem.forward(x, pass), pass);
        let x = self.units.iter().fold(x, |x, unit| unit.forward(x, pass));
        let map = self.separate.forward(x, pass);
        let features = map.clone().flatten(1, 3);
        let embedding = match &self.tail {
            Tail::Depthwise { depthwise, linear, norm } => {
                LinearBlock::new(linear).after(norm).forward(depthwise.forward(map, pass), pass)
            }
            Tail::Gnap { map_norm, norm } => {
                let map = map_norm.forward(map, pass);
                let norms = map.clone().square().sum_dim(1).sqrt();
                let mean = norms.clone().mean().reshape([1, 1, 1, 1]);
                let weighted = map * (mean / norms);
                norm.forward(crate::layers::global_average(weighted), pass)
            }
        };
        Embedded { embedding, features }
    }
}
