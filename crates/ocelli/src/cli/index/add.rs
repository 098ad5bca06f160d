//! `ocelli index add`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use ocelli_vectors::index::Rows;

use super::files::{At, Data, Role, check_directions};
use super::hamming;
use super::known::Known;
use super::open::{Opened, open};
use crate::cli::Ended;
use crate::cli::output;

/// Add vectors to an index; centres and codewords stay as they are.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The index, which is written anew.
    file: PathBuf,
    /// The vectors, or binary codes as the index was built of.
    data: PathBuf,
    /// Their ids: a column of the data, or a file; without, the numbers after the largest id of the index.
    #[arg(long, value_name = "COLUMN|FILE")]
    ids: Option<String>,
    /// Keep what this file says about the vectors, as `ocelli index build` does.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
}

impl Add {
    pub(super) fn run(self) -> Ended {
        let (added, count) = match open(&self.file, false)? {
            Opened::Codes(index) => {
                ensure!(self.metadata.is_none(), "--metadata: an index of binary codes keeps none");
                let codes = hamming::read(&self.data, Some(index.codes().bits()))?;
                let next = next(index.ids())?;
                let ids = hamming::ids(self.ids.as_deref(), next, codes.len())?;
                let index = index.with(&codes, &ids).at(&self.data)?;
                index.save(&self.file)?;
                (codes.len(), index.codes().len())
            }
            Opened::Vectors(mut index) => {
                let mut data = Data::open(&self.data, self.ids.as_deref(), Role::Base)?;
                let (count, dim) = (data.count(), data.dim());
                if !data.has_ids() {
                    let next = next(&index.ids())?;
                    data.number(next);
                }
                let ids = data.ids(0..count);
                let known = self.metadata.as_deref().map(|file| Known::read(file, &data)).transpose()?;
                let rows = data.into_rows()?;
                check_directions(&self.data, &rows, dim, 0, index.similarity())?;
                index.add(Rows::new("the vectors to add", &rows, dim).at(&self.data)?, &ids).at(&self.data)?;
                if let Some(known) = known {
                    known.keep_in(&mut index)?;
                }
                index.save(&self.file)?;
                (count, index.count())
            }
        };
        output::line(format!("{}: {added} added, {count} in all", self.file.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The number after the largest id.
fn next(ids: &[u64]) -> anyhow::Result<u64> {
    match ids.iter().max() {
        None => Ok(0),
        // The last of all numbers stands for no vector.
        Some(largest) => largest
            .checked_add(1 << 32)
            .map(|_| largest + 1)
            .context("there are too few numbers left after the largest id; name ids with --ids"),
    }
}
