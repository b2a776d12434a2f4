//! What blocking after service is for. Elsewhere it could deadlock.

use super::document;
use super::error::{FormError, Place};
use super::number::Unit;
use super::object::Object;
use crate::{Discipline, Handover, Network, Outages, Overflow};

/// Refuses a network with blocking unless it has first-come-first-served or priority queues, unit memory, one region for
/// each device, no cycle, no links and no outages.
pub(super) fn check(
    chains: &[Object<document::Chain>],
    network: &Network,
    unit: Unit,
    place: &Place<'_>,
) -> Result<(), FormError> {
    if network.chains.iter().all(|chain| chain.overflow != Overflow::BlockAfterService) {
        return Ok(());
    }
    if network.handover != Handover::ReleaseFirst {
        return Err(place.field("handover").error("must be release_first for block_after_service"));
    }
    check_devices(network, &place.field("devices"))?;
    check_regions(network, unit, place)?;
    if !network.links.is_empty() {
        return Err(place.field("links").error("do not go with block_after_service"));
    }
    check_fragments(chains, network, &place.field("chains"))?;
    check_no_cycle(network, &place.field("chains"))
}

fn check_devices(network: &Network, place: &Place<'_>) -> Result<(), FormError> {
    for (index, device) in network.devices.iter().enumerate() {
        let place = place.index(index);
        if !matches!(device.discipline, Discipline::Fcfs | Discipline::Hol) {
            return Err(place
                .field("discipline")
                .error("must be fcfs or hol: others do not go with block_after_service"));
        }
        if device.outages != Outages::Never {
            return Err(place.field("outages").error("do not go with block_after_service"));
        }
    }
    Ok(())
}

fn check_regions(network: &Network, unit: Unit, place: &Place<'_>) -> Result<(), FormError> {
    let mut owner = vec![None; network.regions.len()];
    for (chain_index, chain) in network.chains.iter().enumerate() {
        for (index, step) in chain.steps.iter().enumerate() {
            let list = place.field("chains");
            let chain = list.index(chain_index);
            let list = chain.field("fragments");
            let shared = step.regions.iter().any(|&region| *owner[region].get_or_insert(step.device) != step.device);
            if shared || step.regions.len() != 1 {
                let message = "must have one region of its own for block_after_service";
                return Err(list.index(index).field("device").error(message));
            }
        }
    }
    let list = place.field(if network.regions.is_empty() { "devices" } else { "regions" });
    match network.regions.iter().position(|region| !unit.is_whole(region.budget)) {
        None => Ok(()),
        Some(index) => Err(list.index(index).field("memory").error("must be a whole number for block_after_service")),
    }
}

fn check_fragments(chains: &[Object<document::Chain>], network: &Network, place: &Place<'_>) -> Result<(), FormError> {
    for (index, (chain, made)) in chains.iter().zip(&network.chains).enumerate() {
        let place = place.index(index);
        if made.model.is_some() {
            return Err(place.field("model").error("does not go with block_after_service"));
        }
        let list = place.field("fragments");
        for (index, fragment) in chain.fragments.iter().enumerate() {
            let place = list.index(index);
            if fragment.memory != 1.0 {
                let message = format!("must be 1 for block_after_service, not {}", fragment.memory);
                return Err(place.field("memory").error(message));
            }
            if fragment.memory_after.is_some_and(|after| after != 1.0) {
                return Err(place.field("memory_after").error("must be 1 for block_after_service"));
            }
        }
    }
    Ok(())
}

/// Removes devices that nothing leads to, one after the other; what is left lies on a cycle or behind one.
fn check_no_cycle(network: &Network, place: &Place<'_>) -> Result<(), FormError> {
    let edges: Vec<(usize, usize)> = network
        .chains
        .iter()
        .flat_map(|chain| chain.steps.windows(2).map(|pair| (pair[0].device, pair[1].device)))
        .collect();
    let (mut inward, mut outward) = (vec![0; network.devices.len()], vec![Vec::new(); network.devices.len()]);
    for &(from, to) in &edges {
        inward[to] += 1;
        outward[from].push(to);
    }
    let mut free: Vec<usize> = (0..network.devices.len()).filter(|&device| inward[device] == 0).collect();
    while let Some(device) = free.pop() {
        for &to in &outward[device] {
            inward[to] -= 1;
            if inward[to] == 0 {
                free.push(to);
            }
        }
    }
    match inward.iter().position(|&count| count > 0) {
        None => Ok(()),
        Some(device) => {
            let name = &network.devices[device].name;
            Err(place.error(format!("lead in a circle to device {name:?}: block_after_service could deadlock")))
        }
    }
}
