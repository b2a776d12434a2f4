//! Chains and their fragments.

use super::document;
use super::error::{FormError, Place};
use super::laws;
use super::links::Links;
use super::models::Models;
use super::names::Names;
use super::network::Devices;
use super::number::{Unit, at_least_one, probability};
use crate::{Chain, Overflow, Step, Work};
use domain::FragmentRange;

/// What chains refer to.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) devices: &'a Devices,
    /// Regions of each device.
    pub(super) memory: &'a [Vec<usize>],
    pub(super) links: &'a Links,
    pub(super) models: &'a Models,
    pub(super) unit: Unit,
}

/// The chains, and how to find them.
#[derive(Debug)]
pub(super) struct Chains {
    pub(super) all: Vec<Chain>,
    pub(super) names: Names,
}

pub(super) fn chains(
    case: &document::Case,
    world: &World<'_>,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Chains, FormError> {
    let mut chains = Chains { all: Vec::with_capacity(case.chains.len()), names: Names::new("chain") };
    for (index, chain) in case.chains.iter().enumerate() {
        let place = place.index(index);
        let name = chains.names.add(chain.name.as_deref(), &format!("c{index}"), &place)?;
        let model = chain.model.as_ref().map(|model| world.models.names.find(model, &place.field("model")));
        let model = model.transpose()?;
        let steps = steps(chain, world, &place, warnings)?;
        match model {
            Some(model) => check_whole(&steps, world.models.all[model].times.segments.len(), &place)?,
            None => check_lawful(&steps, &place)?,
        }
        let overflow = overflow(chain.overflow.or(case.overflow));
        chains.all.push(Chain { name, priority: chain.priority.unwrap_or(0), overflow, model, steps });
    }
    Ok(chains)
}

fn overflow(named: Option<document::Overflow>) -> Overflow {
    match named {
        None | Some(document::Overflow::Drop) => Overflow::Drop,
        Some(document::Overflow::BlockAfterService) => Overflow::BlockAfterService,
        Some(document::Overflow::AnswerWithLastExit) => Overflow::AnswerWithLastExit,
    }
}

fn steps(
    chain: &document::Chain,
    world: &World<'_>,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Step>, FormError> {
    let mut from = gateway(chain, world, place)?;
    let list = place.field("fragments");
    let count = chain.fragments.len();
    at_least_one(count, "fragment", &list)?;
    let mut steps = Vec::with_capacity(count);
    for (index, fragment) in chain.fragments.iter().enumerate() {
        let step = step(fragment, from, world, &list.index(index), warnings)?;
        let step = Step { exit_probability: exit(fragment, index + 1 == count, &list.index(index))?, ..step };
        from = Some(step.device);
        steps.push(step);
    }
    Ok(steps)
}

/// The device from which jobs come to the first fragment.
fn gateway(chain: &document::Chain, world: &World<'_>, place: &Place<'_>) -> Result<Option<usize>, FormError> {
    let Some(reference) = &chain.gateway else { return Ok(None) };
    let place = place.field("gateway");
    let gateway = world.devices.names.find(reference, &place)?;
    let first = chain.fragments.first().map(|first| &first.device);
    // A wrong first device is refused at its own place.
    let first = first.and_then(|first| world.devices.names.find(first, &place).ok());
    match first {
        Some(first) if first != gateway && world.links.between(gateway, first).is_none() => {
            let (from, to) = (world.devices.names.name(gateway), world.devices.names.name(first));
            Err(place.error(format!("no link leads from {from:?} to the first fragment's device {to:?}")))
        }
        _ => Ok(Some(gateway)),
    }
}

fn step(
    fragment: &document::Fragment,
    from: Option<usize>,
    world: &World<'_>,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Step, FormError> {
    let device = world.devices.names.find(&fragment.device, &place.field("device"))?;
    let regions = world.memory[device].clone();
    if regions.is_empty() {
        let message = format!("device {:?} is in none of `regions`", world.devices.names.name(device));
        return Err(place.field("device").error(message));
    }
    let memory = world.unit.size(fragment.memory, &place.field("memory"))?;
    let after = fragment.memory_after.map(|after| world.unit.size(after, &place.field("memory_after"))).transpose()?;
    let memory_after = after.unwrap_or(memory);
    if memory_after > memory {
        return Err(place.field("memory_after").error("must not be more than memory"));
    }
    let transfer = world.unit.size(fragment.transfer.unwrap_or(fragment.memory), &place.field("transfer"))?;
    Ok(Step {
        device,
        lane: lane(fragment, &world.devices.lanes[device], &place.field("lane"))?,
        regions,
        memory,
        memory_after,
        work: work(fragment, place, warnings)?,
        exit_probability: 0.0,
        link: from.and_then(|from| world.links.between(from, device)),
        transfer,
    })
}

fn lane(fragment: &document::Fragment, lanes: &Names, place: &Place<'_>) -> Result<usize, FormError> {
    match (&fragment.lane, lanes.count()) {
        (None, 0 | 1) => Ok(0),
        (None, _) => Err(place.error("is missing; the device has several lanes")),
        (Some(_), 0) => Err(place.error("goes with a device of the discipline \"pods\" only")),
        (Some(lane), _) => lanes.find(lane, place),
    }
}

fn work(fragment: &document::Fragment, place: &Place<'_>, warnings: &mut Vec<String>) -> Result<Work, FormError> {
    match (&fragment.service, fragment.segments) {
        (Some(law), None) => laws::service(law, None, &place.field("service"), warnings).map(Work::Law),
        (None, Some([first, last])) => {
            if first == 0 || last < first {
                let message = format!("must be the first and the last segment, from 1, not [{first}, {last}]");
                return Err(place.field("segments").error(message));
            }
            Ok(Work::Segments(FragmentRange { first: first as usize - 1, last: last as usize - 1 }))
        }
        (None, None) => Err(place.error("needs the field `service` (or `segments`, in a chain with a model)")),
        (Some(_), Some(_)) => Err(place.error("has both `service` and `segments`; leave one of them out")),
    }
}

/// Segments have exits of their own.
fn exit(fragment: &document::Fragment, is_last: bool, place: &Place<'_>) -> Result<f64, FormError> {
    let last = if is_last { 1.0 } else { 0.0 };
    let Some(given) = fragment.exit_prob_after else {
        if fragment.segments.is_some() {
            return Ok(last);
        }
        return Err(place.error("needs the field `exit_prob_after`"));
    };
    let place = place.field("exit_prob_after");
    let given = probability(given, &place)?;
    if fragment.segments.is_some() {
        return Ok(last);
    }
    if is_last && given < 1.0 {
        return Err(place.error(format!("must be 1 for the last fragment, not {given}")));
    }
    Ok(given)
}

/// The segments of a model, in order and without gap.
fn check_whole(steps: &[Step], segments: usize, place: &Place<'_>) -> Result<(), FormError> {
    let place = place.field("fragments");
    let mut next = 0;
    for (index, step) in steps.iter().enumerate() {
        let place = place.index(index);
        let Work::Segments(range) = &step.work else {
            return Err(place.error("needs `segments` instead of `service`, because the chain has a model"));
        };
        if range.first != next || range.last >= segments {
            let message = format!(
                "must begin with {} and end by {segments}, not be [{}, {}]: fragments hold the model in order",
                next + 1,
                range.first + 1,
                range.last + 1
            );
            return Err(place.field("segments").error(message));
        }
        next = range.last + 1;
    }
    if next == segments {
        return Ok(());
    }
    Err(place.error(format!("hold segments 1 to {next} only; the model has {segments}")))
}

fn check_lawful(steps: &[Step], place: &Place<'_>) -> Result<(), FormError> {
    match steps.iter().position(|step| matches!(step.work, Work::Segments(_))) {
        None => Ok(()),
        Some(index) => {
            let list = place.field("fragments");
            Err(list.index(index).field("segments").error("are those of a model, but the chain has no `model`"))
        }
    }
}
