//! The subcommands of `eenn-runtime`; `eenn` has them too, so that local mode can start itself.

use crate::{fragment, gateway};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;

/// A process of the data plane.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Host fragments of models on a device
    Fragment(Process),
    /// Take requests of a service and send its jobs to fragments
    Gateway(Process),
}

/// How a process is started.
#[derive(Debug, Args)]
pub struct Process {
    /// JSON file that says what to run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Exit when standard input ends, so that no process outlives its parent
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs a subcommand to its end. Logs go to standard error, at the level of `EENN_LOG` (`error` to `trace`, default
/// `warn`).
pub fn run(command: Command) -> anyhow::Result<()> {
    let level = std::env::var("EENN_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::WARN);
    // Fails only when a subscriber is there already.
    let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    match command {
        Command::Fragment(process) => fragment::run(process.document()?, process.exit_with_parent),
        Command::Gateway(process) => gateway::run(process.document()?, process.exit_with_parent),
    }
}

impl Process {
    fn document<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let path = self.config.display();
        let text = std::fs::read(&self.config).with_context(|| format!("failed to read {path}"))?;
        serde_json::from_slice(&text).with_context(|| format!("{path} is not right"))
    }
}
