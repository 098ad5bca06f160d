//! `ocelli train`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use ocelli_face::recognition::recipe::{FaceRecipe, TASK};
use ocelli_face::recognition::run::{Outcome, Training};
use ocelli_train::Bar;
use ocelli_train::folder::RunFolder;
use ocelli_train::recipe::Recipe;
use ocelli_train::trainer::Numbers;
use serde_json::json;

use super::Ended;
use super::output::{self, BOLD, DIM};

/// Train by a recipe; measure, and write weights and a report into the run's folder.
///
/// A training may be killed at any moment: --resume goes on with the same result as if it had never stopped.
#[derive(Debug, Args)]
pub(super) struct Train {
    /// The recipe, a TOML file such as recipes/face/quickstart.toml.
    recipe: PathBuf,
    /// The run's folder; runs/<recipe's name> by default, with a number where that is taken.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in the folder.
    #[arg(long)]
    resume: bool,
    /// Change a key of the recipe, such as schedule.epochs=5.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: cpu, cuda, cuda:N, gpu.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Reads a recipe file and applies overrides.
pub(super) fn read_recipe(path: &Path, set: &[String]) -> anyhow::Result<FaceRecipe> {
    let mut recipe = Recipe::read(path)?;
    for text in set {
        recipe.set(text)?;
    }
    match recipe.task()? {
        TASK => Ok(FaceRecipe::new(&recipe)?),
        other => {
            let reason = format!("task: no task `{other}`; known is {TASK}");
            Err(recipe.key(reason).into())
        }
    }
}

impl Train {
    pub(super) fn run(self) -> Ended {
        ocelli_nn::device(&self.device)?;
        let recipe = read_recipe(&self.recipe, &self.set)?;
        let text = recipe.to_toml();
        let place = self.place()?;
        // What can be refused without reading pictures is refused first; what is wrong with pictures leaves no folder.
        let reopened = match self.resume {
            true => Some(RunFolder::reopen(&place, &text)?),
            false => RunFolder::vacant(&place).map(|()| None)?,
        };
        let training =
            Training::prepare(&recipe, &self.device, &|text| output::note(text)).map_err(|e| anyhow!(e))?;
        let folder = reopened.map_or_else(|| RunFolder::create(&place, &text), Ok)?;
        output::note(format!("run folder {}", folder.path().display()));
        let mut bar = Bar::new("accuracy");
        let outcome = training.run(&folder, &mut bar);
        drop(bar);
        let outcome = outcome.map_err(|e| anyhow!(e)).with_context(|| "training stopped")?;
        if self.json {
            output::json(&json!({
                "run": folder.path(),
                "weights": folder.weights(),
                "report": folder.report(),
                "metrics": outcome.numbers,
                "raw_pixels": outcome.raw_pixels,
                "skipped": outcome.bad.len(),
            }))?;
        } else {
            print(&outcome)?;
            output::line(format!("{DIM}weights{DIM:#} {}", folder.weights().display()))?;
            output::line(format!("{DIM}report{DIM:#}  {}", folder.report().display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The run's folder: as said, else the first free one of this recipe, or the last one in use to resume it.
    fn place(&self) -> anyhow::Result<PathBuf> {
        if let Some(out) = &self.out {
            return Ok(out.clone());
        }
        let name = self.recipe.file_stem().context("the recipe has no file name")?;
        let first = Path::new("runs").join(name);
        match self.resume {
            true => newest(&first).context("there is no run of this recipe to resume"),
            false => Ok(unused(&first)),
        }
    }
}

/// Prints measures beside those of raw pixels.
pub(super) fn print(outcome: &Outcome) -> std::io::Result<()> {
    let value =
        |numbers: &Numbers, name: &str| numbers.get(name).map_or_else(String::new, |v| format!("{v:.4}"));
    let names: Vec<&String> = outcome.numbers.keys().collect();
    let row = |name: &&String| {
        vec![(*name).clone(), value(&outcome.numbers, name), value(&outcome.raw_pixels, name)]
    };
    let rows: Vec<_> = names.iter().map(row).collect();
    output::line(output::table(&["measure", "learned", "raw pixels"], &rows, &[1, 2]))?;
    let accuracy = outcome.numbers.get("accuracy").copied().unwrap_or_default();
    output::line(format!(
        "{BOLD}verification accuracy {:.2} %{BOLD:#} on people it never saw",
        100.0 * accuracy
    ))
}

/// The first of `path`, `path-2`, `path-3`, … that holds no run.
fn unused(path: &Path) -> PathBuf {
    numbered(path).find(|p| !RunFolder::open(p).recipe().exists()).unwrap_or_else(|| path.to_owned())
}

/// The last of them that does, counted without a gap.
fn newest(path: &Path) -> Option<PathBuf> {
    numbered(path).take_while(|p| RunFolder::open(p).recipe().exists()).last()
}

fn numbered(path: &Path) -> impl Iterator<Item = PathBuf> {
    let later = (2..10_000).map(|n| PathBuf::from(format!("{}-{n}", path.display())));
    std::iter::once(path.to_owned()).chain(later)
}
