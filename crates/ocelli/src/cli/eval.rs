//! `ocelli eval`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use ocelli_data::dataset::BadItem;
use ocelli_face::recognition::data::PairSource;
use ocelli_face::recognition::recipe::FaceRecipe;
use ocelli_face::recognition::run as face_run;
use ocelli_train::folder::RunFolder;
use ocelli_video::anet2020_tal::recipe::ClassificationRecipe;
use ocelli_video::anet2020_tal::task as classes_run;
use ocelli_video::tel::recipe::EmotionRecipe;
use ocelli_video::tel::task as emotions_run;
use ocelli_video::temporal::recipe::ProposalRecipe;
use ocelli_video::temporal::run as proposals_run;
use serde_json::json;

use super::Ended;
use super::output;
use super::task::{Measured, TaskRecipe, read_recipe};

/// Measure trained weights on people or videos they have not seen.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// A run's folder, or a recipe together with --weights.
    run: PathBuf,
    /// The weights, when they are not those of the run.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Other data to measure by. Faces: a folder with one folder a person, or a list of `path label` lines. Videos: a
    /// folder of features, with --truth.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Compare the pairs of this list in LFW's form; its pictures lie in the folder --data.
    #[arg(long, value_name = "FILE", requires = "data")]
    pairs: Option<PathBuf>,
    /// Annotations of the videos in the folder --data, in ActivityNet's form; of clips the split in the form of test.json.
    #[arg(long, value_name = "FILE", requires = "data", conflicts_with = "pairs")]
    truth: Option<PathBuf>,
    /// Ending of the picture files that a pair list names.
    #[arg(long, default_value = "jpg", value_name = "EXT")]
    ending: String,
    /// Change a key of the recipe, such as evaluate.folds=5.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(super) fn run(self) -> Ended {
        ocelli_nn::device(&self.device)?;
        let (recipe, weights) = if self.run.is_dir() {
            let folder = RunFolder::open(&self.run);
            (folder.recipe(), self.weights.clone().unwrap_or_else(|| folder.weights()))
        } else {
            match &self.weights {
                Some(weights) => (self.run.clone(), weights.clone()),
                None if !self.run.exists() => bail!("{}: no such run or recipe", self.run.display()),
                None => bail!("{}: a recipe needs --weights", self.run.display()),
            }
        };
        if let Some(data) = self.data.as_ref().filter(|data| !data.exists()) {
            bail!("--data {}: no such folder or list", data.display());
        }
        let (protocol, variant, measured) = match read_recipe(&recipe, &self.set)? {
            TaskRecipe::Face(recipe) => ("verification", "curricularface", self.faces(*recipe, &weights)?),
            TaskRecipe::Proposals(recipe) => ("proposals", "activitynet", self.videos(*recipe, &weights)?),
            TaskRecipe::Emotions(recipe) => ("detection-temporal", "tel", self.clips(*recipe, &weights)?),
            TaskRecipe::Classes(recipe) => ("topk", "probabilities", self.classes(*recipe, &weights)?),
        };
        if self.json {
            let mut document = measured.json();
            document["protocol"] = json!(protocol);
            document["variant"] = json!(variant);
            output::json(&document)?;
        } else {
            measured.print()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn faces(&self, mut recipe: FaceRecipe, weights: &Path) -> anyhow::Result<Measured> {
        if self.truth.is_some() {
            bail!("--truth: faces are measured by --data and --pairs");
        }
        let mut pairs = None;
        if let Some(data) = &self.data {
            recipe.data.test = data.display().to_string();
            pairs = self.pairs.clone().map(|list| PairSource {
                list,
                root: data.clone(),
                ending: self.ending.clone(),
            });
        }
        let outcome =
            face_run::evaluate(&recipe, weights, pairs.as_ref(), &self.device).map_err(|e| anyhow!(e))?;
        note_left_out(&outcome.bad);
        Ok(outcome.into())
    }

    /// The folder of features and its annotations, where other data are given.
    fn features(&self, what: &str) -> anyhow::Result<Option<[String; 2]>> {
        if self.pairs.is_some() {
            bail!("--pairs: {what} are measured by --data and --truth");
        }
        match (&self.data, &self.truth) {
            (Some(data), Some(truth)) => Ok(Some([data.display().to_string(), truth.display().to_string()])),
            (Some(_), None) => bail!("--data: {what} want annotations too, as --truth"),
            (None, _) => Ok(None),
        }
    }

    fn videos(&self, mut recipe: ProposalRecipe, weights: &Path) -> anyhow::Result<Measured> {
        if let Some([features, truth]) = self.features("videos")? {
            (recipe.data.features, recipe.data.truth) = (features, truth);
        }
        let outcome = proposals_run::evaluate(&recipe, weights, &self.device).map_err(|e| anyhow!(e))?;
        proposals_run::say(&outcome.remarks, &|text| output::note(text));
        Ok(outcome.into())
    }

    fn classes(&self, mut recipe: ClassificationRecipe, weights: &Path) -> anyhow::Result<Measured> {
        if let Some([features, truth]) = self.features("videos")? {
            (recipe.data.features, recipe.data.truth) = (features, truth);
        }
        let outcome = classes_run::evaluate(&recipe, weights, &self.device).map_err(|e| anyhow!(e))?;
        note_left_out(&outcome.bad);
        Ok(outcome.into())
    }

    fn clips(&self, mut recipe: EmotionRecipe, weights: &Path) -> anyhow::Result<Measured> {
        if let Some([features, split]) = self.features("clips")? {
            (recipe.data.features, recipe.data.test) = (features, split);
        }
        let note = |text: &str| output::note(text);
        Ok(emotions_run::evaluate(&recipe, weights, &self.device, &note).map_err(|e| anyhow!(e))?.into())
    }
}

fn note_left_out(bad: &[BadItem]) {
    bad.iter().for_each(|bad| output::note(format!("left out {}: {}", bad.name, bad.reason)));
}
