//! `eenn-operator`: the control plane of early-exit networks.

use clap::Parser;
use operator::metrics::Metrics;
use operator::options::Options;
use operator::telemetry;
use std::process::ExitCode;
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO);
    let (mut options, metrics) = (Options::parse(), Arc::new(Metrics::default()));
    let telemetry = telemetry::start(options.log_format, level.into(), options.identity(), &metrics);
    let outcome = operator::run::run(options, metrics).await;
    if let Err(error) = &outcome {
        tracing::error!("{error:#}");
    }
    telemetry.close().await;
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
