//! Makes the Job of a measurement, if there is a node for it.

use super::known::Missing;
use super::{ASK_EVERY, Brought, LOOK_EVERY, Note, being_measured, build, place};
use crate::Context;
use crate::cache::Key;
use crate::controller::Failure;
use crate::pool::survey::{Survey, survey};
use crate::room;
use crate::service::build::Operator;
use crate::service::references;
use api::{DevicePool, EENNModel, EENNService};
use k8s_openapi::api::batch::v1 as batch;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes a Job, if there is a node for it.
pub(super) async fn start(
    context: &Context,
    model: &EENNModel,
    missing: Missing,
    what: &str,
    attempt: u32,
) -> Result<Brought, Failure> {
    let waits = |reason, message: &str| {
        let note = Some(Note { reason, message: message.to_owned() });
        Brought { note, again: Some(LOOK_EVERY), ..Brought::default() }
    };
    let services = services_of(context, model);
    if services.is_empty() {
        return Ok(waits("NotUsed", "it is measured on a node as soon as an EENNService uses it"));
    }
    let is_large_enough = large_enough(context, build::memory(model, missing));
    let Some(place) = place::choose(&surveys(context, &services), is_large_enough, attempt) else {
        let message = "no device can measure it: those of the pools of its services are not usable, too small, or of a class without speedFactor";
        return Ok(waits("NoDevice", message));
    };
    let pull_secrets = pull_secrets(&services);
    let blueprint = build::Blueprint {
        model,
        place: &place,
        missing,
        what,
        attempt,
        operator: Operator { name: &context.operator_name, namespace: &context.namespace },
        image: &context.runtime_image,
        pull_secrets: &pull_secrets,
    };
    let job = build::job(&blueprint);
    create(context, &job).await?;
    Ok(Brought { note: Some(being_measured(&job)), again: Some(ASK_EVERY), ..Brought::default() })
}

/// Whether a node has so much memory for pods; one that does not say has.
pub(super) fn large_enough(context: &Context, bytes: u64) -> impl Fn(&str) -> bool {
    let allocatable = room::allocatable(context.caches.nodes.all().iter().map(AsRef::as_ref));
    move |node| allocatable.get(node).is_none_or(|has| bytes <= *has)
}

/// Makes a Job that is not there yet.
pub(super) async fn create(context: &Context, job: &batch::Job) -> Result<(), Failure> {
    let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
    match context.cluster.create(&api, job).await {
        // The watch has not brought it yet.
        Err(Failure::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 409) => {
            Ok(())
        }
        other => other,
    }
}

/// Services that use a model, of pools that this operator runs.
fn services_of(context: &Context, model: &EENNModel) -> Vec<Arc<EENNService>> {
    let mut services = context.caches.services.within(&model.namespace().unwrap_or_default());
    services.retain(|service| {
        let using = service.spec.model_ref.name.as_str() == model.name_any();
        using
            && service.metadata.deletion_timestamp.is_none()
            && references::find(context, service).is_ok_and(|found| context.runs(&found.pool))
    });
    services
}

fn surveys(context: &Context, services: &[Arc<EENNService>]) -> Vec<(Arc<DevicePool>, Survey)> {
    let names = services.iter().map(|service| service.spec.device_pool_ref.name.as_str());
    let names: BTreeSet<&str> = names.collect();
    let nodes = context.caches.nodes.all();
    let pools = names.into_iter().filter_map(|name| context.caches.pools.get(&Key::new("", name)));
    pools.map(|pool| (Arc::clone(&pool), survey(&pool, &nodes))).collect()
}

pub(super) fn pull_secrets(services: &[Arc<EENNService>]) -> Vec<String> {
    let all = services.iter().flat_map(|service| &service.spec.image_pull_secrets);
    let names: BTreeSet<String> = all.map(|secret| secret.name.to_string()).collect();
    names.into_iter().collect()
}
