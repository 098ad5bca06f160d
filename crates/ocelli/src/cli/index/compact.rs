//! `ocelli index compact`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files::At;
use super::open::open_vectors;
use super::options::size;
use crate::cli::Ended;
use crate::cli::output;

/// Bring together what was added and free the room of what was deleted; results stay the same.
#[derive(Debug, Args)]
pub(super) struct Compact {
    /// The index, which is written anew.
    file: PathBuf,
}

impl Compact {
    pub(super) fn run(self) -> Ended {
        let length = || std::fs::metadata(&self.file).at(&self.file).map(|file| file.len());
        let mut index = open_vectors(&self.file, false)?;
        let before = length()?;
        let (segments, deleted) = index.fragments();
        index.compact();
        index.save(&self.file)?;
        output::line(format!(
            "{}: {segments} segments brought together, {deleted} deleted vectors dropped, {} before, {} now",
            self.file.display(),
            size(before),
            size(length()?)
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
