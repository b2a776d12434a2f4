//! Words and numbers that several tables share. Pure.

use crate::format::percent;
use api::status::{Condition, ConditionStatus, EENNServiceStatus};
use api::{EENNService, Ratio};
use jiff::Timestamp;
use kube::ResourceExt;

/// Annotation with which users stop the operator from changing anything of a service.
const PAUSED: &str = "eenn.dev/paused";

/// `5m`: how long ago something was, as kubectl says it.
pub(super) fn age(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return "?".to_owned() };
    match now.as_second().saturating_sub(time.as_second()).max(0) {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// `12.3 %`, or `–`
pub(super) fn share(ratio: Option<&Ratio>) -> String {
    percent(ratio.map(Ratio::get))
}

/// Whole milliseconds, or `–`
pub(super) fn milliseconds(time: Option<i64>) -> String {
    time.map_or("–".to_owned(), |time| time.to_string())
}

/// A condition of an object.
pub(super) fn find<'a>(conditions: &'a [Condition], aspect: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.r#type == aspect)
}

/// Whether a condition holds.
pub(super) fn holds(conditions: &[Condition], aspect: &str) -> bool {
    find(conditions, aspect).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// What has to be true one after the other before a service is ready, and what it is while that one is not.
const STEPS: [(&str, &str); 5] = [
    ("Accepted", "refused"),
    ("ModelReady", "model not ready"),
    ("Planned", "not planned"),
    ("Placed", "waits for pods"),
    // All before it holds, so that it is about gateways.
    ("Ready", "waits for gateways"),
];

/// How a service is, in a few words.
pub(super) fn state(service: &EENNService) -> String {
    let mut words = match seen(service) {
        None => "starts".to_owned(),
        Some(status) => match STEPS.iter().find(|(aspect, _)| !holds(&status.conditions, aspect)) {
            Some((aspect, _)) if reason(&status.conditions, aspect) == "WaitsForApproval" => {
                "waits for approval".to_owned()
            }
            Some((_, words)) => (*words).to_owned(),
            None => "ready".to_owned(),
        },
    };
    if service
        .status
        .as_ref()
        .is_some_and(|it| find(&it.conditions, "QoSMet").is_some_and(|one| one.status == ConditionStatus::False))
    {
        words.push_str(", misses targets");
    }
    if is_paused(service) {
        words.push_str(", paused");
    }
    words
}

fn reason<'a>(conditions: &'a [Condition], aspect: &str) -> &'a str {
    find(conditions, aspect).map_or("", |condition| &condition.reason)
}

/// Whether the operator was told to leave the service alone.
pub(super) fn is_paused(service: &EENNService) -> bool {
    service.annotations().get(PAUSED).is_some_and(|value| value != "false")
}

/// Its status, once an operator has written one.
pub(super) fn seen(service: &EENNService) -> Option<&EENNServiceStatus> {
    service.status.as_ref().filter(|status| status.observed_generation > 0)
}

/// Whether the operator has looked at the spec as it is now.
pub(super) fn is_current(service: &EENNService) -> bool {
    let seen = service.status.as_ref().map(|status| status.observed_generation);
    seen.is_some_and(|seen| seen >= service.metadata.generation.unwrap_or_default())
}

/// What is wrong with a service and what helps, most important first.
pub(super) fn trouble(service: &EENNService) -> Vec<String> {
    let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
    let Some(status) = seen(service) else {
        let pool = &service.spec.device_pool_ref.name;
        return vec![format!(
            "no operator has said anything of it yet, which may take a minute; if none does: is one running, for this namespace, and by the name that DevicePool {pool:?} \
             says in spec.operatorName?",
            pool = pool.as_str()
        )];
    };
    let mut lines = vec![];
    if !is_current(service) && !is_paused(service) {
        lines.push("the operator has not looked at its last change yet; what follows is of before".to_owned());
    }
    let missing = STEPS.iter().find(|(aspect, _)| !holds(&status.conditions, aspect));
    let missing = missing.and_then(|(aspect, _)| find(&status.conditions, aspect));
    lines.extend(missing.filter(|one| one.reason != "WaitsForApproval").map(|one| one.message.clone()));
    if reason(&status.conditions, "Planned") == "LastGoodPlan" {
        lines.extend(find(&status.conditions, "Planned").map(|one| one.message.clone()));
    }
    if let Some(plan) = &status.proposed_plan_ref {
        lines.push(format!("plan {} waits for approval: kubectl eenn approve {name} -n {namespace}", plan.name));
    }
    let qos = find(&status.conditions, "QoSMet").filter(|one| one.status == ConditionStatus::False);
    lines.extend(qos.map(|one| {
        format!("targets are expected to be missed: {}; kubectl eenn explain {name} -n {namespace}", one.message)
    }));
    if is_paused(service) {
        lines.push(format!("the operator changes nothing of it while it has the annotation {PAUSED}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        let now = example::now();
        let of = |time: &str| age(time, now);
        assert_eq!(of("2026-03-01T11:58:30Z"), "90s");
        assert_eq!(of("2026-03-01T11:00:00Z"), "60m");
        assert_eq!(of("2026-02-28T11:00:00Z"), "25h");
        assert_eq!(of("2026-02-01T12:00:00Z"), "28d");
        // Clocks of two machines.
        assert_eq!(of("2026-03-01T12:00:03Z"), "0s");
        assert_eq!(of("yesterday"), "?");
    }

    #[test]
    fn the_first_thing_that_is_missing_is_what_a_service_is() {
        assert_eq!(state(&example::service()), "ready");
        assert_eq!(state(&example::troubled()), "model not ready");
        assert_eq!(state(&example::unseen()), "starts");
        let mut service = example::service();
        service.annotations_mut().insert(PAUSED.to_owned(), "true".to_owned());
        let conditions = &mut service.status.as_mut().unwrap().conditions;
        conditions[4].status = ConditionStatus::False;
        assert_eq!(state(&service), "ready, misses targets, paused");
    }

    #[test]
    fn a_change_that_nobody_has_looked_at_is_told() {
        let mut service = example::service();
        service.metadata.generation = Some(4);
        assert_eq!(
            trouble(&service)[0],
            "the operator has not looked at its last change yet; what follows is of before"
        );
    }
}
