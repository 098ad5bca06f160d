//! `ocelli train`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use ocelli_train::Bar;
use ocelli_train::folder::RunFolder;
use serde_json::json;

use super::Ended;
use super::output::{self, DIM};
use super::task::read_recipe;

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

impl Train {
    pub(super) fn run(self) -> Ended {
        ocelli_nn::device(&self.device)?;
        let recipe = read_recipe(&self.recipe, &self.set)?;
        let text = recipe.to_toml();
        let place = self.place()?;
        // What can be refused without reading data is refused first; what is wrong with data leaves no folder.
        let reopened = match self.resume {
            true => Some(RunFolder::reopen(&place, &text)?),
            false => RunFolder::vacant(&place).map(|()| None)?,
        };
        let training = recipe.prepare(&self.device)?;
        let folder = reopened.map_or_else(|| RunFolder::create(&place, &text), Ok)?;
        output::note(format!("run folder {}", folder.path().display()));
        let mut bar = Bar::new(recipe.shown());
        let outcome = training.run(&folder, &mut bar);
        drop(bar);
        let measured = outcome.with_context(|| "training stopped")?;
        if self.json {
            let mut document = measured.json();
            document["run"] = json!(folder.path());
            document["weights"] = json!(folder.weights());
            document["report"] = json!(folder.report());
            output::json(&document)?;
        } else {
            measured.print()?;
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
