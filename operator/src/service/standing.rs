//! How far the children of a service are.

use super::build::Children;
use super::ensure::owned;
use super::labels;
use crate::Context;
use crate::cache::Key;
use crate::gateways::standing::Fragments;
use crate::head::{Head, Rollout};
use crate::pods::Pod;
use crate::room::{self, Pods};
use api::EENNService;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How far the children of a service are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Deployments whose pods are ready, of how many.
    pub ready: (usize, usize),
    /// Whether all fragments are that policies send jobs to.
    pub fragments_ready: bool,
    /// Whether all gateways are.
    pub gateways_ready: bool,
    /// Those that are not: name of the node, and why if that is known.
    pub waiting: Vec<String>,
    /// Whether something keeps one of them from it.
    pub stuck: bool,
    /// Deployments of before that stay until these are ready.
    pub in_the_way: usize,
    /// Nodes that have no room for both, and what helps.
    pub crowded: Option<String>,
    /// When to look again.
    pub again: Option<Duration>,
    /// What the API server refused, and why: not all is there then.
    pub refusal: Option<String>,
}

impl Standing {
    /// Not all is there, since the API server refuses something.
    pub fn refused(refusal: String) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// Whether nothing of before is needed any more: fragments that no job goes to may come later.
    pub fn takes_over(&self) -> bool {
        self.fragments_ready && self.gateways_ready
    }

    /// How far those fragments are that policies send jobs to.
    pub fn fragments(&self) -> Fragments {
        match (self.fragments_ready, self.in_the_way) {
            (true, _) => Fragments::Ready,
            (false, 0) => Fragments::Starting,
            (false, _) => Fragments::Replacing,
        }
    }
}

/// Those of fragments and gateways.
pub fn deployments(children: &Children) -> Vec<&Deployment> {
    children.fragments.iter().chain(&children.gateways).collect()
}

/// Whose pods are ready. `used`: Deployments of the fragments that policies send jobs to.
pub fn standing(context: &Context, deployments: &[&Deployment], used: &[Box<str>]) -> Standing {
    let (mut waiting, mut stuck, mut fragments_ready, mut pods_here) = (vec![], false, true, None);
    let mut gateways_ready = true;
    for desired in deployments {
        let there = context.caches.deployments.get(&Key::of(*desired));
        if !there.as_ref().is_some_and(|there| is_ready(&there.status, desired)) {
            let node = desired.annotations().get(labels::NODE).map_or("?", String::as_str);
            let role = desired.labels().get(labels::ROLE).map_or("pod", String::as_str);
            let name = desired.name_any();
            gateways_ready &= role != "gateway";
            fragments_ready &= !used.iter().any(|one| **one == *name);
            let pods = pods_here.get_or_insert_with(|| context.caches.pods.within(&Key::of(*desired).namespace));
            let mut pods = pods.iter().filter(|pod| pod.workload.as_deref() == Some(name.as_str()));
            let why = pods
                .find_map(|pod| pod.trouble.as_deref())
                .map(str::to_owned)
                .or_else(|| Some(there?.status.trouble.as_deref()?.to_owned()));
            stuck |= why.is_some();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            waiting.push(format!("{role} on {node} ({name}){why}"));
        }
    }
    let ready = (deployments.len() - waiting.len(), deployments.len());
    Standing { ready, fragments_ready, gateways_ready, waiting, stuck, ..Standing::default() }
}

fn is_ready(there: &Rollout, desired: &Deployment) -> bool {
    let wanted = desired.spec.replicas.unwrap_or(1);
    // Of the template in force, not of the one before.
    there.is_seen && there.available >= wanted && there.updated >= wanted
}

/// Whether a Deployment has never taken work: at no time all of its pods did, and none is `there` that does, or runs and may. Two watches have to say
/// so, as one may be late.
pub fn never_served(deployment: &Head<Deployment, Rollout>, there: &[Arc<Pod>]) -> bool {
    let key = &deployment.key;
    let own = |pod: &&Arc<Pod>| pod.key.namespace == key.namespace && pod.workload.as_deref() == Some(&*key.name);
    let mut pods = there.iter().filter(own);
    !deployment.status.has_served && !pods.any(|pod| pod.ready || (pod.runs && pod.trouble.is_none()))
}

/// Nodes that have no room for old and new pods of a service, in words.
pub fn crowded(context: &Context, service: &EENNService, deployments: &[&Deployment]) -> Option<String> {
    let (there, nodes) = (context.caches.deployments.all(), context.caches.nodes.all());
    let own: BTreeSet<Key> = owned(&context.caches.deployments, service).iter().map(|one| one.key.clone()).collect();
    let new: BTreeSet<Key> = deployments.iter().map(|one| Key::of(*one)).collect();
    let pods = context.caches.pods.within(&Key::of(service).namespace);
    // Its new ones may be there already: what they need beside the old ones is asked. Of these, some go at once.
    let counts = |one: &Head<_, _>| !(own.contains(&one.key) && (new.contains(&one.key) || never_served(one, &pods)));
    let old = there.iter().filter(|one| counts(one));
    let others = there.iter().filter(|one| !own.contains(&one.key)).filter_map(|one| Pods::there(one));
    let wanted: Vec<Pods> = others.chain(deployments.iter().filter_map(|one| Pods::of(one))).collect();
    let old: Vec<Pods> = old.filter_map(|one| Pods::there(one)).collect();
    room::in_words(&room::crowded(&room::allocatable(nodes.iter().map(AsRef::as_ref)), &old, &wanted))
}
