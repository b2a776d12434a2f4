//! A folder of manifests as a network: the processes, memory, links and load of local mode, so that a simulation predicts
//! what `eenn up` measures.
//!
//! It starts from the documents that the processes would be started with, so what they do not hear of is not simulated.

mod arrivals;
mod devices;
mod links;
mod models;
mod services;

use super::case::Case;
use crate::deploy::{Deployment, deploy};
use crate::exit_code::{Blame, Failure, Outcome};
use crate::load::plan::Plan;
use crate::up::{Drive, sources};
use devices::Hosts;
use models::Models;
use services::Services;
use simulator::{Handover, Network};
use std::path::Path;

/// The one case of a folder: all its services, because they share devices.
///
/// `seed` is that of the arrival times where those are not drawn anew in every replication; `exit_table` replaces the
/// tables that the manifests name.
pub(crate) fn cases(folder: &Path, drive: &Drive, seed: u64, exit_table: Option<&Path>) -> Outcome<Vec<Case>> {
    let manifests = api::load(folder).blame_input()?;
    let deployment = deploy(&manifests, &drive.overrides()?).blame_input()?;
    let plan = drive.plan(&sources(&deployment), seed)?;
    for service in &deployment.services {
        service.artifact.verify(&service.model_file).map_err(Failure::input)?;
    }
    let models = Models::read(&deployment, &manifests, exit_table)?;
    let names: Vec<&str> = deployment.services.iter().map(|service| service.name.as_str()).collect();
    Ok(vec![Case { id: names.join("+"), network: network(&deployment, models, plan.as_ref())? }])
}

fn network(deployment: &Deployment, models: Models, plan: Option<&Plan>) -> Outcome<Network> {
    let hosts = Hosts::new(&deployment.devices, &models)?;
    let services = Services::new(deployment, &hosts, &models);
    Ok(Network {
        sources: arrivals::sources(deployment, &services, plan)?,
        devices: hosts.devices,
        regions: [hosts.regions, services.regions].concat(),
        links: services.links,
        models: models.models,
        chains: services.chains,
        schedulers: services.schedulers,
        // The next fragment reserves its memory before this one lets go, also where no link is between them.
        handover: Handover::ReserveFirst,
        control: None,
    })
}

#[cfg(test)]
mod tests;
