//! Which of the plans of a service is in force, and which waits for somebody. Pure.

use super::labels;
use crate::plan::Note;
use api::status::ConditionStatus;
use api::{EENNPlan, EENNService, PlannedChain, Planning};
use kube::ResourceExt;
use std::sync::Arc;

/// How many plans of a service are kept, so that people can see what was before.
pub const KEPT: usize = 5;

/// The plans of a service.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Gateways follow it.
    pub in_force: Option<Arc<EENNPlan>>,
    /// Its placement waits to be approved.
    pub proposed: Option<Arc<EENNPlan>>,
    /// Nobody needs them any more.
    pub obsolete: Vec<Arc<EENNPlan>>,
    /// Of all plans there are.
    pub newest_generation: i64,
    /// What was found out with the newest plan; `None` where it does not say.
    pub found: Option<Note>,
    /// What `spec.approvedPlan` names, where there is no such plan and none in force.
    pub unknown_approval: Option<String>,
}

/// Those of `plans` that belong to the service; not to one of the same name that was there before.
pub fn own(service: &EENNService, plans: Vec<Arc<EENNPlan>>) -> Vec<Arc<EENNPlan>> {
    let uid = service.uid();
    let owned = |plan: &EENNPlan| plan.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref());
    let mut plans: Vec<_> = plans.into_iter().filter(|plan| owned(plan)).collect();
    plans.sort_by_key(|plan| plan.spec.generation);
    plans
}

/// Decides among the plans of a service, in the order of their generations.
pub fn choose(service: &EENNService, plans: &[Arc<EENNPlan>]) -> Choice {
    let newest = plans.last().cloned();
    let in_force = match service.spec.planning {
        Planning::Automatic => newest.clone(),
        Planning::Manual => approved(service, plans),
    };
    let same = |a: &Arc<EENNPlan>, b: &Arc<EENNPlan>| a.spec.generation == b.spec.generation;
    let proposed = match &in_force {
        None => newest,
        Some(in_force) => proposed(in_force, plans),
    };
    let needed = |plan: &Arc<EENNPlan>| in_force.iter().chain(&proposed).any(|one| same(one, plan));
    let older = plans.len().saturating_sub(KEPT);
    let obsolete = plans.iter().take(older).filter(|plan| !needed(plan)).cloned().collect();
    let newest_generation = plans.last().map_or(0, |plan| plan.spec.generation);
    let named = service.spec.approved_plan.as_ref().filter(|_| service.spec.planning == Planning::Manual);
    let is_known = |named: &str| plans.iter().any(|plan| plan.name_any() == named);
    // What was approved long ago is cleared away when policies have adapted often enough.
    let may_have_been = |named: &str| in_force.is_some() && was_a_plan(service, named, newest_generation);
    let unknown_approval = named.map(ToString::to_string).filter(|named| !is_known(named) && !may_have_been(named));
    let found = plans.last().and_then(|plan| Note::carried_by(plan));
    Choice { in_force, proposed, obsolete, newest_generation, found, unknown_approval }
}

/// Whether a plan of the service can have had this name.
fn was_a_plan(service: &EENNService, named: &str, newest: i64) -> bool {
    let number = named.strip_prefix(&service.name_any()).and_then(|rest| rest.strip_prefix('-'));
    number.and_then(|number| number.parse().ok()).is_some_and(|number: i64| (1..=newest).contains(&number))
}

/// The newest plan with another placement that was made after the one in force was: while it waits, policies of the latter adapt. Not one that was
/// made for other manifests than the newest plan: then it was found out since that nothing has to move.
fn proposed(in_force: &Arc<EENNPlan>, plans: &[Arc<EENNPlan>]) -> Option<Arc<EENNPlan>> {
    let since = plans.iter().find(|plan| plan.spec.chains == in_force.spec.chains)?.spec.generation;
    let other = |plan: &&Arc<EENNPlan>| plan.spec.chains != in_force.spec.chains && plan.spec.generation > since;
    let made_for = |plan: &EENNPlan| plan.annotations().get(labels::INPUTS).cloned();
    let now = made_for(plans.last()?);
    plans.iter().rev().find(other).filter(|plan| !was_in_force(plan) && made_for(plan) == now).cloned()
}

/// Whether gateways have ever followed it, as far as its status says.
pub(super) fn was_in_force(plan: &EENNPlan) -> bool {
    let conditions = plan.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let in_force = conditions.iter().find(|condition| condition.r#type == "InForce");
    in_force.is_some_and(|one| one.status == ConditionStatus::True || one.reason == "Superseded")
}

/// Why a plan that [`is_back`] is made anew.
pub fn why_back(plan: &EENNPlan) -> String {
    let name = plan.name_any();
    if was_in_force(plan) {
        format!("{name} is in force again")
    } else {
        format!("{name} was approved after newer plans")
    }
}

/// Whether a plan is in force again after a newer one was. Gateways take what is newer only, so it has to be made anew.
pub fn is_back(choice: &Choice, plans: &[Arc<EENNPlan>]) -> bool {
    let Some(in_force) = &choice.in_force else { return false };
    plans.iter().any(|plan| plan.spec.generation > in_force.spec.generation && was_in_force(plan))
}

/// The newest plan with the placement that was approved: policies adapt within it.
fn approved(service: &EENNService, plans: &[Arc<EENNPlan>]) -> Option<Arc<EENNPlan>> {
    let named = service.spec.approved_plan.as_ref();
    let approved = named.and_then(|named| plans.iter().find(|plan| plan.name_any() == named.as_str()));
    // Also after it has been cleared away, and before anything was approved of a service that is there already: it goes on with what it
    // has.
    let before = service.status.as_ref().and_then(|status| status.plan_ref.as_ref());
    let before = || match before {
        Some(before) => plans.iter().find(|plan| plan.name_any() == before.name.as_str()),
        // Its status comes a little later than that of its plans.
        None => plans.iter().rev().find(|plan| was_in_force(plan)),
    };
    let placement: &[PlannedChain] = &approved.or_else(before)?.spec.chains;
    plans.iter().rev().find(|plan| plan.spec.chains == placement).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(generation: i64, node: &str) -> Arc<EENNPlan> {
        let plan = json!({
            "apiVersion": "eenn.dev/v1alpha1",
            "kind": "EENNPlan",
            "metadata": { "name": format!("camera-{generation}"), "ownerReferences": [{
                "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "name": "camera", "uid": "u1",
            }] },
            "spec": {
                "serviceRef": { "name": "camera" }, "generation": generation, "reason": "", "policy": "", "choices": [],
                "forecast": [], "predicted": [],
                "chains": [{ "name": node, "fragments": [{ "node": node, "firstSegment": 1, "lastSegment": 6 }] }],
            },
        });
        Arc::new(serde_json::from_value(plan).expect("it is a plan"))
    }

    fn service(planning: &str, approved: Option<&str>) -> EENNService {
        let mut spec = json!({
            "modelRef": { "name": "m" }, "devicePoolRef": { "name": "p" }, "planning": planning,
            "sources": [{ "name": "s", "node": "pi", "expectedRate": "1" }],
        });
        if let Some(approved) = approved {
            spec["approvedPlan"] = approved.into();
        }
        let service = json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "metadata": { "name": "camera", "uid": "u1" }, "spec": spec,
        });
        serde_json::from_value(service).expect("it is a service")
    }

    fn chosen(service: &EENNService, plans: &[Arc<EENNPlan>]) -> (Option<i64>, Option<i64>, Vec<i64>) {
        let choice = choose(service, plans);
        let generation = |plan: &Arc<EENNPlan>| plan.spec.generation;
        let obsolete = choice.obsolete.iter().map(generation).collect();
        (choice.in_force.as_ref().map(generation), choice.proposed.as_ref().map(generation), obsolete)
    }

    #[test]
    fn the_newest_plan_is_in_force_and_old_ones_go() {
        let plans: Vec<_> = (1..=7).map(|generation| plan(generation, "pi")).collect();
        assert_eq!(chosen(&service("Automatic", None), &plans), (Some(7), None, vec![1, 2]));
        assert_eq!(chosen(&service("Automatic", None), &[]), (None, None, vec![]));
    }

    #[test]
    fn a_new_placement_waits_for_approval_and_policies_do_not() {
        let plans = vec![plan(1, "pi"), plan(2, "pi"), plan(3, "box")];
        assert_eq!(chosen(&service("Manual", None), &plans), (None, Some(3), vec![]));
        assert_eq!(chosen(&service("Manual", Some("camera-1")), &plans), (Some(2), Some(3), vec![]));
        assert_eq!(chosen(&service("Manual", Some("camera-3")), &plans), (Some(3), None, vec![]));
    }

    #[test]
    fn a_plan_that_never_was_cannot_be_approved_and_one_that_was_cleared_away_may_have_been() {
        let plans: Vec<_> = (5..=9).map(|generation| plan(generation, "pi")).collect();
        let unknown = |named: &str, plans: &[Arc<EENNPlan>]| {
            let mut service = service("Manual", Some(named));
            service.status =
                serde_json::from_value(json!({ "planRef": { "name": "camera-5" } })).expect("it is a status");
            choose(&service, plans).unknown_approval
        };
        for named in ["camera-99", "other-3", "camera-0", "camera-x"] {
            assert_eq!(unknown(named, &plans).as_deref(), Some(named));
        }
        assert_eq!(["camera-2", "camera-7"].map(|named| unknown(named, &plans)), [None, None]);
        assert_eq!(unknown("camera-2", &[]).as_deref(), Some("camera-2"), "nothing is in force");
    }

    #[test]
    fn what_is_in_force_stays_when_plans_are_to_be_approved_from_now_on() {
        let plans = [with_status(&plan(1, "pi"), "True", "InForce"), plan(2, "box")];
        assert_eq!(chosen(&service("Manual", None), &plans), (Some(1), Some(2), vec![]), "its status was not told yet");
    }

    fn with_status(plan: &Arc<EENNPlan>, status: &str, reason: &str) -> Arc<EENNPlan> {
        let condition = json!({
            "type": "InForce", "status": status, "reason": reason, "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let status = json!({ "observedGeneration": 1, "conditions": [condition] });
        let status = Some(serde_json::from_value(status).expect("it is a status"));
        Arc::new(EENNPlan { status, ..EENNPlan::clone(plan) })
    }

    #[test]
    fn a_proposal_waits_while_the_policy_in_force_adapts() {
        let plans = vec![plan(1, "pi"), plan(2, "box"), plan(3, "pi"), plan(4, "pi")];
        assert_eq!(chosen(&service("Manual", Some("camera-1")), &plans), (Some(4), Some(2), vec![]));
        assert_eq!(chosen(&service("Manual", Some("camera-2")), &plans), (Some(2), Some(4), vec![]));
    }

    fn made_for(plan: &Arc<EENNPlan>, inputs: &str) -> Arc<EENNPlan> {
        let mut plan = EENNPlan::clone(plan);
        plan.annotations_mut().insert(labels::INPUTS.to_owned(), inputs.to_owned());
        Arc::new(plan)
    }

    #[test]
    fn a_proposal_for_what_is_no_longer_wanted_is_withdrawn() {
        let in_force = with_status(&made_for(&plan(1, "pi"), "a"), "True", "InForce");
        let proposal = made_for(&plan(2, "box"), "b");
        let manual = service("Manual", Some("camera-1"));
        assert_eq!(chosen(&manual, &[in_force.clone(), proposal.clone()]), (Some(1), Some(2), vec![]));
        // The policy in force adapts: that is for the same manifests as the newest plan.
        let adapted = made_for(&plan(3, "pi"), "b");
        assert_eq!(chosen(&manual, &[in_force.clone(), proposal.clone(), adapted]), (Some(3), Some(2), vec![]));
        // The change that it was made for was taken back.
        let back = made_for(&plan(3, "pi"), "a");
        assert_eq!(chosen(&manual, &[in_force, proposal, back]), (Some(3), None, vec![]));
    }

    #[test]
    fn what_was_only_proposed_was_never_in_force() {
        assert!(!was_in_force(&plan(2, "box")));
        assert!(!was_in_force(&with_status(&plan(2, "box"), "False", "NotUsed")));
        assert!(was_in_force(&with_status(&plan(2, "box"), "False", "Superseded")));
        let plans = [plan(1, "pi"), with_status(&plan(2, "box"), "False", "NotUsed"), plan(3, "shed")];
        let choice = choose(&service("Manual", Some("camera-1")), &plans);
        assert!(!is_back(&choice, &plans), "nobody ever followed the second one");
        assert_eq!(why_back(&plans[1]), "camera-2 was approved after newer plans");
    }

    #[test]
    fn what_is_approved_again_is_made_anew_because_gateways_go_forward_only() {
        let back = |plans: &[Arc<EENNPlan>]| is_back(&choose(&service("Manual", Some("camera-1")), plans), plans);
        let newer = plan(2, "box");
        assert!(!back(&[plan(1, "pi"), newer.clone()]), "it only waits");
        assert!(!back(&[plan(1, "pi"), with_status(&newer, "False", "WaitsForApproval")]));
        assert!(back(&[plan(1, "pi"), with_status(&newer, "True", "InForce")]));
        let plans = [plan(1, "pi"), with_status(&newer, "False", "Superseded"), plan(3, "pi")];
        assert!(!back(&plans), "it was made anew");
        assert_eq!(chosen(&service("Manual", Some("camera-1")), &plans), (Some(3), None, vec![]));
    }

    #[test]
    fn plans_of_a_service_of_the_same_name_are_not_its_own() {
        let mut other = EENNPlan::clone(&plan(1, "pi"));
        other.metadata.owner_references.as_mut().expect("it has one")[0].uid = "u0".into();
        let own = own(&service("Automatic", None), vec![plan(2, "pi"), Arc::new(other), plan(1, "pi")]);
        assert_eq!(own.iter().map(|plan| plan.spec.generation).collect::<Vec<_>>(), [1, 2]);
    }
}
