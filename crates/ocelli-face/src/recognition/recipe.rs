//! The recipe of a face-recognition training: every key with its meaning and default.

use ocelli_data::augment::Augment;
use ocelli_data::image::Fit;
use ocelli_train::optim::OptimizerConfig;
use ocelli_train::recipe::{Recipe, RecipeError};
use ocelli_train::schedule::ScheduleConfig;
use ocelli_train::trainer::LoopConfig;
use ocelli_world::faces::{IdentitySpace, ShotSpace};
use serde::{Deserialize, Serialize};

use super::backbone::BackboneConfig;
use super::loss::LossConfig;
use super::recognizer::Passport;
use super::regime::RegimeConfig;

/// Name of the task in recipes.
pub const TASK: &str = "face-recognition";

/// A face-recognition recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceRecipe {
    /// `face-recognition`.
    pub task: String,
    /// Fixes everything random: initial weights, order of pictures, augmentation, held-out people, pairs.
    #[serde(default)]
    pub seed: u64,
    /// The pictures.
    #[serde(default)]
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub backbone: BackboneConfig,
    /// The loss.
    #[serde(default)]
    pub loss: LossConfig,
    /// Random changes of training pictures.
    #[serde(default)]
    pub augment: Augment,
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

/// A recipe's section `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `world` for procedural faces, a folder with one folder a person, or a text file of `path label` lines.
    pub train: String,
    /// Pictures of people that are not trained on, in the same forms; empty holds some of `train` out.
    pub test: String,
    /// For list files: the folder that their paths start from; empty is the list's own.
    pub root: String,
    /// People of `train` held out for measuring when `test` is empty; 0 holds out a quarter.
    pub held_out: usize,
    /// How pictures of another shape are brought to the network's: `stretch`, `centre-crop` or `letterbox`.
    pub fit: Fit,
    /// Share of unreadable pictures that is put up with; they are left out and named.
    pub max_bad_share: f64,
    /// The procedural faces.
    pub world: WorldConfig,
    /// How training pictures are spread over people, and how good they are.
    pub regime: RegimeConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: WORLD.to_owned(),
            test: String::new(),
            root: String::new(),
            held_out: 0,
            fit: Fit::CentreCrop,
            max_bad_share: 0.01,
            world: WorldConfig::default(),
            regime: RegimeConfig::default(),
        }
    }
}

/// What `data.train` says for procedural faces.
pub const WORLD: &str = "world";

/// A recipe's section `data.world`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Fixes who there is and how they are seen.
    pub seed: u64,
    /// People in all, those held out included.
    pub people: u64,
    /// Pictures of each.
    pub pictures: u64,
    /// How people are distributed.
    pub identities: IdentitySpace,
    /// How shots are distributed.
    pub shots: ShotSpace,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            people: 240,
            pictures: 20,
            identities: IdentitySpace::default(),
            shots: ShotSpace::default(),
        }
    }
}

/// A recipe's section `evaluate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// Folds of the verification accuracy.
    pub folds: usize,
    /// False-accept rates at which true-accept rates are reported.
    pub fars: Vec<f64>,
    /// Whether an embedding is the sum of those of the picture and its mirror image.
    pub flip: bool,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self { folds: 10, fars: vec![1e-1, 1e-2, 1e-3], flip: true }
    }
}

impl FaceRecipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`RecipeError::Key`] naming the key.
    pub fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let mut named = recipe.clone();
        named.default_key("loss", "name", LossConfig::default().name());
        named.default_key("optimizer", "name", OptimizerConfig::default().name());
        let typed: Self = named.typed()?;
        typed.validate().map_err(|reason| recipe.key(reason))?;
        Ok(typed)
    }

    fn validate(&self) -> Result<(), String> {
        if self.task != TASK {
            return Err(format!("task: `{}` is not `{TASK}`", self.task));
        }
        self.backbone.validate()?;
        self.loss.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.train.validate()?;
        if self.train.batch_size < 2 {
            return Err("train.batch_size: batch normalisation needs at least 2 pictures".to_owned());
        }
        self.augment.check().map_err(|e| e.to_string())?;
        self.data.validate()?;
        self.evaluate.validate()
    }

    /// What the weights of such a training carry.
    pub fn passport(&self) -> Passport {
        let method = self.loss.name().to_owned();
        Passport { method, backbone: self.backbone.clone(), fit: self.data.fit, threshold: None }
    }

    /// The recipe with everything resolved, as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a recipe holds nothing that TOML cannot say")
    }
}

impl DataConfig {
    fn validate(&self) -> Result<(), String> {
        if self.train.is_empty() {
            return Err("data.train: is empty".to_owned());
        }
        if !(0.0..=1.0).contains(&self.max_bad_share) {
            return Err(format!("data.max_bad_share: {} is outside 0 to 1", self.max_bad_share));
        }
        if self.world.people < 2 || self.world.pictures < 2 {
            return Err("data.world: needs at least 2 people of 2 pictures each".to_owned());
        }
        if self.world.people.saturating_mul(self.world.pictures) > 10_000_000 {
            return Err("data.world: more than ten million pictures".to_owned());
        }
        self.world.identities.validate().map_err(|e| format!("data.world.{e}"))?;
        self.world.shots.validate().map_err(|e| format!("data.world.{e}"))?;
        self.regime.validate()
    }
}

impl EvaluateConfig {
    fn validate(&self) -> Result<(), String> {
        if self.folds < 2 {
            return Err(format!("evaluate.folds: {} is below 2", self.folds));
        }
        match self.fars.iter().find(|f| !(0.0..=1.0).contains(*f)) {
            Some(far) => Err(format!("evaluate.fars: {far} is outside 0 to 1")),
            None => Ok(()),
        }
    }
}
