//! What a pool is planned with: its services, what they name, and the nodes there are. Pure.

use crate::cache::Key;
use crate::service::labels;
use crate::service::references::References;
use api::{DevicePool, EENNPlan, EENNService, Manifests, PlannedChain, ReoptimizationMode};
use deployment::cluster::{self, Member, Place};
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A service to plan for, with what it names.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The service.
    pub service: Arc<EENNService>,
    /// What it names.
    pub found: References,
    /// Its plan in force, if that stays whatever is planned for others: it is paused, and goes on serving.
    pub kept: Option<Arc<EENNPlan>>,
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
    /// Services that are planned for, by their names in the manifests.
    pub services: BTreeMap<String, Key>,
    /// Of those, the ones whose old pods may go before new ones are ready.
    pub breaks_first: BTreeSet<String>,
    /// Services that are in the manifests with what they do, which stays.
    pub kept: BTreeMap<String, Kept>,
    /// Models by their names in the manifests.
    pub models: BTreeMap<String, Key>,
}

/// A service that takes its share of devices, and is not planned for.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The service.
    pub key: Key,
    /// What it does.
    pub plan: Arc<EENNPlan>,
}

/// Collects what is planned with, which is also what was measured.
pub fn inputs(pool: &DevicePool, nodes: &[Arc<Node>], candidates: &[Candidate]) -> Inputs {
    let mut nodes: Vec<_> = nodes.iter().filter_map(|node| cluster::node(&**node).ok()).collect();
    // Others change nothing, and some come and go.
    nodes.iter_mut().for_each(|node| node.spec.spec.taints.retain(|taint| taint.keeps_away(&pool.spec.tolerations)));
    let members: Vec<Member<'_>> = candidates.iter().map(Candidate::member).collect();
    let all = cluster::of_pool(pool, nodes, &members);
    let keys = |places: BTreeMap<String, Place>| {
        places.into_iter().map(|(name, (namespace, there))| (name, Key::new(namespace, there))).collect()
    };
    let mut services: BTreeMap<String, Key> = keys(all.services);
    let plans = candidates.iter().filter_map(|one| Some((Key::of(&*one.service), Arc::clone(one.kept.as_ref()?))));
    let plans: BTreeMap<Key, Arc<EENNPlan>> = plans.collect();
    let kept = services.iter().filter_map(|(name, key)| {
        let plan = Arc::clone(plans.get(key)?);
        Some((name.clone(), Kept { key: key.clone(), plan }))
    });
    let kept: BTreeMap<String, Kept> = kept.collect();
    services.retain(|name, _| !kept.contains_key(name));
    let breaking = candidates.iter().filter(|one| labels::breaks_first(&one.service));
    let breaking: BTreeSet<Key> = breaking.map(|one| Key::of(&*one.service)).collect();
    let breaks_first =
        services.iter().filter(|(_, key)| breaking.contains(key)).map(|(name, _)| name.clone()).collect();
    Inputs { manifests: with_kept(&all.manifests, &kept), services, breaks_first, kept, models: keys(all.models) }
}

/// The manifests with chains and rates of plans that stay. The drift loop leaves their policies alone as well.
fn with_kept(manifests: &Manifests, kept: &BTreeMap<String, Kept>) -> Manifests {
    let chains = kept.iter().map(|(name, kept)| (name.clone(), kept.plan.spec.chains.clone())).collect();
    let mut manifests = deployment::with_chains(manifests, &chains);
    for service in &mut manifests.services {
        let Some(Kept { plan, .. }) = kept.get(&service.name) else { continue };
        service.spec.reoptimization.mode = ReoptimizationMode::Disabled;
        for source in &mut service.spec.sources {
            let forecast = plan.spec.forecast.iter().find(|one| one.source == source.name);
            if let Some(rate) = forecast.and_then(|one| one.rate.to_string().parse().ok()) {
                source.expected_rate = rate;
            }
        }
    }
    manifests
}

impl Inputs {
    /// The same with services that stay on these chains.
    pub fn holding(&self, chains: &BTreeMap<String, Vec<PlannedChain>>) -> Self {
        Self { manifests: deployment::with_chains(&self.manifests, chains), ..self.clone() }
    }

    /// Differs where something differs that plans depend on. `tables`: what the exit tables are.
    pub fn hash(&self, tables: &BTreeMap<String, String>) -> String {
        let m = &self.manifests;
        let services: Vec<_> = m.services.iter().map(|one| (&one.name, planned_with(&one.spec))).collect();
        let models: Vec<_> = m.models.iter().map(|one| (&one.name, &one.spec)).collect();
        let targets: Vec<_> = m.targets.iter().map(|one| (&one.name, &one.spec)).collect();
        let pools: Vec<_> = m.pools.iter().map(|one| (&one.name, &one.spec)).collect();
        let nodes: Vec<_> = m.nodes.iter().map(|one| (&one.name, &one.spec)).collect();
        let mut all = serde_json::to_string(&(services, models, targets, pools, nodes, tables)).unwrap_or_default();
        for kept in self.kept.values() {
            all.push_str(&kept.plan.spec.policy);
        }
        // A placement that had no room to move to may have it now.
        self.breaks_first.iter().for_each(|name| all.push_str(name));
        labels::hash(&all)
    }
}

/// A service without what plans do not depend on: to approve one must not make another, and gateways share what they are told.
fn planned_with(spec: &api::EENNServiceSpec) -> api::EENNServiceSpec {
    api::EENNServiceSpec {
        approved_plan: None,
        planning: Default::default(),
        image_pull_secrets: vec![],
        reoptimization: Default::default(),
        runtime: api::Runtime { gateway_replicas: 1, ..spec.runtime.clone() },
        ..spec.clone()
    }
}
