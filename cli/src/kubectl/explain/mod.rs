//! `kubectl eenn explain`: which device or link limits a service under the plan in force.
//!
//! * [`Neighbours`]: what is read of the cluster: everything that shares the pool. [`decided`]: the plans in force as what
//!   `eenn explain` works with, pure.

mod decided;
mod neighbours;
#[cfg(test)]
mod tests;

use super::cluster::ClusterOptions;
use super::plans::Plans;
use super::service::{Found, find};
use super::words;
use crate::exit_code::{Failure, Outcome};
use clap::Args;
use kube::ResourceExt;
use neighbours::Neighbours;
use std::io::Write;

/// Say in words which device or link limits a service
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// The service
    service: String,

    #[command(flatten)]
    cluster: ClusterOptions,
}

const EXAMPLES: &str = "\
Examples:
  What would help: a faster device, more memory, a better link, or fewer jobs?
    kubectl eenn explain fashion-mnist

The plans in force of all services of the pool are simulated together, at the rates that they were
made for; nothing is changed. Needs the right to list nodes and to get devicepools, and to read the
ConfigMap of the model's exit table. Services of other namespaces count where you may list them.";

impl Options {
    /// Reads, simulates, and writes sentences to `out`.
    pub(super) fn exec(self, out: &mut dyn Write) -> Outcome {
        let cluster = self.cluster.connect()?;
        let Found { service, plans } = find(&cluster, &self.service)?;
        if Plans::of(&service, &plans).in_force.is_none() {
            let why = words::trouble(&service).into_iter().next().unwrap_or_else(|| "it is being made".to_owned());
            return Err(Failure::input(format!("service {:?} has no plan in force: {why}", service.name_any())));
        }
        let neighbours = Neighbours::read(&cluster, &service)?;
        let text = decided::explained(&neighbours, &service).map_err(Failure::input)?;
        out.write_all(text.as_bytes())?;
        for note in &neighbours.notes {
            writeln!(out, "Not counted: {note}")?;
        }
        Ok(())
    }
}
