//! From manifests to what processes are started with.

use crate::documents;
use api::{QoSTargetSpec, Resolved, ResolvedService};
use domain::{PerSecond, Policy};
use std::collections::{BTreeMap, BTreeSet};
use wire::document::{DeviceDocument, GatewayDocument, PolicyDocument, PolicyVersion};

/// All processes of all services. Documents say how fast devices are (`emulate`), because planning asks for it; a cluster takes
/// that out of what it starts processes with.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// One per node that hosts fragments.
    pub devices: Vec<DeviceDocument>,
    /// One per service, in the order of the manifests.
    pub services: Vec<ServicePlan>,
}

/// A service with its gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePlan {
    /// Its name.
    pub name: String,
    /// One per node with sources.
    pub gateways: Vec<GatewayDocument>,
    /// Where jobs come from.
    pub sources: Vec<SourcePlan>,
    /// Names of the exits in order.
    pub exits: Vec<String>,
    /// Shape of one sample.
    pub input_shape: Vec<usize>,
    /// What it must keep to; none limits nothing.
    pub targets: Option<QoSTargetSpec>,
    /// As it was read.
    pub resolved: ResolvedService,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePlan {
    /// Its name.
    pub name: String,
    /// The device whose gateway it arrives at.
    pub device: String,
    /// Jobs per second.
    pub expected_rate: f64,
}

/// Decides which processes there are and what each is told. `files`: path of the ONNX file of each model that is served, as
/// processes see it.
///
/// # Panics
/// If a model that is served has no path.
pub fn deploy(resolved: &Resolved, files: &BTreeMap<String, String>) -> Deployment {
    let fragments = resolved.services.iter().flat_map(|service| &service.fragments);
    let hosts: BTreeSet<&str> = fragments.map(|fragment| fragment.device.as_str()).collect();
    let hosts: Vec<&str> = hosts.into_iter().collect();
    Deployment {
        devices: hosts.iter().map(|host| documents::device(host, &hosts, resolved, files)).collect(),
        services: resolved.services.iter().map(|one| service(one, resolved, &hosts)).collect(),
    }
}

fn service(service: &ResolvedService, resolved: &Resolved, hosts: &[&str]) -> ServicePlan {
    let nodes: BTreeSet<&str> = service.sources.iter().map(|source| source.device.as_str()).collect();
    let pool = &resolved.pools[&service.pool];
    let sources = service.sources.iter().map(|source| SourcePlan {
        name: source.name.clone(),
        device: source.device.clone(),
        expected_rate: source.expected_rate.get(),
    });
    let model = &service.model.model;
    let gateway = |node: &str| documents::gateway(node, service, documents::links(node, hosts, pool));
    ServicePlan {
        name: service.name.clone(),
        gateways: nodes.into_iter().map(gateway).collect(),
        sources: sources.collect(),
        exits: model.exits.iter().map(|exit| exit.name.clone()).collect(),
        input_shape: model.input_shape.clone(),
        targets: service.targets.clone(),
        resolved: service.clone(),
    }
}

impl Deployment {
    /// Tells the gateways what a plan has decided; one policy per service.
    pub fn with_plan(&mut self, plan: &domain::Plan) {
        for (service, policy) in self.services.iter_mut().zip(&plan.policies) {
            let here = |device: &str| service.policy_at(policy, device);
            let policies: Vec<Policy> = service.gateways.iter().map(|gateway| here(&gateway.device)).collect();
            for (gateway, policy) in service.gateways.iter_mut().zip(policies) {
                gateway.policy = documents::policy(&service.resolved, &policy, documents::FIRST);
            }
        }
    }

    /// As [`Deployment::with_plan`], with chains where they are: devices listen already.
    pub fn with_new_plan(&mut self, plan: &domain::Plan) {
        for (service, policy) in self.services.iter_mut().zip(&plan.policies) {
            let here = |device: &str| service.policy_at(policy, device);
            let policies: Vec<Policy> = service.gateways.iter().map(|gateway| here(&gateway.device)).collect();
            for (gateway, policy) in service.gateways.iter_mut().zip(policies) {
                let chains = std::mem::take(&mut gateway.policy.chains);
                gateway.policy = policy::write(&policy, &service.name, gateway.policy.version, chains);
            }
        }
    }

    /// Gives the policies of all gateways this version.
    pub fn with_version(&mut self, version: PolicyVersion) {
        let gateways = self.services.iter_mut().flat_map(|service| &mut service.gateways);
        gateways.for_each(|gateway| gateway.policy.version = version);
    }

    /// Fills in where the devices listen, once they do.
    pub fn with_addresses(&mut self, addresses: &BTreeMap<String, String>) {
        let gateways = self.services.iter_mut().flat_map(|service| &mut service.gateways);
        let chains = gateways.flat_map(|gateway| &mut gateway.policy.chains);
        for hop in chains.flat_map(|chain| &mut chain.hops) {
            if let Some(address) = addresses.get(&hop.device) {
                hop.address.clone_from(address);
            }
        }
    }
}

impl ServicePlan {
    /// The document of a policy for the whole service: all its sources, and no addresses.
    pub fn document(&self, policy: &Policy, version: PolicyVersion) -> PolicyDocument {
        documents::policy(&self.resolved, policy, version)
    }

    /// A policy as the gateway on a device gets it: it measures only the rates of its own sources.
    pub fn policy_at(&self, policy: &Policy, device: &str) -> Policy {
        let mut policy = policy.clone();
        let sum = |here: &dyn Fn(&SourcePlan) -> bool| -> f64 {
            self.sources.iter().filter(|source| here(source)).map(|source| source.expected_rate).sum()
        };
        if let Some(table) = &mut policy.rates {
            let share = sum(&|source| source.device == device) / sum(&|_| true);
            table.forecast = PerSecond::new(table.forecast.get() * share).expect("a share of a rate is one");
        }
        policy
    }
}
