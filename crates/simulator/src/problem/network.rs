//! Devices, memory, links, models and sources of a problem, for the simulation of a plan.

use super::chains;
use crate::{
    Arrivals, Device, Discipline, Handover, Lane, Law, Link, Model, Network, Outages, Region, Routing, Source,
};
use domain::problem::{self, Burstiness};
use domain::{Plan, Problem};
use std::sync::Arc;

/// The network that a plan makes of a problem. The problem has passed its check, and the plan has one policy per service
/// that fits its chains.
///
/// Devices and links keep their order. Sources are those of the first service, then those of the second, and so on;
/// those without arrivals are left out.
pub fn network(problem: &Problem, plan: &Plan) -> Network {
    let places = Places::new(problem);
    let (models, model_of) = models(problem);
    let ways = chains::of(problem, plan, &places, &model_of);
    let regions = places.regions.iter().cloned().chain(ways.regions);
    Network {
        devices: problem.devices.iter().map(device).collect(),
        regions: regions.collect(),
        links: problem.links.iter().map(link).collect(),
        models,
        chains: ways.chains,
        sources: sources(problem, plan, &ways.scheduler_of),
        schedulers: ways.schedulers,
        // The next fragment reserves its memory before this one lets go, also where no link is between them.
        handover: Handover::ReserveFirst,
        control: None,
    }
}

/// Where fragments keep their jobs.
pub(super) struct Places {
    pub(super) regions: Vec<Region>,
    /// Per device, per fragment: its region.
    of_fragment: Vec<Vec<usize>>,
    /// Per device: the region that all of its fragments share.
    of_device: Vec<Option<usize>>,
}

impl Places {
    fn new(problem: &Problem) -> Self {
        let mut places = Self { regions: vec![], of_fragment: vec![], of_device: vec![] };
        for device in &problem.devices {
            let first = places.regions.len();
            places.regions.extend(device.fragments.iter().map(|fragment| region(device, fragment)));
            places.of_fragment.push((first..places.regions.len()).collect());
            places.of_device.push(device.memory_budget.map(|budget| {
                places.regions.push(Region { name: format!("{} (all)", device.name), budget: budget.0 });
                places.regions.len() - 1
            }));
        }
        places
    }

    /// The regions in which a fragment holds its jobs.
    pub(super) fn of(&self, hop: problem::Hop) -> Vec<usize> {
        let own = self.of_fragment[hop.device][hop.fragment];
        std::iter::once(own).chain(self.of_device[hop.device]).collect()
    }
}

/// Named like the place at which gateways count their losses; several fragments of a device are told apart.
fn region(device: &problem::Device, fragment: &problem::Fragment) -> Region {
    let name = match &device.fragments[..] {
        [_] => device.name.clone(),
        _ => format!("{}/{}", device.name, fragment.name),
    };
    Region { name, budget: fragment.memory_budget.0 }
}

fn device(device: &problem::Device) -> Device {
    let lane = |fragment: &problem::Fragment| Lane {
        name: fragment.name.clone(),
        workers: fragment.workers,
        request: fragment.cpu_request,
        limit: fragment.cpu_limit,
    };
    // A device on which nothing lives has no work to share.
    let idle = || Lane { name: "idle".to_owned(), workers: 1, request: 1.0, limit: 1.0 };
    let lanes: Vec<Lane> = device.fragments.iter().map(lane).collect();
    Device {
        name: device.name.clone(),
        cores: device.cores,
        speed: device.speed,
        discipline: Discipline::Pods(if lanes.is_empty() { vec![idle()] } else { lanes }),
        outages: Outages::Never,
    }
}

fn link(link: &problem::NamedLink) -> Link {
    let latency = link.link.latency.get();
    Link {
        name: link.name.clone(),
        bytes_per_second: link.link.bytes_per_second,
        latency,
        // Answers are some tens of bytes: they pay the latency, not the bandwidth.
        return_latency: latency,
    }
}

/// Models, each once, and the model of each service. Samples are those that judge.
fn models(problem: &Problem) -> (Vec<Model>, Vec<usize>) {
    let (mut distinct, mut of_service): (Vec<&Arc<problem::Model>>, Vec<usize>) = (vec![], vec![]);
    for service in &problem.services {
        let known = distinct.iter().position(|model| Arc::ptr_eq(model, &service.model));
        of_service.push(known.unwrap_or(distinct.len()));
        if known.is_none() {
            distinct.push(&service.model);
        }
    }
    (distinct.into_iter().map(|one| model(one)).collect(), of_service)
}

fn model(model: &problem::Model) -> Model {
    Model {
        name: model.name.clone(),
        exit_segments: model.exit_segments.clone(),
        times: model.times.clone(),
        varies: model.varies,
        table: model.judge.table.clone(),
    }
}

fn sources(problem: &Problem, plan: &Plan, scheduler_of: &[Vec<usize>]) -> Vec<Source> {
    let services = problem.services.iter().zip(&plan.policies).zip(scheduler_of);
    let of_service = |((service, policy), schedulers): ((&'_ problem::Service, &domain::Policy), &Vec<usize>)| {
        let deadline = policy.deadline.map(domain::Seconds::get);
        let arriving = service.sources.iter().filter(|source| source.rate.get() > 0.0);
        let source = |source: &problem::Source| Source {
            // Schedulers know sources by this name.
            name: source.name.clone(),
            arrivals: arrivals(source),
            routing: Routing::Scheduled(schedulers[source.gateway]),
            deadline,
            retry: None,
        };
        arriving.map(source).collect::<Vec<_>>()
    };
    services.flat_map(of_service).collect()
}

fn arrivals(source: &problem::Source) -> Arrivals {
    let rate = source.rate.get();
    match source.burstiness {
        Burstiness::Poisson => Arrivals::Renewal(Law::Exponential { mean: 1.0 / rate }),
        Burstiness::Phases { rates, switch } => Arrivals::Mmpp2 { rates: rates.map(|ratio| ratio * rate), switch },
    }
}
