//! `ocelli eval`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use ocelli_face::recognition::data::PairSource;
use ocelli_face::recognition::run::evaluate;
use ocelli_train::folder::RunFolder;
use serde_json::json;

use super::Ended;
use super::{output, train};

/// Measure trained weights on people they have not seen.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// A run's folder, or a recipe together with --weights.
    run: PathBuf,
    /// The weights, when they are not those of the run.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Other pictures to measure by: a folder with one folder a person, or a list of `path label` lines.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Compare the pairs of this list in LFW's form; its pictures lie in the folder --data.
    #[arg(long, value_name = "FILE", requires = "data")]
    pairs: Option<PathBuf>,
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
        let mut recipe = train::read_recipe(&recipe, &self.set)?;
        let mut pairs = None;
        if let Some(data) = &self.data {
            if !data.exists() {
                bail!("--data {}: no such folder or list", data.display());
            }
            recipe.data.test = data.display().to_string();
            pairs = self.pairs.clone().map(|list| PairSource {
                list,
                root: data.clone(),
                ending: self.ending.clone(),
            });
        }
        let outcome = evaluate(&recipe, &weights, pairs.as_ref(), &self.device).map_err(|e| anyhow!(e))?;
        for bad in &outcome.bad {
            output::note(format!("left out {}: {}", bad.name, bad.reason));
        }
        if self.json {
            output::json(&json!({
                "protocol": "verification",
                "variant": "curricularface",
                "metrics": outcome.numbers,
                "raw_pixels": outcome.raw_pixels,
                "skipped": outcome.bad.len(),
            }))?;
        } else {
            train::print(&outcome)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
