//! DBG as a generator of the training loop.

use burn::tensor::Tensor;
use ocelli_method::random::stream;
use ocelli_metrics::segment::ScoredSegment;
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Pass, Path, Store};
use ocelli_train::trainer::{Numbers, Step, TaskError};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::labels::{BOUNDARY_CELLS, Labels, Selection};
use super::loss::{BatchWeights, LossConfig};
use super::network::{Dbg, DbgConfig};
use super::propose::{ProposeConfig, VideoScores};
use super::step::{TermValues, gradients, loss};
use crate::temporal::generator::{Draws, Generator};
use crate::temporal::videos::Video;

/// Settings of DBG in a recipe; the published ones by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DbgRecipe {
    /// Videos computed at once in a step; more cost memory and little else.
    pub at_once: usize,
    /// The network.
    pub network: DbgConfig,
    /// The losses.
    pub loss: LossConfig,
    /// Which videos are trained on, and how often.
    pub selection: Selection,
    /// Inference.
    pub propose: ProposeConfig,
}

impl Default for DbgRecipe {
    fn default() -> Self {
        Self {
            at_once: 1,
            network: DbgConfig::default(),
            loss: LossConfig::default(),
            selection: Selection::default(),
            propose: ProposeConfig::default(),
        }
    }
}

impl DbgRecipe {
    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        if self.at_once == 0 {
            return Err("at_once: must be at least 1".to_owned());
        }
        self.network.validate().map_err(|e| format!("network.{e}"))?;
        self.loss.validate().map_err(|e| format!("loss.{e}"))?;
        self.propose.soft_nms().validate().map_err(|e| format!("propose.{e}"))
    }
}

/// The network with its settings.
#[derive(Debug)]
pub struct DbgGenerator {
    recipe: DbgRecipe,
    network: Dbg,
    store: Store,
}

impl DbgGenerator {
    /// A network at `path`.
    pub fn new(path: &Path, recipe: DbgRecipe) -> Self {
        let network = Dbg::new(path, recipe.network.clone());
        Self { recipe, network, store: path.store().clone() }
    }

    /// The network.
    pub fn network(&self) -> &Dbg {
        &self.network
    }

    /// Features `[B, C, T]`.
    fn features(&self, videos: &[&Video]) -> Result<Tensor<3>, TaskError> {
        let DbgConfig { feature_dim, tscale, .. } = self.recipe.network;
        if let Some(video) = videos.iter().find(|v| v.features.len() != feature_dim * tscale) {
            let found = video.features.len();
            return Err(format!(
                "{}: {found} features, the network wants {feature_dim} x {tscale}",
                video.name
            )
            .into());
        }
        let values = videos.iter().flat_map(|v| &v.features).copied().collect();
        Ok(from_values(values, [videos.len(), feature_dim, tscale], self.store.device()))
    }

    fn weights(&self, videos: &[&Video], Draws { seed, step }: Draws) -> BatchWeights {
        let tscale = self.recipe.network.tscale;
        let labels: Vec<Labels> =
            videos.iter().map(|v| Labels::new(tscale, &v.actions, BOUNDARY_CELLS)).collect();
        let draws = ["dbg.mid", "dbg.low"].map(|name| {
            let g = &mut stream(seed, name, step);
            (0..videos.len() * tscale * tscale).map(|_| g.random::<f32>()).collect::<Vec<f32>>()
        });
        let labels: Vec<&Labels> = labels.iter().collect();
        let places = self.network.sampler().places();
        BatchWeights::new(&labels, places, [&draws[0], &draws[1]], &self.recipe.loss)
    }
}

impl Generator for DbgGenerator {
    fn store(&self) -> &Store {
        &self.store
    }

    fn times(&self, video: &Video) -> usize {
        self.recipe.selection.times(&video.actions)
    }

    fn step(&self, videos: &[&Video], draws: Draws, pass: &Pass) -> Result<Step, TaskError> {
        let (features, weights) = (self.features(videos)?, self.weights(videos, draws));
        let settings = (&self.recipe.loss, self.recipe.at_once);
        let (values, gradients) = gradients(&self.network, &self.store, &features, &weights, settings, pass);
        let TermValues { action, iou, start, end, total } = values;
        let numbers = [("action", action), ("iou", iou), ("start", start), ("end", end)];
        let numbers: Numbers = numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Step { loss: total, numbers, gradients })
    }

    fn loss(&self, videos: &[&Video], draws: Draws) -> Result<f64, TaskError> {
        let (features, weights) = (self.features(videos)?, self.weights(videos, draws));
        Ok(loss(&self.network, &features, &weights, (&self.recipe.loss, self.recipe.at_once)).total)
    }

    fn propose(&self, videos: &[&Video]) -> Result<Vec<Vec<ScoredSegment>>, TaskError> {
        let output = self.network.forward(self.features(videos)?, &Pass::eval());
        let maps = [output.iou, output.start, output.end].map(values);
        let places = self.network.sampler().places().len();
        let propose = |(b, video): (usize, &&Video)| {
            // The last place stands for all that are no proposals.
            let own = maps.each_ref().map(|map| &map[b * places..(b + 1) * places - 1]);
            if own.iter().any(|map| map.iter().any(|v| !v.is_finite())) {
                return Err(format!("{}: the network gives values that are no numbers", video.name).into());
            }
            let scores = VideoScores::new(self.recipe.network.tscale, own);
            Ok(scores.proposals(1.0, &self.recipe.propose))
        };
        videos.iter().enumerate().map(propose).collect()
    }
}
