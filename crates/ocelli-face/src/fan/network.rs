//! Four encoders, a shared identity head and a decoder (paper, figure 2; sizes are our reconstruction).

use burn::tensor::Tensor;
use ocelli_nn::backbones::{IrHead, IrTrunk, IrUnit, IrUnitKind};
use ocelli_nn::layers::{BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, Prelu, upsample_nearest};
use ocelli_nn::ops::activation::tanh;
use ocelli_nn::{Init, Pass, Path};
use serde::{Deserialize, Serialize};

/// Sizes of the network; those of the full one by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FanShape {
    /// Channels of the encoders' stages.
    pub widths: Vec<usize>,
    /// Residual units of the encoders' stages.
    pub units: Vec<usize>,
    /// Side of the feature maps in pixels: that of the picture halved once a stage.
    pub side: usize,
    /// Length of the embedding.
    pub dim: usize,
    /// Channels of the decoder's stages, each of which doubles the side.
    pub decoder_widths: Vec<usize>,
}

impl Default for FanShape {
    fn default() -> Self {
        Self {
            widths: vec![64, 128, 256, 512],
            units: vec![3, 4, 14, 3],
            side: 7,
            dim: 512,
            decoder_widths: vec![512, 256, 128, 64],
        }
    }
}

impl FanShape {
    /// Channels of the feature maps.
    pub fn channels(&self) -> usize {
        self.widths.last().copied().unwrap_or_default()
    }
}

/// From an identity map and a non-identity map to a face.
#[derive(Clone, Debug)]
pub struct Decoder {
    stem: (Conv2d, BatchNorm, Prelu),
    ups: Vec<Up>,
    to_rgb: Conv2d,
}

/// One doubling of the sides.
#[derive(Clone, Debug)]
struct Up {
    conv: Conv2d,
    bn: BatchNorm,
    act: Prelu,
    res: IrUnit,
}

fn conv3x3(input: usize, output: usize) -> Conv2dConfig {
    Conv2dConfig::new(input, output, 3).padding(1)
}

impl Decoder {
    /// A decoder of `channels` input channels, both maps together, at `path`.
    pub fn new(path: &Path, channels: usize, widths: &[usize]) -> Self {
        let first = widths.first().copied().unwrap_or_default();
        let stem = path.at("stem");
        let stem = (
            conv3x3(channels, first).build(&stem.at(0)),
            BatchNormConfig::new(first).build(&stem.at(1)),
            Prelu::new(&stem.at(2), first),
        );
        let mut input = first;
        let mut up = |(k, &width): (usize, &usize)| {
            let at = path.at("ups").at(k);
            let up = Up {
                conv: conv3x3(input, width).build(&at.at("conv")),
                bn: BatchNormConfig::new(width).build(&at.at("bn")),
                act: Prelu::new(&at.at("act"), width),
                res: IrUnit::new(&at.at("res"), IrUnitKind::PlainSpelled, width, width, 1),
            };
            input = width;
            up
        };
        let ups = widths.iter().enumerate().map(&mut up).collect();
        Self {
            stem,
            ups,
            to_rgb: conv3x3(input, 3).bias().init(Init::FanInUniform).build(&path.at("to_rgb")),
        }
    }

    /// Maps `[B, C, H, W]` each to pictures before the squashing, `[B, 3, H 2^n, W 2^n]` after n doublings.
    pub fn before_tanh(&self, identity: Tensor<4>, non_identity: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let (conv, bn, act) = &self.stem;
        let x = Tensor::cat(vec![identity, non_identity], 1);
        let x = bn.forward_prelu(conv.forward(x), act, pass);
        let x = self.ups.iter().fold(x, |x, up| {
            let x = up.conv.forward(upsample_nearest(x, 2));
            up.res.forward(up.bn.forward_prelu(x, &up.act, pass), pass)
        });
        self.to_rgb.forward(x)
    }

    /// The same to pictures in [-1, 1].
    pub fn forward(&self, identity: Tensor<4>, non_identity: Tensor<4>, pass: &Pass) -> Tensor<4> {
        tanh(self.before_tanh(identity, non_identity, pass))
    }
}

/// The parts of the whole network, by their names in the state dict.
#[derive(Clone, Debug)]
pub struct Fan {
    /// Identity of faces in high resolution.
    pub hr_id: IrTrunk,
    /// What else there is to see in them.
    pub hr_non: IrTrunk,
    /// Identity of faces in low resolution.
    pub lr_id: IrTrunk,
    /// What else there is to see in them.
    pub lr_non: IrTrunk,
    /// From an identity map to the embedding.
    pub id_head: IrHead,
    /// From both maps to a face.
    pub decoder: Decoder,
}

/// The four encoders' places in the state dict.
pub const ENCODERS: [&str; 4] = ["hr_id", "hr_non", "lr_id", "lr_non"];

impl Fan {
    /// A network at `path`.
    pub fn new(path: &Path, shape: &FanShape) -> Self {
        let [hr_id, hr_non, lr_id, lr_non] =
            ENCODERS.map(|name| IrTrunk::new(&path.at(name), &shape.widths, &shape.units));
        let id_head = IrHead::new(&path.at("id_head"), shape.channels(), shape.side, shape.dim);
        let decoder = Decoder::new(&path.at("decoder"), 2 * shape.channels(), &shape.decoder_widths);
        Self { hr_id, hr_non, lr_id, lr_non, id_head, decoder }
    }

    /// Faces of any resolution, enlarged to the network's size, `[B, 3, S, S]` in [-1, 1], to embeddings `[B, D]`, not
    /// normalised.
    pub fn embed(&self, faces: Tensor<4>, pass: &Pass) -> Tensor<2> {
        self.id_head.forward(self.lr_id.forward(faces, pass), pass)
    }

    /// The same faces to what they would look like from near, `[B, 3, S, S]` in [-1, 1].
    pub fn normalize(&self, faces: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let identity = self.lr_id.forward(faces.clone(), pass);
        self.decoder.forward(identity, self.lr_non.forward(faces, pass), pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_nn::Store;

    #[test]
    fn the_full_network_has_150_66_million_parameters() {
        // Counted from the shapes of one encoder to spare the memory of four.
        let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 0);
        let shape = FanShape::default();
        IrTrunk::new(&store.root().at("encoder"), &shape.widths, &shape.units);
        let encoder = store.count_parameters();
        IrHead::new(&store.root().at("id_head"), shape.channels(), shape.side, shape.dim);
        Decoder::new(&store.root().at("decoder"), 2 * shape.channels(), &shape.decoder_widths);
        let whole = store.count_parameters() + 3 * encoder;
        assert_eq!((whole as f64 / 1e4).round() / 100.0, 150.66, "{whole}");
    }
}
