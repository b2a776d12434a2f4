use super::*;
use api::Artifact;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is well formed")
}

fn service(change: impl FnOnce(&mut Value)) -> EENNService {
    let mut service = json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService",
        "metadata": { "name": "camera", "namespace": "edge", "uid": "u1" },
        "spec": {
            "modelRef": { "name": "m" }, "devicePoolRef": { "name": "p" },
            "sources": [{ "name": "s", "node": "pi", "expectedRate": "30" }, { "name": "t", "node": "box", "expectedRate": "10" }],
        },
    });
    change(&mut service);
    read(service)
}

fn model(artifact: Value) -> EENNModel {
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNModel", "metadata": { "name": "m", "namespace": "edge" },
        "spec": {
            "artifact": artifact, "input": { "name": "input", "shape": [1, 28, 28] },
            "exits": [{ "name": "e1", "tensor": "e1" }, { "name": "e2", "tensor": "e2" }], "cuts": [{ "tensor": "c1", "bytes": 100 }],
        },
    }))
}

fn pool() -> DevicePool {
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": { "name": "p" },
        "spec": {
            "classes": [{ "name": "all", "tier": "Gateway" }],
            "tolerations": [{ "key": "edge", "operator": "Equal", "value": "yes", "effect": "NoSchedule" }],
        },
    }))
}

fn plan(threshold: f64) -> EENNPlan {
    let hop = |device: &str, first: usize, last: usize| json!({ "fragment": "x", "device": device, "address": "", "firstSegment": first, "lastSegment": last });
    let policy = json!({
        "service": "alias", "version": { "transitions": 0, "generation": 1 },
        "chains": [{ "name": "a", "hops": [hop("pi", 1, 1), hop("box", 2, 2)] }],
        "default": [{ "probability": 1.0, "chain": "a", "thresholds": [threshold] }],
        "rates": {
            "forecastPerSecond": 40.0, "measured": { "window": { "seconds": 1.0 } },
            "rows": [{ "upTo": 1.0, "default": [{ "probability": 1.0, "chain": "a", "thresholds": [threshold] }] }],
        },
    });
    let fragment = |node: &str, segment: i32| json!({ "node": node, "firstSegment": segment, "lastSegment": segment });
    read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNPlan", "metadata": { "name": "camera-1", "namespace": "edge" },
        "spec": {
            "serviceRef": { "name": "camera" }, "generation": 1, "reason": "", "policy": policy.to_string(), "choices": [], "forecast": [],
            "predicted": [], "chains": [{ "name": "a", "fragments": [fragment("pi", 1), fragment("box", 2)] }],
        },
    }))
}

fn https() -> Value {
    json!({ "uri": "https://example.com/m.onnx", "sha256": "0".repeat(64), "size": "4Mi" })
}

fn built(service: &EENNService, artifact: Value, plan: &EENNPlan) -> Children {
    let (model, pool) = (model(artifact), pool());
    let version = PolicyVersion { transitions: 3, generation: 1 };
    let operator = Operator { name: "eenn", namespace: "eenn-system" };
    children(&Blueprint { service, model: &model, pool: &pool, plan, image: "runtime:1", version, operator })
}

fn usual() -> Children {
    built(&service(|_| {}), https(), &plan(0.7))
}

#[test]
fn there_is_a_pod_per_fragment_and_per_node_with_sources() {
    let children = usual();
    assert_eq!((children.fragments.len(), children.gateways.len(), children.config_maps.len()), (2, 2, 4));
    // One each, and one for all gateways.
    assert_eq!(children.services.len(), 5);
    assert!(children.budgets.is_empty());
    let several = built(&service(|it| it["spec"]["runtime"] = json!({ "gatewayReplicas": 2 })), https(), &plan(0.7));
    assert_eq!(several.budgets.len(), 2);
    assert!(several.gateways.iter().all(|one| one.spec.replicas == Some(2)));
}

#[test]
fn only_gateways_of_a_node_have_an_address() {
    let children = usual();
    let spec = |one: &Service| one.spec.clone().expect("Services have one");
    let has_address = |one: &&Service| spec(one).cluster_ip.is_none();
    let found: BTreeSet<String> = children.services.iter().filter(has_address).map(ResourceExt::name_any).collect();
    assert_eq!(found, ["pi", "box"].map(|node| gateway::endpoint("camera", node)).into());
}

#[test]
fn a_new_policy_touches_no_pod() {
    let (before, after) = (usual(), built(&service(|_| {}), https(), &plan(0.9)));
    assert_eq!(
        (&before.fragments, &before.gateways, &before.services),
        (&after.fragments, &after.gateways, &after.services)
    );
    let changed: Vec<_> = before.config_maps.iter().zip(&after.config_maps).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 2, "those of the gateways");
}

#[test]
fn another_size_is_another_deployment() {
    let (before, after) =
        (usual(), built(&service(|it| it["spec"]["runtime"] = json!({ "memoryBudget": "1Mi" })), https(), &plan(0.7)));
    for (a, b) in before.fragments.iter().zip(&after.fragments) {
        assert_ne!(a.name_any(), b.name_any());
    }
    // It follows the same plan, and would not take other addresses for it.
    for (a, b) in before.gateways.iter().zip(&after.gateways) {
        assert_ne!(a.name_any(), b.name_any());
    }
}

#[test]
fn gateways_that_see_another_share_of_the_forecast_are_other_ones() {
    let (one, two) =
        (usual(), built(&service(|it| it["spec"]["runtime"] = json!({ "gatewayReplicas": 2 })), https(), &plan(0.7)));
    let of = |children: &Children| {
        let policy = &children.policies[&children.gateways[0].name_any()];
        (policy.version, policy.rates.as_ref().map(|rates| rates.forecast_per_second))
    };
    // One that runs takes no other policy with the version that it follows.
    let version = PolicyVersion { transitions: 3, generation: 1 };
    assert_eq!((of(&one), of(&two)), ((version, Some(10.0)), (version, Some(5.0))));
    assert_ne!(one.gateways[0].name_any(), two.gateways[0].name_any());
    assert_eq!(one.fragments, two.fragments);
}

#[test]
fn gateways_get_the_time_that_jobs_may_take_to_end() {
    let grace = |milliseconds: Option<u64>| {
        let deadline = |it: &mut Value| it["spec"]["deadlineMilliseconds"] = json!(milliseconds);
        let children = built(&service(deadline), https(), &plan(0.7));
        let of = |one: &Deployment| one.spec.template.spec.clone()?.termination_grace_period_seconds;
        (of(&children.gateways[0]), of(&children.fragments[0]))
    };
    assert_eq!(grace(None), (Some(40), Some(40)));
    assert_eq!(grace(Some(500)), (Some(40), Some(40)));
    assert_eq!(grace(Some(90_000)), (Some(101), Some(40)));
}

#[test]
fn a_gateway_knows_where_fragments_are_and_its_share_of_the_forecast() {
    let children = usual();
    let config = children.config_maps.iter().find(|one| one.name_any() == children.gateways[1].name_any());
    let text = &config.and_then(|one| one.data.as_ref()).expect("it has one")["config.json"];
    let document: wire::document::GatewayDocument = serde_json::from_str(text).expect("gateways read it");
    assert_eq!((document.device.as_str(), document.policy.service.as_str()), ("pi", "camera"));
    assert_eq!(document.policy.version, PolicyVersion { transitions: 3, generation: 1 });
    assert_eq!(document.policy.rates.map(|rates| rates.forecast_per_second), Some(30.0));
    let hops = &document.policy.chains[0].hops;
    let services: Vec<String> = children.services.iter().map(ResourceExt::name_any).collect();
    for (hop, fragment) in hops.iter().zip(["camera-1-1", "camera-2-2"]) {
        let (host, port) = hop.address.split_once(':').expect("host:port");
        assert!(
            services.iter().any(|service| host == format!("{service}.edge.svc")),
            "{host} is not among {services:?}"
        );
        assert_eq!((port, hop.fragment.as_str()), ("9000", fragment));
    }
}

#[test]
fn processes_show_a_certificate_and_take_orders_from_the_operator_only() {
    let children = usual();
    for config in &children.config_maps {
        let text = &config.data.as_ref().expect("it has some")["config.json"];
        let document: Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(document["tls"]["name"], "camera.edge.svc");
        assert_eq!(document["tls"]["control"], json!({ "listen": "0.0.0.0:9443", "peer": "eenn.operator.eenn.dev" }));
        assert_eq!(document["tls"]["folder"], "/etc/eenn-tls");
    }
    for deployment in children.fragments.iter().chain(&children.gateways) {
        let pod = deployment.spec.template.spec.as_ref().expect("there is a pod");
        let secrets: Vec<_> = pod.volumes.iter().flatten().filter_map(|one| one.secret.as_ref()).collect();
        assert_eq!(secrets[0].secret_name.as_deref(), Some("camera-certificates"));
        let mounts: Vec<_> = pod.containers[0].volume_mounts.iter().flatten().map(|one| &*one.mount_path).collect();
        assert!(mounts.contains(&"/etc/eenn-tls"), "{mounts:?}");
        let before = pod.init_containers.iter().flatten().flat_map(|one| one.volume_mounts.iter().flatten());
        assert!(before.into_iter().all(|mount| mount.mount_path != "/etc/eenn-tls"), "a download needs none");
    }
    for policy in &children.network_policies {
        let rules = serde_json::to_value(policy.spec.as_ref().expect("it has one")).expect("it is JSON");
        assert_eq!(rules["ingress"][1]["ports"][0]["port"], 9443);
        let from = &rules["ingress"][1]["from"][0]["namespaceSelector"]["matchLabels"];
        assert_eq!(from["kubernetes.io/metadata.name"], "eenn-system");
    }
    let told: Vec<&String> = children.policies.keys().collect();
    let mut gateways: Vec<String> = children.gateways.iter().map(ResourceExt::name_any).collect();
    gateways.sort();
    assert!(told.into_iter().eq(&gateways) && gateways.len() == 2, "{gateways:?}");
}

#[test]
fn pods_may_do_nothing_but_their_work() {
    let children = usual();
    for deployment in children.fragments.iter().chain(&children.gateways) {
        let pod = deployment.spec.template.spec.as_ref().expect("there is a pod");
        assert_eq!(pod.automount_service_account_token, Some(false));
        let security = pod.security_context.as_ref().expect("it has one");
        assert_eq!(
            (security.run_as_non_root, security.seccomp_profile.as_ref().map(|it| it.type_.as_str())),
            (Some(true), Some("RuntimeDefault"))
        );
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            assert_eq!(container.security_context, Some(pod::locked_down()), "{}", container.name);
            let resources = container.resources.as_ref().expect("it has some");
            let memory = [&resources.requests, &resources.limits].map(|list| list.as_ref().map(|list| &list["memory"]));
            assert!(memory[0].is_some() && memory[0] == memory[1], "{}: {memory:?}", container.name);
        }
        let told = deployment.annotations()[labels::MEMORY].parse::<u64>().expect("it is a number");
        let asked = pod.containers[0].resources.as_ref().and_then(|it| it.requests.as_ref()).expect("it asks for some");
        let replicas = deployment.spec.replicas.expect("it says how many").unsigned_abs();
        assert_eq!(
            told.to_string(),
            (asked["memory"].0.parse::<u64>().expect("bytes") * u64::from(replicas)).to_string()
        );
        let tolerated: Vec<_> = pod.tolerations.iter().flatten().filter_map(|one| one.key.as_deref()).collect();
        let of_nodes = ["not-ready", "unreachable", "memory-pressure"].map(|key| format!("node.kubernetes.io/{key}"));
        assert_eq!(tolerated, of_nodes.iter().map(String::as_str).chain(["edge"]).collect::<Vec<_>>());
    }
}

#[test]
fn everything_goes_with_the_service() {
    let children = usual();
    let metadata = [&children.account.metadata].into_iter();
    let metadata = metadata.chain(children.config_maps.iter().map(|one| &one.metadata));
    let metadata = metadata.chain(children.services.iter().map(|one| &one.metadata));
    let metadata = metadata.chain(children.network_policies.iter().map(|one| &one.metadata));
    for metadata in metadata.chain(children.fragments.iter().map(|one| &one.metadata)) {
        let owners = metadata.owner_references.as_ref().expect("it is owned");
        assert_eq!((owners[0].uid.as_str(), owners[0].controller), ("u1", Some(true)));
        assert!(metadata.name.as_ref().is_some_and(|name| name.len() <= 63));
    }
}

#[test]
fn the_file_of_a_model_is_fetched_or_mounted() {
    let delivered = |artifact: Value| delivery::delivery(&read::<Artifact>(artifact), "runtime:1");
    let found = delivered(
        json!({ "uri": "s3://bucket/key.onnx", "sha256": "1".repeat(64), "size": "4Mi", "credentialsSecretRef": { "name": "keys" } }),
    );
    let init = found.init.expect("it is fetched");
    let args = init.args.expect("it has some").join(" ");
    assert_eq!(
        args,
        format!("fetch --uri s3://bucket/key.onnx --sha256 {} --to /model/model.onnx --limit 4194304", "1".repeat(64))
    );
    assert_eq!(init.env_from.expect("it has keys")[0].secret_ref.as_ref().expect("of a secret").name, "keys");
    assert_eq!(found.mount.read_only, Some(true));
    let found = delivered(json!({ "uri": "pvc://models/a/b.onnx" }));
    assert_eq!(
        (found.file.as_str(), found.volumes[0].persistent_volume_claim.as_ref().map(|it| it.claim_name.as_str())),
        ("/model/a/b.onnx", Some("models"))
    );
    let found = delivered(json!({ "uri": "configmap://tiny/m.onnx" }));
    assert_eq!(
        (found.file.as_str(), found.volumes[0].config_map.as_ref().map(|it| it.name.as_str())),
        ("/model/model.onnx", Some("tiny"))
    );
    // With a digest it is copied, so that it is checked.
    let found = delivered(json!({ "uri": "configmap://tiny/m.onnx", "sha256": "1".repeat(64), "size": "1Mi" }));
    let init = found.init.expect("it is copied");
    let args = init.args.expect("it has some").join(" ");
    let sha = "1".repeat(64);
    assert_eq!(args, format!("fetch --uri /source/model.onnx --sha256 {sha} --to /model/model.onnx --limit 1048576"));
    let mounts: Vec<_> = init.volume_mounts.iter().flatten().map(|one| (&*one.name, &*one.mount_path)).collect();
    assert_eq!(mounts, [("model", "/model"), ("model-source", "/source")]);
    let [kept, from] = &found.volumes[..] else { panic!("{:?}", found.volumes) };
    assert!(kept.empty_dir.as_ref().is_some_and(|dir| dir.size_limit.is_some()), "{kept:?}");
    assert_eq!(from.config_map.as_ref().map(|it| it.name.as_str()), Some("tiny"));
    assert_eq!((found.file.as_str(), init.env_from), ("/model/model.onnx", None));
    let found = delivered(json!({ "uri": "oci://registry.example/m:1" }));
    assert_eq!(found.volumes[0].image.as_ref().and_then(|it| it.reference.as_deref()), Some("registry.example/m:1"));
    let error =
        delivery::check(&read(json!({ "uri": "file://m.onnx" })), "spec.artifact").expect_err("no pod reads it");
    assert!(error.contains("only local mode"), "{error}");
}
