//! Services: chains of hops, gateways with their ways to the first hop, sources and targets.

use super::devices::Hosts;
use super::links::Links;
use crate::{Deployment, Models, ServicePlan};
use api::{QoSTargetSpec, ResolvedSource};
use domain::problem::{Chain, Gateway, Hop, NamedLink, Service, Source, Targets};
use domain::{Bytes, Probability, Seconds};
use std::collections::BTreeMap;
use wire::document::{ChainDocument, GatewayDocument, LinkDocument};

/// All services, and the links that they use.
pub(super) fn services(deployment: &Deployment, hosts: &Hosts, models: &Models) -> (Vec<Service>, Vec<NamedLink>) {
    let paces = deployment.devices.iter().map(|device| (device.device.as_str(), &device.links)).collect();
    let mut parts = Parts { hosts, paces, links: Links::default() };
    let services = deployment.services.iter().map(|service| parts.service(service, models)).collect();
    (services, parts.links.links)
}

/// What all chains are made of.
struct Parts<'a> {
    hosts: &'a Hosts,
    /// Links of the device processes, by device.
    paces: BTreeMap<&'a str, &'a BTreeMap<String, LinkDocument>>,
    links: Links,
}

impl Parts<'_> {
    fn service(&mut self, plan: &ServicePlan, models: &Models) -> Service {
        let resolved = &plan.resolved;
        // In the order in which jobs walk them, so that links are named as they come.
        let (mut gateways, mut chains) = (vec![], vec![]);
        for document in &plan.gateways {
            chains.clear();
            let mut links = vec![];
            for chain in &document.policy.chains {
                links.push(self.first_link(document, chain));
                chains.push(self.chain(chain));
            }
            let memory_budget = Bytes(document.memory_budget_bytes);
            let device = document.device.clone();
            gateways.push(Gateway { device, memory_budget, links, turnaround: turnaround() });
        }
        Service {
            name: plan.name.clone(),
            model: models.get(&resolved.model.model.name),
            chains,
            sources: resolved.sources.iter().map(|one| source(one, &gateways)).collect(),
            gateways,
            targets: plan.targets.as_ref().map_or_else(Targets::default, targets),
            overflow: resolved.overflow,
            deadline: resolved.deadline,
            audit: resolved.audit,
        }
    }

    fn first_link(&mut self, gateway: &GatewayDocument, chain: &ChainDocument) -> Option<usize> {
        let name = format!("{}@{}", gateway.policy.service, gateway.device);
        self.links.index(&name, &chain.hops.first()?.device, &gateway.links)
    }

    fn chain(&mut self, document: &ChainDocument) -> Chain {
        let mut before: Option<&str> = None;
        let mut hops = vec![];
        for hop in &document.hops {
            let (device, fragment) = self.hosts.spot(&hop.device, &hop.fragment);
            let link = before.and_then(|before| self.links.index(before, &hop.device, self.paces[before]));
            hops.push(Hop { device, fragment, link });
            before = Some(&hop.device);
        }
        Chain { name: document.name.clone(), hops }
    }
}

/// What sockets, and threads that wake up, take of local mode between two jobs of a gateway that sends the next one when it
/// has the answer to the one before. Measured, see `docs/design/prediction-vs-local-mode.md`.
fn turnaround() -> Seconds {
    const MEASURED: f64 = 0.6e-3;
    Seconds::new(MEASURED).expect("it is a time")
}

fn source(source: &ResolvedSource, gateways: &[Gateway]) -> Source {
    let gateway = gateways.iter().position(|gateway| gateway.device == source.device);
    Source {
        name: source.name.clone(),
        gateway: gateway.expect("a gateway runs where a source is"),
        rate: source.expected_rate,
        burstiness: source.burstiness,
    }
}

/// Targets of a manifest.
pub fn targets(spec: &QoSTargetSpec) -> Targets {
    let share = |ratio: &api::Ratio| Probability::new(ratio.get()).expect("a ratio is a probability");
    let milliseconds = |given: i64| Seconds::new(given as f64 / 1e3).expect("the schema keeps it from 1 ms to an hour");
    Targets {
        max_loss: spec.max_loss_ratio.as_ref().map(share),
        min_accuracy: spec.min_accuracy.as_ref().map(share),
        max_mean_latency: spec.max_mean_latency_milliseconds.map(milliseconds),
        max_p95_latency: spec.max_p95_latency_milliseconds.map(milliseconds),
        priority: f64::from(spec.priority),
    }
}
