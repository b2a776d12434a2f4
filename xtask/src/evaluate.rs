//! `cargo xtask evaluate`: writes docs/evaluation.md.

use crate::process;
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Options of the evaluation; `cargo xtask evaluate -- --help` lists them
    #[arg(last = true)]
    options: Vec<String>,
}

pub(crate) fn exec(root: &Path, options: &Options) -> anyhow::Result<()> {
    const CARGO: &str = "install Rust with rustup, https://rustup.rs";
    // All of the workspace, so that nothing is compiled twice for other features.
    process::run(process::cargo(root).args(["build", "--release", "--workspace", "--bins"]), CARGO)?;
    let run = ["run", "--release", "--workspace", "--bin", "evaluation", "--"];
    process::run(process::cargo(root).args(run).args(&options.options), CARGO)
}
