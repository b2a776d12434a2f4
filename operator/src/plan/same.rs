//! Whether a plan says anything new. Pure.

use api::status::Metrics;
use api::{EENNPlanSpec, Ratio};

/// Placement, choices, settings and which targets are missed are the same, and what is predicted differs by no more than it does every time.
pub(super) fn says_the_same(a: &EENNPlanSpec, b: &EENNPlanSpec) -> bool {
    let missed = |plan: &EENNPlanSpec| -> Vec<_> {
        plan.missed.iter().map(|miss| (miss.target.clone(), miss.limit.clone())).collect()
    };
    let decided = a.chains == b.chains && a.choices == b.choices && a.forecast == b.forecast;
    decided
        && missed(a) == missed(b)
        && settings(&a.policy) == settings(&b.policy)
        && predict_alike(&a.predicted, &b.predicted)
}

/// Whether users would notice a difference: shares to a hundredth, times to a tenth or two milliseconds.
fn predict_alike(a: &[Metrics], b: &[Metrics]) -> bool {
    let share = |a: &Option<Ratio>, b: &Option<Ratio>| match (a, b) {
        (Some(a), Some(b)) => (a.get() - b.get()).abs() <= 0.01,
        (a, b) => a.is_none() && b.is_none(),
    };
    let time = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) <= (a.max(b).unsigned_abs() / 10).max(2),
        (a, b) => a == b,
    };
    let alike = |a: &Metrics, b: &Metrics| {
        let shares = share(&a.loss_ratio, &b.loss_ratio) && share(&a.accuracy, &b.accuracy);
        let mean = time(a.mean_latency_milliseconds, b.mean_latency_milliseconds);
        shares && mean && time(a.p95_latency_milliseconds, b.p95_latency_milliseconds) && a.evaluator == b.evaluator
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
}

/// What a policy takes over from the spec of its service as it is: deadline, share of audited jobs, and so on. Without what is searched
/// for, which differs a little every time.
fn settings(policy: &str) -> Option<serde_json::Value> {
    let mut policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let fields = policy.as_object_mut()?;
    for searched in ["version", "service", "chains", "default", "sources"] {
        fields.remove(searched);
    }
    // Rows are searched for; whether there are any, and what they go by, is up to the scheduler.
    if let Some(rates) = fields.get_mut("rates").filter(|rates| !rates.is_null()) {
        let measured = rates["measured"].as_object().into_iter().flatten();
        *rates = measured.map(|(how, _)| how.clone()).collect();
    }
    Some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(change: impl FnOnce(&mut EENNPlanSpec, &mut serde_json::Value)) -> EENNPlanSpec {
        let mut policy = json!({ "version": 1, "default": [{ "thresholds": [0.5] }], "auditShare": 0.01 });
        let plan = json!({
            "serviceRef": { "name": "camera" }, "generation": 1, "reason": "", "policy": "", "choices": [], "forecast": [],
            "predicted": [{ "accuracy": "0.94", "p95LatencyMilliseconds": 120, "evaluator": "simulation" }],
            "chains": [{ "name": "pi", "fragments": [{ "node": "pi", "firstSegment": 1, "lastSegment": 6 }] }],
            "missed": [{ "target": "minAccuracy", "limit": "0.99", "predicted": "0.94" }],
        });
        let mut plan: EENNPlanSpec = serde_json::from_value(plan).expect("it is a plan");
        change(&mut plan, &mut policy);
        EENNPlanSpec { policy: policy.to_string(), ..plan }
    }

    #[test]
    fn what_users_set_makes_another_plan_and_noise_does_not() {
        let before = plan(|_, _| {});
        let noise = plan(|plan, policy| {
            plan.missed[0].predicted = "0.9401".parse().ok();
            plan.predicted[0].p95_latency_milliseconds = Some(118);
            policy["version"] = 2.into();
            policy["default"][0]["thresholds"] = json!([0.51]);
        });
        assert!(says_the_same(&before, &noise));
        let audited = plan(|_, policy| policy["auditShare"] = 0.02.into());
        let kept = plan(|plan, _| plan.missed.clear());
        let slower = plan(|plan, _| plan.predicted[0].p95_latency_milliseconds = Some(240));
        let adapts =
            plan(|_, policy| policy["rates"] = json!({ "measured": { "window": { "seconds": 2 } }, "rows": [1] }));
        let other_rows =
            plan(|_, policy| policy["rates"] = json!({ "measured": { "window": { "seconds": 3 } }, "rows": [2] }));
        assert!(says_the_same(&adapts, &other_rows));
        for other in [audited, kept, slower, adapts] {
            assert!(!says_the_same(&before, &other), "{other:?}");
        }
    }
}
