//! The tasks that can be trained: which recipe is whose, and what all of them come to.

use std::path::Path;

use anyhow::anyhow;
use ocelli_face::recognition::recipe::{self as face, FaceRecipe};
use ocelli_face::recognition::run as face_run;
use ocelli_train::Bar;
use ocelli_train::folder::RunFolder;
use ocelli_train::recipe::Recipe;
use ocelli_train::trainer::Numbers;
use ocelli_video::anet2020_tal::recipe::{self as classes, ClassificationRecipe};
use ocelli_video::anet2020_tal::task as classes_run;
use ocelli_video::tel::recipe::{self as emotions, EmotionRecipe};
use ocelli_video::tel::task as emotions_run;
use ocelli_video::temporal::recipe::{self as proposals, ProposalRecipe};
use ocelli_video::temporal::run as proposals_run;
use serde_json::{Value, json};

use super::output::{self, BOLD};

/// A recipe of any task.
#[derive(Debug)]
pub(super) enum TaskRecipe {
    Face(Box<FaceRecipe>),
    Proposals(Box<ProposalRecipe>),
    Emotions(Box<EmotionRecipe>),
    Classes(Box<ClassificationRecipe>),
}

/// Reads a recipe file and applies overrides.
pub(super) fn read_recipe(path: &Path, set: &[String]) -> anyhow::Result<TaskRecipe> {
    let mut recipe = Recipe::read(path)?;
    for text in set {
        recipe.set(text)?;
    }
    match recipe.task()? {
        face::TASK => Ok(TaskRecipe::Face(Box::new(FaceRecipe::new(&recipe)?))),
        proposals::TASK => Ok(TaskRecipe::Proposals(Box::new(ProposalRecipe::new(&recipe)?))),
        emotions::TASK => Ok(TaskRecipe::Emotions(Box::new(EmotionRecipe::new(&recipe)?))),
        classes::TASK => Ok(TaskRecipe::Classes(Box::new(ClassificationRecipe::new(&recipe)?))),
        other => {
            let known = [face::TASK, proposals::TASK, emotions::TASK, classes::TASK].join(", ");
            Err(recipe.key(format!("task: no task `{other}`; known are {known}")).into())
        }
    }
}

/// What a training or a measurement came to.
#[derive(Debug)]
pub(super) struct Measured {
    /// What was learned.
    pub(super) numbers: Numbers,
    /// The same of what needs no learning.
    plain: Numbers,
    /// What that is: as a key, and in words.
    plain_name: [&'static str; 2],
    /// Items that could not be used.
    pub(super) skipped: usize,
    headline: String,
}

impl Measured {
    /// The numbers as `--json` has them.
    pub(super) fn json(&self) -> Value {
        json!({ "metrics": self.numbers, self.plain_name[0]: self.plain, "skipped": self.skipped })
    }

    /// Prints measures beside those of what needs no learning.
    pub(super) fn print(&self) -> std::io::Result<()> {
        let value =
            |numbers: &Numbers, name: &str| numbers.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
        let row = |name: &String| vec![name.clone(), value(&self.numbers, name), value(&self.plain, name)];
        let rows: Vec<_> = self.numbers.keys().map(row).collect();
        output::line(output::table(&["measure", "learned", self.plain_name[1]], &rows, &[1, 2]))?;
        output::line(&self.headline)
    }
}

impl From<face_run::Outcome> for Measured {
    fn from(outcome: face_run::Outcome) -> Self {
        let accuracy = outcome.numbers.get("accuracy").copied().unwrap_or_default();
        let accuracy = format!("{:.2} %", 100.0 * accuracy);
        Self {
            headline: format!("{BOLD}verification accuracy {accuracy}{BOLD:#} on people it never saw"),
            numbers: outcome.numbers,
            plain: outcome.raw_pixels,
            plain_name: ["raw_pixels", "raw pixels"],
            skipped: outcome.bad.len(),
        }
    }
}

impl From<proposals_run::Outcome> for Measured {
    fn from(outcome: proposals_run::Outcome) -> Self {
        let auc = outcome.numbers.get("AUC").copied().unwrap_or_default();
        Self {
            headline: format!("{BOLD}AUC {auc:.2}{BOLD:#} on videos it never saw"),
            numbers: outcome.numbers,
            plain: outcome.evenly,
            plain_name: ["evenly_spread", "evenly spread"],
            skipped: outcome.skipped,
        }
    }
}

impl From<emotions_run::Outcome> for Measured {
    fn from(outcome: emotions_run::Outcome) -> Self {
        let map = outcome.numbers.get("mAP").copied().unwrap_or_default();
        Self {
            headline: format!("{BOLD}mAP {map:.4}{BOLD:#} on clips it never saw"),
            numbers: outcome.numbers,
            plain: outcome.whole,
            plain_name: ["whole_clips", "whole clips"],
            skipped: outcome.skipped,
        }
    }
}

impl From<classes_run::Outcome> for Measured {
    fn from(outcome: classes_run::Outcome) -> Self {
        let top1 = 100.0 * outcome.numbers.get("top1").copied().unwrap_or_default();
        Self {
            headline: format!("{BOLD}top-1 accuracy {top1:.2} %{BOLD:#} on videos it never saw"),
            numbers: outcome.numbers,
            plain: outcome.most_frequent,
            plain_name: ["most_frequent", "most frequent classes"],
            skipped: outcome.bad.len(),
        }
    }
}

/// A training that has all it needs and has written nothing yet.
pub(super) enum Prepared<'a> {
    Face(Box<face_run::Training<'a>>),
    Proposals(Box<proposals_run::Training<'a>>),
    Emotions(Box<emotions_run::Training<'a>>),
    Classes(Box<classes_run::Training<'a>>),
}

impl TaskRecipe {
    /// The recipe with everything resolved, as TOML.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Self::Face(recipe) => recipe.to_toml(),
            Self::Proposals(recipe) => recipe.to_toml(),
            Self::Emotions(recipe) => recipe.to_toml(),
            Self::Classes(recipe) => recipe.to_toml(),
        }
    }

    /// The measure shown while it trains.
    pub(super) fn shown(&self) -> &'static str {
        match self {
            Self::Face(_) => "accuracy",
            Self::Proposals(_) => "AUC",
            Self::Emotions(_) => "mAP",
            Self::Classes(_) => "top1",
        }
    }

    /// Reads the data and builds the network.
    pub(super) fn prepare(&self, device: &str) -> anyhow::Result<Prepared<'_>> {
        let note = |text: &str| output::note(text);
        let prepared = match self {
            Self::Face(recipe) => face_run::Training::prepare(recipe, device, &note)
                .map(|training| Prepared::Face(Box::new(training))),
            Self::Proposals(recipe) => proposals_run::Training::prepare(recipe, device, &note)
                .map(|training| Prepared::Proposals(Box::new(training))),
            Self::Emotions(recipe) => emotions_run::Training::prepare(recipe, device, &note)
                .map(|training| Prepared::Emotions(Box::new(training))),
            Self::Classes(recipe) => classes_run::Training::prepare(recipe, device, &note)
                .map(|training| Prepared::Classes(Box::new(training))),
        };
        prepared.map_err(|e| anyhow!(e))
    }
}

impl Prepared<'_> {
    /// Trains in `folder`, measures, and writes weights and report.
    pub(super) fn run(self, folder: &RunFolder, bar: &mut Bar) -> anyhow::Result<Measured> {
        match self {
            Self::Face(training) => training.run(folder, bar).map(Measured::from),
            Self::Proposals(training) => training.run(folder, bar).map(Measured::from),
            Self::Emotions(training) => training.run(folder, bar).map(Measured::from),
            Self::Classes(training) => training.run(folder, bar).map(Measured::from),
        }
        .map_err(|e| anyhow!(e))
    }
}
