//! `cargo xtask bench`: the benchmarks behind the numbers in README.md and docs/design.

use crate::process;
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which; all if not given
    #[arg(value_enum)]
    which: Option<Which>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// Throughput, latency and overhead of gateway and fragments
    Dataplane,
    /// The job protocol against gRPC
    Wire,
    /// The operator with 1,000 services on a control plane with fake nodes, against the bars of docs/benchmarks/operator.json
    Operator,
}

pub(crate) fn exec(root: &Path, options: Options) -> anyhow::Result<()> {
    let wanted = |which| options.which.is_none_or(|only| only == which);
    if wanted(Which::Dataplane) {
        let build = ["build", "--release", "--workspace", "--bins"];
        process::run(process::cargo(root).args(build), CARGO)?;
        process::run(process::cargo(root).args(["bench", "--workspace", "--bench", "dataplane"]), CARGO)?;
    }
    if wanted(Which::Wire) {
        process::run(process::cargo(&root.join("tests/grpc")).args(["bench", "--bench", "wire"]), CARGO)?;
    }
    if wanted(Which::Operator) {
        // As images have it: the size of the program file counts.
        process::run(process::cargo(root).args(["build", "--profile", "dist", "--package", "operator"]), CARGO)?;
        // The bars are for both.
        for services in ["100", "1000"] {
            process::run(
                process::cargo(root).args(["bench", "--workspace", "--bench", "scale", "--", services]),
                CARGO,
            )?;
        }
    }
    Ok(())
}

const CARGO: &str = "install Rust with rustup, https://rustup.rs";
