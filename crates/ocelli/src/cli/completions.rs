//! `ocelli completions`

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Ended};

/// Print a script by which a shell completes this command's words.
///
/// For bash: ocelli completions bash > ~/.local/share/bash-completion/completions/ocelli
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Ended {
        // Into memory first: the generator takes a closed pipe for a fault of the program.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ocelli", &mut script);
        std::io::stdout().lock().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
