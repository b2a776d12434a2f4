//! Objects of a small cluster to try tables with.

use api::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// The moment at which everything is looked at.
pub(super) fn now() -> jiff::Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn read<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

fn condition(aspect: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": aspect, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-03-01T11:55:00Z", "observedGeneration": 3,
    })
}

/// A service with a plan in force and one that waits.
pub(super) fn service() -> EENNService {
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService",
        "metadata": { "name": "camera", "namespace": "edge", "uid": "u1", "generation": 3, "resourceVersion": "70" },
        "spec": {
            "modelRef": { "name": "faces" }, "devicePoolRef": { "name": "edge" }, "qosTargetRef": { "name": "interactive" },
            "sources": [
                { "name": "street", "node": "pi", "expectedRate": "15" }, { "name": "door", "node": "box", "expectedRate": "5" },
            ],
            "planning": "Manual", "approvedPlan": "camera-1",
        },
        "status": {
            "observedGeneration": 3,
            "conditions": [
                condition("Accepted", "True", "Accepted", "the spec makes sense, and its pool, model and target are there"),
                condition("ModelReady", "True", "ModelReady", "EENNModel \"faces\" can be planned with"),
                condition("Planned", "True", "Planned", "EENNPlan camera-2 is in force"),
                condition("Placed", "True", "Placed", "pods of all 5 fragments and gateways are ready"),
                condition("QoSMet", "True", "TargetsExpectedToBeKept", "all targets are expected to be kept"),
                condition("Ready", "True", "Ready", "gateways take jobs"),
            ],
            "planRef": { "name": "camera-2" }, "proposedPlanRef": { "name": "camera-3" },
            "predicted": { "lossRatio": "0.002", "accuracy": "0.9012", "meanLatencyMilliseconds": 45, "p95LatencyMilliseconds": 180, "evaluator": "simulation" },
            "endpoints": [
                { "source": "street", "url": "http://camera-1a2b.edge.svc:8080" }, { "source": "door", "url": "http://camera-3c4d.edge.svc:8080" },
            ],
        },
    }))
}

/// A service that is in trouble.
pub(super) fn troubled() -> EENNService {
    let why = "EENNModel \"letters\" is not ready: there is no ConfigMap \"letters\", which spec.exitTable.uri names";
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService",
        "metadata": { "name": "sorter", "namespace": "post", "uid": "u2", "generation": 3 },
        "spec": {
            "modelRef": { "name": "letters" }, "devicePoolRef": { "name": "edge" },
            "sources": [{ "name": "belt", "node": "pi", "expectedRate": "4" }],
        },
        "status": {
            "observedGeneration": 3,
            "conditions": [
                condition("Accepted", "True", "Accepted", "the spec makes sense, and its pool, model and target are there"),
                condition("ModelReady", "False", "ModelNotReady", why),
                condition("Planned", "Unknown", "Planning", "a plan is being made"),
                condition("Placed", "Unknown", "NotPlanned", "there is no plan yet"),
                condition("QoSMet", "Unknown", "NotPlanned", "there is no plan yet"),
                condition("Ready", "False", "ModelNotReady", why),
            ],
        },
    }))
}

/// A service that nobody has looked at.
pub(super) fn unseen() -> EENNService {
    let mut service = troubled();
    service.status = Some(read(json!({
        "observedGeneration": 0,
        "conditions": [{
            "type": "Ready", "status": "Unknown", "reason": "Pending", "message": "nothing is said of it yet",
            "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 0,
        }],
    })));
    service.metadata.name = Some("spare".to_owned());
    service.metadata.uid = Some("u3".to_owned());
    service
}

fn policy(generation: i64, chains: &Value, default: &Value, sources: &Value) -> String {
    json!({
        "service": "camera", "version": { "transitions": 0, "generation": generation }, "epoch": "Arrival", "overflow": "Drop",
        "chains": chains, "default": default, "sources": sources, "auditShare": 0.01,
    })
    .to_string()
}

fn hop(device: &str, first: usize, last: usize) -> Value {
    json!({ "fragment": format!("camera-{first}-{last}"), "device": device, "address": "", "firstSegment": first, "lastSegment": last, "workers": 1 })
}

fn plan(generation: i64, split: bool, reason: &str, accuracy: &str, loss: &str, p95: i64) -> EENNPlan {
    let on = |node: &str, first, last| json!({ "node": node, "firstSegment": first, "lastSegment": last });
    let all_on_box = json!({ "name": "box", "fragments": [on("box", 1, 3)] });
    let parted = json!({ "name": "split", "fragments": [on("pi", 1, 1), on("box", 2, 3)] });
    let chains = if split { json!([parted, all_on_box]) } else { json!([all_on_box]) };
    let hops_of_box = json!({ "name": "box", "hops": [hop("box", 1, 3)] });
    let hops_of_split = json!({ "name": "split", "hops": [hop("pi", 1, 1), hop("box", 2, 3)] });
    let (documents, default) = match split {
        true => (
            json!([hops_of_split, hops_of_box]),
            json!([
                { "probability": 0.4, "chain": "split", "thresholds": [0.7, 1.0] }, { "probability": 0.6, "chain": "box", "thresholds": [0.9, 0.5] },
            ]),
        ),
        false => (json!([hops_of_box]), json!([{ "probability": 1.0, "chain": "box", "thresholds": [0.0, 1.0] }])),
    };
    let door = json!([{ "probability": 1.0, "chain": "box", "thresholds": [1.0, 0.5] }]);
    let text = |choices: &Value, source: Option<&str>| {
        let choice = |one: &Value| {
            let thresholds: Vec<String> =
                one["thresholds"].as_array().into_iter().flatten().map(ToString::to_string).collect();
            let mut choice = json!({ "probability": one["probability"].to_string(), "chain": one["chain"], "thresholds": thresholds });
            if let Some(source) = source {
                choice["source"] = source.into();
            }
            choice
        };
        choices.as_array().into_iter().flatten().map(choice).collect::<Vec<_>>()
    };
    let choices = [text(&default, None), text(&door, Some("door"))].concat();
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNPlan",
        "metadata": {
            "name": format!("camera-{generation}"), "namespace": "edge", "uid": format!("p{generation}"), "generation": 1,
            "creationTimestamp": format!("2026-03-01T{:02}:00:00Z", 8 + generation),
            "ownerReferences": [{ "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "name": "camera", "uid": "u1", "controller": true }],
        },
        "spec": {
            "serviceRef": { "name": "camera" }, "generation": generation, "reason": reason, "chains": chains,
            "choices": choices,
            "policy": policy(generation, &documents, &default, &json!({ "door": door })),
            "forecast": [{ "source": "street", "rate": "15" }, { "source": "door", "rate": "5" }],
            "predicted": [
                { "lossRatio": loss, "accuracy": accuracy, "meanLatencyMilliseconds": 45, "p95LatencyMilliseconds": p95, "evaluator": "simulation" },
                { "lossRatio": "0.001", "accuracy": accuracy, "meanLatencyMilliseconds": 44, "evaluator": "decomposition" },
            ],
            "missed": if p95 > 250 { json!([{ "target": "maxP95LatencyMilliseconds", "limit": "250", "predicted": p95.to_string() }]) } else { json!([]) },
        },
    }))
}

/// Three plans of `camera`; the last one has another placement.
pub(super) fn plans() -> Vec<EENNPlan> {
    vec![
        plan(1, true, "first plan of camera", "0.8950", "0.004", 190),
        plan(2, true, "services, models, targets, nodes or the pool have changed", "0.9012", "0.002", 180),
        plan(3, false, "services, models, targets, nodes or the pool have changed", "0.8612", "0", 300),
    ]
}

/// Its target.
pub(super) fn targets() -> Vec<QoSTarget> {
    vec![read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget", "metadata": { "name": "interactive", "namespace": "edge" },
        "spec": { "maxLossRatio": "0.01", "minAccuracy": "0.88", "maxP95LatencyMilliseconds": 250 },
    }))]
}

/// Its model, and that of the other service.
pub(super) fn models() -> Vec<EENNModel> {
    let exits = ["early", "middle", "late"].map(|exit| json!({ "name": exit, "tensor": exit }));
    let model = |name: &str, namespace: &str, ready: Value| {
        read(json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNModel", "metadata": { "name": name, "namespace": namespace, "generation": 3 },
            "spec": {
                "artifact": { "uri": "pvc://models/faces.onnx" }, "input": { "name": "input", "shape": [1, 28, 28] },
                "exits": exits,
                "cuts": [{ "tensor": "cut1", "bytes": 100 }, { "tensor": "cut2", "bytes": 100 }],
            },
            "status": { "observedGeneration": 3, "exitCount": 3, "segmentCount": 3, "conditions": [ready] },
        }))
    };
    vec![
        model("faces", "edge", condition("Ready", "True", "Ready", "services can be planned with it")),
        model(
            "letters",
            "post",
            condition(
                "Ready",
                "False",
                "ExitTableNotFound",
                "there is no ConfigMap \"letters\", which spec.exitTable.uri names",
            ),
        ),
    ]
}

/// Their pool, of which one device is left out.
pub(super) fn pools() -> Vec<DevicePool> {
    let message = "2 of 3 devices can take fragments: shed is not ready";
    let device = |name: &str, state: &str| json!({ "name": name, "class": "pi4", "tier": "Gateway", "state": state, "cores": "4", "memoryBudget": "268435456" });
    vec![read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": { "name": "edge", "generation": 3 },
        "spec": { "nodeSelector": {}, "classes": [{ "name": "pi4", "tier": "Gateway" }] },
        "status": {
            "observedGeneration": 3, "deviceCount": 3, "usableDeviceCount": 2, "serviceCount": 2,
            "devices": [device("box", "Usable"), device("pi", "Usable"), device("shed", "NotReady")],
            "conditions": [condition("Accepted", "True", "Accepted", "the spec makes sense"), condition("Ready", "True", "SomeDevicesUsable", message)],
        },
    }))]
}

/// Labels that the operator gives to what belongs to a service.
fn labels(role: &str) -> Value {
    json!({ "app.kubernetes.io/managed-by": "eenn-operator", "eenn.dev/service": "camera", "eenn.dev/role": role })
}

/// What runs for `camera`.
pub(super) fn deployments() -> Vec<Deployment> {
    let deployment = |name: &str, role: &str, available: i32| {
        read(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "edge", "labels": labels(role) },
            "spec": { "replicas": 1, "selector": {}, "template": {} }, "status": { "availableReplicas": available },
        }))
    };
    vec![
        deployment("camera-f-1", "fragment", 1),
        deployment("camera-f-2", "fragment", 1),
        deployment("camera-f-3", "fragment", 1),
        deployment("camera-g-1", "gateway", 1),
        deployment("camera-g-2", "gateway", 0),
    ]
}

/// Their pods; one does not start.
pub(super) fn pods() -> Vec<Pod> {
    let pod = |name: &str, role: &str, node: &str, ready: bool| {
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image \"eenn-runtime:0.1.0\"" } });
        let state = if ready { json!({ "running": {} }) } else { waiting };
        read(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "edge", "labels": labels(role) },
            "spec": { "nodeName": node, "containers": [] },
            "status": {
                "phase": if ready { "Running" } else { "Pending" },
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                "containerStatuses": [{ "name": role, "ready": ready, "restartCount": i32::from(role == "gateway"), "image": "", "imageID": "", "state": state }],
            },
        }))
    };
    vec![
        pod("camera-f-1-abcde", "fragment", "pi", true),
        pod("camera-f-2-abcde", "fragment", "box", true),
        pod("camera-f-3-abcde", "fragment", "box", true),
        pod("camera-g-1-abcde", "gateway", "pi", true),
        pod("camera-g-2-abcde", "gateway", "box", false),
    ]
}
