//! A folder of manifests as a network: the processes, memory, links and load of local mode, so that a simulation predicts
//! what `eenn up` measures.
//!
//! Devices, links and models are those of the [problem](deployment::problem()) that is planned for; arrivals are those that are
//! driven.

mod arrivals;

use super::case::Case;
use crate::deploy::deploy;
use crate::exit_code::{Blame, Outcome};
use crate::load::plan::Plan as Load;
use crate::models;
use crate::placement::{Settled, place};
use crate::plan::decide;
use crate::up::{Drive, sources};
use deployment::{Ask, Deployment, Judge, problem};
use domain::{Plan, Problem};
use simulator::Network;
use std::path::Path;

/// The one case of a folder: all its services, because they share devices.
///
/// `seed` is that of the arrival times where those are not drawn anew in every replication; `exit_table` replaces the
/// tables that the manifests name.
pub(crate) fn cases(folder: &Path, drive: &Drive, seed: u64, exit_table: Option<&Path>) -> Outcome<Vec<Case>> {
    let overrides = drive.overrides()?;
    let Settled { manifests, .. } = place(api::load(folder).blame_input()?, &overrides, &[])?;
    let deployed = deploy(&manifests, &overrides).blame_input()?;
    let deployment = &deployed.deployment;
    let load = drive.plan(&sources(deployment), seed)?;
    deployed.verify()?;
    // Planned is with what `eenn up` knows, whatever samples the jobs then are.
    let known = models::read(&deployed, &manifests, None, Judge::of(deployment))?;
    let plan = decide(&problem(deployment, &known).blame_input()?, deployment, &Ask::default())?.plan;
    let models = match exit_table {
        Some(_) => models::read(&deployed, &manifests, exit_table, Judge::All)?,
        None => known,
    };
    let names: Vec<&str> = deployment.services.iter().map(|service| service.name.as_str()).collect();
    Ok(vec![Case {
        id: names.join("+"),
        network: network_of(deployment, &problem(deployment, &models).blame_input()?, plan, load.as_ref())?,
    }])
}

/// The network of a plan under a load.
pub(crate) fn network_of(
    deployment: &Deployment,
    problem: &Problem,
    plan: Plan,
    load: Option<&Load>,
) -> Outcome<Network> {
    let streams = arrivals::streams(deployment, load)?;
    let network = simulator::problem::network(problem, &renamed(plan, deployment, &streams));
    // Sources of the network are those of the manifests, in the same order.
    let of_stream = |stream: &arrivals::Stream| simulator::Source {
        name: stream.name.clone(),
        arrivals: stream.arrivals.clone(),
        ..network.sources[stream.source].clone()
    };
    Ok(Network { sources: streams.iter().map(of_stream).collect(), ..network.clone() })
}

/// The plan under the names of the streams: policies treat sources by their names.
fn renamed(mut plan: Plan, deployment: &Deployment, streams: &[arrivals::Stream]) -> Plan {
    let services = deployment.services.iter().enumerate();
    let owners: Vec<(usize, &str)> = services
        .flat_map(|(index, service)| service.sources.iter().map(move |source| (index, source.name.as_str())))
        .collect();
    for stream in streams {
        let (service, source) = owners[stream.source];
        if stream.name != source {
            let policy = &mut plan.policies[service];
            let lists = policy.rates.iter_mut().flat_map(|rates| &mut rates.rows).map(|row| &mut row.sources);
            for list in lists.chain([&mut policy.sources]) {
                let same = list.iter().find(|(name, _)| name == source).map(|(_, mixture)| mixture.clone());
                list.extend(same.map(|mixture| (stream.name.clone(), mixture)));
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests;
