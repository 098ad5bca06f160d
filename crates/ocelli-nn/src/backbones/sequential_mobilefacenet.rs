//! MobileFaceNet as one code base lays it out: its units are plain sequences in one list, `blocks`, and the embedding is
//! a 1x1 convolution on the pooled map.

use burn::tensor::Tensor;

use super::Embedded;
use super::mobilefacenet::{ConvUnit, DepthUnit};
use crate::layers::Conv2dConfig;
use crate::pass::Pass;
use crate::store::Path;

/// The network, from 112-pixel pictures to embeddings of free length. Its arithmetic is that of
/// [`MobileFaceNet`](super::MobileFaceNet) with global depthwise convolution.
#[derive(Clone, Debug)]
pub struct SequentialMobileFaceNet {
    stem: ConvUnit,
    stem_depthwise: ConvUnit,
    units: Vec<DepthUnit>,
    separate: ConvUnit,
    pool: ConvUnit,
    project: ConvUnit,
}

/// Expansion, channels, count, and stride of the first unit of each stage (Chen et al. 2018, table 1).
const STAGES: [(usize, usize, usize, usize); 5] =
    [(2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)];

/// Channels of the last map.
const WIDTH: usize = 512;

impl SequentialMobileFaceNet {
    /// Builds the network at `path`.
    pub fn new(path: &Path, embedding: usize) -> Self {
        let depthwise = |channels, kernel| Conv2dConfig::new(channels, channels, kernel).groups(channels);
        let stem = Conv2dConfig::new(3, 64, 3).stride(2).padding(1);
        let stem = ConvUnit::new(&path.at("conv1"), stem, 64, true);
        let stem_depthwise = ConvUnit::new(&path.at("dw_conv1"), depthwise(64, 3).padding(1), 64, true);
        let (mut units, mut channels) = (Vec::new(), 64);
        for (expansion, output, count, first_stride) in STAGES {
            for k in 0..count {
                let stride = if k == 0 { first_stride } else { 1 };
                let at = path.at("blocks").at(units.len()).at("conv");
                units.push(unit(&at, channels, output, expansion * channels, stride));
                channels = output;
            }
        }
        let separate = Conv2dConfig::new(channels, WIDTH, 1);
        let project = Conv2dConfig::new(WIDTH, embedding, 1);
        Self {
            stem,
            stem_depthwise,
            units,
            separate: ConvUnit::new(&path.at("conv2"), separate, WIDTH, true),
            pool: ConvUnit::new(&path.at("linear7"), depthwise(WIDTH, 7), WIDTH, false),
            project: ConvUnit::new(&path.at("linear1"), project, embedding, false),
        }
    }

    /// Pictures `[B, 3, 112, 112]` in [-1, 1] to embeddings `[B, D]`, not normalised; the features are the output of
    /// `conv2`.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Embedded {
        let x = self.stem_depthwise.forward(self.stem.forward(x, pass), pass);
        let x = self.units.iter().fold(x, |x, unit| unit.forward(x, pass));
        let map = self.separate.forward(x, pass);
        let features = map.clone().flatten(1, 3);
        let embedding = self.project.forward(self.pool.forward(map, pass), pass);
        Embedded { embedding: embedding.flatten(1, 3), features }
    }
}

/// 1x1 to `width` channels, depthwise 3x3 with the stride, 1x1 to `output`; residual where nothing changes shape.
fn unit(path: &Path, input: usize, output: usize, width: usize, stride: usize) -> DepthUnit {
    let depthwise = Conv2dConfig::new(width, width, 3).stride(stride).padding(1).groups(width);
    let expand = Conv2dConfig::new(input, width, 1);
    let project = Conv2dConfig::new(width, output, 1);
    DepthUnit {
        conv: ConvUnit::named(path, ["0", "1"], Some("2"), expand, width),
        depthwise: ConvUnit::named(path, ["3", "4"], Some("5"), depthwise, width),
        project: ConvUnit::named(path, ["6", "7"], None, project, output),
        residual: stride == 1 && input == output,
    }
}
