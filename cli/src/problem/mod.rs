//! Manifests as a problem to plan for: the devices, links, memory, models and sources of what would be started.
//!
//! It starts from the documents that the processes are started with, so what they do not hear of is not planned with.
//! `eenn plan`, `eenn explain`, `eenn simulate -f` and `eenn up` all look at this problem.

mod devices;
mod links;
mod models;
mod services;
#[cfg(test)]
mod tests;

pub(crate) use models::{Judge, Models, Served};
pub(crate) use services::targets;

use crate::deploy::Deployment;
use crate::exit_code::{Blame, Outcome};
use domain::Problem;

/// The problem of a deployment. Services, gateways and sources are in its order.
pub(crate) fn problem(deployment: &Deployment, models: &Models) -> Outcome<Problem> {
    let hosts = devices::Hosts::new(deployment, models)?;
    let (services, links) = services::services(deployment, &hosts, models);
    let problem = Problem { devices: hosts.devices, links, services };
    problem.check().blame_input()?;
    Ok(problem)
}
