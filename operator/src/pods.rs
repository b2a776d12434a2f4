//! What is kept of pods: where they are, and what keeps them from running. Pure.

use crate::cache::Key;
use crate::outline;
use crate::service::labels;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use std::net::IpAddr;

/// Longest text that is kept of what is wrong with a pod.
const LONGEST: usize = 300;
/// What every pod goes through.
const USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// A pod of ours. There are several for every service, so that no more is kept than is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// The EENNService that it is labelled with.
    pub service: Option<Box<str>>,
    /// The label that says what it does.
    pub role: Option<Box<str>>,
    /// The Deployment or Job that it belongs to.
    pub workload: Option<Box<str>>,
    /// The EENNModel that it is labelled with.
    pub model: Option<Box<str>>,
    /// The node that it is pinned to.
    pub node: Option<Box<str>>,
    /// Where it is reached.
    pub ip: Option<IpAddr>,
    /// Whether its containers run.
    pub runs: bool,
    /// Whether Services send requests to it.
    pub ready: bool,
    /// Whether it is being deleted.
    pub leaves: bool,
    /// What keeps it from running; `None` where nothing does, or it is on its way.
    pub trouble: Option<Box<str>>,
    /// All that is known of one that measures: whoever waits for numbers wants to know why there are none, also of a process that has ended.
    pub measures: Option<Box<PodStatus>>,
}

impl From<outline::Pod> for Pod {
    fn from(pod: outline::Pod) -> Self {
        let status = pod.status.unwrap_or_default();
        let label = |key| Some(pod.metadata.labels.as_ref()?.get(key)?.as_str().into());
        let model = label(labels::MODEL);
        Self {
            key: Key::new(
                pod.metadata.namespace.as_deref().unwrap_or_default(),
                pod.metadata.name.as_deref().unwrap_or_default(),
            ),
            service: label(labels::SERVICE),
            role: label(labels::ROLE),
            workload: label(labels::WORKLOAD),
            node: pod.metadata.annotations.as_ref().and_then(|all| Some(all.get(labels::NODE)?.as_str().into())),
            ip: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
            runs: status.phase.as_deref() == Some("Running"),
            ready: status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True"),
            leaves: pod.metadata.deletion_timestamp.is_some(),
            trouble: found(&status).map(|text| text.chars().take(LONGEST).collect::<String>().into()),
            measures: model.is_some().then(|| Box::new(status)),
            model,
        }
    }
}

fn found(status: &PodStatus) -> Option<String> {
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
        let pod: outline::Pod =
            serde_json::from_value(json!({ "metadata": {}, "status": status })).expect("it is a pod");
        let pod = Pod::from(pod);
        assert_eq!(pod.trouble.as_deref(), want);
        assert_eq!(pod.measures, None);
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

    #[test]
    fn what_is_looked_at_is_kept() {
        let pod = |labels: Value, status: Value| -> Pod {
            let metadata = json!({
                "name": "camera-1", "namespace": "edge", "labels": labels, "annotations": { labels::NODE: "pi" },
                "deletionTimestamp": "2026-01-01T00:00:00Z",
            });
            let pod = json!({ "metadata": metadata, "status": status });
            serde_json::from_value::<outline::Pod>(pod).expect("it is a pod").into()
        };
        let serves = json!({ labels::SERVICE: "camera", labels::ROLE: "gateway", labels::WORKLOAD: "camera-g" });
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let one = pod(serves, json!({ "phase": "Running", "podIP": "fd00::7", "conditions": ready }));
        assert_eq!(one.key, Key::new("edge", "camera-1"));
        let texts = [&one.service, &one.role, &one.workload, &one.model, &one.node].map(Option::as_deref);
        assert_eq!(texts, [Some("camera"), Some("gateway"), Some("camera-g"), None, Some("pi")]);
        assert_eq!(one.ip, "fd00::7".parse().ok());
        assert!(one.runs && one.ready && one.leaves);
        let status = json!({ "phase": "Failed", "reason": "Evicted" });
        let measures = pod(json!({ labels::MODEL: "fashion" }), status.clone());
        assert_eq!(measures.measures.map(|kept| json!(*kept)), Some(status));
        assert!(!measures.runs && !measures.ready);
    }
}
