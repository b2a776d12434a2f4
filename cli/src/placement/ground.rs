//! A pool and its services as what a planner decides about.

use super::Placing;
use crate::exit_code::{Failure, Outcome};
use crate::problem::targets;
use api::{Device, Pool, Reach, ServicePlacement, Unplaced, UnplacedService};
use domain::problem::Targets;
use domain::{Bytes, Mixture, Probability, Thresholds};
use planner::placement::{Demand, Ground, Origin, Route, Site, Size, Stop, Treatment, Way};

/// Chains that a service gets, at most: more are rarely worth their memory.
const MOST_CHAINS: usize = 3;
/// Memory of a process beside weights and jobs. Idle fragments of the example take 25 to 29 MiB with their weights
/// (`eenn model profile`).
const PROCESS: u64 = 32 << 20;

/// A pool with its services.
pub(super) struct Pooled {
    pub(super) ground: Ground,
    pub(super) demands: Vec<Demand>,
}

impl Pooled {
    pub(super) fn new(unplaced: &Unplaced, name: &str, placing: &Placing) -> Outcome<Self> {
        let pool = &unplaced.pools[name];
        let services: Vec<&UnplacedService> = unplaced.services.iter().filter(|service| service.pool == name).collect();
        let names: Vec<&str> = pool.devices.keys().map(String::as_str).collect();
        let sites = pool.devices.iter().map(|(name, device)| site(name, device, &services)).collect();
        let ways = names.iter().map(|from| names.iter().map(|to| way(pool, from, to)).collect()).collect();
        let demands = services.iter().map(|service| demand(service, &names, placing)).collect::<Outcome<Vec<_>>>()?;
        Ok(Self { ground: Ground { sites, ways }, demands })
    }
}

fn site(name: &str, device: &Device, services: &[&UnplacedService]) -> Site {
    let has_gateway = |service: &&&UnplacedService| service.sources.iter().any(|source| source.device == name);
    let gateways: u64 = services.iter().filter(has_gateway).map(|one| PROCESS + one.gateway_memory_budget.0).sum();
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
    match pool.reach(from, to) {
        Reach::Host => Way::Host,
        Reach::Link(link) => Way::Link(link),
        Reach::Unreachable => Way::None,
    }
}

fn demand(service: &UnplacedService, names: &[&str], placing: &Placing) -> Outcome<Demand> {
    let index = |device: &str| {
        let found = names.iter().position(|name| *name == device);
        found.ok_or_else(|| Failure::input(format!("service {:?} names {device:?}, which is no device", service.name)))
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
                Ok(Route { stops: chain.fragments.iter().map(stop).collect::<Outcome<Vec<_>>>()? })
            };
            (Treatment::Planned, Some(chains.iter().map(route).collect::<Outcome<Vec<_>>>()?))
        }
    };
    let name = &service.model.model.name;
    Ok(Demand {
        name: service.name.clone(),
        model: placing.models.get(name),
        weight_bytes: placing.weights[name].clone(),
        sources: service.sources.iter().map(origin).collect::<Outcome<Vec<_>>>()?,
        targets: service.targets.as_ref().map_or_else(Targets::default, targets),
        overflow: service.overflow,
        deadline: service.deadline,
        audit: service.audit,
        gateway_memory_budget: service.gateway_memory_budget,
        size: Size {
            workers: u32::try_from(service.size.workers).unwrap_or(u32::MAX),
            memory_budget: service.size.memory_budget,
            process: Bytes(PROCESS),
            cpu_request: service.size.cpu_request_millis.map(cores),
            cpu_limit: service.size.cpu_limit_millis.map_or(f64::INFINITY, cores),
        },
        // Processes of local mode are emulated on this machine, whatever the nodes are.
        architectures: vec![],
        most_chains: MOST_CHAINS,
        treatment,
        pinned,
    })
}

/// What the manifest says of jobs, whatever chain they take.
fn shares(mixture: &Mixture) -> Vec<(Probability, Thresholds)> {
    mixture.choices().iter().map(|choice| (choice.probability, choice.thresholds.clone())).collect()
}
