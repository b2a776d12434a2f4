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
    // Beside this program: `cargo run` of one package would compile shared dependencies again, for other features.
    let program = std::env::current_exe()?.with_file_name("evaluation");
    process::run(std::process::Command::new(program).current_dir(root).args(&options.options), CARGO)
}
