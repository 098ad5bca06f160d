//! BSN++ and BMN as generators of the training loop.

use burn::tensor::Tensor;
use ocelli_method::random::stream;
use ocelli_metrics::segment::ScoredSegment;
use ocelli_nn::tensor::{from_values, scalar, values};
use ocelli_nn::{Pass, Path, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use serde::{Deserialize, Serialize};

use super::bmn::Bmn;
use super::inference::{Candidates, Evidence, Fusion, Suppression, fuse};
use super::loss::{BOUNDARY, EPSILON, LossConfig, PassOutput, ProposalLoss, boundary_loss, boundary_terms};
use super::network::{BsnPlusPlus, Sizes};
use super::relation::{Layout, Maps};
use super::targets::Targets;
use super::training::{self, uniform};
use crate::temporal::generator::{Draws, Generator};
use crate::temporal::suppress::SoftNms;
use crate::temporal::videos::Video;

/// Which network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Local boundary heads, plain maps; the lengths of its positive proposals are not balanced.
    Bmn,
    /// Both directions of time, attention between proposals.
    #[default]
    BsnPlusPlus,
}

/// Inference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProposeConfig {
    /// Which pairs of start and end become proposals.
    pub candidates: Candidates,
    /// How the two maps become one score.
    pub fusion: Fusion,
    /// Which proposals are kept.
    pub soft_nms: Suppression,
    /// Most proposals of a video.
    pub keep: usize,
}

impl Default for ProposeConfig {
    fn default() -> Self {
        Self {
            candidates: Candidates::All,
            fusion: Fusion::Product,
            soft_nms: Suppression::default(),
            keep: 100,
        }
    }
}

impl ProposeConfig {
    /// The proposals that are kept of a video, as fractions of it, best first.
    pub fn proposals(&self, evidence: &Evidence) -> Vec<ScoredSegment> {
        let candidates = evidence.proposals(self.candidates, self.fusion);
        let kept = SoftNms::from(self.soft_nms).run(&candidates);
        kept.into_iter().take(self.keep).map(|taken| taken.scored).collect()
    }
}

/// Settings in a recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BsnRecipe {
    /// `bsn-plus-plus`, or `bmn`.
    pub kind: Kind,
    /// The network.
    pub network: Sizes,
    /// The losses.
    pub loss: LossConfig,
    /// Inference.
    pub propose: ProposeConfig,
    /// Whether BSN++ computes its maps again for their gradients: less than half the memory for more time, and the same
    /// training but for rounding.
    pub recompute: bool,
}

impl BsnRecipe {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        self.network.validate().map_err(|e| format!("network.{e}"))?;
        self.loss.validate().map_err(|e| format!("loss.{e}"))?;
        SoftNms::from(self.propose.soft_nms).validate().map_err(|e| format!("propose.soft_nms.{e}"))
    }

    /// Takes the kind and the sizes that weights under the re-implementation's names tell of; `shape` gives the shape of one
    /// by its name. The number of snippets is told by the sampling tensor, if it is there. Its checkpoints were trained with
    /// the transposed layout.
    ///
    /// # Errors
    /// What `shape` says of a weight it does not have, or which one has too few dimensions.
    pub fn take_sizes(&mut self, shape: &dyn Fn(&str) -> Result<Vec<usize>, String>) -> Result<(), String> {
        let size = |name: &str, dimension: usize| {
            let shape = shape(name)?;
            shape.get(dimension).copied().ok_or_else(|| format!("`{name}` has shape {shape:?}"))
        };
        let sizes = &mut self.network;
        sizes.d1 = size("x_1d_b.0.weight", 0)?;
        sizes.feat_dim = size("x_1d_b.0.weight", 1)?.saturating_mul(super::network::GROUPS);
        sizes.d3 = size("x_3d_p.0.weight", 0)?;
        sizes.n_bins = size("x_3d_p.0.weight", 2)?;
        sizes.d2 = size("x_2d_p.0.weight", 0)?;
        if let Ok(length) = size(SAMPLING_TENSOR, 0) {
            sizes.length = length;
        }
        self.kind = if shape("x_1d_s.0.weight").is_ok() { Kind::Bmn } else { Kind::BsnPlusPlus };
        if self.kind == Kind::BsnPlusPlus {
            sizes.unet = size("x_1d_cbg.conv0_0.conv.0.weight", 0)?;
            sizes.sub_sample = shape("proposal_block.p_net.g.0.0.weight").is_ok();
            sizes.layout = Layout::Transposed;
        }
        Ok(())
    }
}

/// What checkpoints hold beside the weights: the fixed sampling tensor, `[T, N T T]`, which is computed here.
pub const SAMPLING_TENSOR: &str = "sample_mask";

/// Either network with its settings.
#[derive(Debug)]
pub struct BsnGenerator {
    recipe: BsnRecipe,
    network: Network,
    store: Store,
}

#[derive(Debug)]
enum Network {
    Bmn(Box<Bmn>),
    BsnPlusPlus(Box<BsnPlusPlus>),
}

impl BsnGenerator {
    /// A network at `path`.
    ///
    /// # Panics
    /// For sizes that [`Sizes::validate`] refuses.
    pub fn new(path: &Path, recipe: BsnRecipe) -> Self {
        let network = match recipe.kind {
            Kind::Bmn => Network::Bmn(Box::new(Bmn::new(path, &recipe.network))),
            Kind::BsnPlusPlus => Network::BsnPlusPlus(Box::new(BsnPlusPlus::new(path, &recipe.network))),
        };
        Self { recipe, network, store: path.store().clone() }
    }

    /// Features `[B, C, T]`.
    fn features(&self, videos: &[&Video]) -> Result<Tensor<3>, TaskError> {
        let Sizes { feat_dim, length, .. } = self.recipe.network;
        if let Some(video) = videos.iter().find(|v| v.features.len() != feat_dim * length) {
            let found = video.features.len();
            let text = format!("{}: {found} features, the network wants {feat_dim} x {length}", video.name);
            return Err(text.into());
        }
        let values = videos.iter().flat_map(|v| &v.features).copied().collect();
        Ok(from_values(values, [videos.len(), feat_dim, length], self.store.device()))
    }

    /// The loss and its terms; BMN has one direction of time and one map, and takes the first draws.
    fn terms(&self, videos: &[&Video], draws: Draws, pass: &Pass) -> Result<[Tensor<1>; 3], TaskError> {
        let x = self.features(videos)?;
        let (targets, draws) = self.targets(videos, draws);
        let draws = draws.each_ref().map(|draws| draws.each_ref().map(Vec::as_slice));
        let config = &self.recipe.loss;
        Ok(match &self.network {
            Network::BsnPlusPlus(network) => {
                let (forward, backward) = network.both_ways(x, pass);
                let passes = [forward.boundaries, backward];
                let terms = config.terms(passes, &forward.maps.each(), &targets, &draws);
                [terms.total, terms.boundaries.total, terms.proposals.total]
            }
            Network::Bmn(network) => {
                let output = network.forward(x);
                let boundaries = boundary_loss(output.start, &targets.start, BOUNDARY, EPSILON)
                    + boundary_loss(output.end, &targets.end, BOUNDARY, EPSILON);
                let loss = ProposalLoss { scale: false, ..config.proposals.clone() };
                let proposals = loss.terms(&targets.iou, &[&output.map], &draws[..1]).total;
                let total = boundaries.clone() + proposals.clone().mul_scalar(config.beta);
                [total, boundaries, proposals]
            }
        })
    }

    /// Loss and gradients of a batch, part by part.
    fn step_by_parts(
        &self,
        network: &BsnPlusPlus,
        videos: &[&Video],
        draws: Draws,
    ) -> Result<Step, TaskError> {
        let x = self.features(videos)?;
        let (targets, draws) = self.targets(videos, draws);
        let draws = draws.each_ref().map(|draws| draws.each_ref().map(Vec::as_slice));
        let config = &self.recipe.loss;
        let map_loss = |maps: &Maps| {
            config.proposals.terms(&targets.iou, &maps.each(), &draws).total.mul_scalar(config.beta)
        };
        let boundary_loss = |[forward, backward]: [PassOutput; 2]| {
            boundary_terms(forward, backward, [&targets.start, &targets.end], config.consistency).total
        };
        let ([maps, boundaries], gradients) = network.gradients(x, map_loss, boundary_loss);
        let proposals = if config.beta > 0.0 { maps / config.beta } else { 0.0 };
        let numbers = [("boundaries", boundaries), ("proposals", proposals)];
        let numbers = numbers.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Step { loss: maps + boundaries, numbers, gradients })
    }

    /// What is to be learned of videos, and the draws that sample it.
    fn targets(&self, videos: &[&Video], Draws { seed, step }: Draws) -> (Targets, training::Draws) {
        let each: Vec<Targets> =
            videos.iter().map(|v| Targets::new(self.recipe.network.length, &v.actions)).collect();
        let targets = Targets::batch(&each);
        let draws = uniform(&mut stream(seed, "bsn.draws", step), targets.iou.len());
        (targets, draws)
    }

    /// What it says of each video.
    ///
    /// # Errors
    /// When the videos do not fit the network, or it gives no numbers.
    pub fn evidence(&self, videos: &[&Video]) -> Result<Vec<Evidence>, TaskError> {
        let x = self.features(videos)?;
        let (boundaries, map) = match &self.network {
            Network::BsnPlusPlus(network) => {
                let (forward, backward) = network.both_ways(x, &Pass::eval());
                let all = [forward.boundaries.start, forward.boundaries.end, backward.start, backward.end];
                (all.map(values).to_vec(), forward.maps.mean())
            }
            Network::Bmn(network) => {
                let output = network.forward(x);
                ([output.start, output.end].map(values).to_vec(), output.map)
            }
        };
        let (cells, maps) = (self.recipe.network.length, values(map));
        let of = |(k, video): (usize, &&Video)| {
            let part = |all: &[f32], k: usize, size: usize| all[k * size..][..size].to_vec();
            let own: Vec<Vec<f32>> = boundaries.iter().map(|all| part(all, k, cells)).collect();
            let [reg, cls] = [0, 1].map(|channel| part(&maps, 2 * k + channel, cells * cells));
            if own.iter().chain([&reg, &cls]).flatten().any(|v| !v.is_finite()) {
                return Err(format!("{}: the network gives values that are no numbers", video.name).into());
            }
            let double = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
            let [start, end] = match own.as_slice() {
                [start, end, start_backward, end_backward] => {
                    fuse([start, end], [start_backward, end_backward])
                }
                single => [double(&single[0]), double(&single[1])],
            };
            Ok(Evidence { start, end, reg, cls })
        };
        videos.iter().enumerate().map(of).collect()
    }
}

impl Generator for BsnGenerator {
    fn store(&self) -> &Store {
        &self.store
    }

    fn times(&self, video: &Video) -> usize {
        // As the public re-implementation, which trains on videos with actions.
        usize::from(!video.actions.is_empty())
    }

    fn step(&self, videos: &[&Video], draws: Draws, pass: &Pass) -> Result<Step, TaskError> {
        if let (Network::BsnPlusPlus(network), true) = (&self.network, self.recipe.recompute) {
            return self.step_by_parts(network, videos, draws);
        }
        self.store.track();
        let [total, boundaries, proposals] = self.terms(videos, draws, pass)?;
        let gradients = self.store.backward(&total);
        let number = |name: &str, value: Tensor<1>| (name.to_owned(), f64::from(scalar(value)));
        let numbers = Numbers::from([number("boundaries", boundaries), number("proposals", proposals)]);
        Ok(Step { loss: f64::from(scalar(total)), numbers, gradients })
    }

    fn loss(&self, videos: &[&Video], draws: Draws) -> Result<f64, TaskError> {
        let [total, ..] = self.terms(videos, draws, &Pass::eval())?;
        Ok(f64::from(scalar(total)))
    }

    fn propose(&self, videos: &[&Video]) -> Result<Vec<Vec<ScoredSegment>>, TaskError> {
        Ok(self.evidence(videos)?.iter().map(|evidence| self.recipe.propose.proposals(evidence)).collect())
    }

    fn suppression(&self) -> SoftNms {
        let ProposeConfig { soft_nms, keep, .. } = self.recipe.propose;
        SoftNms { keep, ..soft_nms.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_metrics::segment::Segment;

    fn small(kind: Kind) -> BsnGenerator {
        let network = Sizes {
            length: 8,
            feat_dim: 4,
            d1: 4,
            d2: 3,
            d3: 5,
            unet: 4,
            n_bins: 3,
            per_bin: 2,
            ..Sizes::default()
        };
        let recipe = BsnRecipe { kind, network, ..BsnRecipe::default() };
        BsnGenerator::new(&Store::new(&ocelli_nn::device("cpu").unwrap(), 0).root(), recipe)
    }

    fn video(features: usize, actions: Vec<Segment>) -> Video {
        let features = (0..features).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
        Video::whole("clip", 1.0, features, actions)
    }

    #[test]
    fn both_networks_learn_from_videos_and_propose() {
        let video = video(32, vec![Segment::new(0.2, 0.6)]);
        for kind in [Kind::Bmn, Kind::BsnPlusPlus] {
            let generator = small(kind);
            let draws = Draws { seed: 0, step: 0 };
            let step = generator.step(&[&video, &video], draws, &Pass::without_dropout()).unwrap();
            let names: Vec<String> = step.gradients.iter().map(|(e, _)| e.name().to_owned()).collect();
            let learned = generator.store().entries();
            let learned = learned.iter().filter(|e| e.role() != ocelli_nn::Role::Buffer);
            for entry in learned {
                assert!(
                    names.contains(&entry.name().to_owned()),
                    "{kind:?}: no gradient for {}",
                    entry.name()
                );
            }
            assert!(step.loss > 0.0 && generator.loss(&[&video], draws).unwrap() > 0.0);
            let proposals = &generator.propose(&[&video]).unwrap()[0];
            assert_eq!(proposals.len(), 27, "all of 7 x 8 / 2 but the last candidate");
            assert!(proposals.is_sorted_by(|a, b| a.score >= b.score));
        }
    }

    #[test]
    fn computing_the_maps_again_changes_nothing_but_rounding() {
        let video = |k: usize| Video {
            features: video(32 + k, Vec::new()).features[k..].to_vec(),
            ..video(32, vec![Segment::new(0.2, 0.6)])
        };
        let (a, b) = (video(0), video(5));
        let run = |recompute: bool| {
            let mut generator = small(Kind::BsnPlusPlus);
            generator.recipe.recompute = recompute;
            generator.recipe.loss.beta = 3.0;
            let step =
                generator.step(&[&a, &b], Draws { seed: 1, step: 2 }, &Pass::without_dropout()).unwrap();
            let mut gradients: Vec<(String, Vec<f32>)> =
                step.gradients.iter().map(|(e, g)| (e.name().to_owned(), values(g.clone()))).collect();
            gradients.sort_by(|a, b| a.0.cmp(&b.0));
            let state: Vec<Vec<f32>> =
                generator.store.state().into_iter().map(|(_, array)| array.to_f32()).collect();
            (step.loss, step.numbers, gradients, state)
        };
        let (kept, again) = (run(false), run(true));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 + 1e-4 * a.abs();
        assert!(close(kept.0, again.0), "{} {}", kept.0, again.0);
        assert!(
            kept.1.iter().zip(&again.1).all(|(a, b)| a.0 == b.0 && close(*a.1, *b.1)),
            "{:?} {:?}",
            kept.1,
            again.1
        );
        assert_eq!(kept.2.len(), again.2.len());
        for ((name, a), (other, b)) in kept.2.iter().zip(&again.2) {
            assert_eq!(name, other);
            assert!(a.iter().zip(b).all(|(a, b)| close((*a).into(), (*b).into())), "{name}: {a:?} {b:?}");
        }
        // Running statistics among them.
        for (a, b) in kept.3.iter().zip(&again.3) {
            assert!(a.iter().zip(b).all(|(a, b)| close((*a).into(), (*b).into())), "{a:?} {b:?}");
        }
    }

    #[test]
    fn sizes_are_told_by_the_weights() {
        for kind in [Kind::Bmn, Kind::BsnPlusPlus] {
            let generator = small(kind);
            let shapes = generator.store().shapes();
            let shape = |name: &str| match name == SAMPLING_TENSOR {
                true => Ok(vec![8, 192]),
                false => {
                    let found = shapes.iter().find(|(n, _)| n == name).map(|(_, shape)| shape.clone());
                    found.ok_or_else(|| format!("`{name}` is missing"))
                }
            };
            let mut recipe = BsnRecipe::default();
            recipe.take_sizes(&shape).unwrap();
            assert_eq!(recipe.kind, kind);
            let network = Sizes { per_bin: 3, ..generator.recipe.network.clone() };
            let told = match kind {
                Kind::BsnPlusPlus => Sizes { layout: Layout::Transposed, ..network },
                Kind::Bmn => Sizes { unet: 512, ..network },
            };
            assert_eq!(recipe.network, told);
            let nothing = recipe.take_sizes(&|name| Err(format!("`{name}` is missing")));
            assert_eq!(nothing.unwrap_err(), "`x_1d_b.0.weight` is missing");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let generator = small(Kind::BsnPlusPlus);
        let wrong = generator.propose(&[&video(31, Vec::new())]).unwrap_err().to_string();
        assert_eq!(wrong, "clip: 31 features, the network wants 4 x 8");
        let mut broken = video(32, Vec::new());
        broken.features[3] = f32::NAN;
        assert!(generator.propose(&[&broken]).unwrap_err().to_string().contains("no numbers"));
        assert_eq!(generator.times(&broken), 0);
        let refused = |change: fn(&mut BsnRecipe)| {
            let mut recipe = BsnRecipe::default();
            change(&mut recipe);
            recipe.validate().unwrap_err()
        };
        assert_eq!(refused(|r| r.network.length = 98), "network.T: 98 is not divisible by 4");
        assert_eq!(refused(|r| r.network.d3 = 0), "network.d3: 0 is not above 0");
        assert_eq!(refused(|r| r.loss.beta = f64::NAN), "loss.beta: NaN is below 0");
        assert_eq!(refused(|r| r.propose.soft_nms.alpha = 0.0), "propose.soft_nms.sigma: 0 is not above 0");
    }
}
