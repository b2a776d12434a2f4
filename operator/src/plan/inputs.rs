//! What a pool is planned with: its services, what they name, and the nodes there are. Pure.

use crate::cache::Key;
use crate::service::labels;
use crate::service::references::References;
use api::{DevicePool, EENNService, Manifests};
use deployment::cluster::{self, Member, Place};
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A service to plan for, with what it names.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The service.
    pub service: Arc<EENNService>,
    /// What it names.
    pub found: References,
}

impl Candidate {
    fn member(&self) -> Member<'_> {
        Member { service: &self.service, model: &self.found.model, target: self.found.target.as_deref() }
    }
}

/// The manifests of a pool, by names that [`PoolManifests`](cluster::PoolManifests) explains.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// As `eenn plan` would read them.
    pub manifests: Manifests,
    /// Services by their names in the manifests.
    pub services: BTreeMap<String, Key>,
    /// Models by their names in the manifests.
    pub models: BTreeMap<String, Key>,
}

/// Collects what is planned with, which is also what was measured.
pub fn inputs(pool: &DevicePool, nodes: &[Arc<Node>], candidates: &[Candidate]) -> Inputs {
    let nodes = nodes.iter().filter_map(|node| cluster::node(&**node).ok()).collect();
    let members: Vec<Member<'_>> = candidates.iter().map(Candidate::member).collect();
    let all = cluster::of_pool(pool, nodes, &members);
    let keys = |places: BTreeMap<String, Place>| {
        places.into_iter().map(|(name, (namespace, there))| (name, Key::new(namespace, there))).collect()
    };
    Inputs { manifests: all.manifests, services: keys(all.services), models: keys(all.models) }
}

impl Inputs {
    /// Differs where something differs that plans depend on. `tables`: what the exit tables are.
    pub fn hash(&self, tables: &BTreeMap<String, String>) -> String {
        let m = &self.manifests;
        let services: Vec<_> = m.services.iter().map(|one| (&one.name, planned_with(&one.spec))).collect();
        let models: Vec<_> = m.models.iter().map(|one| (&one.name, &one.spec)).collect();
        let targets: Vec<_> = m.targets.iter().map(|one| (&one.name, &one.spec)).collect();
        let pools: Vec<_> = m.pools.iter().map(|one| (&one.name, &one.spec)).collect();
        let nodes: Vec<_> = m.nodes.iter().map(|one| (&one.name, &one.spec)).collect();
        labels::hash(&serde_json::to_string(&(services, models, targets, pools, nodes, tables)).unwrap_or_default())
    }
}

/// A service without what plans do not depend on: to approve one must not make another.
fn planned_with(spec: &api::EENNServiceSpec) -> api::EENNServiceSpec {
    api::EENNServiceSpec {
        approved_plan: None,
        planning: Default::default(),
        image_pull_secrets: vec![],
        reoptimization: Default::default(),
        ..spec.clone()
    }
}
