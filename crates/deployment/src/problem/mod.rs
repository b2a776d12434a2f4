//! A deployment as a problem to plan for: the devices, links, memory, models and sources of what would be started.
//!
//! It starts from the documents that the processes are started with, so what they do not hear of is not planned with.
//! `eenn plan`, `eenn explain`, `eenn simulate -f`, `eenn up` and the operator all look at this problem.

mod devices;
mod links;
mod services;

pub use services::targets;

use crate::{Deployment, Models, Refused};
use domain::Problem;

/// The problem of a deployment. Services, gateways and sources are in its order.
///
/// # Errors
/// What cannot be served: a fragment whose memory does not hold one job, or a model that contradicts itself.
///
/// # Panics
/// If a model that is served is not among `models`.
pub fn problem(deployment: &Deployment, models: &Models) -> Result<Problem, Refused> {
    let hosts = devices::Hosts::new(deployment, models)?;
    let (services, links) = services::services(deployment, &hosts, models);
    let problem = Problem { devices: hosts.devices, links, services };
    problem.check().map_err(Refused::new)?;
    Ok(problem)
}
