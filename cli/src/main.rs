//! `eenn`: plan, serve and measure early-exit networks.

mod cli;
mod completion;
mod exit_code;
mod kubectl;
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
use exit_code::Outcome;
use kubectl::Called;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&mut std::io::stdout()) {
        Ok(()) => exit_code::OK.into(),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            failure.code()
        }
    }
}

/// Links to this file may have other names.
fn run(out: &mut dyn Write) -> Outcome {
    match Called::by(std::env::args_os().next()) {
        Called::Eenn => cli::Cli::parse().exec(out),
        Called::Plugin => kubectl::Cli::parse().exec(out),
        Called::Completion => {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            kubectl::print_completions(&words.collect::<Vec<_>>(), out)
        }
    }
}
