//! The recipe of a training that localizes emotions: every key with its meaning and default.

use ocelli_data::annotations::movie_emotions::Windows;
use ocelli_train::optim::OptimizerConfig;
use ocelli_train::recipe::{Recipe, RecipeError};
use ocelli_train::schedule::ScheduleConfig;
use ocelli_train::trainer::LoopConfig;
use ocelli_world::clips::emotion::EmotionClips;
use serde::{Deserialize, Serialize};

use super::data::class_names;
use super::localize::LocalizeConfig;
use super::localizer::{Passport, THRESHOLDS};
use super::losses::LossConfig;
use super::network::{DROPOUT, TelShape};

/// Name of the task in recipes.
pub const TASK: &str = "emotion-localization";

/// A recipe of emotion localization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmotionRecipe {
    /// `emotion-localization`.
    pub task: String,
    /// Fixes everything random: initial weights, order of clips, dropout.
    #[serde(default)]
    pub seed: u64,
    /// Share of the features that training drops, after the embedding and before the classifiers.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// The clips.
    #[serde(default)]
    pub data: DataConfig,
    /// Sizes of the network.
    #[serde(default)]
    pub network: TelShape,
    /// The losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// How segments are cut out.
    #[serde(default)]
    pub localize: LocalizeConfig,
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

fn default_dropout() -> f64 {
    DROPOUT
}

/// What `data.features` says for drawn clips.
pub const WORLD: &str = "world";

/// A recipe's section `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `world` for drawn clips, or a folder with a feature file (.npz with `video` and `text`) a clip.
    pub features: String,
    /// The split to train on, in the form of `train.json`.
    pub train: String,
    /// The split to measure on, in the form of `test.json`.
    pub test: String,
    /// How the segments of an emotion become windows: `whole` or `runs`.
    pub windows: Windows,
    /// Share of unusable clips that is put up with; they are left out and named.
    pub max_bad_share: f64,
    /// The drawn clips.
    pub world: WorldConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            features: WORLD.to_owned(),
            train: String::new(),
            test: String::new(),
            windows: Windows::default(),
            max_bad_share: 0.05,
            world: WorldConfig::default(),
        }
    }
}

/// A recipe's section `data.world`. Sizes of features and number of classes are those of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    /// Clips to train on.
    pub train: u64,
    /// Clips to measure on.
    pub test: u64,
    /// How they are drawn.
    pub clips: EmotionClips,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { train: 300, test: 150, clips: EmotionClips::default() }
    }
}

/// A recipe's section `evaluate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// tIoU from which on a prediction is a hit.
    pub thresholds: Vec<f64>,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self { thresholds: THRESHOLDS.to_vec() }
    }
}

impl EmotionRecipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`RecipeError::Key`] naming the key.
    pub fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let mut named = recipe.clone();
        named.default_key("optimizer", "name", "adam");
        let mut typed: Self = named.typed()?;
        let TelShape { d_video, d_text, classes, .. } = typed.network;
        let clips = &mut typed.data.world.clips;
        (clips.video_dims, clips.text_dims, clips.classes) = (d_video, d_text, classes);
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
        self.network.validate().map_err(|e| format!("network.{e}"))?;
        self.loss.validate().map_err(|e| format!("loss.{e}"))?;
        self.localize.validate().map_err(|e| format!("localize.{e}"))?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.train.validate()?;
        self.data.validate()?;
        match self.evaluate.thresholds.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            Some(t) => Err(format!("evaluate.thresholds: {t} is outside 0 to 1")),
            None if self.evaluate.thresholds.is_empty() => Err("evaluate.thresholds: is empty".to_owned()),
            None => Ok(()),
        }
    }

    /// What the weights of such a training carry.
    pub fn passport(&self) -> Passport {
        Passport {
            shape: self.network,
            topk_r: self.loss.topk_r,
            localize: self.localize.clone(),
            classes: class_names(self.network.classes),
        }
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
            let splits = [("train", &self.train), ("test", &self.test)];
            return match splits.iter().find(|(_, path)| path.is_empty()) {
                Some((key, _)) => Err(format!("data.{key}: features of files want a split")),
                None => Ok(()),
            };
        }
        let WorldConfig { train, test, clips } = &self.world;
        let ([least, most], segments) = (clips.window, clips.segments);
        if *train == 0 || *test == 0 || train.saturating_add(*test) > 1_000_000 {
            return Err("data.world: needs clips to train and to measure on, a million at most".to_owned());
        }
        if segments == 0 || segments > 10_000 || clips.emotions == 0 {
            return Err("data.world.clips: needs 1 to 10000 segments and an emotion".to_owned());
        }
        match least >= 1 && least <= most {
            true => Ok(()),
            false => Err(format!("data.world.clips.window: {least} to {most} is no range from 1 on")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EmotionRecipe, RecipeError> {
        EmotionRecipe::new(&Recipe::parse(text, std::path::Path::new("r.toml"))?)
    }

    #[test]
    fn defaults_are_the_full_network_with_adam() {
        let recipe = read("task = \"emotion-localization\"").unwrap();
        assert_eq!((recipe.network, recipe.dropout), (TelShape::default(), 0.3));
        assert_eq!(recipe.optimizer.name(), "adam");
        assert_eq!(recipe.passport().classes[4], "confidence");
        assert_eq!(read(&recipe.to_toml()).unwrap(), recipe);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (keys, wanted) in [
            ("dropout = 1.0", "dropout: 1 is outside 0 to 1"),
            ("[network]\nheads = 7", "network.heads: 7 does not divide dim = 512"),
            ("[loss]\ntopk_r = 0", "loss.topk_r: must be at least 1"),
            ("[data]\nfeatures = \"some\"\ntrain = \"t.json\"", "data.test: features of files want a split"),
            ("[data.world.clips]\nwindow = [4, 2]", "data.world.clips.window: 4 to 2 is no range from 1 on"),
            ("[evaluate]\nthresholds = []", "evaluate.thresholds: is empty"),
            ("[loss]\ntopk = 1", "topk"),
        ] {
            let message = read(&format!("task = \"emotion-localization\"\n{keys}")).unwrap_err().to_string();
            assert!(message.contains(wanted) && !message.contains('\n'), "{message}");
        }
    }
}
