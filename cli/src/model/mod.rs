//! `eenn model`: look into a model and measure it.

use crate::exit_code::Outcome;
use clap::Subcommand;
use std::io::Write;

/// Subcommands of `eenn model`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {}

impl Command {
    /// Runs the subcommand.
    pub(crate) fn exec(self, _out: &mut dyn Write) -> Outcome {
        match self {}
    }
}
