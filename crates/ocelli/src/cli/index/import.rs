//! `ocelli index import`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;
use ocelli_vectors::index::Index;
use ocelli_vectors::scann::ScannIndex;

use super::files::At;
use super::options::{name_of, store_of};
use crate::cli::Ended;
use crate::cli::output;

/// Turn a folder that the published package (`scann`) has saved into an index that finds the same.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The folder.
    folder: PathBuf,
    /// The index to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Import {
    pub(super) fn run(self) -> Ended {
        ensure!(self.folder.is_dir(), "{}: no such folder", self.folder.display());
        let scann = ScannIndex::read(&self.folder)?;
        let index = Index::from_scann(&scann).at(&self.folder)?;
        index.save(&self.out)?;
        output::line(format!(
            "{}: {} vectors of {}, {}, {} partitions, vectors kept as {}",
            self.out.display(),
            index.count(),
            index.dim(),
            name_of(index.similarity()),
            index.partitions(),
            store_of(index.storage())
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
