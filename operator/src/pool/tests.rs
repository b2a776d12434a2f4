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

/// The node, but for what is changed.
fn other(name: &str, change: impl FnOnce(&mut Value)) -> Arc<Node> {
    let mut node = serde_json::to_value(&*node(name, "pi", "True", false)).expect("it has no keys but text");
    change(&mut node);
    Arc::new(read(node))
}

fn tainted(name: &str, key: &str, effect: &str) -> Arc<Node> {
    other(name, |node| node["spec"]["taints"] = json!([{ "key": key, "value": "now", "effect": effect }]))
}

#[test]
fn devices_that_pods_cannot_run_on_are_not_usable_and_say_why() {
    let nodes = [
        other("board", |node| node["status"]["nodeInfo"]["architecture"] = "riscv64".into()),
        other("silent", |node| node["status"]["nodeInfo"]["architecture"] = "".into()),
        tainted("away", "example.com/away", "NoSchedule"),
        tainted("leave", "example.com/away", "NoExecute"),
        tainted("rather", "example.com/away", "PreferNoSchedule"),
        tainted("ours", "edge", "NoSchedule"),
        tainted("full", "node.kubernetes.io/memory-pressure", "NoSchedule"),
    ];
    let mut pool = pool();
    pool.spec.tolerations = read(json!([{ "key": "edge", "operator": "Equal", "value": "now" }]));
    let found = |pool: &DevicePool| status(pool, &survey::survey(pool, &nodes), None, 0, "now");
    let states = |status: &DevicePoolStatus| status.devices.iter().map(|one| one.state.clone()).collect::<Vec<_>>();
    let status = found(&pool);
    assert_eq!(states(&status), ["NoImage", "Usable", "Tainted", "Tainted", "Usable", "Usable", "Usable"]);
    let message = &status.conditions[1].message;
    for part in [
        "board has an architecture that the image is not made for (amd64, arm64)",
        "away has the taint example.com/away=now:NoSchedule, which no entry of spec.tolerations fits",
    ] {
        assert!(message.contains(part), "{message}");
    }
    for (tolerations, state) in [
        (json!([{ "key": "edge", "operator": "Equal", "value": "later" }]), "Tainted"),
        (json!([{ "key": "edge", "effect": "NoExecute" }]), "Tainted"),
        (json!([{ "key": "edge", "effect": "NoSchedule" }]), "Usable"),
    ] {
        pool.spec.tolerations = read(tolerations);
        assert_eq!(states(&found(&pool))[5], state, "{:?}", pool.spec.tolerations);
    }
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
