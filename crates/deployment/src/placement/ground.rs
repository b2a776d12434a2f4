//! A pool and its services as what a planner decides about.

use super::Request;
use crate::{Refused, targets};
use api::{Device, Name, PlannedChain, Pool, Reach, ServicePlacement, Unplaced, UnplacedService};
use domain::problem::Targets;
use domain::{Bytes, FragmentRange, Mixture, Probability, Thresholds};
use planner::placement::{Demand, Ground, Origin, Placement, Route, Site, Size, Stop, Treatment, Way};
use std::collections::BTreeSet;

/// Chains that a service gets, at most: more are rarely worth their memory.
const MOST_CHAINS: usize = 3;

/// A pool with its services.
pub(super) struct Pooled {
    pub(super) ground: Ground,
    pub(super) demands: Vec<Demand>,
    /// Where fragments live now.
    pub(super) incumbent: Placement,
    /// Names of those chains.
    pub(super) names: Vec<Vec<Name>>,
}

impl Pooled {
    pub(super) fn new(unplaced: &Unplaced, name: &str, request: &Request<'_>) -> Result<Self, Refused> {
        let pool = &unplaced.pools[name];
        let services: Vec<&UnplacedService> = unplaced.services.iter().filter(|service| service.pool == name).collect();
        let gone = gone(pool, &services, request);
        let names: Vec<&str> = pool.devices.keys().map(String::as_str).chain(gone.iter().copied()).collect();
        let here = pool.devices.iter().map(|(name, device)| site(name, device, &services, request));
        let sites = here.chain(gone.iter().map(|name| no_site(name))).collect();
        let ways = names.iter().map(|from| names.iter().map(|to| way(pool, from, to)).collect()).collect();
        let demands = services.iter().map(|service| demand(service, &names, request));
        let demands = demands.collect::<Result<Vec<_>, Refused>>()?;
        let now: Vec<_> = services.iter().map(|service| chains(service, request)).collect();
        Ok(Self {
            ground: Ground { sites, ways },
            demands,
            incumbent: Placement { services: now.iter().map(|chains| routes(chains, &names)).collect() },
            names: now.iter().map(|chains| chains.iter().map(|chain| chain.name.clone()).collect()).collect(),
        })
    }
}

/// The chains of a service as they are now, if its model still has their segments.
fn chains<'a>(service: &UnplacedService, request: &Request<'a>) -> Vec<&'a PlannedChain> {
    let segments = i32::try_from(service.model.model.segments()).unwrap_or(i32::MAX);
    let is_whole = |fragment: &api::PlannedFragment| {
        1 <= fragment.first_segment
            && fragment.first_segment <= fragment.last_segment
            && fragment.last_segment <= segments
    };
    let chains = request.incumbent.get(&service.name).into_iter().flatten();
    chains.filter(|chain| chain.fragments.iter().all(is_whole)).collect()
}

/// Devices on which fragments live now, and which the pool has no longer: chains through them have to go.
fn gone<'a>(pool: &Pool, services: &[&UnplacedService], request: &Request<'a>) -> BTreeSet<&'a str> {
    let chains = services.iter().flat_map(|service| chains(service, request));
    let nodes = chains.flat_map(|chain| &chain.fragments).map(|fragment| fragment.node.as_str());
    nodes.filter(|node| !pool.devices.contains_key(*node)).collect()
}

fn no_site(name: &str) -> Site {
    Site {
        name: name.to_owned(),
        cores: 1.0,
        speed: 1.0,
        memory_budget: None,
        free_memory: None,
        architecture: None,
        trouble: Some("not in the pool any more".to_owned()),
    }
}

fn routes(chains: &[&PlannedChain], names: &[&str]) -> Vec<Route> {
    let stop = |fragment: &api::PlannedFragment| {
        let index = |segment: i32| segment.unsigned_abs() as usize - 1;
        let range = FragmentRange { first: index(fragment.first_segment), last: index(fragment.last_segment) };
        let site = names.iter().position(|name| *name == fragment.node.as_str());
        Stop { site: site.expect("devices that are gone have been added"), range }
    };
    chains.iter().map(|chain| Route { stops: chain.fragments.iter().map(stop).collect() }).collect()
}

fn site(name: &str, device: &Device, services: &[&UnplacedService], request: &Request<'_>) -> Site {
    let has_gateway = |service: &&&UnplacedService| service.sources.iter().any(|source| source.device == name);
    let gateways: u64 = services.iter().filter(has_gateway).map(|one| request.footprint.gateways[&one.name]).sum();
    Site {
        name: name.to_owned(),
        cores: device.cores,
        speed: device.speed_factor,
        memory_budget: Some(device.memory_budget),
        free_memory: device.allocatable_memory.map(|all| Bytes(all.0.saturating_sub(gateways))),
        architecture: device.architecture.clone(),
        trouble: device.trouble.map(str::to_owned),
    }
}

fn way(pool: &Pool, from: &str, to: &str) -> Way {
    if !pool.devices.contains_key(from) || !pool.devices.contains_key(to) {
        return Way::None;
    }
    match pool.reach(from, to) {
        Reach::Host => Way::Host,
        Reach::Link(link) => Way::Link(link),
        Reach::Unreachable => Way::None,
    }
}

fn demand(service: &UnplacedService, names: &[&str], request: &Request<'_>) -> Result<Demand, Refused> {
    let index = |device: &str| {
        let found = names.iter().position(|name| *name == device);
        found.ok_or_else(|| Refused(format!("service {:?} names {device:?}, which is no device", service.name)))
    };
    let origin = |source: &api::ResolvedSource| {
        let site = index(&source.device)?;
        Ok(Origin { name: source.name.clone(), site, rate: source.expected_rate, burstiness: source.burstiness })
    };
    let cores = |millis: u64| millis as f64 / 1e3;
    let (treatment, pinned) = match &service.placement {
        ServicePlacement::Auto { given: None } => (Treatment::Planned, None),
        ServicePlacement::Auto { given: Some(mixture) } => (Treatment::Given(shares(mixture)), None),
        ServicePlacement::Pinned { fragments, chains } => {
            let stop = |fragment: &usize| {
                let fragment = &fragments[*fragment];
                Ok(Stop { site: index(&fragment.device)?, range: fragment.range })
            };
            let route = |chain: &api::ResolvedChain| {
                Ok(Route { stops: chain.fragments.iter().map(stop).collect::<Result<Vec<_>, Refused>>()? })
            };
            (Treatment::Planned, Some(chains.iter().map(route).collect::<Result<Vec<_>, Refused>>()?))
        }
    };
    let name = &service.model.model.name;
    Ok(Demand {
        name: service.name.clone(),
        model: request.models.get(name),
        weight_bytes: request.footprint.weights[name].clone(),
        sources: service.sources.iter().map(origin).collect::<Result<Vec<_>, Refused>>()?,
        targets: service.targets.as_ref().map_or_else(Targets::default, targets),
        overflow: service.overflow,
        deadline: service.deadline,
        audit: service.audit,
        gateway_memory_budget: service.gateway_memory_budget,
        size: Size {
            workers: u32::try_from(service.size.workers).unwrap_or(u32::MAX),
            memory_budget: service.size.memory_budget,
            process: Bytes(request.footprint.fragments[name]),
            cpu_request: service.size.cpu_request_millis.map(cores),
            cpu_limit: service.size.cpu_limit_millis.map_or(f64::INFINITY, cores),
        },
        architectures: request.architectures.to_vec(),
        most_chains: MOST_CHAINS,
        treatment,
        pinned,
    })
}

/// What the manifest says of jobs, whatever chain they take.
fn shares(mixture: &Mixture) -> Vec<(Probability, Thresholds)> {
    mixture.choices().iter().map(|choice| (choice.probability, choice.thresholds.clone())).collect()
}
