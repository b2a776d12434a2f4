//! Which plan is approved. Pure.

use super::super::plans::Plans;
use super::super::words::{find, seen};
use api::{EENNPlan, EENNService, Planning};
use kube::ResourceExt;

/// The plan with this generation, or the one that waits; the error says why there is nothing to approve.
pub(super) fn chosen<'p>(
    service: &EENNService,
    plans: &Plans<'p>,
    generation: Option<i64>,
) -> Result<&'p EENNPlan, String> {
    let name = service.name_any();
    if service.spec.planning == Planning::Automatic {
        return Err(format!(
            "service {name:?} puts plans into place by itself, so nothing waits for approval; spec.planning Manual would \
             make them wait"
        ));
    }
    let Some(generation) = generation else { return plans.proposed.ok_or_else(|| nothing(service, plans)) };
    let Some(plan) = plans.generation(generation) else {
        return Err(format!(
            "service {name:?} has no plan with generation {generation}; it has {}",
            plans.generations()
        ));
    };
    match plans.in_force {
        Some(in_force) if in_force.uid() == plan.uid() => Err(format!("plan {} is in force already", plan.name_any())),
        Some(in_force) if in_force.spec.chains == plan.spec.chains => Err(format!(
            "plan {} has the placement that is in force already with {}; policies within it need no approval",
            plan.name_any(),
            in_force.name_any()
        )),
        _ => Ok(plan),
    }
}

/// Why nothing waits.
fn nothing(service: &EENNService, plans: &Plans<'_>) -> String {
    let name = service.name_any();
    match plans.in_force {
        Some(in_force) => {
            format!("nothing waits for approval: plan {} of service {name:?} is in force", in_force.name_any())
        }
        None => {
            let conditions = seen(service).map(|status| &status.conditions[..]).unwrap_or_default();
            let why = find(conditions, "Ready").map_or("no operator has said anything of it yet", |one| &one.message);
            format!("nothing waits for approval: service {name:?} has no plan yet: {why}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::*;

    fn answer(service: &EENNService, generation: Option<i64>) -> Result<String, String> {
        let plans = example::plans();
        chosen(service, &Plans::of(service, &plans), generation).map(ResourceExt::name_any)
    }

    #[test]
    fn what_waits_is_approved_and_older_placements_can_be() {
        let mut service = example::service();
        assert_eq!(answer(&service, None), Ok("camera-3".to_owned()));
        assert_eq!(answer(&service, Some(3)), Ok("camera-3".to_owned()));
        // Back again.
        let status = service.status.as_mut().unwrap();
        status.plan_ref = status.proposed_plan_ref.take();
        assert_eq!(answer(&service, Some(1)), Ok("camera-1".to_owned()));
    }

    #[test]
    fn what_cannot_be_approved_is_told_with_what_would_be_right() {
        let mut service = example::service();
        assert_eq!(
            answer(&service, Some(7)),
            Err("service \"camera\" has no plan with generation 7; it has 1, 2 and 3".to_owned())
        );
        assert_eq!(answer(&service, Some(2)), Err("plan camera-2 is in force already".to_owned()));
        assert_eq!(
            answer(&service, Some(1)),
            Err("plan camera-1 has the placement that is in force already with camera-2; policies within it need no approval"
                .to_owned())
        );
        service.status.as_mut().unwrap().proposed_plan_ref = None;
        assert_eq!(
            answer(&service, None),
            Err("nothing waits for approval: plan camera-2 of service \"camera\" is in force".to_owned())
        );
        service.spec.planning = Planning::Automatic;
        assert!(answer(&service, None).unwrap_err().starts_with("service \"camera\" puts plans into place by itself"));
    }

    #[test]
    fn a_service_without_plans_says_why() {
        let mut service = example::troubled();
        service.spec.planning = Planning::Manual;
        let why = chosen(&service, &Plans::of(&service, &[]), None).unwrap_err();
        assert!(why.starts_with("nothing waits for approval: service \"sorter\" has no plan yet: EENNModel"), "{why}");
    }
}
