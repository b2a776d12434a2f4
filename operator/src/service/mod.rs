//! Services: pods that serve a model as its plan says, and what users are told of it.
//!
//! * [`references`]: what a service names. [`choice`]: which of its plans is in force.
//! * [`build`]: what should be there. [`apply`]: brings it there, old pods last, after [`drains`]; [`standing`]: how far that is.
//! * [`report`]: the status; [`steps`] that need not be told.

pub mod apply;
pub mod build;
pub mod certified;
pub mod choice;
pub mod drains;
mod ensure;
mod in_force;
pub mod labels;
pub mod references;
pub mod report;
pub mod standing;
pub mod steps;

use crate::cache::Key;
use crate::clock;
use crate::conditions::Finding;
use crate::controller::Failure;
use crate::gateways::observed::Said;
use crate::gateways::standing::{Following, Wanted};
use crate::{Context, plan};
use api::status::ConditionStatus;
use api::{EENNPlan, EENNService};
use build::{Blueprint, Children, Operator};
use choice::Choice;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use references::References;
use standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use wire::document::{PolicyDocument, PolicyVersion};

/// Time until it is looked again for a plan that was made anew.
const BACK: Duration = Duration::from_secs(5);

/// Brings the children of a service to where they should be, and says so. Returns when to look again by itself.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Option<Duration>, Failure> {
    let Some(service) = context.caches.services.get(key) else {
        forget(context, key);
        return Ok(None);
    };
    if service.metadata.deletion_timestamp.is_some() || !references::is_ours(context, &service) {
        forget(context, key);
        return Ok(None);
    }
    let paused = is_paused(&service);
    let plans = choice::own(&service, context.caches.plans.within(&key.namespace));
    let choice = choice::choose(&service, &plans);
    context.plan_notes.sees(key, choice.newest_generation);
    let back = match choice.in_force.as_ref().filter(|_| !paused && choice::is_back(&choice, &plans)) {
        Some(plan) => match plan::bring_back(context, &service, plan, choice::why_back(plan)).await {
            // The new one comes by the watch.
            Ok(()) => return Ok(Some(BACK)),
            failed => failed,
        },
        None => Ok(()),
    };
    let certified = certify(context, &service, &plans).await.and(back);
    let found = references::find(context, &service);
    // What runs goes on: a reference that is missing is seldom meant as "stop serving".
    let runs = || references::served(context, &service).filter(|_| choice.in_force.is_some());
    let brought = match (found.as_ref().ok().cloned().or_else(runs), certified) {
        (None, _) => Ok(None),
        (Some(_), Err(failure)) => Err(failure),
        (Some(found), Ok(())) => bring(context, &service, &found, &choice, paused).await,
    };
    let (standing, failure) = told(brought, is_new(&service))?;
    let following = context.standings.following(key, clock::now());
    // While its pool is gone every operator tells of it, and only one of them has asked its gateways: what was told stays.
    let observed = match references::pool(context, &service) {
        Some(_) => context.standings.last_observed(key, clock::now()),
        None => Said::Nothing,
    };
    let seen = report::Seen {
        found: &found,
        choice: &choice,
        standing: standing.as_ref(),
        following: &following,
        observed: &observed,
        paused,
    };
    let early = report::report(context, &service, &seen).await?;
    in_force::report(context, &plans, &choice).await?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    for plan in choice.obsolete.iter().filter(|_| !paused) {
        context.cluster.delete(&context.cluster.api::<EENNPlan>(&key.namespace), &**plan).await?;
    }
    let waits = standing.as_ref().is_some_and(|standing| !standing.waiting.is_empty());
    let certificates = if waits { certified::SOON } else { certified::AGAIN };
    let again = standing.and_then(|standing| standing.again);
    Ok(early.into_iter().chain(again).min().or(Some(certificates)))
}

/// The certificates of a service that has a plan, whatever else there is: what runs needs them, also while it is paused or waits for
/// somebody.
async fn certify(context: &Context, service: &EENNService, plans: &[Arc<EENNPlan>]) -> Result<(), Failure> {
    let pool = references::pool(context, service);
    // While its pool is gone nobody knows whose it is: whoever has given it one goes on, and no other operator replaces that.
    if plans.is_empty() || (pool.is_none() && !context.certified.knows(&Key::of(service))) {
        return Ok(());
    }
    // What was deleted while it was paused is missed at once.
    if was_paused(service) && !is_paused(service) {
        context.certified.forget(&Key::of(service));
    }
    let followed = matches!(context.standings.following(&Key::of(service), clock::now()), Following::Some(..));
    certified::certify(context, service, !followed, clock::now()).await
}

/// Users are told also of what the API server refuses; that is tried again like any other failure. `is_new`: they have been told nothing
/// yet.
fn told(
    brought: Result<Option<Standing>, Failure>,
    is_new: bool,
) -> Result<(Option<Standing>, Option<Failure>), Failure> {
    match brought {
        Ok(standing) => Ok((standing, None)),
        Err(failure) => match failure.refusal() {
            Some(refusal) => Ok((Some(Standing::refused(refusal)), Some(failure))),
            None if is_new => Ok((None, Some(failure))),
            None => Err(failure),
        },
    }
}

/// A service is gone, or no longer ours.
fn forget(context: &Context, key: &Key) {
    context.drains.forget(key);
    context.standings.forget(key);
    context.certified.forget(key);
    context.plan_notes.forget(key);
    context.steps.forget(key);
}

/// Builds and applies what the plan in force says; of what is paused it only looks how far it is.
async fn bring(
    context: &Context,
    service: &EENNService,
    found: &References,
    choice: &Choice,
    paused: bool,
) -> Result<Option<Standing>, Failure> {
    let Some(plan) = &choice.in_force else { return Ok(None) };
    if !plan::fits(plan, &found.model) {
        // Its pods would be made for segments that the model does not have.
        context.standings.hold(&Key::of(service));
        return Ok(None);
    }
    let blueprint = Blueprint {
        service,
        model: &found.model,
        pool: &found.pool,
        plan,
        image: &context.runtime_image,
        version: PolicyVersion {
            transitions: context.cluster.transitions().max(context.standings.transitions(&Key::of(service))),
            generation: plan.spec.generation.unsigned_abs(),
        },
        operator: Operator { name: &context.operator_name, namespace: &context.namespace },
    };
    let (key, children) = (Key::of(service), build::children(&blueprint));
    if paused {
        context.standings.hold(&key);
        return Ok(Some(standing::standing(context, &standing::deployments(&children), &children.used())));
    }
    let goes_on = context.standings.at(&key, children.placement());
    let applied = apply::apply(context, service, &children).await;
    let mut standing = applied.inspect_err(|_| {
        if goes_on.is_empty() {
            context.standings.hold(&key);
        }
    })?;
    let wanted = Wanted {
        pool: Key::of(&*found.pool),
        plan: Arc::clone(plan),
        version: blueprint.version,
        policies: policies(context, service, &children, &goes_on),
        fragments: children.used(),
        placement: children.placement(),
        nodes: build::documents::gateway_nodes(service),
        held: false,
    };
    context.standings.want(&key, wanted, standing.fragments(), clock::now());
    if standing.takes_over() {
        standing.again = apply::clear(context, service, &children).await?;
    }
    Ok(Some(standing))
}

/// What gateways are to follow, by their Deployments; those of before, too, as far as they `know` the same fragments.
fn policies(
    context: &Context,
    service: &EENNService,
    children: &Children,
    know: &BTreeSet<String>,
) -> BTreeMap<String, Arc<str>> {
    let of = |gateway: &Deployment| Some((gateway.name_any(), in_words(children.policies.get(&gateway.name_any())?)));
    let mut policies: BTreeMap<String, Arc<str>> = children.gateways.iter().filter_map(of).collect();
    let before = apply::gateways_of_before(context, service, children).into_iter();
    for (before, node) in before.filter(|(before, _)| know.contains(before)) {
        let here = |gateway: &&Deployment| gateway.annotations().get(labels::NODE).is_some_and(|on| **on == *node);
        let next = children.gateways.iter().find(here).and_then(|next| policies.get(&next.name_any()));
        if let Some(policy) = next.cloned() {
            policies.insert(before, policy);
        }
    }
    policies
}

/// A policy as it is sent: read again where a gateway has to be told, which is seldom.
fn in_words(policy: &PolicyDocument) -> Arc<str> {
    serde_json::to_string(policy).expect("policies have no keys but text").into()
}

/// Whether users have stopped the operator from changing anything.
pub fn is_paused(service: &EENNService) -> bool {
    service.annotations().get(labels::PAUSED).is_some_and(|value| value != "false")
}

/// Whether users have been told nothing of it yet.
fn is_new(service: &EENNService) -> bool {
    service.status.as_ref().is_none_or(|status| status.observed_generation == 0)
}

/// Whether it was, when its status was last written.
fn was_paused(service: &EENNService) -> bool {
    let conditions = service.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    conditions.iter().any(|one| one.r#type == "Active" && one.status == ConditionStatus::False)
}

/// Whether a model can be planned with.
pub fn model_ready(found: &References) -> Finding {
    let model = found.model.name_any();
    let conditions = found.model.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let current =
        found.model.status.as_ref().map(|status| status.observed_generation) == found.model.metadata.generation;
    match conditions.iter().find(|condition| condition.r#type == "Ready") {
        Some(ready) if current && ready.status == ConditionStatus::True => {
            Finding::holds("ModelReady", "ModelReady", format!("EENNModel {model:?} can be planned with"))
        }
        Some(ready) if current => {
            let message = format!("EENNModel {model:?} is not ready: {}", ready.message);
            Finding::fails("ModelReady", "ModelNotReady", message)
        }
        _ => Finding::unknown("ModelReady", "ModelPending", format!("EENNModel {model:?} has not been looked at yet")),
    }
}
