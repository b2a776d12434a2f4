//! What is kept of pods: where they are, and what keeps them from running. Pure.

use crate::outline::Pod;
use crate::service::labels;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use kube::ResourceExt;

/// Longest text that is kept of what is wrong with a pod.
const LONGEST: usize = 300;
/// What every pod goes through.
const USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Keeps name, labels, node, address, and in place of all conditions what is wrong ([`trouble`]); of measurements also what containers say.
pub fn prune(pod: &mut Pod) {
    /// The others say the same of all.
    const TOLD: [&str; 4] = [labels::SERVICE, labels::ROLE, labels::WORKLOAD, labels::MODEL];
    let message = found(pod).map(|text| text.chars().take(LONGEST).collect());
    pod.metadata.resource_version = None;
    pod.metadata.owner_references = None;
    pod.metadata.creation_timestamp = None;
    pod.metadata.generate_name = None;
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == labels::NODE);
    }
    if let Some(labels) = &mut pod.metadata.labels {
        labels.retain(|key, _| TOLD.contains(&key.as_str()));
    }
    let status = pod.status.take().unwrap_or_default();
    let kept = PodStatus { phase: status.phase, pod_ip: status.pod_ip, message, ..PodStatus::default() };
    pod.status = Some(match pod.labels().contains_key(labels::MODEL) {
        // Whoever waits for numbers wants to know why there are none, also of a process that has ended.
        true => PodStatus {
            conditions: status.conditions,
            init_container_statuses: status.init_container_statuses,
            container_statuses: status.container_statuses,
            ..kept
        },
        false => kept,
    });
}

/// What keeps a pod from running, of one that was pruned; `None` where nothing does, or it is on its way.
pub fn trouble(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.message.as_deref()
}

/// The Deployment that a pod belongs to.
pub fn workload(pod: &Pod) -> Option<&str> {
    pod.labels().get(labels::WORKLOAD).map(String::as_str)
}

fn found(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled =
        status.conditions.iter().flatten().find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("cannot be scheduled: {}", condition.message.as_deref().unwrap_or("no reason is given")));
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.filter_map(stuck).next()
}

/// Why a container does not run.
fn stuck(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| !USUAL.contains(reason))?;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let why = match ended {
        // That it starts again and again is known; why it ended is not.
        Some(ended) => {
            let reason = ended.reason.as_deref().unwrap_or("Error");
            format!("ended with exit code {} ({reason}); see its log", ended.exit_code)
        }
        None => waiting.message.clone().unwrap_or_default(),
    };
    Some(format!("{}: {reason}: {why}", container.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(status: Value, want: Option<&str>) {
        let mut pod: Pod = serde_json::from_value(json!({ "metadata": {}, "status": status })).expect("it is a pod");
        prune(&mut pod);
        assert_eq!(trouble(&pod), want);
        let before = pod.clone();
        assert_eq!(before.status.as_ref().and_then(|status| status.conditions.as_ref()), None);
    }

    #[test]
    fn what_is_wrong_is_kept_and_what_is_usual_is_not() {
        let scheduled =
            |status: &str| json!([{ "type": "PodScheduled", "status": status, "message": "1 Insufficient memory" }]);
        check(json!({ "conditions": scheduled("True") }), None);
        check(json!({ "conditions": scheduled("False") }), Some("cannot be scheduled: 1 Insufficient memory"));
        let waiting = |reason: &str, last: Value| {
            json!({ "containerStatuses": [{
                "name": "gateway", "image": "", "imageID": "", "ready": false, "restartCount": 3, "lastState": last,
                "state": { "waiting": { "reason": reason, "message": "no such image" } },
            }] })
        };
        check(waiting("ContainerCreating", json!({})), None);
        check(waiting("ErrImagePull", json!({})), Some("gateway: ErrImagePull: no such image"));
        let ended = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let want = "gateway: CrashLoopBackOff: ended with exit code 137 (OOMKilled); see its log";
        check(waiting("CrashLoopBackOff", ended), Some(want));
        check(json!({}), None);
    }
}
