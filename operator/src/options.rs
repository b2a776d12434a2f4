//! The command line.

use crate::lease::election::Timing;
use crate::telemetry::LogFormat;
use clap::Parser;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// Serve early-exit neural networks on the nodes of this cluster
#[derive(Debug, Clone, Parser)]
#[command(name = "eenn-operator", version, max_term_width = 100)]
pub struct Options {
    /// Run the pools whose spec.operatorName is this one
    #[arg(long, env = "EENN_OPERATOR_NAME", default_value = "eenn", value_name = "NAME")]
    pub name: String,

    /// Look at this namespace only [default: all]
    #[arg(long, env = "EENN_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Namespace of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "eenn-system", value_name = "NAMESPACE")]
    pub lease_namespace: String,

    /// Who this process is: no other may have the same identity
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// Image of gateways and fragments
    #[arg(long, env = "EENN_RUNTIME_IMAGE", default_value = concat!("ghcr.io/eenn-operator/eenn-runtime:", env!("CARGO_PKG_VERSION")), value_name = "IMAGE")]
    pub runtime_image: String,

    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8081", value_name = "ADDR")]
    pub listen: SocketAddr,

    /// How log lines on stderr look; RUST_LOG has their level: error, warn, info, debug or trace [default: info].
    /// Spans go to the collector of OpenTelemetry that OTEL_EXPORTER_OTLP_ENDPOINT names
    #[arg(long, env = "EENN_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Lead without a lease, for clusters whose storage is slow: never start a second operator then
    #[arg(long)]
    pub no_leader_election: bool,

    /// A lease that was not renewed for so long is taken by another operator, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=600), value_name = "SECONDS")]
    pub lease_seconds: u64,

    /// Time between two renewals, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=200), value_name = "SECONDS")]
    pub lease_retry_seconds: u64,

    /// Speak to processes at the addresses of this file instead of to pods: JSON, from names of Deployments to control
    /// addresses, and from addresses of fragments to where they listen. For tests
    #[arg(long, value_name = "FILE", hide = true)]
    pub pod_addresses: Option<PathBuf>,

    /// Objects of each kind that are looked at at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT")]
    pub workers: u16,

    /// Time for which old pods finish their jobs, in seconds: for tests
    #[arg(long, hide = true, default_value_t = crate::service::drains::DRAIN.as_secs(), value_name = "SECONDS")]
    pub drain_seconds: u64,

    /// Gateways that take requests but cannot be asked are waited for so long, in seconds: old fragments stay that they may need
    #[arg(long, default_value_t = crate::service::drains::UNHEARD.as_secs(), value_name = "SECONDS")]
    pub unheard_seconds: u64,

    /// Authorities are looked after so often, in seconds: for tests
    #[arg(long, hide = true, default_value = "3600", value_name = "SECONDS")]
    pub authorities_seconds: NonZeroU64,

    /// End right after so many successful writes: for tests of what holds when an operator dies between two of them
    #[arg(long, hide = true, value_name = "COUNT")]
    pub end_after_writes: Option<NonZeroU64>,
}

impl Options {
    /// Who this process is: what was given, or something that no other has.
    pub fn identity(&mut self) -> &str {
        let name = &self.name;
        self.identity.get_or_insert_with(|| format!("{name}-{:08x}", rand::random::<u32>()))
    }

    /// Times of the lease: a leader that could not renew for two thirds of its time writes nothing any more.
    pub fn timing(&self) -> Result<Timing, String> {
        let lasts = Duration::from_secs(self.lease_seconds);
        let (renew_within, retry) = (lasts.mul_f64(2.0 / 3.0), Duration::from_secs(self.lease_retry_seconds));
        if retry >= renew_within {
            let (retry, most) = (retry.as_secs(), renew_within.as_secs_f64());
            return Err(format!(
                "--lease-retry-seconds is {retry}, but must be less than two thirds of --lease-seconds ({most:.0})"
            ));
        }
        Ok(Timing { lasts, renew_within, retry })
    }
}
