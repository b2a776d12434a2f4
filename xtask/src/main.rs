//! Automation of this repository: `cargo xtask check` is what CI runs.

mod bench;
mod chart;
mod check;
mod control_plane;
mod evaluate;
mod generate;
mod process;
mod train_example;

use clap::{Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "Automation of this repository",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything CI runs, in the same order: format, clippy, build, test, docs, generated files
    Check,
    /// Writes the generated files
    Generate(generate::Options),
    /// Runs the benchmarks; do it on a machine that does nothing else
    Bench(bench::Options),
    /// A real Kubernetes control plane on this machine, to try kubectl on
    #[command(subcommand)]
    ControlPlane(control_plane::Command),
    /// Writes docs/evaluation.md with its pictures and numbers (about 15 minutes)
    Evaluate(evaluate::Options),
    /// Trains the example network and writes its files (about 50 minutes; resumable)
    TrainExample(train_example::Options),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository");
    let result = match Arguments::parse().command {
        Command::Check => check::exec(root),
        Command::Generate(options) => generate::exec(root, options),
        Command::Bench(options) => bench::exec(root, options),
        Command::ControlPlane(command) => control_plane::exec(command),
        Command::Evaluate(options) => evaluate::exec(root, &options),
        Command::TrainExample(options) => train_example::exec(root, options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
