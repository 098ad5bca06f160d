//! `ocelli index delete`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files::{At, read_ids};
use super::open::{Opened, open};
use crate::cli::Ended;
use crate::cli::output;

/// Delete vectors from an index: searches no longer find them, `ocelli index compact` frees their room.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The index, which is written anew.
    file: PathBuf,
    /// The ids: .npy, or text with one a line.
    ids: PathBuf,
}

impl Delete {
    pub(super) fn run(self) -> Ended {
        let ids = read_ids(&self.ids)?;
        let (before, after) = match open(&self.file, false)? {
            Opened::Codes(index) => {
                let before = index.codes().len();
                let index = index.without(&ids).at(&self.file)?;
                index.save(&self.file)?;
                (before, index.codes().len())
            }
            Opened::Vectors(mut index) => {
                let before = index.count();
                index.delete(&ids).at(&self.file)?;
                index.save(&self.file)?;
                (before, index.count())
            }
        };
        output::line(format!("{}: {} deleted, {after} left", self.file.display(), before - after))?;
        Ok(ExitCode::SUCCESS)
    }
}
