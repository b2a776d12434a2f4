//! QoS targets: whether they make sense, and whether anybody keeps to them.

use crate::cache::Key;
use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use crate::{Context, clock};
use api::QoSTarget;
use api::status::QoSTargetStatus;

/// Brings the status of a target up to date.
pub async fn reconcile(context: &Context, key: &Key) -> Result<(), Failure> {
    let Some(target) = context.caches.targets.get(key) else { return Ok(()) };
    let status = status(&target, &clock::timestamp());
    if target.status.as_ref() != Some(&status) {
        context.cluster.set_status(&context.cluster.api::<QoSTarget>(&key.namespace), &*target, &status).await?;
        let before = target.status.as_ref().map_or(&[][..], |status| &status.conditions);
        context.cluster.tell_news(&*target, before, &status.conditions).await;
    }
    Ok(())
}

/// The status of a target. The schema has seen to it that limits are numbers that can be kept; whether they are is in the conditions
/// QoSMet of services. Pure.
fn status(target: &QoSTarget, now: &str) -> QoSTargetStatus {
    let spec = &target.spec;
    let (mean, p95) = (spec.max_mean_latency_milliseconds, spec.max_p95_latency_milliseconds);
    let limits = [spec.max_loss_ratio.is_some(), spec.min_accuracy.is_some(), mean.is_some(), p95.is_some()];
    let accepted = match limits.contains(&true) {
        true => Finding::holds("Accepted", "Accepted", "services that name it are planned to keep to it"),
        false => Finding::holds("Accepted", "NoLimits", "it limits nothing: accuracy is made as high as it gets"),
    };
    let generation = target.metadata.generation.unwrap_or_default();
    let before = target.status.as_ref().map_or(&[][..], |status| &status.conditions);
    QoSTargetStatus { observed_generation: generation, conditions: conditions(before, &[accepted], generation, now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_says_whether_it_limits_anything() {
        let reason = |spec: serde_json::Value| {
            let target = json!({
                "apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget",
                "metadata": { "name": "interactive", "generation": 3 }, "spec": spec,
            });
            let status = status(&serde_json::from_value(target).expect("it is a target"), "t1");
            (status.observed_generation, status.conditions[0].reason.clone())
        };
        assert_eq!(reason(json!({ "maxLossRatio": "0.01" })), (3, "Accepted".to_owned()));
        assert_eq!(reason(json!({ "priority": 2 })), (3, "NoLimits".to_owned()));
    }
}
