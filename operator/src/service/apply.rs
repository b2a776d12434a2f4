//! Brings the children of a service to where they should be: new pods first, then the way to them, old pods last.

use super::build::Children;
use super::labels;
use crate::Context;
use crate::applied::HASH;
use crate::cache::{Cache, Key};
use crate::clock;
use crate::cluster::MANAGER;
use crate::controller::Failure;
use crate::head::{Head, Rollout};
use crate::pods::Pod;
use crate::room::{self, Pods};
use api::EENNService;
use futures::future;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Time until gateways that are being deleted are looked at again.
const LEAVING: Duration = Duration::from_secs(1);
/// Time until gateways that follow an older policy are looked at again.
const LAGGING: Duration = Duration::from_secs(5);

/// How far the children of a service are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Deployments whose pods are ready, of how many.
    pub ready: (usize, usize),
    /// Whether all fragments are that policies send jobs to.
    pub fragments_ready: bool,
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
}

/// Applies all children, and removes what nobody needs any more.
pub async fn apply(context: &Context, service: &EENNService, children: Children) -> Result<Standing, Failure> {
    let caches = &context.caches;
    let mut wanted: BTreeSet<String> = names(&children.config_maps);
    wanted.extend(names(&children.services));
    let (deployments, used) = (deployments(&children), children.used());
    let (told, made) = match standing(context, &deployments, &used).fragments_ready {
        true => (BTreeSet::new(), BTreeSet::new()),
        false => waiting(context, service, &children),
    };
    let configuration = children.config_maps.iter().filter(|one| !told.contains(&one.name_any()));
    let current = deployments.iter().copied().filter(|one| !made.contains(&one.name_any()));
    let budgets = children.budgets.iter().filter(|one| !made.contains(&one.name_any()));
    // Configuration and certificates first: a pod would wait for them.
    let (account, policies, configuration, endpoints) = futures::join!(
        ensure(context, &caches.accounts, &children.account),
        ensure_all(context, &caches.network_policies, &children.network_policies),
        ensure_all(context, &caches.config_maps, configuration),
        ensure_all(context, &caches.endpoints, &children.services),
    );
    account.and(policies).and(configuration).and(endpoints)?;
    ensure_all(context, &caches.deployments, current).await?;
    ensure_all(context, &caches.budgets, budgets).await?;
    let mut standing = standing(context, &deployments, &used);
    let key = Key::of(service);
    let current: BTreeSet<String> = deployments.iter().map(|one| one.name_any()).collect();
    // Old pods serve until new ones do.
    if standing.waiting.is_empty() {
        standing.again = clear(context, service, &key, &current, &wanted).await?;
    } else {
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

/// Those of fragments and gateways.
pub fn deployments(children: &Children) -> Vec<&Deployment> {
    children.fragments.iter().chain(&children.gateways).collect()
}

/// Nodes that have no room for old and new pods of a service, in words.
fn crowded(context: &Context, service: &EENNService, deployments: &[&Deployment]) -> Option<String> {
    let (there, nodes) = (context.caches.deployments.all(), context.caches.nodes.all());
    let own: BTreeSet<Key> = owned(&context.caches.deployments, service).iter().map(|one| one.key.clone()).collect();
    let new: BTreeSet<Key> = deployments.iter().map(|one| Key::of(*one)).collect();
    // Its new ones may be there already: what they need beside the old ones is asked.
    let old = there.iter().filter(|one| !(own.contains(&one.key) && new.contains(&one.key)));
    let others = there.iter().filter(|one| !own.contains(&one.key)).filter_map(|one| Pods::there(one));
    let wanted: Vec<Pods> = others.chain(deployments.iter().filter_map(|one| Pods::of(one))).collect();
    let old: Vec<Pods> = old.filter_map(|one| Pods::there(one)).collect();
    room::in_words(&room::crowded(&room::allocatable(nodes.iter().map(AsRef::as_ref)), &old, &wanted))
}

/// Old pods of a service whose new ones wait. Where its owner does not mind that jobs are lost meanwhile, they go at once. Returns how many
/// are left.
async fn make_way(context: &Context, service: &EENNService, current: &BTreeSet<String>) -> Result<usize, Failure> {
    let mut old = owned(&context.caches.deployments, service);
    old.retain(|one| !current.contains(&one.key.name));
    if !labels::breaks_first(service) {
        return Ok(old.len());
    }
    for deployment in &old {
        delete(context, deployment).await?;
    }
    Ok(0)
}

fn names<K: ResourceExt>(objects: &[K]) -> BTreeSet<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}

/// Removes old Deployments after they were drained, and then what was theirs.
async fn clear(
    context: &Context,
    service: &EENNService,
    key: &Key,
    current: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Result<Option<Duration>, Failure> {
    let caches = &context.caches;
    let deployments = owned(&caches.deployments, service);
    let old: BTreeSet<String> =
        deployments.iter().map(|one| one.key.name.clone()).filter(|name| !current.contains(name)).collect();
    let (drained, again) = context.drains.drained(key, &old, clock::now());
    let (gateways, fragments): (Vec<_>, Vec<_>) = deployments
        .iter()
        .filter(|one| drained.contains(&one.key.name))
        .partition(|one| is_gateway(service, &one.key.name));
    for deployment in gateways {
        delete(context, deployment).await?;
    }
    // Gateways of before, and those that have not taken the new policy yet, still send jobs to fragments of before.
    let (of_before, now_there) = gateways_there(context, key, current);
    let lags = || context.standings.lags(key, &now_there, context.drains.unheard.as_secs_f64(), clock::now());
    if !fragments.is_empty() && (of_before || lags()) {
        return Ok(Some(if of_before { LEAVING } else { LAGGING }));
    }
    for deployment in fragments {
        delete(context, deployment).await?;
    }
    // Configuration and addresses of what still drains are still needed.
    let kept = |name: &str| wanted.contains(name) || (old.contains(name) && !drained.contains(name));
    remove(context, service, &caches.config_maps, kept).await?;
    remove(context, service, &caches.endpoints, kept).await?;
    remove(context, service, &caches.budgets, |name| current.contains(name)).await?;
    Ok(again)
}

/// Whether a Deployment of a service is of gateways: names say so.
fn is_gateway(service: &EENNService, deployment: &str) -> bool {
    deployment.strip_prefix(&service.name_any()).is_some_and(|rest| rest.starts_with("-g-"))
}

/// Whether there are gateways of other Deployments than the `current` ones, and which of these take requests.
fn gateways_there(context: &Context, service: &Key, current: &BTreeSet<String>) -> (bool, BTreeSet<String>) {
    let mut pods = context.caches.pods.within(&service.namespace);
    pods.retain(|pod| pod.service.as_deref() == Some(&service.name) && pod.role.as_deref() == Some("gateway"));
    let is_current = |pod: &Arc<Pod>| pod.workload.as_deref().is_some_and(|workload| current.contains(workload));
    let of_before = pods.iter().any(|pod| pod.ready && !is_current(pod));
    let taking = pods.iter().filter(|pod| is_current(pod) && pod.ready && !pod.leaves);
    (of_before, taking.map(|pod| pod.key.name.clone()).collect())
}

/// Deletes those children whose names are not to be kept.
async fn remove<K>(
    context: &Context,
    service: &EENNService,
    cache: &Cache<Head<K>>,
    kept: impl Fn(&str) -> bool,
) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    for object in owned(cache, service).iter().filter(|object| !kept(&object.key.name)) {
        delete(context, object).await?;
    }
    Ok(())
}

async fn delete<K, S>(context: &Context, object: &Head<K, S>) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    context.cluster.delete_known(&context.cluster.api::<K>(&object.key.namespace), object).await?;
    context.applied.forget(object);
    Ok(())
}

/// Objects of one kind that were made for a service.
fn owned<K, S>(cache: &Cache<Head<K, S>>, service: &EENNService) -> Vec<Arc<Head<K, S>>>
where
    K: Resource<DynamicType = ()>,
{
    let uid = service.uid();
    let mut objects = cache.within(&service.namespace().unwrap_or_default());
    // Also where somebody has taken the labels away.
    objects.retain(|object| object.is_owned_by(uid.as_deref()));
    objects
}

/// All at once: an API server may take a good part of a second for each. One that is refused does not keep the others from it.
async fn ensure_all<'a, K, S>(
    context: &Context,
    cache: &Cache<Head<K, S>>,
    desired: impl IntoIterator<Item = &'a K>,
) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Serialize + 'a,
{
    let applied = desired.into_iter().map(|object| ensure(context, cache, object));
    future::join_all(applied).await.into_iter().collect()
}

/// Applies an object unless it is there as it was last applied.
async fn ensure<K, S>(context: &Context, cache: &Cache<Head<K, S>>, desired: &K) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Serialize,
{
    let hash = labels::hash(&serde_json::to_string(desired).unwrap_or_default());
    let key = Key::of(desired);
    let there = cache.get(&key);
    if there.as_ref().is_some_and(|there| context.applied.is_current(there, &hash)) {
        return Ok(());
    }
    // Not one of a service of that name that was there before, either.
    let is_owner = |owner: &OwnerReference, there: &Head<K, S>| there.is_owned_by(Some(&owner.uid));
    let owners = desired.owner_references();
    if there.as_ref().is_some_and(|there| !owners.iter().any(|owner| is_owner(owner, there))) {
        return Err(Failure::Taken { kind: K::kind(&()).into_owned(), name: key.name });
    }
    let mut desired = desired.clone();
    desired.annotations_mut().insert(HASH.to_owned(), hash);
    let api = context.cluster.api::<K>(&key.namespace);
    let there = match there {
        // Somebody may have made one that the watch has not told of yet.
        None if !OURS_ALONE.contains(&&*K::kind(&())) => {
            let there = context.cluster.apply_unless_taken(&api, &desired).await?;
            give_back(context, &api, &there).await?;
            there
        }
        _ => context.cluster.apply(&api, &desired).await?,
    };
    context.applied.remember(&there);
    Ok(())
}

/// Kinds whose names have a hash of what they are for, so that they are nobody else's.
const OURS_ALONE: [&str; 3] = ["Deployment", "ConfigMap", "PodDisruptionBudget"];

/// Lets go of an object that turns out to have been there before.
async fn give_back<K>(context: &Context, api: &Api<K>, there: &PartialObjectMeta<K>) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    // One of ours that the watch has not told of.
    if context.applied.knows(there) || !is_of_others(there) {
        return Ok(());
    }
    context.cluster.release(api, &there.name_any()).await?;
    Err(Failure::Taken { kind: K::kind(&()).into_owned(), name: there.name_any() })
}

/// Whether somebody else has made an object that fields were set in: they have fields of it as well. A ServiceAccount may be there without
/// any that the API server would put down to them; then it is older than our first.
fn is_of_others<K: Resource<DynamicType = ()>>(there: &PartialObjectMeta<K>) -> bool {
    let mut managers = there.metadata.managed_fields.iter().flatten();
    let made = there.metadata.creation_timestamp.as_ref().filter(|_| K::kind(&()) == "ServiceAccount");
    let is_later = |one: &ManagedFieldsEntry| Some(one.time.as_ref()?.0 > made?.0);
    managers.any(|one| one.manager.as_deref() != Some(MANAGER) || is_later(one) == Some(true))
}

/// Whose pods are ready. `used`: Deployments of the fragments that policies send jobs to.
pub fn standing(context: &Context, deployments: &[&Deployment], used: &[Box<str>]) -> Standing {
    let (mut waiting, mut stuck, mut fragments_ready, mut pods_here) = (vec![], false, true, None);
    for desired in deployments {
        let there = context.caches.deployments.get(&Key::of(*desired));
        if !there.as_ref().is_some_and(|there| is_ready(&there.status, desired)) {
            let node = desired.annotations().get(labels::NODE).map_or("?", String::as_str);
            let role = desired.labels().get(labels::ROLE).map_or("pod", String::as_str);
            let name = desired.name_any();
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
    Standing { ready, fragments_ready, waiting, stuck, ..Standing::default() }
}

fn is_ready(there: &Rollout, desired: &Deployment) -> bool {
    let wanted = desired.spec.replicas.unwrap_or(1);
    // Of the template in force, not of the one before.
    there.is_seen && there.available >= wanted && there.updated >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Service, ServiceAccount};
    use serde_json::json;

    #[test]
    fn what_was_there_before_is_of_others() {
        fn check<K: Resource<DynamicType = ()>>(managers: &[(&str, &str)], of_others: bool) {
            let managers = managers.iter().map(|(name, time)| json!({ "manager": name, "time": time }));
            let metadata = json!({
                "creationTimestamp": "2026-01-01T00:00:05Z", "managedFields": managers.collect::<Vec<_>>(),
            });
            let there = serde_json::from_value(json!({ "metadata": metadata })).expect("it is metadata");
            assert_eq!(is_of_others::<K>(&there), of_others, "{managers:?}", managers = there.metadata.managed_fields);
        }
        let (then, later) = ("2026-01-01T00:00:05Z", "2026-01-01T00:00:06Z");
        check::<ServiceAccount>(&[(MANAGER, then)], false);
        check::<ServiceAccount>(&[(MANAGER, later)], true);
        check::<ServiceAccount>(&[(MANAGER, then), ("kubectl", later)], true);
        check::<Service>(&[(MANAGER, later)], false);
        check::<Service>(&[("kubectl", then), (MANAGER, later)], true);
        check::<Service>(&[], false);
    }
}
