//! `ocelli index`

mod add;
mod build;
mod choose;
mod compact;
mod delete;
mod eval;
mod export;
mod files;
mod hamming;
mod hits;
mod import;
mod info;
mod known;
mod making;
mod measure;
mod memory;
mod merge;
mod open;
mod options;
mod reduce;
mod search;
mod truth;

use clap::{Args, Subcommand};

use super::Ended;

/// Search in vectors: build, tune, search, measure, change, export.
///
/// Vectors are read from .fvecs, .bvecs, .ivecs, .npy, .npz, .csv, .tsv, .txt, .parquet and .hdf5. An index is one file; several
/// that share a folder are searched together.
#[derive(Debug, Args)]
pub(super) struct Index {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Search(search::Search),
    Eval(eval::Eval),
    Info(info::Info),
    Add(add::Add),
    Delete(delete::Delete),
    Compact(compact::Compact),
    Merge(merge::Merge),
    Export(export::Export),
    Import(import::Import),
    Reduce(reduce::Reduce),
}

impl Index {
    pub(super) fn run(self) -> Ended {
        match self.command {
            Command::Build(c) => c.run(),
            Command::Search(c) => c.run(),
            Command::Eval(c) => c.run(),
            Command::Info(c) => c.run(),
            Command::Add(c) => c.run(),
            Command::Delete(c) => c.run(),
            Command::Compact(c) => c.run(),
            Command::Merge(c) => c.run(),
            Command::Export(c) => c.run(),
            Command::Import(c) => c.run(),
            Command::Reduce(c) => c.run(),
        }
    }
}
