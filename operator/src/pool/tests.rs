use super::*;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use std::sync::Arc;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is well formed")
}

fn pool() -> DevicePool {
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": { "name": "p", "generation": 4 },
        "spec": {
            "nodeSelector": { "matchLabels": { "pool": "p" } },
            "classes": [{ "name": "pi", "matchLabels": { "class": "pi" }, "tier": "Gateway", "speedFactor": "0.1" }],
        },
    }))
}

fn node(name: &str, class: &str, ready: &str, cordoned: bool) -> Arc<Node> {
    Arc::new(read(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": { "pool": "p", "class": class } },
        "spec": { "unschedulable": cordoned },
        "status": {
            "capacity": { "cpu": "4", "memory": "4Gi" }, "allocatable": { "cpu": "4", "memory": "3Gi" },
            "conditions": [{ "type": "Ready", "status": ready }],
            "nodeInfo": {
                "architecture": "arm64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": "",
            },
        },
    })))
}

fn found(nodes: &[Arc<Node>]) -> DevicePoolStatus {
    let pool = pool();
    status(&pool, &survey::survey(&pool, nodes), None, 2, "now")
}

#[test]
fn devices_are_listed_with_what_they_are_good_for() {
    let nodes = [
        node("good", "pi", "True", false),
        node("down", "pi", "Unknown", false),
        node("cordoned", "pi", "True", true),
        node("other", "unheard-of", "True", false),
        Arc::new(Node::default()),
    ];
    let status = found(&nodes);
    let states: Vec<_> = status.devices.iter().map(|one| (one.name.as_str(), one.state.as_str())).collect();
    assert_eq!(states, [("good", "Usable"), ("down", "NotReady"), ("cordoned", "Cordoned"), ("other", "NoClass")]);
    assert_eq!((status.device_count, status.usable_device_count, status.service_count), (4, 1, 2));
    let good = &status.devices[0];
    let (cores, speed) = (good.cores.as_ref().map(|it| it.as_str()), good.speed_factor.as_ref().map(|it| it.as_str()));
    assert_eq!(
        (cores, speed, good.architecture.as_ref().map(|it| it.as_str())),
        (Some("4"), Some("0.1"), Some("arm64"))
    );
    let ready = &status.conditions[1];
    assert_eq!(
        (ready.r#type.as_str(), ready.reason.as_str(), ready.observed_generation),
        ("Ready", "SomeDevicesUsable", 4)
    );
    assert!(ready.message.contains("down is not ready; cordoned is cordoned; other has no class"), "{}", ready.message);
}

#[test]
fn a_pool_without_devices_says_what_is_missing() {
    let reason = |nodes: &[Arc<Node>]| found(nodes).conditions[1].reason.clone();
    assert_eq!(reason(&[]), "NoNodes");
    assert_eq!(reason(&[node("down", "pi", "False", false)]), "NoUsableDevice");
    assert_eq!(reason(&[node("good", "pi", "True", false)]), "AllDevicesUsable");
}

#[test]
fn a_node_that_is_only_alive_has_not_changed() {
    let pruned = |heartbeat: &str| {
        let mut node: Node = read(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n", "resourceVersion": heartbeat },
            "status": { "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat }, { "type": "DiskPressure", "status": "False" }] },
        }));
        crate::manifests::prune_node(&mut node);
        node
    };
    assert_eq!(pruned("2026-01-01T00:00:00Z"), pruned("2026-01-01T00:05:00Z"));
}
