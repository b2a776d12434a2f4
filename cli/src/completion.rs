//! `eenn completion`: completion scripts for shells.

use crate::cli::Cli;
use crate::exit_code::Outcome;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::Write;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  eenn completion bash > ~/.local/share/bash-completion/completions/eenn")]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

impl Options {
    /// Writes the script to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "eenn", &mut script);
        Ok(out.write_all(&script)?)
    }
}
