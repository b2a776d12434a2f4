//! Brings the children of a service to where they should be: new pods first, then the way to them, old pods last.

use super::build::{Children, gateway};
use super::ensure::{delete, ensure, ensure_all, owned, remove};
use super::labels;
use super::standing::{Standing, crowded, deployments, never_served, standing};
use crate::Context;
use crate::cache::Key;
use crate::clock;
use crate::controller::Failure;
use crate::head::{Head, Rollout};
use crate::pods::Pod;
use crate::pool::survey;
use api::EENNService;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A Deployment as it is known.
type Rolled = Arc<Head<Deployment, Rollout>>;

/// Time until it is looked again whether gateways still send jobs to fragments of before.
const STILL_SENT: Duration = Duration::from_secs(5);

/// Applies all children. Old ones stay, unless their owner does not mind that jobs are lost.
pub async fn apply(context: &Context, service: &EENNService, children: &Children) -> Result<Standing, Failure> {
    let caches = &context.caches;
    let (deployments, used) = (deployments(children), children.used());
    let (told, made) = match standing(context, &deployments, &used).fragments_ready {
        true => (BTreeSet::new(), BTreeSet::new()),
        false => waiting(context, service, children),
    };
    let configuration = children.config_maps.iter().filter(|one| !told.contains(&one.name_any()));
    let wanted = deployments.iter().copied().filter(|one| !made.contains(&one.name_any()));
    let budgets = children.budgets.iter().filter(|one| !made.contains(&one.name_any()));
    // Configuration and certificates first: a pod would wait for them.
    let (account, policies, configuration, endpoints) = futures::join!(
        ensure(context, &caches.accounts, &children.account),
        ensure_all(context, &caches.network_policies, &children.network_policies),
        ensure_all(context, &caches.config_maps, configuration),
        ensure_all(context, &caches.endpoints, &children.services),
    );
    account.and(policies).and(configuration).and(endpoints)?;
    ensure_all(context, &caches.deployments, wanted).await?;
    ensure_all(context, &caches.budgets, budgets).await?;
    let mut standing = standing(context, &deployments, &used);
    let current: BTreeSet<String> = deployments.iter().map(|one| one.name_any()).collect();
    context.drains.needed(&Key::of(service), &current);
    // Old pods that serve do so until new ones do.
    if !standing.takes_over() {
        standing.in_the_way = make_way(context, service, &current).await?;
        standing.crowded = if standing.in_the_way > 0 { crowded(context, service, &deployments) } else { None };
    }
    Ok(standing)
}

/// Gateways that must not be told yet what to follow, since the fragments are not ready, and those of them that must not even be made: there are some
/// for the same node that serve meanwhile. One that starts follows its configuration at once, and takes requests.
fn waiting(context: &Context, service: &EENNService, children: &Children) -> (BTreeSet<String>, BTreeSet<String>) {
    let there = owned(&context.caches.deployments, service);
    let serves = |node: &str| {
        let takes = |one: &Rollout| one.available > 0 && one.takes.as_ref().is_some_and(|(on, _)| **on == *node);
        there.iter().any(|one| is_gateway(service, &one.key.name) && takes(&one.status))
    };
    let is_told = |name: &str| context.caches.config_maps.get(&Key::new(Key::of(service).namespace, name)).is_some();
    let (mut told, mut made) = (BTreeSet::new(), BTreeSet::new());
    for gateway in &children.gateways {
        let (name, node) = (gateway.name_any(), gateway.annotations().get(labels::NODE).map_or("", String::as_str));
        let exists = there.iter().any(|one| one.key.name == name);
        // One that is gone is made again, whatever is in it: pods could not start without.
        if is_told(&name) || (!exists && serves(node)) {
            told.insert(name.clone());
        }
        if !exists && serves(node) {
            made.insert(name);
        }
    }
    (told, made)
}

/// Old pods of a service whose new ones wait. Those that never served go at once: nobody misses them, and the new ones may need their room. So do all
/// where its owner does not mind that jobs are lost meanwhile. Returns how many are left.
async fn make_way(context: &Context, service: &EENNService, current: &BTreeSet<String>) -> Result<usize, Failure> {
    let mut old = owned(&context.caches.deployments, service);
    old.retain(|one| !current.contains(&one.key.name));
    let pods = context.caches.pods.within(&Key::of(service).namespace);
    let goes = |one: &Rolled| labels::breaks_first(service) || never_served(one, &pods);
    let (going, staying): (Vec<Rolled>, Vec<Rolled>) = old.into_iter().partition(goes);
    for deployment in &going {
        delete(context, deployment).await?;
    }
    Ok(staying.len())
}

fn names<K: ResourceExt>(objects: &[K]) -> impl Iterator<Item = String> {
    objects.iter().map(ResourceExt::name_any)
}

/// Removes old Deployments after they were drained, and then what was theirs, once others have taken over. Returns when to look again.
pub async fn clear(context: &Context, service: &EENNService, children: &Children) -> Result<Option<Duration>, Failure> {
    let (caches, key) = (&context.caches, Key::of(service));
    let current: BTreeSet<String> = deployments(children).iter().map(|one| one.name_any()).collect();
    let mut old = owned(&caches.deployments, service);
    old.retain(|one| !current.contains(&one.key.name));
    let (of_before, taking) = gateways_there(context, &key, &current);
    // Gateways of before, and those that have not taken the new policy yet, still send jobs to fragments of before. These drain afterwards.
    let (gateways, fragments): (BTreeSet<String>, BTreeSet<String>) =
        old.iter().map(|one| one.key.name.clone()).partition(|name| is_gateway(service, name));
    let lags = || context.standings.lags(&key, &taking, context.drains.unheard.as_secs_f64(), clock::now());
    // Whoever has once done without them, and takes another policy now, still does.
    let sends = !fragments.is_empty() && (of_before || (!context.drains.drain(&key, &fragments) && lags()));
    let leaving = if sends { gateways.clone() } else { &gateways | &fragments };
    // A gateway answers what it has after it was told to stop; a fragment is told when it has no job any more.
    let longest = Duration::from_millis(service.spec.deadline_milliseconds.map_or(0, i64::unsigned_abs));
    let jobs_take = |name: &str| if gateways.contains(name) { Duration::ZERO } else { longest };
    let (drained, next) = context.drains.drained(&key, &leaving, jobs_take, clock::now());
    let again = (sends && gateways.is_subset(&drained)).then_some(STILL_SENT);
    for deployment in old.iter().filter(|one| drained.contains(&one.key.name)) {
        delete(context, deployment).await?;
    }
    // Configuration and addresses of what still drains are still needed.
    let mut kept: BTreeSet<String> = names(&children.config_maps).chain(names(&children.services)).collect();
    for one in old.iter().filter(|one| !drained.contains(&one.key.name)) {
        kept.insert(one.key.name.clone());
        // Where a source was before.
        kept.extend(one.status.takes.as_ref().map(|(node, _)| gateway::endpoint(&key.name, node)));
    }
    remove(context, service, &caches.config_maps, |name| kept.contains(name)).await?;
    remove(context, service, &caches.endpoints, |name| kept.contains(name)).await?;
    remove(context, service, &caches.budgets, |name| current.contains(name)).await?;
    Ok(again.into_iter().chain(next).min())
}

/// Gateways that serve until those of these children do: names of their Deployments, and their nodes.
pub fn gateways_of_before(context: &Context, service: &EENNService, children: &Children) -> Vec<(String, Box<str>)> {
    let current: BTreeSet<String> = names(&children.gateways).collect();
    let there = owned(&context.caches.deployments, service).into_iter();
    let old = there.filter(|one| is_gateway(service, &one.key.name) && !current.contains(&one.key.name));
    old.filter_map(|one| Some((one.key.name.clone(), one.status.takes.as_ref()?.0.clone()))).collect()
}

/// Whether a Deployment of a service is of gateways: names say so.
fn is_gateway(service: &EENNService, deployment: &str) -> bool {
    deployment.strip_prefix(&service.name_any()).is_some_and(|rest| rest.starts_with("-g-"))
}

/// Whether there are gateways of other Deployments than the `current` ones that may still send jobs, and which of these take requests.
fn gateways_there(context: &Context, service: &Key, current: &BTreeSet<String>) -> (bool, BTreeSet<String>) {
    let mut pods = context.caches.pods.within(&service.namespace);
    pods.retain(|pod| pod.service.as_deref() == Some(&service.name) && pod.role.as_deref() == Some("gateway"));
    let is_current = |pod: &Pod| pod.workload.as_deref().is_some_and(|workload| current.contains(workload));
    // One that ends answers what it has; of one whose node is gone nobody knows when it ends.
    let ends = |pod: &Pod| {
        let node = pod.node.as_deref().and_then(|node| context.caches.nodes.get(&Key::new("", node)));
        pod.leaves && pod.runs && node.is_some_and(|node| survey::is_ready(&node))
    };
    let of_before = pods.iter().any(|pod| !is_current(pod) && (pod.ready || ends(pod)));
    let taking = pods.iter().filter(|pod| is_current(pod) && pod.ready && !pod.leaves);
    (of_before, taking.map(|pod| pod.key.name.clone()).collect())
}
