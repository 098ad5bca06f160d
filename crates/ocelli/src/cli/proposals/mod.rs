//! `ocelli proposals`, and proposals in `predict`, `eval` and `import`.

mod label;
mod merge;
mod predict;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ocelli_video::anet2020_tal::submission::{Durations, Made};
use ocelli_video::temporal::files::durations;
use ocelli_video::temporal::run::say;
use serde_json::json;

use super::Ended;
use super::output;

pub(super) use predict::{Videos, import_checkpoint, proposes};

/// Work on files of proposals and detections: merge those of several models, put labels on them.
#[derive(Debug, Args)]
pub(super) struct Proposals {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Merge(merge::Merge),
    Label(label::Label),
}

impl Proposals {
    pub(super) fn run(self) -> Ended {
        match self.what {
            What::Merge(c) => c.run(),
            What::Label(c) => c.run(),
        }
    }
}

/// Where durations are told, and where the result goes.
#[derive(Debug, Args)]
struct Ends {
    /// Annotations that tell durations: JSON in ActivityNet's form.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// `video_info.csv`, where it tells durations.
    #[arg(long, value_name = "FILE")]
    info: Option<PathBuf>,
    /// The file for the result, in the official form.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Ends {
    /// The durations, where a file tells them.
    fn durations(&self) -> anyhow::Result<Option<Durations>> {
        if self.truth.is_none() && self.info.is_none() {
            return Ok(None);
        }
        Ok(Some(durations(self.truth.as_deref(), self.info.as_deref())?))
    }

    /// Writes what was made, and says what came of it.
    fn publish(&self, made: &Made) -> anyhow::Result<()> {
        say(&made.remarks, &|text| output::note(text));
        made.results.write(&self.out)?;
        output::line(serde_json::to_string(&json!({
            "videos": made.results.videos.len(),
            "skipped": made.skipped,
            "segments": made.results.predictions.len(),
            "results": self.out,
        }))?)?;
        Ok(())
    }
}

/// The weights of `files` files: those that were given, or all the same.
fn weights(given: &[f64], files: &[PathBuf]) -> Vec<f64> {
    if given.is_empty() { vec![1.0; files.len()] } else { given.to_vec() }
}

/// Reads files; the reader's error names the file.
fn read_all<T, E: std::error::Error + Send + Sync + 'static>(
    files: &[PathBuf],
    read: impl Fn(&Path) -> Result<T, E>,
) -> anyhow::Result<Vec<T>> {
    Ok(files.iter().map(|file| read(file)).collect::<Result<_, E>>()?)
}
