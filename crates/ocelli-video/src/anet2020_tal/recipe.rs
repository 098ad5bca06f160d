//! The recipe of a training that classifies videos: every key with its meaning and default.

use ocelli_train::optim::OptimizerConfig;
use ocelli_train::recipe::{Recipe, RecipeError};
use ocelli_train::schedule::ScheduleConfig;
use ocelli_train::trainer::LoopConfig;
use ocelli_world::clips::labelled::LabelledClips;
use serde::{Deserialize, Serialize};

/// Name of the task in recipes.
pub const TASK: &str = "video-classification";

/// A recipe of video classification. The published training is not known; the defaults of optimiser and schedule are those
/// of the loop, and the recipe file of the method has a momentum of 0.9, a rate of 0.1 along a cosine, and 30 epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassificationRecipe {
    /// `video-classification`.
    pub task: String,
    /// Fixes everything random: initial weights, order of videos, dropout.
    #[serde(default)]
    pub seed: u64,
    /// Share of the pooled features that training drops.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// The videos.
    #[serde(default)]
    pub data: DataConfig,
    /// The optimiser.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How long, and at what rate.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// How the loop runs.
    #[serde(default)]
    pub train: LoopConfig,
}

fn default_dropout() -> f64 {
    0.5
}

/// What `data.features` says for drawn clips.
pub const WORLD: &str = "world";

/// A recipe's section `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `world` for drawn clips, or a folder with a feature file (.csv, .npy, .npz, .h5) a video.
    pub features: String,
    /// Annotations: JSON in ActivityNet's form, or THUMOS14's folder of class files.
    pub truth: String,
    /// `video_info.csv`, where subsets are told there; empty for none.
    pub info: String,
    /// The subset that is trained on; its labels are the classes.
    pub train_subset: String,
    /// The subset that is measured on.
    pub test_subset: String,
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
            max_bad_share: 0.05,
            world: WorldConfig::default(),
        }
    }
}

/// A recipe's section `data.world`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Clips to train on.
    pub train: u64,
    /// Clips to measure on.
    pub test: u64,
    /// How they are drawn.
    pub clips: LabelledClips,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { train: 240, test: 80, clips: LabelledClips::default() }
    }
}

impl ClassificationRecipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`RecipeError::Key`] naming the key.
    pub fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let mut named = recipe.clone();
        named.default_key("optimizer", "name", OptimizerConfig::default().name());
        let typed: Self = named.typed()?;
        typed.validate().map_err(|reason| recipe.key(reason))?;
        Ok(typed)
    }

    fn validate(&self) -> Result<(), String> {
        if self.task != TASK {
            return Err(format!("task: `{}` is not `{TASK}`", self.task));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("dropout: {} is outside 0 to 1", self.dropout));
        }
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.train.validate()?;
        self.data.validate()
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
        if !(0.0..=1.0).contains(&self.max_bad_share) {
            return Err(format!("data.max_bad_share: {} is outside 0 to 1", self.max_bad_share));
        }
        if !self.is_world() {
            return match self.truth.is_empty() {
                true => Err("data.truth: features of files want annotations".to_owned()),
                false => Ok(()),
            };
        }
        let WorldConfig { train, test, clips } = &self.world;
        if *train == 0 || *test == 0 || train.saturating_add(*test) > 1_000_000 {
            return Err("data.world: needs clips to train and to measure on, a million at most".to_owned());
        }
        clips.validate().map_err(|e| format!("data.world.clips.{e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClassificationRecipe, RecipeError> {
        ClassificationRecipe::new(&Recipe::parse(text, std::path::Path::new("r.toml"))?)
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let recipe = read("task = \"video-classification\"").unwrap();
        assert_eq!(read(&recipe.to_toml()).unwrap(), recipe);
        for (keys, wanted) in [
            ("dropout = 1.0", "dropout: 1 is outside 0 to 1"),
            ("[data]\nfeatures = \"some\"", "data.truth: features of files want annotations"),
            ("[data.world]\ntest = 0", "data.world: needs clips"),
            ("[data.world.clips]\nclasses = 0", "data.world.clips.classes: 0 is outside"),
            ("[data]\nlabels = 3", "labels"),
        ] {
            let message = read(&format!("task = \"video-classification\"\n{keys}")).unwrap_err().to_string();
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
    }
}
