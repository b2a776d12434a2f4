//! A placement as a problem to plan for.

use super::ground::{Demand, Ground, Origin, Treatment, Way};
use super::route::{Placement, Route, Stop};
use domain::problem::{Chain, Device, Fragment, Gateway, Hop, NamedLink, Service, Source};
use domain::{Choice, Epoch, Mixture, Policy, Probability, Problem, Seconds};
use std::collections::BTreeMap;

/// A problem, and whose services it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The problem: all sites, and the services that are placed.
    pub problem: Problem,
    /// Per service of the problem its index among the demands.
    pub demands: Vec<usize>,
}

/// The problem of a placement. Links are those that chains use, with one of its own for each gateway.
pub fn build(ground: &Ground, demands: &[Demand], placement: &Placement) -> Built {
    let devices = ground.sites.iter().map(|site| Device {
        name: site.name.clone(),
        cores: site.cores,
        speed: site.speed,
        memory_budget: site.memory_budget,
        fragments: vec![],
    });
    let mut builder =
        Builder { ground, devices: devices.collect(), links: vec![], named: BTreeMap::new(), at: BTreeMap::new() };
    let placed: Vec<usize> = (0..demands.len()).filter(|&index| !placement.services[index].is_empty()).collect();
    let services = placed
        .iter()
        .enumerate()
        .map(|(index, &of)| builder.service(index, &demands[of], &placement.services[of]))
        .collect();
    let problem = Problem { devices: builder.devices, links: builder.links, services };
    Built { problem, demands: placed }
}

struct Builder<'a> {
    ground: &'a Ground,
    devices: Vec<Device>,
    links: Vec<NamedLink>,
    named: BTreeMap<String, usize>,
    /// Index on its site of each fragment, by service.
    at: BTreeMap<(usize, Stop), usize>,
}

impl Builder<'_> {
    fn service(&mut self, index: usize, demand: &Demand, routes: &[Route]) -> Service {
        let chains = routes.iter().enumerate().map(|(number, route)| Chain {
            name: format!("chain-{}", number + 1),
            hops: self.hops(index, demand, route),
        });
        let chains = chains.collect();
        let mut gateways: Vec<usize> = demand.sources.iter().map(|source| source.site).collect();
        gateways.sort_unstable();
        gateways.dedup();
        let source = |source: &Origin| Source {
            name: source.name.clone(),
            gateway: gateways.iter().position(|&site| site == source.site).expect("every source has its gateway"),
            rate: source.rate,
            burstiness: source.burstiness,
        };
        Service {
            name: demand.name.clone(),
            model: demand.model.clone(),
            chains,
            sources: demand.sources.iter().map(source).collect(),
            gateways: gateways.iter().map(|&site| self.gateway(demand, site, routes)).collect(),
            targets: demand.targets,
            overflow: demand.overflow,
            deadline: demand.deadline,
            audit: demand.audit,
        }
    }

    fn gateway(&mut self, demand: &Demand, site: usize, routes: &[Route]) -> Gateway {
        let name = format!("{}@{}", demand.name, self.ground.sites[site].name);
        Gateway {
            device: self.ground.sites[site].name.clone(),
            memory_budget: demand.gateway_memory_budget,
            links: routes.iter().map(|route| self.link(&name, site, route.stops[0].site)).collect(),
            turnaround: Seconds::ZERO,
        }
    }

    fn hops(&mut self, service: usize, demand: &Demand, route: &Route) -> Vec<Hop> {
        let mut before: Option<usize> = None;
        let mut hops = vec![];
        for &stop in &route.stops {
            let link = before.and_then(|from| self.link(&self.ground.sites[from].name.clone(), from, stop.site));
            hops.push(Hop { device: stop.site, fragment: self.fragment(service, demand, stop), link });
            before = Some(stop.site);
        }
        hops
    }

    fn fragment(&mut self, service: usize, demand: &Demand, stop: Stop) -> usize {
        let fragments = &mut self.devices[stop.site].fragments;
        *self.at.entry((service, stop)).or_insert_with(|| {
            fragments.push(Fragment {
                name: format!("{}-{}-{}", demand.name, stop.range.first + 1, stop.range.last + 1),
                service,
                range: stop.range,
                workers: demand.size.workers,
                cpu_request: demand.size.cpu_request.unwrap_or(1.0),
                cpu_limit: demand.size.cpu_limit,
                memory_budget: demand.size.memory_budget,
            });
            fragments.len() - 1
        })
    }

    /// The link over which a process at `from` reaches `to`.
    fn link(&mut self, process: &str, from: usize, to: usize) -> Option<usize> {
        let Way::Link(link) = self.ground.ways[from][to] else { return None };
        if from == to {
            return None;
        }
        let name = format!("{process}→{}", self.ground.sites[to].name);
        let links = &mut self.links;
        Some(*self.named.entry(name).or_insert_with_key(|name| {
            links.push(NamedLink { name: name.clone(), link });
            links.len() - 1
        }))
    }
}

/// The policy of a service whose treatment is given: all chains alike.
pub(super) fn given(problem: &Problem, service: usize, demand: &Demand) -> Option<Policy> {
    let Treatment::Given(shares) = &demand.treatment else { return None };
    let of = &problem.services[service];
    let part = 1.0 / of.chains.len() as f64;
    let choices = (0..of.chains.len()).flat_map(|chain| {
        shares.iter().map(move |(share, thresholds)| {
            let share = Probability::new(share.get() * part).expect("a part of a probability is one");
            Choice::new(share, chain, thresholds.clone())
        })
    });
    let chains = of.chains.iter().map(|chain| domain::Chain {
        name: chain.name.clone(),
        fragments: chain.hops.iter().map(|&hop| problem.fragment(hop).range).collect(),
    });
    Some(Policy {
        epoch: Epoch::Arrival,
        overflow: of.overflow,
        chains: chains.collect(),
        default: Mixture::new(choices.collect(), "the treatment").ok()?,
        sources: vec![],
        rates: None,
        learning: None,
        audit: of.audit,
        deadline: of.deadline,
    })
}
