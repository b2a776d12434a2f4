//! Children of a service in the API: applied where they differ, deleted where nobody needs them.

use super::labels;
use crate::Context;
use crate::applied::HASH;
use crate::cache::{Cache, Key};
use crate::cluster::MANAGER;
use crate::controller::Failure;
use crate::head::Head;
use api::EENNService;
use futures::future;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use std::sync::Arc;

/// Deletes those children whose names are not to be kept.
pub(super) async fn remove<K>(
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

pub(super) async fn delete<K, S>(context: &Context, object: &Head<K, S>) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    context.cluster.delete_known(&context.cluster.api::<K>(&object.key.namespace), object).await?;
    context.applied.forget(object);
    Ok(())
}

/// Objects of one kind that were made for a service.
pub(super) fn owned<K, S>(cache: &Cache<Head<K, S>>, service: &EENNService) -> Vec<Arc<Head<K, S>>>
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
pub(super) async fn ensure_all<'a, K, S>(
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
pub(super) async fn ensure<K, S>(context: &Context, cache: &Cache<Head<K, S>>, desired: &K) -> Result<(), Failure>
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
