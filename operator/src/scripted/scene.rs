//! A service that is planned for, with what it names, as caches hold it.

use super::server::{Server, Write};
use crate::cache::{Cache, Keep, Key, Watched};
use crate::caches::Caches;
use crate::cluster::Cluster;
use crate::identity::Identity;
use crate::lease::Leadership;
use crate::outline;
use crate::service::labels;
use crate::{Context, clock};
use api::EENNPlan;
use k8s_openapi::ByteString;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Of the service.
pub(super) fn key() -> Key {
    Key::new("edge", "camera")
}

/// An operator that has listed everything of a service that is not planned for yet.
pub(super) fn context(server: &Arc<Server>) -> Context {
    let context = Context {
        cluster: Cluster::new(server.client(), Leadership::alone(), Arc::default()),
        caches: Caches::default(),
        operator_name: "eenn".to_owned(),
        namespace: "eenn-system".to_owned(),
        serves_one_namespace: false,
        identity: Identity::made(),
        certified: Default::default(),
        addresses: server.book.addresses(),
        standings: Default::default(),
        measuring: Default::default(),
        image_volumes: Default::default(),
        metrics: Default::default(),
        runtime_image: "runtime:1".to_owned(),
        applied: Default::default(),
        drains: Default::default(),
        tables: Default::default(),
        tried: Default::default(),
        losses: Default::default(),
        planning: Default::default(),
        plan_notes: Default::default(),
        steps: Default::default(),
    };
    let caches = &context.caches;
    put::<api::DevicePool>(&caches.pools, pool());
    put::<api::EENNModel>(&caches.models, model());
    put::<api::EENNService>(&caches.services, service());
    for node in nodes() {
        put::<k8s_openapi::api::core::v1::Node>(&caches.nodes, node);
    }
    head(&caches.config_maps, json!({ "name": "fashion-mnist", "namespace": "edge", "resourceVersion": "5" }));
    context
}

/// A pod of a gateway, which takes requests, or is about to end.
pub(super) fn gateway_pod(context: &Context, workload: &str, ends: bool) {
    let labels = json!({ labels::SERVICE: "camera", labels::ROLE: "gateway", labels::WORKLOAD: workload });
    let mut metadata = json!({
        "name": format!("{workload}-x"), "namespace": "edge", "labels": labels, "annotations": { labels::NODE: "pi" },
    });
    if ends {
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    let ready = json!([{ "type": "Ready", "status": if ends { "False" } else { "True" } }]);
    let status = json!({ "phase": "Running", "conditions": ready });
    put::<outline::Pod>(&context.caches.pods, json!({ "metadata": metadata, "status": status }));
}

/// Nothing is left of the Deployment of a gateway, or of its pod.
pub(super) fn gateway_is_gone(context: &Context, workload: &str, pod: bool) {
    match pod {
        true => drop(context.caches.pods.put(Key::new("edge", format!("{workload}-x")), None)),
        false => drop(context.caches.deployments.put(Key::new("edge", workload), None)),
    }
}

/// Plans of the service, from the first to the newest.
pub(super) fn plans(context: &Context, count: i64) {
    (1..=count).for_each(|generation| put::<EENNPlan>(&context.caches.plans, plan(generation)));
}

/// What was written is there, pods are ready, and there are older ones that have been drained.
pub(super) fn grown(context: &Context, writes: &[Write]) {
    let caches = &context.caches;
    for write in writes.iter().filter(|write| !write.tells()) {
        let metadata = write.body["metadata"].clone();
        match write.body["kind"].as_str().unwrap_or_default() {
            "Deployment" => {
                let ready = json!({ "availableReplicas": 2, "updatedReplicas": 2, "observedGeneration": 1 });
                rolled(context, write, ready);
            }
            "ConfigMap" => head(&caches.config_maps, metadata),
            "Service" => head(&caches.endpoints, metadata),
            _ => {}
        }
    }
    let old = |name: &str| {
        json!({
            "name": name, "namespace": "edge", "uid": name, "labels": labels::of_service("camera"), "ownerReferences": owner(),
        })
    };
    let template = json!({ "metadata": {}, "spec": { "containers": [] } });
    put::<outline::Deployment>(
        &caches.deployments,
        json!({ "metadata": old("old-pods"), "spec": { "selector": {}, "template": template }, "status": away() }),
    );
    head(&caches.config_maps, old("old-configuration"));
    head(&caches.endpoints, old("old-address"));
    head(&caches.budgets, old("old-budget"));
    context.drains.begun(&key(), &["old-pods".to_owned()]);
}

/// The Deployment that was written is there, with this status.
pub(super) fn rolled(context: &Context, write: &Write, status: Value) {
    let mut object = write.body.clone();
    (object["status"], object["metadata"]["generation"]) = (status, 1.into());
    put::<outline::Deployment>(&context.caches.deployments, object);
}

/// The status of a Deployment whose pods have served, and whose node is away for now.
pub(super) fn away() -> Value {
    let done = json!({ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" });
    json!({ "availableReplicas": 0, "updatedReplicas": 1, "observedGeneration": 1, "conditions": [done] })
}

/// A plan of that name, which has other owners.
pub(super) fn owned_plan(context: &Context, generation: i64, owners: Value) {
    let mut plan = plan(generation);
    plan["metadata"]["ownerReferences"] = owners;
    put::<EENNPlan>(&context.caches.plans, plan);
}

/// The service is to stay as it is.
pub(super) fn paused(context: &Context) {
    annotated(context, labels::PAUSED, "true");
}

/// Pods of the service that are replaced go first.
pub(super) fn breaks_first(context: &Context) {
    annotated(context, labels::REPLACEMENT, "BreakBeforeMake");
}

fn annotated(context: &Context, name: &str, value: &str) {
    change_service(context, |service| service["metadata"]["annotations"] = json!({ name: value }));
}

/// Users were told that all is well.
pub(super) fn ready(context: &Context) {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    change_service(context, |service| {
        service["status"] = json!({ "observedGeneration": 1, "lastPlanGeneration": 1, "conditions": [ready] });
    });
}

fn change_service(context: &Context, change: impl FnOnce(&mut Value)) {
    let service = context.caches.services.get(&key()).expect("it is there");
    let mut service = serde_json::to_value(&*service).expect("it has no keys but text");
    change(&mut service);
    put::<api::EENNService>(&context.caches.services, service);
}

/// A service in that namespace, with a model of its own, has images that need this Secret.
pub(super) fn secretive(context: &Context, namespace: &str, secret: &str) {
    let mut service = service();
    service["metadata"]["namespace"] = namespace.into();
    service["metadata"]["uid"] = namespace.into();
    service["spec"]["imagePullSecrets"] = json!([{ "name": secret }]);
    put::<api::EENNService>(&context.caches.services, service);
    if context.caches.models.get(&Key::new(namespace, "fashion-mnist")).is_none() {
        let mut model = model();
        model["metadata"]["namespace"] = namespace.into();
        put::<api::EENNModel>(&context.caches.models, model);
    }
}

/// There is a second node, which this changes.
pub(super) fn second_node(context: &Context, change: impl FnOnce(&mut Value)) {
    let mut node = nodes().remove(0);
    node["metadata"]["name"] = "box".into();
    change(&mut node);
    put::<k8s_openapi::api::core::v1::Node>(&context.caches.nodes, node);
}

/// The service is to use a node that there is not.
pub(super) fn nowhere(context: &Context) {
    change_service(context, |service| {
        service["spec"]["placement"]["pinned"][0]["fragments"][0]["node"] = "nowhere".into();
    });
}

/// The service has a chain over another node, too, which is gone.
pub(super) fn lost_chain(context: &Context) {
    second_node(context, |node| node["status"]["conditions"] = json!([{ "type": "Ready", "status": "Unknown" }]));
    let pinned =
        |node: &str| json!({ "chain": node, "fragments": [{ "node": node, "firstSegment": 1, "lastSegment": 6 }] });
    change_service(context, |service| service["spec"]["placement"]["pinned"] = json!([pinned("pi"), pinned("box")]));
}

/// Jobs may also go over another node, which was there.
pub(super) fn lost_node(context: &Context) {
    second_node(context, |node| node["status"]["conditions"] = json!([{ "type": "Ready", "status": "Unknown" }]));
    let mut plan = plan(1);
    let mut chain = plan["spec"]["chains"][0].clone();
    (chain["name"], chain["fragments"][0]["node"]) = ("box".into(), "box".into());
    plan["spec"]["chains"].as_array_mut().expect("it has chains").push(chain);
    let mut policy: Value =
        serde_json::from_str(plan["spec"]["policy"].as_str().expect("it is text")).expect("it is JSON");
    let mut chain = policy["chains"][0].clone();
    (chain["name"], chain["hops"][0]["device"]) = ("box".into(), "box".into());
    policy["chains"].as_array_mut().expect("it has chains").push(chain);
    let mut way = policy["default"][0].clone();
    way["chain"] = "box".into();
    policy["default"].as_array_mut().expect("it has ways").push(way);
    for way in 0..2 {
        policy["default"][way]["probability"] = 0.5.into();
    }
    plan["spec"]["policy"] = policy.to_string().into();
    put::<EENNPlan>(&context.caches.plans, plan);
}

/// The next plan has another chain, which no job takes.
pub(super) fn spare_chain(context: &Context, generation: i64) {
    let mut plan = plan(generation);
    let half = |first: u32, last: u32| json!({ "node": "pi", "firstSegment": first, "lastSegment": last });
    let chains = plan["spec"]["chains"].as_array_mut().expect("it has chains");
    chains.push(json!({ "name": "spare", "fragments": [half(1, 3), half(4, 6)] }));
    put::<EENNPlan>(&context.caches.plans, plan);
}

/// Placements of the service wait for approval, and the first one has it.
pub(super) fn manual(context: &Context) {
    let mut service = service();
    service["spec"]["planning"] = "Manual".into();
    service["spec"]["approvedPlan"] = "camera-1".into();
    put::<api::EENNService>(&context.caches.services, service);
}

/// The first plan is in force again after a second one was.
pub(super) fn back(context: &Context) {
    manual(context);
    plans(context, 1);
    spare_chain(context, 2);
    let second = context.caches.plans.get(&Key::new("edge", "camera-2")).expect("it is there");
    let mut second = serde_json::to_value(&*second).expect("it has no keys but text");
    let condition = json!({
        "type": "InForce", "status": "False", "reason": "Superseded", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    second["status"] = json!({ "observedGeneration": 1, "conditions": [condition] });
    put::<EENNPlan>(&context.caches.plans, second);
}

/// The object whose status is set at a path.
pub(super) fn with_status(path: &str) -> Value {
    let name = path.trim_end_matches("/status").rsplit('/').next().unwrap_or_default();
    let generation = name.strip_prefix("camera-").and_then(|number| number.parse().ok());
    match name {
        "edge" => pool(),
        "fashion-mnist" => model(),
        "camera" => service(),
        "interactive" => json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget", "metadata": { "name": name, "namespace": "edge" }, "spec": {},
        }),
        _ => plan(generation.unwrap_or(1)),
    }
}

/// Of the example.
pub(super) fn exit_table() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fashion-mnist/exit-table.safetensors");
    std::fs::read(path).expect("the example has its table")
}

/// As it is read by `get`.
pub(super) fn config_map() -> Value {
    let table = ByteString(exit_table());
    let metadata = json!({ "name": "fashion-mnist", "namespace": "edge", "resourceVersion": "5" });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": { "exit-table.safetensors": table } })
}

pub(super) fn put<K: DeserializeOwned + Keep>(cache: &Cache<K::Kept>, object: Value) {
    let object: K = serde_json::from_value(object).expect("it is well formed");
    cache.put(Key::of(&object), Some(Arc::new(object.keep())));
}

fn head<K>(cache: &Cache<crate::head::Head<K>>, metadata: Value)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let partial: PartialObjectMeta<K> =
        serde_json::from_value(json!({ "metadata": metadata })).expect("it is well formed");
    let head = partial.read().expect("metadata can be read");
    cache.put(head.key.clone(), Some(Arc::new(head)));
}

fn owner() -> Value {
    json!([{ "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "name": "camera", "uid": "u1", "controller": true }])
}

fn service() -> Value {
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService",
        "metadata": { "name": "camera", "namespace": "edge", "uid": "u1", "generation": 1 },
        "spec": {
            "modelRef": { "name": "fashion-mnist" }, "devicePoolRef": { "name": "edge" }, "scheduler": { "type": "ExitLast" },
            "sources": [{ "name": "camera", "node": "pi", "expectedRate": "5" }],
            "placement": { "strategy": "Pinned", "pinned": [{ "chain": "pi", "fragments": [fragment()] }] },
            "runtime": { "memoryBudget": "64Ki", "gatewayMemoryBudget": "16Mi", "gatewayReplicas": 2 },
        },
    })
}

fn fragment() -> Value {
    json!({ "node": "pi", "firstSegment": 1, "lastSegment": 6 })
}

/// All is known of it.
pub(super) fn model() -> Value {
    let exits: Vec<Value> =
        (1..=6).map(|exit| json!({ "name": format!("exit{exit}"), "tensor": format!("exit{exit}") })).collect();
    let cuts: Vec<Value> = (1..=5).map(|cut| json!({ "tensor": format!("cut{cut}"), "bytes": 9408 })).collect();
    let now = clock::timestamp();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": now, "observedGeneration": 1,
    });
    let time = json!({ "meanMicroseconds": "100", "scv": "0.03" });
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNModel",
        "metadata": { "name": "fashion-mnist", "namespace": "edge", "uid": "u2", "generation": 1 },
        "spec": {
            "artifact": { "uri": "https://example.com/m.onnx", "sha256": "0".repeat(64), "size": "4Mi" },
            "input": { "name": "input", "shape": [1, 28, 28] }, "exits": exits,
            "cuts": cuts,
            "exitTable": { "uri": "configmap://fashion-mnist/exit-table.safetensors" },
            "profile": { "segments": vec![time; 6] },
        },
        "status": { "observedGeneration": 1, "conditions": [ready], "exitCount": 6, "segmentCount": 6 },
    })
}

/// With one class, whose speed is known.
pub(super) fn pool() -> Value {
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": { "name": "edge", "uid": "u3", "generation": 1 },
        "spec": { "classes": [{ "name": "all", "tier": "Gateway", "cores": "1", "memoryBudget": "256Ki", "speedFactor": "0.016" }] },
    })
}

fn nodes() -> Vec<Value> {
    let node = json!({
        "metadata": { "name": "pi", "uid": "u4", "labels": { "kubernetes.io/arch": "arm64" } },
        "status": {
            "capacity": { "cpu": "4", "memory": "4Gi" }, "allocatable": { "cpu": "4", "memory": "3Gi" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    });
    vec![node]
}

fn plan(generation: i64) -> Value {
    let hop = json!({ "fragment": "x", "device": "pi", "address": "", "firstSegment": 1, "lastSegment": 6 });
    let policy = json!({
        "service": "camera", "version": { "transitions": 0, "generation": generation }, "chains": [{ "name": "pi", "hops": [hop] }],
        "default": [{ "probability": 1.0, "chain": "pi", "thresholds": [1.0, 1.0, 1.0, 1.0, 1.0] }],
    });
    let plan = json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNPlan",
        "metadata": { "name": format!("camera-{generation}"), "namespace": "edge", "uid": format!("p{generation}"), "ownerReferences": owner() },
        "spec": {
            "serviceRef": { "name": "camera" }, "generation": generation, "reason": "", "policy": policy.to_string(), "choices": [],
            "forecast": [], "predicted": [], "chains": [{ "name": "pi", "fragments": [fragment()] }],
        },
    });
    // It must be one: otherwise tests would look at a service without a plan.
    let _: EENNPlan = serde_json::from_value(plan.clone()).expect("it is a plan");
    plan
}

/// The model as it is, but for this.
pub(super) fn change_model(context: &Context, change: impl FnOnce(&mut Value)) {
    let there = context.caches.models.get(&Key::new("edge", "fashion-mnist")).expect("it is there");
    let mut model = serde_json::to_value(&*there).expect("it has no keys but text");
    change(&mut model);
    put::<api::EENNModel>(&context.caches.models, model);
}

/// ConfigMaps that were written are there.
pub(super) fn bring_config_maps(context: &Context, writes: &[Write]) {
    let written = writes.iter().filter(|write| write.body["kind"] == "ConfigMap");
    written.for_each(|write| head(&context.caches.config_maps, write.body["metadata"].clone()));
}

/// The service keeps to a target, by whichever policy is best.
pub(super) fn demanding(context: &Context) {
    let mut service = service();
    service["spec"].as_object_mut().expect("it has a spec").remove("scheduler");
    service["spec"]["qosTargetRef"] = json!({ "name": target(context).name });
    put::<api::EENNService>(&context.caches.services, service);
}

/// A target, which nobody keeps to yet.
pub(super) fn target(context: &Context) -> Key {
    put::<api::QoSTarget>(
        &context.caches.targets,
        json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget",
            "metadata": { "name": "interactive", "namespace": "edge", "uid": "u5", "generation": 1 },
            "spec": { "maxLossRatio": "0.01" },
        }),
    );
    Key::new("edge", "interactive")
}

/// The plans that were created are there, made for something else than what there is now.
pub(super) fn planned(context: &Context, writes: &[Write]) {
    for write in writes.iter().filter(|write| write.what.starts_with("POST") && write.body["kind"] == "EENNPlan") {
        let mut plan = write.body.clone();
        plan["metadata"]["annotations"][labels::INPUTS] = "other".into();
        plan["metadata"]["uid"] = "p1".into();
        put::<EENNPlan>(&context.caches.plans, plan);
    }
}
