//! ResNet (He et al. 2016) under torchvision's names, and the face-recognition head that one code base puts on it.

use burn::tensor::Tensor;
use ocelli_kernels::Joint;

use super::Embedded;
use crate::init::Init;
use crate::layers::{
    BatchNorm, BatchNormConfig, BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Dropout, Linear,
    LinearBlock, RowBlock, global_average, max_pool2d,
};
use crate::pass::Pass;
use crate::store::Path;

/// Published depths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResNetDepth {
    /// Basic blocks, 2, 2, 2, 2.
    D18,
    /// Basic blocks, 3, 4, 6, 3.
    D34,
    /// Bottlenecks, 3, 4, 6, 3.
    D50,
    /// Bottlenecks, 3, 4, 23, 3.
    D101,
    /// Bottlenecks, 3, 8, 36, 3.
    D152,
}

impl ResNetDepth {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
            Self::D101 => [3, 4, 23, 3],
            Self::D152 => [3, 8, 36, 3],
        }
    }

    fn bottleneck(self) -> bool {
        !matches!(self, Self::D18 | Self::D34)
    }
}

/// How a ResNet is built.
#[derive(Clone, Copy, Debug)]
pub struct ResNetConfig {
    /// Depth.
    pub depth: ResNetDepth,
    /// Scale that the last normalisation of every block starts with; zero makes each block the identity at first.
    pub last_norm: Init,
    /// What comes before the stages.
    pub stem: ResNetStem,
}

/// The first convolution, which a pooling by 2 follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResNetStem {
    /// 7x7 with stride 2.
    Wide,
    /// 3x3 with stride 1, for small pictures.
    Narrow,
}

impl ResNetStem {
    fn conv(self) -> Conv2dConfig {
        match self {
            Self::Wide => Conv2dConfig::new(3, 64, 7).stride(2).padding(3),
            Self::Narrow => Conv2dConfig::new(3, 64, 3).padding(1),
        }
    }

    /// Pixels of a picture to one of the last map, along a side.
    fn stride(self) -> usize {
        match self {
            Self::Wide => 32,
            Self::Narrow => 16,
        }
    }
}

impl ResNetConfig {
    /// torchvision's network of that depth.
    pub fn new(depth: ResNetDepth) -> Self {
        Self { depth, last_norm: Init::Ones, stem: ResNetStem::Wide }
    }

    /// Channels of the four stages' outputs.
    pub fn widths(&self) -> [usize; 4] {
        [64, 128, 256, 512].map(|w| if self.depth.bottleneck() { 4 * w } else { w })
    }

    /// Builds the network, without a classifier, at `path`.
    pub fn build(&self, path: &Path) -> ResNet {
        let stem = self.stem.conv().build(&path.at("conv1"));
        let norm = BatchNormConfig::new(64).build(&path.at("bn1"));
        let mut channels = 64;
        let stages = std::array::from_fn(|stage| {
            let at = path.at(format!("layer{}", stage + 1));
            let width = 64 << stage;
            (0..self.depth.blocks()[stage])
                .map(|block| {
                    let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                    let unit = Block::new(&at.at(block), self, channels, width, stride);
                    channels = self.widths()[stage];
                    unit
                })
                .collect()
        });
        ResNet { stem, norm, stages }
    }

    /// Builds the network with a classifier of `classes` outputs, `fc`, at `path`.
    pub fn build_classifier(&self, path: &Path, classes: usize) -> ResNetClassifier {
        let resnet = self.build(path);
        let fc = Linear::new(&path.at("fc"), self.widths()[3], classes, true, Init::FanInUniform);
        ResNetClassifier { resnet, fc }
    }
}

/// A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with the stride at the 3x3.
#[derive(Clone, Debug)]
struct Block {
    layers: Vec<(Conv2d, BatchNorm)>,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    fn new(path: &Path, config: &ResNetConfig, input: usize, width: usize, stride: usize) -> Self {
        let plan: &[(usize, usize, usize)] = match config.depth.bottleneck() {
            false => &[(width, 3, stride), (width, 3, 1)],
            true => &[(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)],
        };
        let mut channels = input;
        let mut layers = Vec::new();
        for (i, &(output, kernel, stride)) in plan.iter().enumerate() {
            let conv = Conv2dConfig::new(channels, output, kernel).stride(stride).padding(kernel / 2);
            let conv = conv.build(&path.at(format!("conv{}", i + 1)));
            let scale = if i + 1 == plan.len() { config.last_norm } else { Init::Ones };
            let norm = BatchNormConfig::new(output).scale(scale).build(&path.at(format!("bn{}", i + 1)));
            layers.push((conv, norm));
            channels = output;
        }
        let downsample = (stride != 1 || input != channels).then(|| {
            let at = path.at("downsample");
            let conv = Conv2dConfig::new(input, channels, 1).stride(stride).build(&at.at(0));
            (conv, BatchNormConfig::new(channels).build(&at.at(1)))
        });
        Self { layers, downsample }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((conv, norm)) => ConvBlock::new(conv).after(norm).forward(x.clone(), pass),
            None => x.clone(),
        };
        let (mut x, mut shortcut) = (x, Some(shortcut));
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            let block = ConvBlock::new(conv).after(norm).activation(BlockActivation::Relu);
            let joining = shortcut.take_if(|_| i + 1 == self.layers.len());
            x = match joining {
                Some(shortcut) => block.shortcut(shortcut, Joint::BeforeActivation).forward(x, pass),
                None => block.forward(x, pass),
            };
        }
        x
    }
}

/// A ResNet without its classifier.
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: Conv2d,
    norm: BatchNorm,
    stages: [Vec<Block>; 4],
}

impl ResNet {
    /// Pictures `[B, 3, H, W]` to the outputs of the four stages, at strides 4, 8, 16 and 32, or half of them after
    /// [`ResNetStem::Narrow`].
    pub fn stages(&self, x: Tensor<4>, pass: &Pass) -> [Tensor<4>; 4] {
        let stem = ConvBlock::new(&self.stem).after(&self.norm).activation(BlockActivation::Relu);
        let x = stem.forward(x, pass);
        let mut x = max_pool2d(x, 3, 2, 1);
        std::array::from_fn(|stage| {
            x = self.stages[stage].iter().fold(x.clone(), |x, block| block.forward(x, pass));
            x.clone()
        })
    }

    /// Pictures `[B, 3, H, W]` to the last map `[B, C, H / 32, W / 32]`, twice that size after [`ResNetStem::Narrow`].
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let [.., last] = self.stages(x, pass);
        last
    }
}

/// A ResNet that classifies pictures.
#[derive(Clone, Debug)]
pub struct ResNetClassifier {
    resnet: ResNet,
    fc: Linear,
}

impl ResNetClassifier {
    /// The part from the picture to the last map.
    pub fn trunk(&self) -> &ResNet {
        &self.resnet
    }

    /// Pictures `[B, 3, H, W]`, each channel normalised by ImageNet's mean and deviation, to logits `[B, classes]`.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<2> {
        RowBlock::new(&self.fc).forward(global_average(self.resnet.forward(x, pass)), pass)
    }
}

/// A ResNet whose last map is normalised, flattened and projected to an embedding, in one of two dialects.
#[derive(Clone, Debug)]
pub struct ResNetFace {
    resnet: ResNet,
    map_norm: BatchNorm,
    dropout: Dropout,
    linear: Linear,
    norm: BatchNorm,
}

/// What differs between the code bases that put an embedding on a ResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResNetFaceDialect {
    /// CurricularFace: a wide stem, `bn_o1`, dropout, `fc` and `bn_o2`, blocks that start as the identity.
    CurricularFace,
    /// Loss Function Search: a narrow stem, and `output_layer` with no dropout.
    LossSearch,
}

impl ResNetFaceDialect {
    fn network(self, depth: ResNetDepth) -> ResNetConfig {
        match self {
            Self::CurricularFace => ResNetConfig { last_norm: Init::Zeros, ..ResNetConfig::new(depth) },
            Self::LossSearch => ResNetConfig { stem: ResNetStem::Narrow, ..ResNetConfig::new(depth) },
        }
    }

    /// Names of the three layers of the embedding, share of dropout, and how the linear layer starts.
    fn tail(self) -> ([&'static str; 3], f64, Init) {
        match self {
            Self::CurricularFace => (["bn_o1", "fc", "bn_o2"], 0.5, Init::KaimingNormalFanOut),
            Self::LossSearch => {
                (["output_layer.0", "output_layer.2", "output_layer.3"], 0.0, Init::FanInUniform)
            }
        }
    }
}

impl ResNetFace {
    /// Builds CurricularFace's network for square pictures of `input_size` pixels at `path`.
    pub fn new(path: &Path, depth: ResNetDepth, input_size: usize) -> Self {
        Self::of(ResNetFaceDialect::CurricularFace, path, depth, input_size, 512)
    }

    /// Builds a dialect's network from square pictures of `input_size` pixels to embeddings of `embedding` values at
    /// `path`.
    pub fn of(
        dialect: ResNetFaceDialect,
        path: &Path,
        depth: ResNetDepth,
        input_size: usize,
        embedding: usize,
    ) -> Self {
        let config = dialect.network(depth);
        let resnet = config.build(path);
        let channels = config.widths()[3];
        let side = input_size.div_ceil(config.stem.stride());
        let ([map_norm, linear, norm], p, init) = dialect.tail();
        Self {
            resnet,
            map_norm: BatchNormConfig::new(channels).build(&path.at(map_norm)),
            dropout: Dropout { p },
            linear: Linear::new(&path.at(linear), channels * side * side, embedding, true, init),
            norm: BatchNormConfig::new(embedding).build(&path.at(norm)),
        }
    }

    /// Pictures `[B, 3, S, S]` in [-1, 1] to embeddings `[B, D]`, not normalised.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Embedded {
        let map = self.resnet.forward(x, pass);
        let features = map.clone().flatten(1, 3);
        let block = LinearBlock::new(&self.linear).before(&self.map_norm).dropout(&self.dropout);
        Embedded { embedding: block.after(&self.norm).forward(map, pass), features }
    }
}
