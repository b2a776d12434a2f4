//! `eenn`: plan, serve and measure early-exit networks.

mod cli;
mod completion;
mod exit_code;
mod model;
mod plan;
mod reference;
mod simulate;
mod up;

mod deploy;
mod display;
mod format;
mod load;
mod measure;
mod models;
mod placement;
mod process;
#[cfg(test)]
mod snapshot;
mod yaml;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let stdout = &mut std::io::stdout();
    match cli::Cli::parse().exec(stdout) {
        Ok(()) => exit_code::OK.into(),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            failure.code()
        }
    }
}
