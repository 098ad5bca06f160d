//! The command: one file a subcommand, and what they share.

mod bench;
mod classes;
mod completions;
mod convert;
mod embed;
mod emotions;
mod eval;
mod import;
mod index;
mod list;
mod output;
mod precision;
mod predict;
mod process;
mod proposals;
mod reproduce;
mod score;
mod show;
mod task;
mod train;
mod verify;

use clap::{Parser, Subcommand};

/// Published computer-vision methods that work: check them, train them, use them.
#[derive(Debug, Parser)]
#[command(name = "ocelli", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Reproduce(reproduce::Reproduce),
    Train(train::Train),
    Eval(eval::Eval),
    Score(score::Score),
    Embed(embed::Embed),
    Predict(predict::Predict),
    Proposals(proposals::Proposals),
    Import(import::Import),
    Index(index::Index),
    Convert(convert::Convert),
    Bench(bench::Bench),
    Completions(completions::Completions),
}

/// How a command ended.
pub(crate) type Ended = anyhow::Result<std::process::ExitCode>;

impl Cli {
    /// Whether tensors will be computed with.
    pub(crate) fn uses_tensors(&self) -> bool {
        !matches!(self.command, Command::Index(_) | Command::Proposals(_))
    }

    /// Does what was asked.
    pub(crate) fn run(self) -> Ended {
        match self.command {
            Command::List(c) => c.run(),
            Command::Show(c) => c.run(),
            Command::Verify(c) => c.run(),
            Command::Reproduce(c) => c.run(),
            Command::Train(c) => c.run(),
            Command::Proposals(c) => c.run(),
            Command::Import(c) => c.run(),
            Command::Index(c) => c.run(),
            Command::Convert(c) => c.run(),
            Command::Bench(c) => c.run(),
            Command::Completions(c) => c.run(),
            Command::Eval(c) => c.run(),
            Command::Score(c) => c.run(),
            Command::Embed(c) => c.run(),
            Command::Predict(c) => c.run(),
        }
    }
}
