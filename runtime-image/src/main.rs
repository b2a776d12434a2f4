//! `eenn-runtime`: the processes of the data plane.

use clap::Parser;
use runtime_image::command::{Command, exit_code, run};
use std::process::ExitCode;

/// The data plane of eenn-operator
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            exit_code(&error)
        }
    }
}
