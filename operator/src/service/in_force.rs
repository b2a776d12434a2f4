//! Plans say whether gateways follow them.

use super::choice::{self, Choice};
use crate::Context;
use crate::clock;
use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use api::{EENNPlan, EENNPlanStatus};
use kube::ResourceExt;
use std::sync::Arc;

/// Brings the status of the plans of a service up to date.
pub(super) async fn report(context: &Context, plans: &[Arc<EENNPlan>], choice: &Choice) -> Result<(), Failure> {
    let is_obsolete = |plan: &EENNPlan| choice.obsolete.iter().any(|one| one.uid() == plan.uid());
    for plan in plans.iter().filter(|plan| !is_obsolete(plan)) {
        let status = status(plan, choice, &clock::timestamp());
        if plan.status.as_ref() != Some(&status) {
            let api = context.cluster.api::<EENNPlan>(&plan.namespace().unwrap_or_default());
            context.cluster.set_status(&api, &**plan, &status).await?;
            // How it begins is told of its service.
            if let Some(before) = &plan.status {
                context.cluster.tell_news(&**plan, &before.conditions, &status.conditions).await;
            }
        }
    }
    Ok(())
}

/// The status of a plan. Pure.
fn status(plan: &EENNPlan, choice: &Choice, now: &str) -> EENNPlanStatus {
    let is = |other: &Option<Arc<EENNPlan>>| other.as_ref().is_some_and(|other| other.uid() == plan.uid());
    let finding = if is(&choice.in_force) {
        Finding::holds(
            "InForce",
            "InForce",
            "gateways are to follow it; the condition Ready of the service says whether they do",
        )
    } else if is(&choice.proposed) {
        Finding::fails("InForce", "WaitsForApproval", "its placement waits for spec.approvedPlan of the service")
    } else if choice::was_in_force(plan) {
        Finding::fails("InForce", "Superseded", "a newer plan is in force")
    } else {
        Finding::fails("InForce", "NotUsed", "it never was in force: another plan was made before anybody followed it")
    };
    let generation = plan.metadata.generation.unwrap_or_default();
    let before = plan.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    EENNPlanStatus { observed_generation: generation, conditions: conditions(before, &[finding], generation, now) }
}
