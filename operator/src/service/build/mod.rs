//! What should be there for a service whose plan is made. Pure, and cannot fail: whatever could be wrong was refused before.
//!
//! * [`fragment`], [`gateway`]: pods, with their configuration and the Service they are reached by.
//! * [`access`]: who may speak to whom.
//! * [`pod`]: what all pods have in common.
//! * [`delivery`]: how the file of the model gets there.

pub mod access;
pub mod delivery;
pub mod documents;
pub mod fragment;
pub mod gateway;
pub mod pod;
#[cfg(test)]
mod tests;

use super::labels;
use api::{DevicePool, EENNModel, EENNPlan, EENNService, PlannedFragment};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use wire::document::{PolicyDocument, PolicyVersion};

/// What is built from.
#[derive(Debug, Clone, Copy)]
pub struct Blueprint<'a> {
    /// The service.
    pub service: &'a EENNService,
    /// Its model.
    pub model: &'a EENNModel,
    /// Its pool.
    pub pool: &'a DevicePool,
    /// Its plan.
    pub plan: &'a EENNPlan,
    /// Image of gateways and fragments.
    pub image: &'a str,
    /// Version of the policy.
    pub version: PolicyVersion,
    /// Who runs it.
    pub operator: Operator<'a>,
}

/// Who controls processes, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

/// Everything that belongs to a service, but for its plans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Children {
    /// Identity of pods; without a token.
    pub account: ServiceAccount,
    /// Configuration of fragments and gateways.
    pub config_maps: Vec<ConfigMap>,
    /// One per fragment.
    pub fragments: Vec<Deployment>,
    /// One per node with sources.
    pub gateways: Vec<Deployment>,
    /// Where fragments and gateways are reached.
    pub services: Vec<Service>,
    /// Who may speak to whom.
    pub network_policies: Vec<NetworkPolicy>,
    /// Where there are several gateways on a node.
    pub budgets: Vec<PodDisruptionBudget>,
    /// What gateways follow, by the names of their Deployments.
    pub policies: BTreeMap<String, PolicyDocument>,
}

/// All objects of a service.
pub fn children(blueprint: &Blueprint<'_>) -> Children {
    let mut children = Children {
        account: access::account(blueprint),
        network_policies: access::network_policies(blueprint),
        ..Children::default()
    };
    let fragments: Vec<_> = documents::fragments(blueprint.plan).into_iter().collect();
    let fragments = fragments.iter().map(|fragment| (fragment, fragment::build(blueprint, fragment)));
    let mut addresses = vec![];
    for (fragment, built) in fragments {
        addresses.push((fragment.clone(), built.address));
        children.config_maps.push(built.config);
        children.fragments.push(built.deployment);
        children.services.push(built.service);
    }
    let kind = kind_of_fragments(blueprint);
    for node in documents::gateway_nodes(blueprint.service) {
        let built = gateway::build(blueprint, &node, &addresses, &kind);
        children.policies.insert(built.deployment.name_any(), built.policy);
        children.config_maps.push(built.config);
        children.gateways.push(built.deployment);
        children.services.push(built.service);
        children.budgets.extend(built.budget);
    }
    children.services.push(gateway::front(blueprint));
    children
}

/// Differs where all fragments differ, wherever they are: their model, image, memory and so on.
fn kind_of_fragments(blueprint: &Blueprint<'_>) -> String {
    let node = "any".parse().expect("nodes may be called that");
    let any = PlannedFragment { node, first_segment: 1, last_segment: 1 };
    fragment::build(blueprint, &any).deployment.name_any()
}

impl Children {
    /// Differs where there are other fragments, used or not: in other places, cut elsewhere, or of another model.
    pub fn placement(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.fragments.iter().for_each(|fragment| fragment.name_any().hash(&mut hasher));
        hasher.finish()
    }

    /// Deployments of the fragments that policies send jobs to, in order. Others may be there in case load changes, or belong to nodes that are gone.
    pub fn used(&self) -> Vec<Box<str>> {
        let hops: BTreeSet<&str> = self.policies.values().flat_map(hops).collect();
        hops.into_iter().filter_map(|address| Some(address.split('.').next()?.into())).collect()
    }
}

/// Addresses that a policy sends jobs to, whatever their rate is.
fn hops(policy: &PolicyDocument) -> impl Iterator<Item = &str> {
    let of_sources = |default, sources| std::iter::once(default).chain(BTreeMap::values(sources));
    let rows = policy.rates.iter().flat_map(|rates| &rates.rows);
    let mixtures = of_sources(&policy.default, &policy.sources)
        .chain(rows.flat_map(move |row| of_sources(&row.default, &row.sources)));
    let used: BTreeSet<&str> =
        mixtures.flatten().filter(|choice| choice.probability > 0.0).map(|choice| choice.chain.as_str()).collect();
    let chains = policy.chains.iter().filter(move |chain| used.contains(chain.name.as_str()));
    chains.flat_map(|chain| &chain.hops).map(|hop| hop.address.as_str())
}

impl Blueprint<'_> {
    /// Name of the service.
    pub fn name(&self) -> String {
        self.service.name_any()
    }

    /// Metadata of an object of the service, which is deleted with it.
    pub fn metadata(&self, name: impl Into<String>) -> ObjectMeta {
        metadata(self.service, name)
    }
}

/// Metadata of an object of a service, which is deleted with it.
pub fn metadata(service: &EENNService, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: service.namespace(),
        labels: Some(labels::of_service(&service.name_any())),
        owner_references: service.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}
