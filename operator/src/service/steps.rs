//! Steps on the way of a service to its first `Ready`: they take turns within seconds, and need not be told one by one.

use crate::cache::Key;
use api::status::{Condition, ConditionStatus, EENNServiceStatus};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// By how much later a step is told for every other service that is on its way too, and how much later at most: where a thousand
/// start at once all of them take long, and a thousand statuses more would make them take longer.
const PER_OTHER: Duration = Duration::from_millis(100);
const LATER_AT_MOST: Duration = Duration::from_secs(120);

/// What a service waits for, as its status says it, where nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its first plan.
    Plan,
    /// Its pods.
    Pods,
    /// The answer of its gateways.
    Gateways,
}

/// Since when services take a step that they have not been told of.
#[derive(Debug, Default)]
pub struct Steps(Mutex<BTreeMap<Key, (Step, f64)>>);

impl Step {
    /// That of a status, if it is no more than one; `before`: what was told last.
    pub fn of(before: Option<&EENNServiceStatus>, status: &EENNServiceStatus) -> Option<Self> {
        let told = before.map(|before| &before.conditions[..]).unwrap_or_default();
        let is_bad = |one: &Condition| one.status == ConditionStatus::False && one.reason != "PodsNotReady";
        let holds = |all: &[Condition], aspect| {
            all.iter().any(|one| one.r#type == aspect && one.status == ConditionStatus::True)
        };
        // Somebody has changed the spec, another plan is in force, or somebody is to approve of one: it is looked at now, also by the operator.
        let changed = before.is_some_and(|before| {
            before.observed_generation > 0 && before.observed_generation != status.observed_generation
                || before.plan_ref.is_some() && before.plan_ref != status.plan_ref
                || before.proposed_plan_ref != status.proposed_plan_ref
        });
        let asks = |one: &Condition| one.reason == "LastGoodPlan" || one.reason == "ProposalWaits";
        if changed || told.iter().chain(&status.conditions).any(asks) {
            return None;
        }
        // What was well is missed, and who waits for better news hears of them.
        if holds(told, "Ready")
            || holds(&status.conditions, "Ready")
            || told.iter().chain(&status.conditions).any(is_bad)
        {
            return None;
        }
        Some(match (status.plan_ref.is_some(), holds(&status.conditions, "Placed")) {
            (false, _) => Self::Plan,
            (true, false) => Self::Pods,
            (true, true) => Self::Gateways,
        })
    }

    /// So long it may take before it is told: what goes wrong is told at once. `unheard`: how long gateways are waited for that cannot be
    /// asked.
    fn patience(self, unheard: Duration) -> Duration {
        match self {
            Self::Plan => Duration::from_secs(30),
            Self::Pods => Duration::from_secs(20),
            Self::Gateways => Duration::from_secs(20).min(unheard),
        }
    }
}

impl Steps {
    /// A service takes a step. Returns how long it is too early to tell of it. `unheard`: how long gateways are waited for that cannot be
    /// asked.
    pub fn takes(&self, service: &Key, step: Step, unheard: Duration, now: f64) -> Option<Duration> {
        let mut steps = self.steps();
        let entry = steps.entry(service.clone()).or_insert((step, now));
        if entry.0 != step {
            *entry = (step, now);
        }
        let since = entry.1;
        let others = u32::try_from(steps.len() - 1).unwrap_or(u32::MAX);
        let patience = step.patience(unheard) + PER_OTHER.saturating_mul(others).min(LATER_AT_MOST);
        let left = since + patience.as_secs_f64() - now;
        (left > 0.0).then(|| Duration::from_secs_f64(left))
    }

    /// Nothing is left to tell of a service, or it is gone.
    pub fn forget(&self, service: &Key) {
        self.steps().remove(service);
    }

    fn steps(&self) -> MutexGuard<'_, BTreeMap<Key, (Step, f64)>> {
        self.0.lock().expect("nothing panics while it holds steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(plan: bool, conditions: &[(&str, &str, &str)]) -> EENNServiceStatus {
        let condition = |(aspect, status, reason): &(&str, &str, &str)| {
            json!({
                "type": aspect, "status": status, "reason": reason, "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let conditions: Vec<_> = conditions.iter().map(condition).collect();
        let mut status = json!({ "observedGeneration": 1, "conditions": conditions });
        if plan {
            status["planRef"] = json!({ "name": "camera-1" });
        }
        serde_json::from_value(status).expect("it is a status")
    }

    #[test]
    fn steps_are_what_nothing_is_wrong_with() {
        let planning = status(false, &[("Planned", "Unknown", "Planning"), ("Ready", "Unknown", "Planning")]);
        let starting = status(true, &[("Placed", "False", "PodsNotReady"), ("Ready", "False", "PodsNotReady")]);
        let asking = status(true, &[("Placed", "True", "Placed"), ("Ready", "Unknown", "GatewaysNotAsked")]);
        let ready = status(true, &[("Placed", "True", "Placed"), ("Ready", "True", "Ready")]);
        let stuck = status(true, &[("Placed", "False", "PodsStuck"), ("Ready", "False", "PodsStuck")]);
        let missing = status(false, &[("Planned", "False", "NoPlan"), ("Ready", "False", "NoPlan")]);
        assert_eq!(Step::of(None, &planning), Some(Step::Plan));
        assert_eq!(Step::of(Some(&planning), &starting), Some(Step::Pods));
        assert_eq!(Step::of(Some(&starting), &asking), Some(Step::Gateways));
        assert_eq!(Step::of(Some(&asking), &ready), None, "good news");
        assert_eq!(Step::of(Some(&ready), &starting), None, "what was well is missed");
        assert_eq!(Step::of(Some(&starting), &stuck), None, "bad news");
        assert_eq!(Step::of(None, &missing), None, "bad news");
        assert_eq!(Step::of(Some(&missing), &starting), None, "what was wrong is not");
        let edited = EENNServiceStatus { observed_generation: 2, ..starting.clone() };
        assert_eq!(Step::of(Some(&starting), &edited), None, "the spec has changed");
        let unseen = EENNServiceStatus::default();
        assert_eq!(Step::of(Some(&unseen), &starting), Some(Step::Pods), "nobody has been told anything");
        let kept = [("Planned", "True", "LastGoodPlan"), ("Placed", "False", "PodsNotReady")];
        assert_eq!(Step::of(Some(&starting), &status(true, &kept)), None, "there is no newer plan");
        let mut asks = starting.clone();
        asks.proposed_plan_ref = asks.plan_ref.clone();
        assert_eq!(Step::of(Some(&starting), &asks), None, "somebody is to approve");
        let mut other = starting.clone();
        other.plan_ref.as_mut().expect("there is one").name = "camera-2".parse().expect("it is a name");
        assert_eq!(Step::of(Some(&starting), &other), None, "another plan is in force");
    }

    #[test]
    fn each_step_has_its_time() {
        let (steps, key) = (Steps::default(), Key::new("a", "camera"));
        let left = |step, now| steps.takes(&key, step, Duration::from_secs(60), now).map(|left| left.as_secs());
        assert_eq!(left(Step::Plan, 0.0), Some(30));
        assert_eq!(left(Step::Plan, 15.0), Some(15));
        assert_eq!(left(Step::Pods, 16.0), Some(20), "the next one starts anew");
        assert_eq!(left(Step::Pods, 36.0), None);
        steps.forget(&key);
        assert_eq!(left(Step::Pods, 26.0), Some(20), "told");
        assert_eq!(left(Step::Gateways, 27.0), Some(20));
        assert_eq!(steps.takes(&key, Step::Gateways, Duration::ZERO, 27.0), None, "gateways are not waited for");
    }

    #[test]
    fn steps_are_told_later_where_many_services_take_them() {
        let steps = Steps::default();
        let left = |number: usize, now| {
            let key = Key::new("a", format!("camera-{number}"));
            steps.takes(&key, Step::Pods, Duration::from_secs(60), now).map(|left| left.as_secs())
        };
        assert_eq!(left(0, 0.0), Some(20));
        (1..=100).for_each(|number| assert!(left(number, 0.0).is_some()));
        assert_eq!(left(0, 0.0), Some(30));
        (101..=10_000).for_each(|number| assert!(left(number, 0.0).is_some()));
        assert_eq!(left(0, 0.0), Some(140), "there is an end to it");
        (1..=10_000).for_each(|number| steps.forget(&Key::new("a", format!("camera-{number}"))));
        assert_eq!(left(0, 20.0), None, "the others are there");
    }
}
