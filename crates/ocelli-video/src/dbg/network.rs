//! The network, under the names of the released PyTorch code: dual stream base (`DSBNet`), proposal features
//! (`PropFeatGen`), action completeness (`ACRNet`) and temporal boundaries (`TBCNet`).

use burn::tensor::Tensor;
use ocelli_nn::layers::{Conv1d, Conv1dConfig, Dropout, Pointwise};
use ocelli_nn::ops::activation::{relu, sigmoid};
use ocelli_nn::{Init, Param, Pass, Path, Role};
use serde::{Deserialize, Serialize};

use super::sampling::Regions;
use crate::temporal::sampler::{ProposalSampler, compact_places};

/// Sizes of the network; the published ones by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DbgConfig {
    /// Features of a cell; the first half is one stream (RGB), the second the other (optical flow).
    pub feature_dim: usize,
    /// Cells of a video.
    pub tscale: usize,
    /// Channels of the two convolutions over time.
    pub base_dims: [usize; 2],
    /// Features of a proposal.
    pub proposal_dim: usize,
    /// Channels inside the two heads.
    pub head_dim: usize,
    /// Share of the heads' activations that is dropped in training.
    pub dropout: f64,
    /// Rectify the proposal features: so does the released TensorFlow code, the PyTorch one does not.
    pub rectify_proposals: bool,
}

impl Default for DbgConfig {
    fn default() -> Self {
        Self {
            feature_dim: 400,
            tscale: 100,
            base_dims: [256, 128],
            proposal_dim: 512,
            head_dim: 256,
            dropout: 0.3,
            rectify_proposals: false,
        }
    }
}

impl DbgConfig {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that makes no network.
    pub fn validate(&self) -> Result<(), String> {
        if self.feature_dim < 2 || !self.feature_dim.is_multiple_of(2) {
            return Err(format!(
                "feature_dim: {} features do not make two streams of one size",
                self.feature_dim
            ));
        }
        if !(1..=1000).contains(&self.tscale) {
            return Err(format!("tscale: {} cells are outside 1 to 1000", self.tscale));
        }
        if self.base_dims.contains(&0) || self.proposal_dim == 0 || self.head_dim == 0 {
            return Err("base_dims, proposal_dim, head_dim: must be at least 1".to_owned());
        }
        match (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => Err(format!("dropout: {} is outside 0 to 1", self.dropout)),
        }
    }

    /// Takes the sizes that weights under the released code's names tell of; `shape` gives the shape of one by its name.
    ///
    /// # Errors
    /// What `shape` says of a weight it does not have, or which one has too few dimensions.
    pub fn take_sizes(&mut self, shape: &dyn Fn(&str) -> Result<Vec<usize>, String>) -> Result<(), String> {
        let sizes = |name: &str| match shape(name)?.as_slice() {
            [output, input, ..] => Ok([*output, *input]),
            other => Err(format!("`{name}` has shape {other:?}")),
        };
        let [wide, half] = sizes("DSBNet.conv1_1.0.weight")?;
        let [narrow, _] = sizes("DSBNet.conv1_2.0.weight")?;
        self.feature_dim = half.saturating_mul(2);
        self.base_dims = [wide, narrow];
        [self.proposal_dim, _] = sizes("PropFeatGen.conv3d.weight")?;
        [self.head_dim, _] = sizes("TBCNet.conv2d.0.0.weight")?;
        Ok(())
    }
}

/// The network's initial weights: Glorot's uniform ones; biases start at 0.
const INIT: Init = Init::XavierUniform;

/// A convolution over time with zero padding that starts as the network does.
fn conv1d(path: &Path, name: &str, input: usize, output: usize, kernel: usize) -> Conv1d {
    let config = Conv1dConfig::new(input, output, kernel).padding(kernel / 2).init(INIT);
    config.build(&path.at(name).at(0))
}

/// The dual stream base: two convolutions over each stream, and how much action every cell holds.
#[derive(Clone, Debug)]
pub struct DualStreamBase {
    streams: [[Conv1d; 3]; 2],
    both: Conv1d,
    feature_dim: usize,
}

/// What the base gives.
#[derive(Clone, Debug)]
pub struct BaseOutput {
    /// Actionness by the first stream, the second, and both: each `[B, 1, T]`.
    pub actionness: [Tensor<3>; 3],
    /// Their mean, `[B, 1, T]`.
    pub score: Tensor<3>,
    /// Features of both streams, `[B, C, T]`.
    pub features: Tensor<3>,
}

impl DualStreamBase {
    /// A base at `path` for `feature_dim` features, half of them a stream.
    pub fn new(path: &Path, feature_dim: usize, [wide, narrow]: [usize; 2]) -> Self {
        let stream = |k: usize| {
            let name = |layer: usize| format!("conv{k}_{layer}");
            [
                conv1d(path, &name(1), feature_dim / 2, wide, 3),
                conv1d(path, &name(2), wide, narrow, 3),
                conv1d(path, &name(3), narrow, 1, 1),
            ]
        };
        let streams = [stream(1), stream(2)];
        Self { streams, both: conv1d(path, "conv3", narrow, 1, 1), feature_dim }
    }

    /// Features `[B, feature_dim, T]` to actionness and features.
    pub fn forward(&self, x: Tensor<3>) -> BaseOutput {
        let half = self.feature_dim / 2;
        let [first, second] = [0, 1].map(|k| {
            let [wide, narrow, _] = &self.streams[k];
            relu(narrow.forward(relu(wide.forward(x.clone().narrow(1, k * half, half)))))
        });
        let features = first.clone() + second.clone();
        let actionness = [
            sigmoid(self.streams[0][2].forward(first)),
            sigmoid(self.streams[1][2].forward(second)),
            sigmoid(self.both.forward(features.clone())),
        ];
        let [a, b, c] = actionness.clone();
        BaseOutput { actionness, score: (a + b + c).div_scalar(3.0), features }
    }
}

/// The convolution that makes features of a proposal's samples: `conv3d.weight [O, C, N, 1, 1]`.
#[derive(Clone, Debug)]
pub struct ProposalFeatures {
    weight: Param,
    bias: Param,
    rectify: bool,
}

impl ProposalFeatures {
    /// From `input` channels of `samples` samples to `output` features at `path`.
    pub fn new(path: &Path, [input, output]: [usize; 2], samples: usize, rectify: bool) -> Self {
        let path = path.at("conv3d");
        Self {
            weight: path.param("weight", &[output, input, samples, 1, 1], INIT, Role::Kernel),
            bias: path.param("bias", &[output], Init::Zeros, Role::Bias),
            rectify,
        }
    }

    /// Features of cells `[B, C, T]` to features of places `[B, P, O]`.
    pub fn forward(&self, sampler: &ProposalSampler, x: Tensor<3>) -> Tensor<3> {
        let [output, input, samples, ..] = self.weight.value::<5>().dims();
        let weight = self.weight.value::<5>().reshape([output, input, samples]);
        let features = sampler.convolve(x.swap_dims(1, 2), weight) + self.bias.value::<1>().unsqueeze();
        if self.rectify { relu(features) } else { features }
    }
}

/// Three 1x1 convolutions with rectifiers and dropout between them, and sigmoids at the end: `conv2d.{0,2,4}.0`.
#[derive(Clone, Debug)]
pub struct ProposalHead {
    layers: [Pointwise; 3],
    dropout: Dropout,
}

impl ProposalHead {
    /// From `input` features of a proposal to `output` scores at `path`.
    pub fn new(path: &Path, [input, hidden, output]: [usize; 3], dropout: f64) -> Self {
        let at = |k: usize| path.at("conv2d").at(k).at(0);
        Self {
            layers: [
                Pointwise::new(&at(0), input, hidden, INIT),
                Pointwise::new(&at(2), hidden, hidden, INIT),
                Pointwise::new(&at(4), hidden, output, INIT),
            ],
            dropout: Dropout { p: dropout },
        }
    }

    /// Features of proposals `[B, P, input]` to scores in (0, 1), `[B, P, output]`.
    pub fn forward(&self, features: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let [b, p, input] = features.dims();
        let [first, second, last] = &self.layers;
        let hidden = |layer: &Pointwise, x| self.dropout.forward(relu(layer.forward(x)), pass);
        let rows = last.forward(hidden(second, hidden(first, features.reshape([b * p, input]))));
        let [_, output] = rows.dims();
        sigmoid(rows).reshape([b, p, output])
    }
}

/// The whole network.
#[derive(Clone, Debug)]
pub struct Dbg {
    config: DbgConfig,
    base: DualStreamBase,
    features: ProposalFeatures,
    completeness: ProposalHead,
    boundaries: ProposalHead,
    sampler: ProposalSampler,
}

/// What the network says of every cell and every proposal.
#[derive(Clone, Debug)]
pub struct DbgOutput {
    /// Actionness by the first stream, the second, and both: each `[B, 1, T]`.
    pub actionness: [Tensor<3>; 3],
    /// Completeness of each proposal, `[B, P]`, in the order of
    /// [`compact_places`].
    pub iou: Tensor<2>,
    /// Whether each begins at the start of an action, `[B, P]`.
    pub start: Tensor<2>,
    /// Whether each ends at the end of an action, `[B, P]`.
    pub end: Tensor<2>,
}

impl Dbg {
    /// A network at `path`.
    pub fn new(path: &Path, config: DbgConfig) -> Self {
        let regions = Regions::default();
        let samples = regions.samples();
        let DbgConfig { feature_dim, base_dims, proposal_dim, head_dim, dropout, .. } = config;
        Self {
            base: DualStreamBase::new(&path.at("DSBNet"), feature_dim, base_dims),
            features: ProposalFeatures::new(
                &path.at("PropFeatGen"),
                [base_dims[1], proposal_dim],
                samples,
                config.rectify_proposals,
            ),
            completeness: ProposalHead::new(&path.at("ACRNet"), [samples, head_dim, 1], dropout),
            boundaries: ProposalHead::new(&path.at("TBCNet"), [proposal_dim, head_dim, 2], dropout),
            sampler: regions.sampler(config.tscale, compact_places(config.tscale)),
            config,
        }
    }

    /// Its sizes.
    pub fn config(&self) -> &DbgConfig {
        &self.config
    }

    /// The sampler of its proposals.
    pub fn sampler(&self) -> &ProposalSampler {
        &self.sampler
    }

    /// Features of cells `[B, feature_dim, T]` to scores of cells and proposals.
    ///
    /// # Panics
    /// When the features are of another size.
    pub fn forward(&self, x: Tensor<3>, pass: &Pass) -> DbgOutput {
        let BaseOutput { actionness, score, features } = self.base.forward(x);
        let [b, _, _] = score.dims();
        let places = self.sampler.places().len();
        let samples = self.sampler.sample(score.swap_dims(1, 2)).reshape([b, places, self.sampler.samples()]);
        let iou = self.completeness.forward(samples, pass).reshape([b, places]);
        let boundaries = self.boundaries.forward(self.features.forward(&self.sampler, features), pass);
        let boundary = |k: usize| boundaries.clone().narrow(2, k, 1).reshape([b, places]);
        DbgOutput { actionness, iou, start: boundary(0), end: boundary(1) }
    }
}
