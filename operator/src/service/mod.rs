//! Services: pods that serve a model as its plan says, and what users are told of it.
//!
//! * [`references`]: what a service names. [`choice`]: which of its plans is in force.
//! * [`build`]: what should be there. [`apply`]: brings it there, old pods last.
//! * [`report`]: the status.

pub mod apply;
pub mod build;
pub mod choice;
mod in_force;
pub mod labels;
pub mod references;
pub mod report;

use crate::Context;
use crate::cache::Key;
use crate::conditions::Finding;
use crate::controller::Failure;
use api::status::ConditionStatus;
use api::{EENNPlan, EENNService};
use apply::Standing;
use build::Blueprint;
use choice::Choice;
use kube::ResourceExt;
use references::References;
use std::time::Duration;
use wire::document::PolicyVersion;

/// Brings the children of a service to where they should be, and says so. Returns when to look again by itself.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Option<Duration>, Failure> {
    let Some(service) = context.caches.services.get(key) else {
        context.drains.forget(key);
        return Ok(None);
    };
    if service.metadata.deletion_timestamp.is_some() || !references::is_ours(context, &service) {
        return Ok(None);
    }
    if is_paused(&service) {
        return Ok(None);
    }
    let plans = choice::own(&service, context.caches.plans.within(&key.namespace));
    let choice = choice::choose(&service, &plans);
    let (found, brought) = match references::find(context, &service) {
        Ok(found) => {
            let brought = bring(context, &service, &found, &choice).await;
            (Ok(found), brought)
        }
        // What runs goes on: a reference that is missing is seldom meant as "stop serving".
        Err(finding) => (Err(finding), Ok(None)),
    };
    // Users are told also of what the API server refuses; that is tried again like any other failure.
    let (standing, failure) = match brought {
        Ok(standing) => (standing, None),
        Err(failure) => match failure.refusal() {
            Some(refusal) => (Some(Standing::refused(refusal)), Some(failure)),
            None => return Err(failure),
        },
    };
    report::report(context, &service, &found, &choice, standing.as_ref()).await?;
    in_force::report(context, &plans, &choice).await?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    for plan in &choice.obsolete {
        context.cluster.delete(&context.cluster.api::<EENNPlan>(&key.namespace), &**plan).await?;
    }
    Ok(standing.and_then(|standing| standing.again))
}

/// Builds and applies what the plan in force says.
async fn bring(
    context: &Context,
    service: &EENNService,
    found: &References,
    choice: &Choice,
) -> Result<Option<Standing>, Failure> {
    let Some(plan) = &choice.in_force else { return Ok(None) };
    let blueprint = Blueprint {
        service,
        model: &found.model,
        pool: &found.pool,
        plan,
        image: &context.runtime_image,
        version: PolicyVersion {
            transitions: context.cluster.transitions(),
            generation: plan.spec.generation.unsigned_abs(),
        },
    };
    apply::apply(context, service, build::children(&blueprint)).await.map(Some)
}

/// Whether users have stopped the operator from changing anything.
pub fn is_paused(service: &EENNService) -> bool {
    service.annotations().get(labels::PAUSED).is_some_and(|value| value != "false")
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
