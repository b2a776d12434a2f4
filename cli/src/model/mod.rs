//! `eenn model`: look into a model and measure it.

mod inspect;
mod profile;

mod description;
mod manifest;
mod memory;
mod progress;

pub(crate) use description::sha256;

use crate::exit_code::Outcome;
use clap::{Subcommand, ValueEnum};
use std::io::Write;

/// Subcommands of `eenn model`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(inspect::Options),
    Profile(profile::Options),
}

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// YAML for an EENNModel manifest
    Manifest,
}

impl Command {
    /// Runs the subcommand; results go to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        match self {
            Command::Inspect(options) => options.exec(out),
            Command::Profile(options) => options.exec(out),
        }
    }
}
