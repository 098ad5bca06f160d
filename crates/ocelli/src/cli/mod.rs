//! The command: one file a subcommand, and what they share.

mod list;
mod output;
mod show;
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
    Train(train::Train),
}

/// How a command ended.
pub(crate) type Ended = anyhow::Result<std::process::ExitCode>;

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Ended {
        match self.command {
            Command::List(c) => c.run(),
            Command::Show(c) => c.run(),
            Command::Verify(c) => c.run(),
            Command::Train(c) => c.run(),
        }
    }
}
