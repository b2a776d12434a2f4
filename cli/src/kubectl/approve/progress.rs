//! How far a plan that was approved is. Pure.

use super::super::plans::Plans;
use super::super::words::{find, holds, is_paused};
use api::status::ConditionStatus;
use api::{EENNPlan, EENNService};
use kube::ResourceExt;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is in force, and its pods are ready.
    Done(String),
    /// What is missing.
    Waits(String),
}

/// Of a plan that was approved with this `metadata.generation` of the service.
pub(super) fn of(service: &EENNService, plans: &Plans<'_>, approved: &EENNPlan, generation: i64) -> Progress {
    if is_paused(service) {
        return Progress::Waits("the service is paused".to_owned());
    }
    let status = service.status.clone().unwrap_or_default();
    if status.observed_generation < generation {
        return Progress::Waits("the operator has not looked at it yet".to_owned());
    }
    // A newer one with the same placement is as good.
    let Some(in_force) = plans.in_force.filter(|plan| plan.spec.chains == approved.spec.chains) else {
        return Progress::Waits(format!("plan {} is not in force yet", approved.name_any()));
    };
    if !holds(&status.conditions, "Placed") {
        let why = find(&status.conditions, "Placed").map(|one| one.message.clone()).unwrap_or_default();
        return Progress::Waits(format!("plan {} is in force, pods are to come: {why}", in_force.name_any()));
    }
    let done = format!("Plan {} is in force, and its pods are ready.", in_force.name_any());
    // Gateways are told within seconds, or there is trouble that another wait does not end.
    match find(&status.conditions, "Ready").filter(|ready| ready.status != ConditionStatus::True) {
        Some(ready) => Progress::Done(format!("{done} But: {}", ready.message)),
        None => Progress::Done(done),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::*;

    #[test]
    fn it_is_done_when_pods_are_ready() {
        let (mut service, plans) = (example::service(), example::plans());
        let at = |service: &EENNService, approved: usize, generation| {
            of(service, &Plans::of(service, &plans), &plans[approved], generation)
        };
        let waits = |words: &str| Progress::Waits(words.to_owned());
        assert_eq!(at(&service, 2, 4), waits("the operator has not looked at it yet"));
        assert_eq!(at(&service, 2, 3), waits("plan camera-3 is not in force yet"));
        // The second has the placement of the first.
        let done = Progress::Done("Plan camera-2 is in force, and its pods are ready.".to_owned());
        assert_eq!(at(&service, 0, 3), done);
        let ready = &mut service.status.as_mut().unwrap().conditions[5];
        ready.status = ConditionStatus::False;
        ready.message = "no gateway follows the plan in force".to_owned();
        let but = "Plan camera-2 is in force, and its pods are ready. But: no gateway follows the plan in force";
        assert_eq!(at(&service, 0, 3), Progress::Done(but.to_owned()));
        let placed = &mut service.status.as_mut().unwrap().conditions[3];
        placed.status = ConditionStatus::False;
        placed.message = "4 of 5 are ready".to_owned();
        assert_eq!(at(&service, 0, 3), waits("plan camera-2 is in force, pods are to come: 4 of 5 are ready"));
    }
}
