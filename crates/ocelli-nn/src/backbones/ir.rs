//! The improved residual networks of face recognition: IR-18, 34, 50, 100, 101, 152, 200, with or without
//! squeeze-and-excitation.
//!
//! Two code bases name and build them differently. [`IrDialect::CurricularFace`] has one convolution, activation,
//! convolution per unit; [`IrDialect::TFace`] adds a normalisation after the first convolution and builds the
//! deepest networks from bottleneck units.
//!
//! A network is an [`IrTrunk`], from the picture to a feature map, and an [`IrHead`], from the map to the embedding.
//! Methods that work on maps use the two apart.

use burn::tensor::Tensor;

use ocelli_kernels::Joint;

use super::Embedded;
use crate::init::Init;
use crate::layers::{
    BatchNorm, BatchNormConfig, BlockActivation, Conv2d, Conv2dConfig, ConvBlock, Dropout, Linear,
    LinearBlock, Prelu, SqueezeExcitation, subsample,
};
use crate::pass::Pass;
use crate::store::Path;

/// Which code base's units and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrDialect {
    /// The units of the CurricularFace repository (and of the face.evoLVe code it follows).
    CurricularFace,
    /// The units of TFace.
    TFace,
}

/// Published depths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrDepth {
    /// 2, 2, 2, 2 units.
    D18,
    /// 3, 4, 6, 3 units.
    D34,
    /// 3, 4, 14, 3 units.
    D50,
    /// 3, 13, 30, 3 units; also called 101.
    D100,
    /// 3, 8, 36, 3 units; bottlenecks in TFace's dialect.
    D152,
    /// 3, 24, 36, 3 bottleneck units.
    D200,
}

impl IrDepth {
    /// Units in each of the four stages.
    pub fn units(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 => [3, 4, 6, 3],
            Self::D50 => [3, 4, 14, 3],
            Self::D100 => [3, 13, 30, 3],
            Self::D152 => [3, 8, 36, 3],
            Self::D200 => [3, 24, 36, 3],
        }
    }
}

/// The kinds of residual unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrUnitKind {
    /// BN, conv 3x3, PReLU, conv 3x3, BN.
    Plain,
    /// The layers of `Plain`, called `bn1`, `conv1`, `act`, `conv2`, `bn2` and, in the shortcut, `down`.
    PlainSpelled,
    /// The layers of `Plain` with squeeze-and-excitation.
    PlainSe,
    /// BN, conv 3x3, BN, PReLU, conv 3x3, BN.
    TFace,
    /// The same with squeeze-and-excitation.
    TFaceSe,
    /// BN, conv 1x1, BN, PReLU, conv 3x3, BN, PReLU, conv 1x1, BN.
    TFaceBottleneck,
    /// The same with squeeze-and-excitation.
    TFaceBottleneckSe,
}

/// A residual unit.
#[derive(Clone, Debug)]
pub struct IrUnit {
    shortcut: Option<(Conv2d, BatchNorm)>,
    layers: Vec<Layer>,
    stride: usize,
}

#[derive(Clone, Debug)]
enum Layer {
    Norm(BatchNorm),
    Conv(Conv2d),
    Prelu(Prelu),
    Squeeze(SqueezeExcitation),
}

/// Reduction of the squeeze-and-excitation of all published variants.
const REDUCTION: usize = 16;

impl IrUnit {
    /// A unit from `input` to `depth` channels at `path`; `stride` is that of its last spatial step.
    pub fn new(path: &Path, kind: IrUnitKind, input: usize, depth: usize, stride: usize) -> Self {
        let spelled = kind == IrUnitKind::PlainSpelled;
        let shortcut = |name: &str| {
            let at = path.at(name);
            let conv = Conv2dConfig::new(input, depth, 1).stride(stride).build(&at.at(0));
            (conv, BatchNormConfig::new(depth).build(&at.at(1)))
        };
        // The state dict has the numbered shortcut before the other layers, the spelled one after them.
        let numbered = (input != depth && !spelled).then(|| shortcut("shortcut_layer"));
        let mut stack = match spelled {
            true => Stack { path: path.clone(), names: SPELLED, layers: Vec::new() },
            false => Stack { path: path.at("res_layer"), names: &[], layers: Vec::new() },
        };
        stack.norm(input);
        match kind {
            IrUnitKind::Plain | IrUnitKind::PlainSpelled | IrUnitKind::PlainSe => {
                stack.conv(input, depth, 3, 1).prelu(depth).conv(depth, depth, 3, stride).norm(depth);
            }
            IrUnitKind::TFace | IrUnitKind::TFaceSe => {
                stack.conv(input, depth, 3, 1).norm(depth).prelu(depth);
                stack.conv(depth, depth, 3, stride).norm(depth);
            }
            IrUnitKind::TFaceBottleneck | IrUnitKind::TFaceBottleneckSe => {
                let narrow = depth / 4;
                stack.conv(input, narrow, 1, 1).norm(narrow).prelu(narrow);
                stack.conv(narrow, narrow, 3, 1).norm(narrow).prelu(narrow);
                stack.conv(narrow, depth, 1, stride).norm(depth);
            }
        }
        match kind {
            IrUnitKind::PlainSe => stack.squeeze("5", depth),
            IrUnitKind::TFaceSe | IrUnitKind::TFaceBottleneckSe => stack.squeeze("se_block", depth),
            _ => {}
        }
        let shortcut = numbered.or_else(|| (input != depth).then(|| shortcut("down")));
        Self { shortcut, layers: stack.layers, stride }
    }

    /// `[B, in, H, W]` to `[B, depth, H / stride, W / stride]`, rounded up.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some((conv, norm)) => ConvBlock::new(conv).after(norm).forward(x.clone(), pass),
            None => subsample(x.clone(), self.stride),
        };
        let (mut x, mut rest, mut shortcut) = (x, self.layers.as_slice(), Some(shortcut));
        while !rest.is_empty() {
            x = match Step::leading(&mut rest) {
                Step::Norm(norm) => norm.forward(x, pass),
                Step::Prelu(prelu) => prelu.forward(x),
                Step::Squeeze(squeeze) => squeeze.forward(x, shortcut.take_if(|_| rest.is_empty()), pass),
                Step::Block(block) => match shortcut.take_if(|_| rest.is_empty()) {
                    Some(shortcut) => block.shortcut(shortcut, Joint::AfterActivation).forward(x, pass),
                    None => block.forward(x, pass),
                },
            };
        }
        match shortcut {
            Some(shortcut) => x + shortcut,
            None => x,
        }
    }
}

/// A layer, or a convolution with those around it.
#[allow(clippy::large_enum_variant)] // it lives for a statement
enum Step<'a> {
    Norm(&'a BatchNorm),
    Prelu(&'a Prelu),
    Squeeze(&'a SqueezeExcitation),
    Block(ConvBlock<'a>),
}

impl<'a> Step<'a> {
    /// Takes the first step of some layers.
    ///
    /// # Panics
    /// If there is none.
    fn leading(layers: &mut &'a [Layer]) -> Self {
        let (mut block, mut rest) = match *layers {
            [Layer::Norm(norm), Layer::Conv(conv), rest @ ..] => (ConvBlock::new(conv).before(norm), rest),
            [Layer::Conv(conv), rest @ ..] => (ConvBlock::new(conv), rest),
            [layer, rest @ ..] => {
                *layers = rest;
                return match layer {
                    Layer::Norm(norm) => Self::Norm(norm),
                    Layer::Prelu(prelu) => Self::Prelu(prelu),
                    Layer::Squeeze(squeeze) => Self::Squeeze(squeeze),
                    Layer::Conv(conv) => Self::Block(ConvBlock::new(conv)),
                };
            }
            [] => panic!("a step of no layers"),
        };
        if let [Layer::Norm(norm), next @ ..] = rest {
            (block, rest) = (block.after(norm), next);
        }
        if let [Layer::Prelu(prelu), next @ ..] = rest {
            (block, rest) = (block.activation(BlockActivation::Prelu(prelu)), next);
        }
        *layers = rest;
        Self::Block(block)
    }
}

/// The layers of [`IrUnitKind::PlainSpelled`] in order.
const SPELLED: &[&str] = &["bn1", "conv1", "act", "conv2", "bn2"];

/// Layers called by their names, or else numbered as they come, as `torch.nn.Sequential` does.
struct Stack {
    path: Path,
    names: &'static [&'static str],
    layers: Vec<Layer>,
}

impl Stack {
    fn next(&self) -> Path {
        let number = self.layers.len();
        match self.names.get(number) {
            Some(name) => self.path.at(name),
            None => self.path.at(number),
        }
    }

    fn norm(&mut self, channels: usize) -> &mut Self {
        self.layers.push(Layer::Norm(BatchNormConfig::new(channels).build(&self.next())));
        self
    }

    fn conv(&mut self, input: usize, output: usize, kernel: usize, stride: usize) -> &mut Self {
        let conv = Conv2dConfig::new(input, output, kernel).stride(stride).padding(kernel / 2);
        self.layers.push(Layer::Conv(conv.build(&self.next())));
        self
    }

    fn prelu(&mut self, channels: usize) -> &mut Self {
        self.layers.push(Layer::Prelu(Prelu::new(&self.next(), channels)));
        self
    }

    fn squeeze(&mut self, name: &str, channels: usize) {
        let squeeze = SqueezeExcitation::new(&self.path.at(name), channels, REDUCTION);
        self.layers.push(Layer::Squeeze(squeeze));
    }
}

/// How an IR network is built. Presets give the published ones; every field may be changed.
#[derive(Clone, Debug)]
pub struct IrConfig {
    /// Names and units.
    pub dialect: IrDialect,
    /// Units in each stage.
    pub units: [usize; 4],
    /// Channels of the stem and of each stage.
    pub widths: [usize; 4],
    /// Whether units are bottlenecks (TFace's dialect only): widths are then those inside times four.
    pub bottleneck: bool,
    /// Whether units have squeeze-and-excitation.
    pub squeeze: bool,
    /// Side of the square input picture in pixels, a multiple of 16.
    pub input_size: usize,
    /// Length of the embedding.
    pub embedding: usize,
    /// Share of the last feature map dropped in training.
    pub dropout: f64,
}

impl IrConfig {
    /// A published network on 112-pixel pictures with 512-d embeddings.
    pub fn published(dialect: IrDialect, depth: IrDepth, squeeze: bool) -> Self {
        let deep = matches!(depth, IrDepth::D152 | IrDepth::D200);
        let bottleneck = depth == IrDepth::D200 || (dialect == IrDialect::TFace && deep);
        let widths = if bottleneck { [256, 512, 1024, 2048] } else { [64, 128, 256, 512] };
        Self {
            dialect,
            units: depth.units(),
            widths,
            bottleneck,
            squeeze,
            input_size: 112,
            embedding: 512,
            dropout: 0.4,
        }
    }

    /// A narrow network with one unit a stage, which two CPU cores train in minutes on small pictures.
    pub fn tiny(input_size: usize, embedding: usize) -> Self {
        Self {
            dialect: IrDialect::CurricularFace,
            units: [1, 1, 1, 1],
            widths: [16, 32, 64, 128],
            bottleneck: false,
            squeeze: false,
            input_size,
            embedding,
            dropout: 0.0,
        }
    }

    fn kind(&self) -> IrUnitKind {
        match (self.dialect, self.bottleneck, self.squeeze) {
            (IrDialect::CurricularFace, _, false) => IrUnitKind::Plain,
            (IrDialect::CurricularFace, _, true) => IrUnitKind::PlainSe,
            (IrDialect::TFace, false, false) => IrUnitKind::TFace,
            (IrDialect::TFace, false, true) => IrUnitKind::TFaceSe,
            (IrDialect::TFace, true, false) => IrUnitKind::TFaceBottleneck,
            (IrDialect::TFace, true, true) => IrUnitKind::TFaceBottleneckSe,
        }
    }

    /// Builds the network at `path`.
    pub fn build(&self, path: &Path) -> Ir {
        let stem = if self.bottleneck { self.widths[0] / 4 } else { self.widths[0] };
        let places = (path.at("input_layer"), path.at("body"));
        let trunk = IrTrunk::build(&places, self.kind(), stem, &self.widths, &self.units);
        let output = path.at("output_layer");
        let head = IrHead::build(
            [output.at(0), output.at(3), output.at(4)],
            [self.widths[3], self.input_size.div_ceil(16), self.embedding],
            self.dropout,
        );
        Ir { trunk, head }
    }
}

/// Stem and residual units: from the picture to a feature map.
#[derive(Clone, Debug)]
pub struct IrTrunk {
    stem: (Conv2d, BatchNorm, Prelu),
    body: Vec<IrUnit>,
}

impl IrTrunk {
    /// A trunk of [`IrUnitKind::PlainSpelled`] at `path`, as `stem` and `body`: a stem of `widths[0]` channels, then
    /// `units[i]` units of `widths[i]` channels, the first of which halves the sides.
    pub fn new(path: &Path, widths: &[usize], units: &[usize]) -> Self {
        let stem = widths.first().copied().unwrap_or_default();
        Self::build(&(path.at("stem"), path.at("body")), IrUnitKind::PlainSpelled, stem, widths, units)
    }

    fn build(
        (input, body): &(Path, Path),
        kind: IrUnitKind,
        stem: usize,
        widths: &[usize],
        units: &[usize],
    ) -> Self {
        let stem_layers = (
            Conv2dConfig::new(3, stem, 3).padding(1).build(&input.at(0)),
            BatchNormConfig::new(stem).build(&input.at(1)),
            Prelu::new(&input.at(2), stem),
        );
        let mut stack: Vec<IrUnit> = Vec::new();
        let mut channels = stem;
        for (&units, &width) in units.iter().zip(widths) {
            for unit in 0..units {
                let stride = if unit == 0 { 2 } else { 1 };
                stack.push(IrUnit::new(&body.at(stack.len()), kind, channels, width, stride));
                channels = width;
            }
        }
        Self { stem: stem_layers, body: stack }
    }

    /// Pictures `[B, 3, S, S]` in [-1, 1] to maps `[B, C, S / 2^n, S / 2^n]` after n stages, rounded up.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let (conv, norm, prelu) = &self.stem;
        let stem = ConvBlock::new(conv).after(norm).activation(BlockActivation::Prelu(prelu));
        let x = stem.forward(x, pass);
        self.body.iter().fold(x, |x, unit| unit.forward(x, pass))
    }
}

/// Normalisation, dropout, linear layer, normalisation: from a feature map to the embedding.
#[derive(Clone, Debug)]
pub struct IrHead {
    norm: BatchNorm,
    dropout: Dropout,
    linear: Linear,
    output_norm: BatchNorm,
}

impl IrHead {
    /// A head at `path`, as `bn_in`, `fc` and `bn_out`, from maps of `channels` channels and `side` x `side` pixels to
    /// `embedding` dimensions, without dropout.
    pub fn new(path: &Path, channels: usize, side: usize, embedding: usize) -> Self {
        Self::build(["bn_in", "fc", "bn_out"].map(|name| path.at(name)), [channels, side, embedding], 0.0)
    }

    fn build(places: [Path; 3], [channels, side, embedding]: [usize; 3], dropout: f64) -> Self {
        let [norm, linear, output_norm] = &places;
        let features = channels * side * side;
        Self {
            norm: BatchNormConfig::new(channels).build(norm),
            dropout: Dropout { p: dropout },
            linear: Linear::new(linear, features, embedding, true, Init::KaimingNormalFanOut),
            output_norm: BatchNormConfig::new(embedding).without_affine().build(output_norm),
        }
    }

    /// Maps `[B, C, H, W]` to embeddings `[B, D]`, not normalised.
    pub fn forward(&self, map: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let block = LinearBlock::new(&self.linear).before(&self.norm).dropout(&self.dropout);
        block.after(&self.output_norm).forward(map, pass)
    }
}

/// An IR network.
#[derive(Clone, Debug)]
pub struct Ir {
    trunk: IrTrunk,
    head: IrHead,
}

impl Ir {
    /// The part from the picture to the feature map.
    pub fn trunk(&self) -> &IrTrunk {
        &self.trunk
    }

    /// The part from the feature map to the embedding; its names in the state dict start with `output_layer`.
    pub fn head(&self) -> &IrHead {
        &self.head
    }

    /// Pictures `[B, 3, S, S]` in [-1, 1] to embeddings; the features are the map before the output layer.
    pub fn forward(&self, x: Tensor<4>, pass: &Pass) -> Embedded {
        let map = self.trunk.forward(x, pass);
        let features = map.clone().flatten(1, 3);
        Embedded { embedding: self.head.forward(map, pass), features }
    }
}
