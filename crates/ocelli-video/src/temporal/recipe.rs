//! The recipe of a training that proposes segments: every key with its meaning and default.

use ocelli_train::optim::OptimizerConfig;
use ocelli_train::recipe::{Recipe, RecipeError};
use ocelli_train::schedule::ScheduleConfig;
use ocelli_train::trainer::LoopConfig;
use ocelli_world::clips::ActionClips;
use serde::{Deserialize, Serialize};

use super::generator::GeneratorConfig;
use super::videos::Rescale;

/// Name of the task in recipes.
pub const TASK: &str = "temporal-proposals";

/// A recipe of temporal proposals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalRecipe {
    /// `temporal-proposals`.
    pub task: String,
    /// Fixes everything random: initial weights, order of videos, sampled cells, dropout.
    #[serde(default)]
    pub seed: u64,
    /// The videos.
    #[serde(default)]
    pub data: DataConfig,
    /// The generator.
    #[serde(default)]
    pub method: GeneratorConfig,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How long, and at what rate.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// How the loop runs.
    #[serde(default)]
    pub train: LoopConfig,
    /// How the network is measured.
    #[serde(default)]
    pub evaluate: EvaluateConfig,
}

/// What `data.features` says for drawn clips.
pub const WORLD: &str = "world";

/// A recipe's section `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `world` for drawn clips, or a folder with a feature file (.csv, .npy, .npz, .h5) a video.
    pub features: String,
    /// Annotations in ActivityNet's form, with the subset of each video.
    pub truth: String,
    /// `video_info.csv`, where durations or subsets are told there, or features are pooled; empty for none.
    pub info: String,
    /// The subset that is trained on.
    pub train_subset: String,
    /// The subset that is measured on.
    pub test_subset: String,
    /// How features of another length are brought to the network's: `linear`, `pooled` or `windows`.
    pub rescale: Rescale,
    /// Share of unusable videos that is put up with; they are left out and named.
    pub max_bad_share: f64,
    /// The drawn clips.
    pub world: WorldConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            features: WORLD.to_owned(),
            truth: String::new(),
            info: String::new(),
            train_subset: "training".to_owned(),
            test_subset: "validation".to_owned(),
            rescale: Rescale::default(),
            max_bad_share: 0.05,
            world: WorldConfig::default(),
        }
    }
}

/// A recipe's section `data.world`. Features and cells are those of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Clips to train on.
    pub train: u64,
    /// Clips to measure on.
    pub test: u64,
    /// How they are drawn.
    pub clips: ActionClips,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { train: 240, test: 80, clips: ActionClips::default() }
    }
}

/// A recipe's section `evaluate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// Average number of proposals a video up to which recall is measured.
    pub max_proposals: f64,
    /// tIoU from which on a proposal finds an action; recall is averaged over them.
    pub thresholds: Vec<f64>,
    /// Keep the weights of the epoch with the lowest loss on the videos that are measured on, as the released code does.
    pub keep_best: bool,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        let thresholds = ocelli_metrics::segment::linspace(0.5, 0.95, 10);
        Self { max_proposals: 100.0, thresholds, keep_best: true }
    }
}

impl ProposalRecipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`RecipeError::Key`] naming the key.
    pub fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let mut named = recipe.clone();
        named.default_key("method", "name", GeneratorConfig::default().name());
        named.default_key("optimizer", "name", OptimizerConfig::default().name());
        let mut typed: Self = named.typed()?;
        let [channels, cells] = typed.method.size();
        (typed.data.world.clips.channels, typed.data.world.clips.cells) = (channels, cells);
        typed.validate().map_err(|reason| recipe.key(reason))?;
        Ok(typed)
    }

    fn validate(&self) -> Result<(), String> {
        if self.task != TASK {
            return Err(format!("task: `{}` is not `{TASK}`", self.task));
        }
        self.method.validate().map_err(|e| format!("method.{e}"))?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.train.validate()?;
        self.data.validate()?;
        self.evaluate.validate()
    }

    /// The recipe with everything resolved, as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a recipe holds nothing that TOML cannot say")
    }
}

impl DataConfig {
    /// Whether clips are drawn.
    pub fn is_world(&self) -> bool {
        self.features == WORLD
    }

    fn validate(&self) -> Result<(), String> {
        if self.features.is_empty() {
            return Err("data.features: is empty".to_owned());
        }
        if !self.is_world() && self.truth.is_empty() {
            return Err("data.truth: features of files want annotations".to_owned());
        }
        if self.rescale == Rescale::Pooled && self.info.is_empty() && !self.is_world() {
            return Err("data.info: pooling wants frames and seconds of each video".to_owned());
        }
        if !(0.0..=1.0).contains(&self.max_bad_share) {
            return Err(format!("data.max_bad_share: {} is outside 0 to 1", self.max_bad_share));
        }
        if self.is_world() {
            if self.world.train == 0 || self.world.test == 0 {
                return Err("data.world: needs a clip to train and one to measure on".to_owned());
            }
            if self.world.train.saturating_add(self.world.test) > 1_000_000 {
                return Err("data.world: more than a million clips".to_owned());
            }
            self.world.clips.validate().map_err(|e| format!("data.world.clips.{e}"))?;
        }
        Ok(())
    }
}

impl EvaluateConfig {
    fn validate(&self) -> Result<(), String> {
        if !(self.max_proposals > 0.0 && self.max_proposals.is_finite()) {
            return Err(format!("evaluate.max_proposals: {} is not above 0", self.max_proposals));
        }
        match self.thresholds.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            Some(t) => Err(format!("evaluate.thresholds: {t} is outside 0 to 1")),
            None if self.thresholds.is_empty() => Err("evaluate.thresholds: is empty".to_owned()),
            None => Ok(()),
        }
    }
}
