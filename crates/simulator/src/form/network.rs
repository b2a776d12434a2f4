//! One case as a network.

use super::document::{self, Discipline as Named, Lane as LaneDocument};
use super::error::{FormError, Place};
use super::number::{Unit, at_least_one, at_most, not_negative, positive, whole, within};
use super::object::{Either, Object};
use super::{Case, Expected, blocking, chains, links, models, names::Names, regions, sources};
use crate::{Device, Discipline, Handover, Lane, Network, Outages};
use std::ops::RangeInclusive;

/// Most devices, regions, links, models, chains or sources of a case.
const MOST: usize = 10_000;

/// What chains, links and regions refer to.
#[derive(Debug)]
pub(super) struct Devices {
    pub(super) names: Names,
    /// Names of the lanes of each device.
    pub(super) lanes: Vec<Names>,
}

pub(super) fn case(
    case: document::Case,
    usual_id: &str,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<Case, FormError> {
    check_counts(&case, place)?;
    let unit = unit(&case);
    let (devices, known) = devices(&case.devices, &place.field("devices"))?;
    let (regions, memory) = regions::regions(&case, &known, unit, place)?;
    let links = links::links(case.links.as_deref().unwrap_or_default(), &known, unit, &place.field("links"))?;
    let models = models::models(case.models.as_deref().unwrap_or_default(), &place.field("models"))?;
    let world = chains::World { devices: &known, memory: &memory, links: &links, models: &models, unit };
    let chains = chains::chains(&case, &world, &place.field("chains"), warnings)?;
    let (sources, schedulers) = sources::sources(&case, &chains, &models.all, place, warnings)?;
    let network = Network {
        devices,
        regions,
        links: links.all,
        models: models.all,
        chains: chains.all,
        schedulers,
        sources,
        handover: match case.handover {
            None | Some(document::Handover::ReleaseFirst) => Handover::ReleaseFirst,
            Some(document::Handover::ReserveFirst) => Handover::ReserveFirst,
        },
        ..Network::default()
    };
    blocking::check(&case.chains, &network, unit, place)?;
    check_outages(&network, &place.field("devices"))?;
    let expected = case.expected.map(|expected| expected.0);
    check_expected(expected.as_ref(), &network, &place.field("expected"))?;
    let id = case.id.unwrap_or_else(|| usual_id.to_owned());
    Ok(Case { id, description: case.description, network, expected })
}

fn check_counts(case: &document::Case, place: &Place<'_>) -> Result<(), FormError> {
    let count = |list: Option<usize>| list.unwrap_or(0);
    for (what, count) in [
        ("devices", case.devices.len()),
        ("regions", count(case.regions.as_ref().map(Vec::len))),
        ("links", count(case.links.as_ref().map(Vec::len))),
        ("models", count(case.models.as_ref().map(Vec::len))),
        ("chains", case.chains.len()),
        ("sources", count(case.sources.as_ref().map(Vec::len))),
    ] {
        at_most(MOST, count, what, &place.field(what))?;
    }
    at_least_one(case.devices.len(), "device", &place.field("devices"))?;
    at_least_one(case.chains.len(), "chain", &place.field("chains"))?;
    let fragments = case.chains.iter().map(|chain| chain.fragments.len()).sum();
    at_most(100_000, fragments, "fragments in all chains", &place.field("chains"))
}

/// How the memory of a case is counted.
fn unit(case: &document::Case) -> Unit {
    let fragments = case.chains.iter().flat_map(|chain| &chain.fragments);
    let has_links = case.links.as_ref().is_some_and(|links| !links.is_empty());
    let held = fragments.flat_map(|one| [Some(one.memory), one.memory_after, one.transfer.filter(|_| has_links)]);
    // Regions bind where there are any.
    let regions = case.regions.iter().flatten().map(|region| region.memory);
    let devices = case.devices.iter().filter_map(|device| device.memory.filter(|_| case.regions.is_none()));
    Unit::of(held.flatten().chain(regions).chain(devices))
}

fn devices(list: &[Object<document::Device>], place: &Place<'_>) -> Result<(Vec<Device>, Devices), FormError> {
    let mut known = Devices { names: Names::new("device"), lanes: Vec::new() };
    let mut devices = Vec::with_capacity(list.len());
    for (index, device) in list.iter().enumerate() {
        let place = place.index(index);
        let name = known.names.add(device.name.as_deref(), &format!("d{index}"), &place)?;
        let (discipline, lanes) = discipline(device, &place)?;
        known.lanes.push(lanes);
        devices.push(Device {
            name,
            cores: cores(device.servers, &discipline, &place.field("servers"))?,
            speed: within(device.speed, 1e-9..=1e9, &place.field("speed"))?,
            discipline,
            outages: outages(device, &place.field("outages"))?,
        });
    }
    Ok((devices, known))
}

fn cores(servers: f64, discipline: &Discipline, place: &Place<'_>) -> Result<f64, FormError> {
    const MOST_CORES: u32 = 1_000_000;
    if !matches!(discipline, Discipline::Pods(_)) {
        return whole(servers, 1..=MOST_CORES, place).map(f64::from);
    }
    within(servers, 1e-6..=f64::from(MOST_CORES), place)
}

fn discipline(device: &document::Device, place: &Place<'_>) -> Result<(Discipline, Names), FormError> {
    let place = place.field("lanes");
    let mut names = Names::new("lane");
    let lanes = device.lanes.as_deref();
    let discipline = match (device.discipline, lanes) {
        (Named::Fcfs, None) => Discipline::Fcfs,
        (Named::Ps, None) => Discipline::Ps,
        (Named::Hol, None) => Discipline::Hol,
        (Named::Pods, None) => return Err(place.error("is missing; the discipline \"pods\" needs it")),
        (Named::Pods, Some(lanes)) => {
            at_least_one(lanes.len(), "lane", &place)?;
            at_most(1000, lanes.len(), "lanes", &place)?;
            let made = lanes.iter().enumerate().map(|(index, one)| lane(one, index, &mut names, &place.index(index)));
            Discipline::Pods(made.collect::<Result<_, _>>()?)
        }
        (_, Some(_)) => return Err(place.error("go with the discipline \"pods\" only")),
    };
    Ok((discipline, names))
}

fn lane(lane: &LaneDocument, index: usize, names: &mut Names, place: &Place<'_>) -> Result<Lane, FormError> {
    const LANE: RangeInclusive<f64> = 1e-6..=1e6;
    let limit = lane.limit.map(|limit| within(limit, LANE, &place.field("limit"))).transpose()?;
    Ok(Lane {
        name: names.add(lane.name.as_deref(), &format!("lane {index}"), place)?,
        workers: whole(lane.workers.unwrap_or(1.0), 1..=1_000_000, &place.field("workers"))?,
        request: within(lane.request.unwrap_or(1.0), LANE, &place.field("request"))?,
        limit: limit.unwrap_or(f64::INFINITY),
    })
}

fn outages(device: &document::Device, place: &Place<'_>) -> Result<Outages, FormError> {
    Ok(match &device.outages {
        None => Outages::Never,
        Some(Either::Object(random)) => Outages::Random {
            mean_up: positive(random.mean_up, &place.field("mean_up"))?,
            mean_down: positive(random.mean_down, &place.field("mean_down"))?,
        },
        Some(Either::Plain(pairs)) if pairs.is_empty() => Outages::Never,
        Some(Either::Plain(pairs)) => {
            let mut last = 0.0;
            let mut outages = Vec::with_capacity(pairs.len());
            for (index, [from, until]) in pairs.iter().enumerate() {
                let place = place.index(index);
                let (from, until) = (not_negative(*from, &place)?, not_negative(*until, &place)?);
                if from < last || until <= from {
                    return Err(place.error("must begin after the one before has ended, and before its own end"));
                }
                last = until;
                outages.push((from, until));
            }
            Outages::At(outages)
        }
    })
}

/// Outages must not outnumber arrivals so much that a run would never end.
fn check_outages(network: &Network, place: &Place<'_>) -> Result<(), FormError> {
    let rate: f64 = network.sources.iter().filter_map(|source| source.arrivals.rate()).sum();
    let too_often = |device: &Device| match device.outages {
        Outages::Random { mean_up, mean_down } => rate > 0.0 && rate * (mean_up + mean_down) < 1e-6,
        _ => false,
    };
    match network.devices.iter().position(too_often) {
        None => Ok(()),
        Some(index) => {
            Err(place.index(index).field("outages").error("must not come a million times between two arrivals"))
        }
    }
}

/// Answers to questions that were not asked are a mistake in the file.
fn check_expected(expected: Option<&Expected>, network: &Network, place: &Place<'_>) -> Result<(), FormError> {
    let Some(expected) = expected else { return Ok(()) };
    let (chains, devices) = expected.counts();
    at_most(network.chains.len(), chains, "chains", &place.field("chains"))?;
    at_most(network.devices.len(), devices, "devices", &place.field("devices"))?;
    for (index, chain) in network.chains.iter().enumerate() {
        if expected.chain(index).is_some_and(|known| known.fragment(chain.steps.len()).is_some()) {
            let list = place.field("chains");
            let place = list.index(index);
            return Err(place
                .field("fragments")
                .error(format!("are more than the {} of the chain", chain.steps.len())));
        }
    }
    Ok(())
}
