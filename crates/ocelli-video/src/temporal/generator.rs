//! What a method must offer to be trained and used as a generator of proposals.

use ocelli_metrics::segment::ScoredSegment;
use ocelli_nn::{Entry, Pass, Path, Store};
use ocelli_train::trainer::{Step, TaskError};
use serde::{Deserialize, Serialize};

use super::videos::Video;
use crate::dbg::generator::{DbgGenerator, DbgRecipe};

/// A recipe's section `method`: the generator by name, with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum GeneratorConfig {
    /// The dense boundary generator.
    Dbg(DbgRecipe),
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self::Dbg(DbgRecipe::default())
    }
}

impl GeneratorConfig {
    /// The name in recipes: the slug of the method.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dbg(_) => "dbg",
        }
    }

    /// The settings of that name; they cannot be told for an unknown one.
    pub fn named(name: &str) -> Option<Self> {
        let known = [Self::default()];
        known.into_iter().find(|config| config.name() == name)
    }

    /// Says what is out of range, as `key: reason`.
    ///
    /// # Errors
    /// The first setting that no training could run with.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Dbg(config) => config.validate(),
        }
    }

    /// Features of a cell, and cells.
    pub fn size(&self) -> [usize; 2] {
        match self {
            Self::Dbg(DbgRecipe { network, .. }) => [network.feature_dim, network.tscale],
        }
    }

    /// The share of the recipe's weight decay that each parameter gets.
    pub fn decay_share(&self) -> fn(&Entry) -> f64 {
        match self {
            Self::Dbg(_) => crate::dbg::step::decay_share,
        }
    }

    /// Builds the network at `path`.
    pub fn build(&self, path: &Path) -> Box<dyn Generator> {
        match self {
            Self::Dbg(config) => Box::new(DbgGenerator::new(path, config.clone())),
        }
    }
}

/// Where the draws of a step come from: the recipe's seed, and the step.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Fixes everything random.
    pub seed: u64,
    /// The step, from 0.
    pub step: u64,
}

/// A network that proposes segments of videos.
pub trait Generator: std::fmt::Debug {
    /// Its parameters.
    fn store(&self) -> &Store;

    /// How often a training video is trained on in an epoch.
    fn times(&self, video: &Video) -> usize;

    /// Loss and gradients of a batch.
    ///
    /// # Errors
    /// When the videos do not fit the network.
    fn step(&self, videos: &[&Video], draws: Draws, pass: &Pass) -> Result<Step, TaskError>;

    /// The loss of videos as in training, without dropout.
    ///
    /// # Errors
    /// As [`Generator::step`].
    fn loss(&self, videos: &[&Video], draws: Draws) -> Result<f64, TaskError>;

    /// Proposals for each video as fractions of it, suppressed, best first.
    ///
    /// # Errors
    /// When the videos do not fit the network, or it gives no numbers.
    fn propose(&self, videos: &[&Video]) -> Result<Vec<Vec<ScoredSegment>>, TaskError>;
}
