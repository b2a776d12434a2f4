//! The status of a service, and an event for every condition that changes.

use super::build::gateway;
use super::choice::Choice;
use super::labels::{PAUSED, REPLACEMENT};
use super::model_ready;
use super::references::References;
use super::standing::Standing;
use super::steps::Step;
use crate::cache::Key;
use crate::conditions::{Finding, conditions, said};
use crate::controller::Failure;
use crate::gateways::observed::Said;
use crate::gateways::standing::Following;
use crate::plan::{self, Note};
use crate::{Context, clock};
use api::status::{Condition, ConditionStatus, EENNServiceStatus, Endpoint, RejectedDevice};
use api::{EENNPlan, EENNService, ObjectReference};
use kube::ResourceExt;
use kube::runtime::events::EventType;
use std::sync::Arc;
use std::time::Duration;

/// The reason why a service is not ready whose gateways do not take its policy.
const NOT_FOLLOWED: &str = "PolicyNotAcknowledged";

/// The reason why there is no plan yet that somebody works at.
const PLANNING: &str = "Planning";

/// What a reconcile has seen of a service.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What it names; or what is missing.
    pub found: &'a Result<References, Finding>,
    /// Its plans.
    pub choice: &'a Choice,
    /// Its pods; `None` where nothing was applied.
    pub standing: Option<&'a Standing>,
    /// Whether its gateways follow the plan in force.
    pub following: &'a Following,
    /// What they have counted.
    pub observed: &'a Said,
    /// Whether the operator may change nothing.
    pub paused: bool,
}

/// Writes the status if it differs, and tells of what has changed. Returns when to look again, where it is too early to say anything.
pub async fn report(context: &Context, service: &EENNService, seen: &Seen<'_>) -> Result<Option<Duration>, Failure> {
    // What another process has found out is with the plan.
    let note = context.plan_notes.of(service, seen.choice.newest_generation).or_else(|| seen.choice.found.clone());
    let status = status(service, seen, note.as_ref(), &clock::timestamp());
    let key = Key::of(service);
    if service.status.as_ref() == Some(&status) {
        context.steps.forget(&key);
        return Ok(None);
    }
    // Where there is no room for old and new pods, users have to do something.
    let is_crowded = seen.standing.is_some_and(|standing| standing.crowded.is_some());
    let step = Step::of(service.status.as_ref(), &status).filter(|_| !is_crowded);
    if let Some(early) = step.and_then(|step| context.steps.takes(&key, step, context.drains.unheard, clock::now())) {
        return Ok(Some(early));
    }
    let namespace = service.namespace().unwrap_or_default();
    context.cluster.set_status(&context.cluster.api::<EENNService>(&namespace), service, &status).await?;
    context.steps.forget(&key);
    let before = service.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    for condition in status.conditions.iter().filter(|condition| is_news(before, condition)) {
        let type_ = if condition.status == ConditionStatus::False { EventType::Warning } else { EventType::Normal };
        context.cluster.tell(service, type_, &condition.reason, "Reconcile", condition.message.clone()).await;
    }
    Ok(None)
}

/// News: another status or reason. Not the steps on the way to the first `Ready`, as long as they are taken: conditions tell them, and
/// with a thousand services they would be thousands of events.
fn is_news(before: &[Condition], condition: &Condition) -> bool {
    let old = said(before).find(|old| old.r#type == condition.r#type);
    let same = old.is_some_and(|old| (old.status, &old.reason) == (condition.status, &condition.reason));
    let was = old.map(|old| old.status).filter(|was| *was != ConditionStatus::Unknown);
    let is = |status: ConditionStatus| condition.status == status;
    let told = match condition.r#type.as_str() {
        // Its reason is told by the condition that it is of.
        "Ready" => is(ConditionStatus::True) || condition.reason == NOT_FOLLOWED,
        "Active" => old.is_some() || is(ConditionStatus::False),
        // That pods are ready is told by `Ready`.
        "Placed" => is(ConditionStatus::False) && (was.is_some() || condition.reason != "PodsNotReady"),
        _ => was.is_some() || is(ConditionStatus::False),
    };
    told && !same && !is(ConditionStatus::Unknown)
}

/// The status of a service. `note`: why there is no plan. Pure.
pub fn status(service: &EENNService, seen: &Seen<'_>, note: Option<&Note>, now: &str) -> EENNServiceStatus {
    let &Seen { choice, standing, .. } = seen;
    let generation = service.metadata.generation.unwrap_or_default();
    let before = service.status.clone().unwrap_or_default();
    // What was found out before this process started still holds while nobody has planned anew.
    let rejected_devices = note.map_or_else(|| before.rejected_devices.clone(), |note| note.rejected.clone());
    let trouble = note.and_then(|note| note.trouble.clone());
    let findings = findings(seen, trouble, &rejected_devices, &before.conditions);
    let name = |plan: &Arc<EENNPlan>| Some(ObjectReference { name: plan.name_any().parse().ok()? });
    let namespace = service.namespace().unwrap_or_default();
    // Until those of now take jobs they are taken where they were.
    let serves = standing.is_some_and(|standing| standing.refusal.is_none() && standing.gateways_ready);
    let endpoint = |source: &api::Source| match serves {
        true => {
            let url = gateway::url(&service.name_any(), &namespace, source.node.as_str());
            Some(Endpoint { source: source.name.clone(), url })
        }
        false => before.endpoints.iter().find(|before| before.source == source.name).cloned(),
    };
    let endpoints = service.spec.sources.iter().filter_map(endpoint).collect();
    EENNServiceStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &findings, generation, now),
        plan_ref: choice.in_force.as_ref().and_then(name),
        proposed_plan_ref: choice.proposed.as_ref().and_then(name),
        last_plan_generation: before.last_plan_generation.max(choice.newest_generation),
        predicted: choice.in_force.as_ref().and_then(|plan| plan.spec.predicted.first().cloned()),
        observed: match seen.observed {
            Said::Nothing => before.observed,
            Said::TooFew => None,
            Said::Counted(metrics) => Some(metrics.clone()),
        },
        endpoints,
        rejected_devices,
    }
}

fn findings(seen: &Seen<'_>, note: Option<String>, rejected: &[RejectedDevice], before: &[Condition]) -> Vec<Finding> {
    let &Seen { choice, standing, following, .. } = seen;
    let found = match seen.found {
        Ok(found) => found,
        Err(finding) => {
            let waits = |aspect| Finding::unknown(aspect, "NotAccepted", "see the condition Accepted");
            let others = ["ModelReady", "Planned", "Placed", "QoSMet"].map(waits);
            let ready = Finding::fails("Ready", finding.reason, finding.message.clone());
            return [active(seen.paused), finding.clone()].into_iter().chain(others).chain([ready]).collect();
        }
    };
    let accepted =
        Finding::holds("Accepted", "Accepted", "the spec makes sense, and its pool, model and target are there");
    let (model, placed) = (model_ready(found), placed(found, choice, standing));
    let planned = match planned(choice, note, rejected) {
        planning if planning.reason == PLANNING && !model.is_true() => {
            Finding::unknown("Planned", "WaitsForModel", "see the condition ModelReady")
        }
        planned => planned,
    };
    let ready = ready(&[&model, &planned, &placed], following, before);
    vec![active(seen.paused), accepted, model, planned, placed, qos(choice, found.target.is_some()), ready]
}

fn active(paused: bool) -> Finding {
    match paused {
        false => Finding::holds("Active", "Active", "the operator looks after it"),
        true => {
            let message =
                format!("the annotation {PAUSED} keeps the operator from changing anything; remove it to go on");
            Finding::fails("Active", "Paused", message)
        }
    }
}

fn planned(choice: &Choice, note: Option<String>, rejected: &[RejectedDevice]) -> Finding {
    let unknown = choice.unknown_approval.as_ref();
    let unknown =
        unknown.map(|unknown| format!("; there is no {unknown:?}, which spec.approvedPlan names")).unwrap_or_default();
    match (&choice.in_force, &choice.proposed, note) {
        (Some(plan), Some(proposed), None) => {
            let (name, proposed) = (plan.name_any(), proposed.name_any());
            let message = format!(
                "EENNPlan {name} is in force; {proposed} has another placement and waits for approval: set spec.approvedPlan to {proposed:?}{unknown}{}",
                not_used(rejected)
            );
            Finding::holds("Planned", "ProposalWaits", message)
        }
        (Some(plan), None, None) => {
            let name = plan.name_any();
            Finding::holds("Planned", "Planned", format!("EENNPlan {name} is in force{unknown}{}", not_used(rejected)))
        }
        (Some(plan), _, Some(note)) => Finding::holds(
            "Planned",
            "LastGoodPlan",
            format!("EENNPlan {} stays in force{unknown}: {note}", plan.name_any()),
        ),
        (None, Some(plan), _) => {
            let name = plan.name_any();
            let message = format!(
                "EENNPlan {name} waits for approval: set spec.approvedPlan to {name:?}{unknown}{}",
                not_used(rejected)
            );
            Finding::fails("Planned", "WaitsForApproval", message)
        }
        (None, None, Some(note)) => Finding::fails("Planned", "NoPlan", note),
        (None, None, None) => Finding::unknown("Planned", PLANNING, "a plan is being made"),
    }
}

/// Devices that a plan does without, and why; all of them are in the field `rejectedDevices`.
fn not_used(rejected: &[RejectedDevice]) -> String {
    /// Conditions are read by people.
    const SHOWN: usize = 4;
    if rejected.is_empty() {
        return String::new();
    }
    let one = |one: &RejectedDevice| format!("{} ({})", one.name.as_str(), one.reason);
    let mut words: Vec<String> = rejected.iter().take(SHOWN).map(one).collect();
    if let Some(more) = rejected.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        words.push(format!("and {more} more"));
    }
    format!("; not used: {}", words.join(", "))
}

fn placed(found: &References, choice: &Choice, standing: Option<&Standing>) -> Finding {
    let Some(standing) = standing else {
        return match &choice.in_force {
            Some(plan) if !plan::fits(plan, &found.model) => {
                let message =
                    "the plan in force is for other exits or cuts of the model: what runs goes on until one fits";
                Finding::unknown("Placed", "WaitsForPlan", message)
            }
            Some(_) => Finding::unknown("Placed", "Placing", "pods are being made"),
            None => Finding::unknown("Placed", "NotPlanned", "there is no plan yet"),
        };
    };
    if let Some(refusal) = &standing.refusal {
        return Finding::fails("Placed", "NotApplied", format!("{refusal}; tried again until it works"));
    }
    let (ready, all) = standing.ready;
    match standing.waiting.is_empty() {
        true => Finding::holds("Placed", "Placed", format!("pods of all {all} fragments and gateways are ready")),
        false => {
            let waiting = standing.waiting.join("; ");
            let message = format!("{ready} of {all} are ready; waiting for {waiting}{}", way_out(standing));
            Finding::fails("Placed", if standing.stuck { "PodsStuck" } else { "PodsNotReady" }, message)
        }
    }
}

/// Where there is not room for old and new pods at a time.
fn way_out(standing: &Standing) -> String {
    let stay = format!("; {} Deployments of before run, or have served, and stay until then", standing.in_the_way);
    if let Some(crowded) = &standing.crowded {
        return format!("{stay}; {crowded}");
    }
    let no_room = standing.waiting.iter().any(|waiting| waiting.contains("Insufficient"));
    match no_room && standing.in_the_way > 0 {
        true => format!(
            "{stay}; if there is no room for both, the annotation {REPLACEMENT}=BreakBeforeMake lets the old ones go first, and jobs are lost until the new ones are ready"
        ),
        false => String::new(),
    }
}

fn qos(choice: &Choice, has_target: bool) -> Finding {
    let Some(plan) = &choice.in_force else { return Finding::unknown("QoSMet", "NotPlanned", "there is no plan yet") };
    if !has_target {
        return Finding::holds("QoSMet", "NoTarget", "no QoSTarget is named: jobs are answered as well as they can be");
    }
    if plan.spec.missed.is_empty() && plan.spec.predicted.is_empty() {
        // So it is where jobs have to do without a node that is gone.
        let (name, why) = (plan.name_any(), plan.spec.reason.as_str());
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let message = format!("nothing is predicted for EENNPlan {name}{why}; the next plan says what to expect");
        return Finding::unknown("QoSMet", "NotPredicted", message);
    }
    if plan.spec.missed.is_empty() {
        return Finding::holds("QoSMet", "TargetsExpectedToBeKept", "all targets are expected to be kept");
    }
    let missed = plan.spec.missed.iter().map(|miss| match &miss.predicted {
        Some(predicted) => format!("{} is {}, expected is {predicted}", miss.target, miss.limit),
        None => format!("{} is {}", miss.target, miss.limit),
    });
    let missed: Vec<String> = missed.collect();
    Finding::fails("QoSMet", "TargetsExpectedToBeMissed", missed.join("; "))
}

/// The summary, with the reason of the first thing that is missing.
fn ready(needed: &[&Finding], following: &Following, before: &[Condition]) -> Finding {
    if let Some(missing) = needed.iter().find(|finding| !finding.is_true()) {
        // What is not known yet is no bad news.
        return Finding { aspect: "Ready", ..(*missing).clone() };
    }
    match following {
        // The same words whoever else starts or is silent: each change of them is a write.
        Following::Some(..) => Finding::holds("Ready", "Ready", "gateways follow the plan in force and take jobs"),
        Following::NotAsked => not_asked(before),
        Following::Part(count, all, why) => {
            let message = format!("{count} of {all} gateways follow the plan in force, {why}");
            Finding::fails("Ready", NOT_FOLLOWED, message)
        }
        Following::None(why) => {
            let message = format!("no gateway follows the plan in force: {why}");
            Finding::fails("Ready", NOT_FOLLOWED, message)
        }
    }
}

/// Gateways go on while an operator starts anew: what was known of them still holds until they have been asked.
fn not_asked(before: &[Condition]) -> Finding {
    let known = before.iter().find(|condition| condition.r#type == "Ready");
    match known.map(|condition| (condition.reason.as_str(), condition)) {
        Some(("Ready", condition)) => Finding::holds("Ready", "Ready", condition.message.clone()),
        Some((NOT_FOLLOWED, condition)) => Finding::fails("Ready", NOT_FOLLOWED, condition.message.clone()),
        _ => Finding::unknown("Ready", "GatewaysNotAsked", "gateways have not said yet what they follow"),
    }
}
