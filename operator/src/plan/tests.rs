//! What services that share a device are planned with.

use super::inputs::{Candidate, Inputs, inputs};
use super::think::{Effort, Thought, think};
use crate::service::references::References;
use api::{DevicePool, EENNModel, EENNPlan, EENNPlanSpec, EENNService, QoSTarget};
use deployment::{Ask, Look};
use domain::ExitTable;
use k8s_openapi::api::core::v1::Node;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn read<T: DeserializeOwned>(object: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(object).expect("it is well formed"))
}

/// A device that serves about 19 jobs in a second, if they take all exits.
fn pool() -> Arc<DevicePool> {
    let class =
        json!({ "name": "all", "tier": "Gateway", "cores": "1", "memoryBudget": "256Ki", "speedFactor": "0.016" });
    read(json!({ "metadata": { "name": "edge" }, "spec": { "classes": [class] } }))
}

/// With another device that is fifty times as fast, and near.
fn fast_pool() -> Arc<DevicePool> {
    let class = |name: &str, tier: &str, speed: &str| {
        json!({
            "name": name, "matchLabels": { "kubernetes.io/hostname": name }, "tier": tier, "cores": "1", "memoryBudget": "256Ki",
            "speedFactor": speed,
        })
    };
    let link = json!({
        "from": { "tier": "Gateway" }, "to": { "tier": "NearEdge" }, "bytesPerSecond": "100M", "latencyMicroseconds": 100,
    });
    let classes = [class("pi", "Gateway", "0.016"), class("box", "NearEdge", "0.8")];
    read(json!({ "metadata": { "name": "edge" }, "spec": { "classes": classes, "links": [link] } }))
}

fn node(name: &str) -> Arc<Node> {
    read(json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/arch": "arm64", "kubernetes.io/hostname": name } },
        "status": {
            "capacity": { "cpu": "4", "memory": "4Gi" }, "allocatable": { "cpu": "4", "memory": "3Gi" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    }))
}

fn model() -> Arc<EENNModel> {
    let exits = (1..=6).map(|exit| json!({ "name": format!("exit{exit}"), "tensor": format!("exit{exit}") }));
    let cuts = (1..=5).map(|cut| json!({ "tensor": format!("cut{cut}"), "bytes": 9408 }));
    let times = ["111.8", "84.9", "89.0", "100.6", "169.2", "281.5"];
    let segments = times.map(|mean| json!({ "meanMicroseconds": mean, "scv": "0.03" }));
    read(json!({
        "metadata": { "name": "fashion-mnist", "namespace": "edge" },
        "spec": {
            "artifact": { "uri": "https://example.com/m.onnx", "sha256": "0".repeat(64), "size": "4Mi" },
            "input": { "name": "input", "shape": [1, 28, 28] },
            "exits": exits.collect::<Vec<_>>(), "cuts": cuts.collect::<Vec<_>>(), "profile": { "segments": segments },
        },
    }))
}

fn service(name: &str, rate: &str) -> Candidate {
    let fragment = json!({ "node": "pi", "firstSegment": 1, "lastSegment": 6 });
    let service: Arc<EENNService> = read(json!({
        "metadata": { "name": name, "namespace": "edge", "uid": name },
        "spec": {
            "modelRef": { "name": "fashion-mnist" }, "devicePoolRef": { "name": "edge" }, "qosTargetRef": { "name": "few-lost" },
            "sources": [{ "name": name, "node": "pi", "expectedRate": rate }],
            "placement": { "strategy": "Pinned", "pinned": [{ "chain": "pi", "fragments": [fragment] }] },
            "runtime": { "memoryBudget": "64Ki" },
        },
    }));
    let target: Arc<QoSTarget> =
        read(json!({ "metadata": { "name": "few-lost", "namespace": "edge" }, "spec": { "maxLossRatio": "0.01" } }));
    Candidate { service, found: References { model: model(), pool: pool(), target: Some(target) }, kept: None }
}

fn tables() -> BTreeMap<String, ExitTable> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fashion-mnist/exit-table.safetensors");
    let bytes = std::fs::read(&path).expect("the example has its table");
    let (table, _) = api::exit_table::parse(&path, &bytes).expect("it can be read");
    BTreeMap::from([("fashion-mnist".to_owned(), table)])
}

/// As far as a number of steps leads: the same on every machine.
fn thought(inputs: &Inputs, incumbent: &BTreeMap<String, EENNPlanSpec>) -> Thought {
    let effort = Effort {
        ask: Ask { budget: Duration::from_millis(300), threads: 1, ..Ask::default() },
        placements: 50,
        look: Look { arrivals: 20_000, ..Look::default() },
    };
    let steps = AtomicU64::new(0);
    let clock = || Duration::from_millis(steps.fetch_add(1, Ordering::Relaxed));
    think(inputs, &tables(), incumbent, "a test", &effort, &clock)
}

fn of(candidates: &[Candidate]) -> Inputs {
    inputs(&pool(), &[node("pi")], candidates)
}

/// What a service does that was planned for alone, at a rate that leaves little for others.
fn busy() -> EENNPlanSpec {
    let thought = thought(&of(&[service("camera", "14")]), &BTreeMap::new());
    thought.plans.get("camera").unwrap_or_else(|| panic!("{:?}", thought.notes)).clone()
}

fn paused(name: &str, rate: &str, plan: EENNPlanSpec) -> Candidate {
    Candidate { kept: Some(Arc::new(EENNPlan::new("camera-1", plan))), ..service(name, rate) }
}

#[test]
fn a_paused_service_is_planned_with_and_not_for() {
    let door = |thought: &Thought| {
        let plan = thought.plans.get("door").unwrap_or_else(|| panic!("{:?}", thought.notes)).clone();
        let accuracy = plan.predicted[0].accuracy.clone().expect("jobs are answered").get();
        (plan.choices, accuracy)
    };
    let (alone, best) = door(&thought(&of(&[service("door", "8")]), &BTreeMap::new()));
    // Its spec expects next to nothing: what counts is what it does.
    let inputs = of(&[paused("camera", "0.1", busy()), service("door", "8")]);
    let together = thought(&inputs, &BTreeMap::new());
    let (beside, accuracy) = door(&together);
    assert_eq!(together.plans.keys().collect::<Vec<_>>(), ["door"], "nothing is made for what is paused");
    assert_eq!(inputs.services.keys().collect::<Vec<_>>(), ["door"], "nothing is stored or said of it");
    assert_ne!(alone, beside, "the device is shared");
    assert!(accuracy < best, "{accuracy} beside it, {best} alone: there is less time for jobs");
}

#[test]
fn what_is_planned_with_differs_where_a_paused_service_does_something_else() {
    let hash = |plan: EENNPlanSpec| of(&[paused("camera", "0.1", plan), service("door", "8")]).hash(&BTreeMap::new());
    let plan = busy();
    let other = EENNPlanSpec { policy: plan.policy.replace("0.", "0.0"), ..plan.clone() };
    let renamed = EENNPlanSpec { reason: "another".to_owned(), ..plan.clone() };
    assert_ne!(hash(plan.clone()), hash(other));
    assert_eq!(hash(plan), hash(renamed), "what is said of a plan changes nothing");
}

#[test]
fn what_plans_do_not_depend_on_makes_no_other() {
    let hash = |at: &str, value: Value| {
        let mut door = json!(*service("door", "8").service);
        door["spec"][at] = value;
        of(&[Candidate { service: read(door), ..service("door", "8") }]).hash(&BTreeMap::new())
    };
    let before = of(&[service("door", "8")]).hash(&BTreeMap::new());
    let gateways = json!({ "memoryBudget": "64Ki", "gatewayReplicas": 3 });
    let secrets = json!([{ "name": "registry" }]);
    for (at, same) in [("runtime", gateways), ("imagePullSecrets", secrets), ("approvedPlan", json!("door-1"))] {
        assert_eq!(hash(at, same), before, "{at}");
    }
    for (at, other) in [("runtime", json!({ "memoryBudget": "32Ki" })), ("overflow", json!("AnswerWithLastExit"))] {
        assert_ne!(hash(at, other), before, "{at}");
    }
}

#[test]
fn what_people_call_fragments_is_in_no_plan() {
    let fragment = json!({ "name": "odd", "node": "box", "firstSegment": 1, "lastSegment": 6 });
    let mut door = json!(*service("door", "8").service);
    door["spec"]["placement"]["pinned"] = json!([{ "chain": "box", "fragments": [fragment] }]);
    let door = Candidate { service: read(door), ..service("door", "8") };
    let inputs = inputs(&fast_pool(), &[node("pi"), node("box")], std::slice::from_ref(&door));
    let plan = &thought(&inputs, &BTreeMap::new()).plans["door"];
    assert!(plan.policy.contains("door-1-6") && !plan.policy.contains("odd"), "{}", plan.policy);
}

#[test]
fn a_chain_over_a_tainted_node_is_not_planned_with_unless_the_pool_tolerates_it() {
    let pinned = json!([
        { "chain": "pi", "fragments": [{ "node": "pi", "firstSegment": 1, "lastSegment": 6 }] },
        { "chain": "box", "fragments": [{ "node": "box", "firstSegment": 1, "lastSegment": 6 }] },
    ]);
    let mut door = json!(*service("door", "8").service);
    door["spec"]["placement"]["pinned"] = pinned;
    let door = Candidate { service: read(door), ..service("door", "8") };
    let inputs_with = |taints: Value, tolerations: Value| {
        let mut pool = json!(*fast_pool());
        pool["spec"]["tolerations"] = tolerations;
        let mut tainted = json!(*node("box"));
        tainted["spec"] = json!({ "taints": taints });
        let nodes = [node("pi"), read(tainted)];
        inputs(&read::<DevicePool>(pool), &nodes, std::slice::from_ref(&door))
    };
    let chains = |inputs: &Inputs| {
        let thought = thought(inputs, &BTreeMap::new());
        let plan = thought.plans.get("door").unwrap_or_else(|| panic!("{:?}", thought.notes));
        (plan.chains.len(), thought.left_out.get("door").cloned().unwrap_or_default())
    };
    let taint = || json!([{ "key": "away", "effect": "NoSchedule" }]);
    let why = "has a taint that its pool does not tolerate, so that chain \"box\" is not used";
    let left_out = vec![("box".to_owned(), why.to_owned())];
    assert_eq!(chains(&inputs_with(taint(), json!([]))), (1, left_out));
    let tolerant = || json!([{ "key": "away" }]);
    assert_eq!(chains(&inputs_with(taint(), tolerant())), (2, vec![]));
    let hash = |taints, tolerations| inputs_with(taints, tolerations).hash(&BTreeMap::new());
    assert_eq!(hash(taint(), tolerant()), hash(json!([]), tolerant()), "it changes nothing");
    assert_ne!(hash(taint(), json!([])), hash(json!([]), json!([])));
}

#[test]
fn what_moves_because_it_is_better_is_known_and_can_be_held() {
    let door = || {
        // Too much for the slow device, unless nearly all leave at the first exit.
        let mut door = service("door", "120");
        Arc::make_mut(&mut door.service).spec.placement = api::Placement::default();
        door
    };
    let nodes = |thought: &Thought| -> Vec<String> {
        let plan = thought.plans.get("door").unwrap_or_else(|| panic!("{:?}", thought.notes));
        plan.chains.iter().flat_map(|chain| &chain.fragments).map(|one| one.node.to_string()).collect()
    };
    let first = thought(&of(&[door()]), &BTreeMap::new());
    assert_eq!((nodes(&first), first.moved.len()), (vec!["pi".to_owned()], 0), "there is nothing else");
    let before = first.plans;
    let inputs = inputs(&fast_pool(), &[node("pi"), node("box")], &[door()]);
    let better = thought(&inputs, &before);
    assert!(nodes(&better).contains(&"box".to_owned()), "{:?}", nodes(&better));
    assert_eq!(better.moved.iter().collect::<Vec<_>>(), ["door"]);
    let held = BTreeMap::from([("door".to_owned(), before["door"].chains.clone())]);
    let stays = thought(&inputs.holding(&held), &before);
    assert_eq!((nodes(&stays), stays.moved.len()), (vec!["pi".to_owned()], 0));
}
