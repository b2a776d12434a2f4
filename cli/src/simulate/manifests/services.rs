//! Services: at every gateway the chains of its policy, who decides between them, and the memory of the gateway.

use super::devices::{Hosts, Spot};
use super::links::Links;
use super::models::{Models, Sizes};
use crate::deploy::{Deployment, ServicePlan};
use domain::Policy;
use simulator::{Chain, Link, Overflow, Region, Scheduling, Step, Work};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::document::{ChainDocument, GatewayDocument, HopDocument, LinkDocument};

/// What a gateway holds for a job beside its sample.
const JOB_STATE: u64 = 4 * 1024;

/// All services.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) chains: Vec<Chain>,
    pub(super) links: Vec<Link>,
    pub(super) schedulers: Vec<Scheduling>,
    /// Of gateways; behind those of fragments.
    pub(super) regions: Vec<Region>,
    /// Scheduler and deadline in seconds, by service and device of the gateway.
    gateways: BTreeMap<(String, String), (usize, Option<f64>)>,
}

/// What all chains are made of.
struct Parts<'a> {
    hosts: &'a Hosts,
    models: &'a Models,
    /// Links of the device processes, by device.
    paces: BTreeMap<&'a str, &'a BTreeMap<String, LinkDocument>>,
    links: Links,
}

impl Services {
    pub(super) fn new(deployment: &Deployment, hosts: &Hosts, models: &Models) -> Self {
        let paces = deployment.devices.iter().map(|device| (device.device.as_str(), &device.links)).collect();
        let mut parts = Parts { hosts, models, paces, links: Links::default() };
        let mut services = Self::default();
        for service in &deployment.services {
            for gateway in &service.gateways {
                services.add(service, gateway, &mut parts);
            }
        }
        Self { links: parts.links.links, ..services }
    }

    /// Scheduler and deadline of the gateway of a service on a device.
    pub(super) fn gateway(&self, service: &str, device: &str) -> (usize, Option<f64>) {
        self.gateways[&(service.to_owned(), device.to_owned())]
    }

    fn add(&mut self, service: &ServicePlan, gateway: &GatewayDocument, parts: &mut Parts<'_>) {
        let policy = policy_of(gateway);
        let first = self.chains.len();
        // The first link depends on where the gateway is, so every gateway has chains of its own.
        let suffix = if service.gateways.len() > 1 { format!("@{}", gateway.device) } else { String::new() };
        for document in &gateway.policy.chains {
            let name = format!("{}/{}{suffix}", service.name, document.name);
            self.chains.push(parts.chain(name, document, gateway, &policy));
        }
        let region = parts.hosts.regions.len() + self.regions.len();
        self.regions.push(Region { name: format!("gateway{suffix}"), budget: gateway.memory_budget_bytes });
        let held = parts.models.sizes(&gateway.model.name).input() + JOB_STATE;
        let key = (service.name.clone(), gateway.device.clone());
        self.gateways.insert(key, (self.schedulers.len(), policy.deadline.map(domain::Seconds::get)));
        self.schedulers.push(Scheduling {
            name: process_name(gateway),
            chains: (first..self.chains.len()).collect(),
            gateway: Some((region, held)),
            make: Arc::new(move |_| Box::new(policy.clone())),
        });
    }
}

impl Parts<'_> {
    fn chain(&mut self, name: String, document: &ChainDocument, gateway: &GatewayDocument, policy: &Policy) -> Chain {
        let models = self.models;
        let sizes = models.sizes(&gateway.model.name);
        let (mut sender, mut paces) = (process_name(gateway), &gateway.links);
        let mut steps = vec![];
        for HopDocument { device, fragment, .. } in &document.hops {
            let link = self.links.index(&sender, device, paces);
            steps.push(step(self.hosts.spot(device, fragment), link, sizes));
            (sender, paces) = (device.clone(), self.paces[device.as_str()]);
        }
        let overflow = match policy.overflow {
            domain::Overflow::Drop => Overflow::Drop,
            domain::Overflow::AnswerWithLastExit => Overflow::AnswerWithLastExit,
        };
        Chain { name, priority: 0, overflow, model: Some(models.index(&gateway.model.name)), steps }
    }
}

fn step(spot: Spot, link: Option<usize>, sizes: &Sizes) -> Step {
    let size = sizes.of(spot.range);
    Step {
        device: spot.device,
        lane: spot.lane,
        regions: vec![spot.region],
        memory: size.held(),
        memory_after: size.output,
        work: Work::Segments(spot.range),
        exit_probability: 0.0,
        link,
        transfer: size.input,
    }
}

/// The policy as the gateway reads it.
fn policy_of(gateway: &GatewayDocument) -> Policy {
    let (exits, segments) = (gateway.model.exits.len(), gateway.model.cuts.len() + 1);
    policy::read(&gateway.policy, exits, segments).expect("resolved manifests give policies that can be read").policy
}

fn process_name(gateway: &GatewayDocument) -> String {
    format!("{}@{}", gateway.policy.service, gateway.device)
}
