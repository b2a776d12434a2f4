//! The operator against a real API server: what users see of it, and what holds when things fail.

mod collector;
mod failpoints;
mod faults;
mod measurements;
mod mutation;
mod processes;
mod proxy;
mod rights;
mod scene;
mod stage;
mod telemetry;

use anyhow::ensure;
use cluster_tests::{Test, run};
use collector::Collector;
use control_plane::Binary;
use processes::{Processes, send};
use scene::{NAMESPACE, Scene};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

const SERVICE: &str = "eennservice/camera";
/// Everything that the operator makes or writes to.
const ALL: &str = "eennservices,eennmodels,eennplans,qostargets,deployments,configmaps,services,secrets,serviceaccounts,networkpolicies";

const TESTS: &[Test] = &[
    ("a_service_becomes_ready_and_shows_its_plan", a_service_becomes_ready_and_shows_its_plan),
    ("the_commands_of_the_guide_end_in_pods", the_commands_of_the_guide_end_in_pods),
    ("nothing_is_written_when_nothing_changes", nothing_is_written_when_nothing_changes),
    ("what_is_deleted_comes_back", what_is_deleted_comes_back),
    ("a_missing_reference_is_told_and_recovers", a_missing_reference_is_told_and_recovers),
    ("a_placement_waits_for_approval", a_placement_waits_for_approval),
    ("a_cordoned_node_is_left_after_others_have_taken_over", a_cordoned_node_is_left_after_others_have_taken_over),
    ("a_leader_that_dies_is_followed", a_leader_that_dies_is_followed),
    ("a_leader_that_was_frozen_writes_nothing_any_more", a_leader_that_was_frozen_writes_nothing_any_more),
    ("an_api_server_that_was_away_is_caught_up_with", an_api_server_that_was_away_is_caught_up_with),
    ("an_object_that_cannot_be_read_stops_no_other", an_object_that_cannot_be_read_stops_no_other),
    ("a_deleted_service_leaves_nothing", a_deleted_service_leaves_nothing),
    ("pods_without_room_beside_old_ones_are_told_and_let_in", pods_without_room_beside_old_ones_are_told_and_let_in),
    ("a_service_made_again_is_planned_again", a_service_made_again_is_planned_again),
    ("what_others_have_made_is_left_alone", what_others_have_made_is_left_alone),
    ("what_is_paused_is_left_alone_and_says_so", what_is_paused_is_left_alone_and_says_so),
    ("a_lost_node_is_done_without_before_anything_is_planned", a_lost_node_is_done_without_before_anything_is_planned),
    ("gateways_are_told_and_plans_follow_the_load", gateways_are_told_and_plans_follow_the_load),
    ("what_a_model_does_not_say_is_measured", measurements::what_a_model_does_not_say_is_measured),
    ("a_class_without_speed_is_measured", measurements::a_class_without_speed_is_measured),
    ("images_are_mounted_only_where_the_cluster_can", measurements::images_are_mounted_only_where_the_cluster_can),
];

fn main() -> ExitCode {
    let tests = [TESTS, failpoints::TESTS, faults::TESTS, mutation::TESTS, rights::TESTS, telemetry::TESTS].concat();
    run("tests of the operator", &Binary::ALL, &tests)
}

fn a_service_becomes_ready_and_shows_its_plan() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    for (condition, reason) in [("Accepted", "Accepted"), ("ModelReady", "ModelReady"), ("Planned", "Planned")] {
        scene.wait_for(SERVICE, condition, "True", reason)?;
    }
    scene.wait_for("devicepool/edge", "Ready", "True", "AllDevicesUsable")?;
    let service = scene.get(SERVICE)?;
    ensure!(service["status"]["planRef"]["name"] == "camera-1", "{service:#}");
    let plan = scene.get("eennplan/camera-1")?;
    ensure!(plan["spec"]["chains"].as_array().map(Vec::len) == Some(3), "{plan:#}");
    ensure!(plan["spec"]["predicted"][0] == service["status"]["predicted"], "{plan:#}\n{service:#}");
    let fragments =
        scene.kubectl(&["-n", NAMESPACE, "get", "deployments", "-l", "eenn.dev/role=fragment", "-o", "name"])?;
    ensure!(fragments.lines().count() == 4, "three chains pass through four fragments: {fragments}");
    let table = scene.kubectl(&["-n", NAMESPACE, "get", "eenn"])?;
    for word in [
        "eennservice.eenn.dev/camera",
        "camera-1",
        "eennmodel.eenn.dev/fashion-mnist",
        "qostarget.eenn.dev/interactive",
    ] {
        ensure!(table.contains(word), "{word} is not in\n{table}");
    }
    // What was applied is what is wanted: GitOps sees no difference.
    scene.kubectl(&["-n", NAMESPACE, "diff", "-f", &scene::manifest("two-tier.yaml")])?;
    let events = scene.kubectl(&["-n", NAMESPACE, "events", "--for", SERVICE])?;
    ensure!(events.contains("Placed") && events.contains("Planned"), "{events}");
    Ok(())
}

fn the_commands_of_the_guide_end_in_pods() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    let example = |name: &str| cluster_tests::file("examples/cluster").join(name).display().to_string();
    let table = cluster_tests::file("examples/fashion-mnist/exit-table.safetensors");
    let from = format!("--from-file=exit-table.safetensors={}", table.display());
    scene.kubectl(&["-n", NAMESPACE, "create", "configmap", "fashion-mnist", &from])?;
    scene.kubectl(&["-n", NAMESPACE, "apply", "-f", &example("pool.yaml"), "-f", &example("model.yaml")])?;
    let service = std::fs::read_to_string(example("service.yaml"))?.replace("NODE", "pi");
    scene.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], &service)?.ok()?;
    scene.wait_for("eennservice/fashion-mnist", "Placed", "True", "Placed")?;
    scene.wait_for("eennservice/fashion-mnist", "QoSMet", "True", "TargetsExpectedToBeKept")?;
    scene.wait_for("qostarget/interactive", "Accepted", "True", "Accepted")
}

/// Versions of all objects by kind and name.
fn versions(scene: &Scene) -> anyhow::Result<BTreeMap<String, String>> {
    let all = scene.get(ALL)?;
    let items = all["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = |one: &Value| {
        let name = format!("{}/{}", text(&one["kind"]), text(&one["metadata"]["name"]));
        (name, text(&one["metadata"]["resourceVersion"]))
    };
    Ok(items.iter().map(version).collect())
}

fn nothing_is_written_when_nothing_changes() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let mut operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    std::thread::sleep(Duration::from_secs(3));
    let (before, written) = (versions(&scene)?, scene.writes_of("operator")?.len());
    std::thread::sleep(Duration::from_secs(20));
    let writes = scene.writes_of("operator")?;
    ensure!(writes.len() == written, "written since: {:?}", &writes[written..]);
    ensure!(versions(&scene)? == before, "something changed");
    // An operator that starts makes sure of everything once, which changes nothing.
    operator.kill();
    let operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.until("the second operator has looked at everything", || {
        operator.log().matches("everything has been listed").count() == 2
    })?;
    std::thread::sleep(Duration::from_secs(10));
    let after = versions(&scene)?;
    let changed: Vec<_> = after.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
    ensure!(changed.is_empty() && after.len() == before.len(), "changed: {changed:?}");
    Ok(())
}

fn what_is_deleted_comes_back() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let ours = ["-l", "app.kubernetes.io/managed-by=eenn-operator"];
    for kind in ["deployments", "services", "configmaps", "networkpolicies", "serviceaccounts"] {
        let listed = |scene: &Scene| {
            let jsonpath = "jsonpath={.items[*].metadata.name}";
            scene.kubectl(&[&["-n", NAMESPACE, "get", kind], &ours[..], &["-o", jsonpath]].concat())
        };
        let before = listed(&scene)?;
        ensure!(!before.is_empty(), "there are no {kind}");
        scene.kubectl(&[&["-n", NAMESPACE, "delete", kind], &ours[..]].concat())?;
        scene.until(&format!("{kind} are there again: {before}"), || listed(&scene).is_ok_and(|now| now == before))?;
    }
    scene.kubectl(&["-n", NAMESPACE, "delete", "eennplans", "--all"])?;
    scene.until("there is a plan again", || scene.names("eennplans").is_ok_and(|names| !names.is_empty()))?;
    ensure!(scene.names("eennplans")? == ["camera-2"], "gateways tell plans apart by their generations");
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_missing_reference_is_told_and_recovers() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &[])?;
    scene.apply_all()?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    for (object, reason) in [
        ("eennmodel/fashion-mnist", "ModelNotFound"),
        ("qostarget/interactive", "QoSTargetNotFound"),
        ("devicepool/edge", "PoolNotFound"),
    ] {
        scene.kubectl(&["-n", NAMESPACE, "delete", object])?;
        scene.wait_for(SERVICE, "Accepted", "False", reason)?;
        let (_, _, message) = scene.condition(SERVICE, "Ready")?;
        ensure!(message.contains("create it, or name another one"), "{message}");
        ensure!(scene.names("deployments")? == running, "what runs goes on");
        scene.kubectl(&["-n", NAMESPACE, "apply", "-f", &scene::manifest("two-tier.yaml")])?;
        scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    }
    scene.kubectl(&["-n", NAMESPACE, "delete", "configmap", "fashion-mnist"])?;
    scene.wait_for("eennmodel/fashion-mnist", "Ready", "False", "ExitTableNotFound")?;
    scene.wait_for(SERVICE, "ModelReady", "False", "ModelNotReady")
}

fn a_placement_waits_for_approval() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &[])?;
    scene.apply_all()?;
    let patch = |spec: &str| scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", spec]);
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    patch(r#"{"spec": {"planning": "Manual", "approvedPlan": "camera-1"}}"#)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    patch(
        r#"{"spec": {"placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#,
    )?;
    scene.until("a plan is proposed", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["proposedPlanRef"]["name"] == "camera-2")
    })?;
    ensure!(scene.get(SERVICE)?["status"]["planRef"]["name"] == "camera-1");
    ensure!(scene.names("deployments")? == running, "nothing moves before it is approved");
    patch(r#"{"spec": {"approvedPlan": "camera-2"}}"#)?;
    scene.until("the approved plan is in force", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] == "camera-2")
    })?;
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    scene.until("one fragment and one gateway are left", || {
        scene.names("deployments").is_ok_and(|names| names.len() == 2)
    })
}

fn a_cordoned_node_is_left_after_others_have_taken_over() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let before = scene.names("deployments")?;
    scene.kubectl(&["cordon", "box"])?;
    scene.wait_for("devicepool/edge", "Ready", "True", "SomeDevicesUsable")?;
    scene.until("a plan without it is in force", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] == "camera-2")
    })?;
    let plan = scene.get("eennplan/camera-2")?;
    ensure!(!plan["spec"]["chains"].to_string().contains("\"box\""), "{plan:#}");
    ensure!(scene.names("deployments")? == before, "jobs on their way are finished first");
    scene.until("what was there is gone", || scene.names("deployments").is_ok_and(|names| names.len() == 2))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_leader_that_dies_is_followed() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let quick = ["--lease-seconds", "3", "--lease-retry-seconds", "1"];
    let mut first = scene.operator("first", &quick)?;
    scene.until("the first leads", || first.log().contains("leading"))?;
    let second = scene.operator("second", &quick)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(scene.writes_of("second")?.is_empty(), "a standby writes nothing");
    first.kill();
    scene.until("the second leads", || second.log().contains("leading"))?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    scene.until("they are there again", || scene.names("deployments").is_ok_and(|names| names.len() == 5))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Asked to stop, it gives the lease up: the next one need not wait for it to run out.
    let third = scene.operator("third", &["--lease-seconds", "600", "--lease-retry-seconds", "1"])?;
    std::thread::sleep(Duration::from_secs(3));
    second.signal("TERM")?;
    scene.until("the third leads", || third.log().contains("leading"))
}

fn a_leader_that_was_frozen_writes_nothing_any_more() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let quick = ["--lease-seconds", "3", "--lease-retry-seconds", "1"];
    let mut first = scene.operator("first", &quick)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    first.signal("STOP")?;
    let second = scene.operator("second", &quick)?;
    scene.until("the second leads", || second.log().contains("leading"))?;
    let written = scene.writes_of("first")?.len();
    // News for the first, as soon as it wakes.
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    first.signal("CONT")?;
    scene.until("the first has ended", || first.ended().is_some())?;
    let writes = scene.writes_of("first")?;
    ensure!(writes.len() == written, "written after it had lost the lease: {:?}", &writes[written..]);
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn an_api_server_that_was_away_is_caught_up_with() -> anyhow::Result<()> {
    let mut scene = Scene::with_service()?;
    let mut operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.plane.kill_api_server();
    std::thread::sleep(Duration::from_secs(10));
    ensure!(operator.ended().is_none(), "a plain outage is no reason to die: {}", operator.log());
    scene.plane.start_api_server().map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    scene.kubectl(&[
        "-n",
        NAMESPACE,
        "patch",
        SERVICE,
        "--type=merge",
        "-p",
        r#"{"spec": {"qosTargetRef": {"name": "other"}}}"#,
    ])?;
    scene.wait_for(SERVICE, "Accepted", "False", "QoSTargetNotFound")
}

fn an_object_that_cannot_be_read_stops_no_other() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    // As if a later version allowed what this one does not know.
    let open = r#"[{"op": "remove", "path": "/spec/versions/0/selectableFields"}, {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]"#;
    scene.kubectl(&["patch", "crd", "eennservices.eenn.dev", "--type=json", "-p", open])?;
    let broken = r#"{"apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "metadata": {"name": "broken", "namespace": "edge"}, "spec": {"sources": 7}}"#;
    scene.until("the definition is open", || {
        scene.tools.kubectl(&["apply", "--validate=false", "-f", "-"], broken).is_ok_and(|said| said.success)
    })?;
    let operator = scene.operator("operator", &[])?;
    scene.apply_all()?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(operator.log().contains("edge/broken"), "{}", operator.log());
    Ok(())
}

fn a_deleted_service_leaves_nothing() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.kubectl(&["-n", NAMESPACE, "delete", SERVICE, "--cascade=foreground", "--timeout=60s"])?;
    let ours = |scene: &Scene| {
        scene.kubectl(&[
            "-n",
            NAMESPACE,
            "get",
            &ALL["eennservices,eennmodels,".len()..],
            "-l",
            "eenn.dev/service=camera",
            "-o",
            "name",
        ])
    };
    scene.until("nothing is left", || ours(&scene).is_ok_and(|left| left.trim().is_empty()))
}

/// Names and versions of what Deployments want.
fn templates(scene: &Scene) -> anyhow::Result<Vec<(String, u64)>> {
    let deployments = scene.get("deployments")?;
    let all = deployments["items"].as_array().cloned().unwrap_or_default();
    let of = |one: &Value| {
        let metadata = &one["metadata"];
        (metadata["uid"].as_str().unwrap_or_default().to_owned(), metadata["generation"].as_u64().unwrap_or_default())
    };
    Ok(all.iter().map(of).collect())
}

fn gateways_are_told_and_plans_follow_the_load() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let book = scene.path("addresses.json");
    let collector = Collector::start()?;
    let endpoint = collector.endpoint();
    let told = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let operator = scene.operator_told("operator", &["--pod-addresses", &book.display().to_string()], &told)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.wait_for(SERVICE, "Ready", "False", "PolicyNotAcknowledged")?;
    let mut processes = Processes::start(&scene, &book)?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")?;
    let generation = |processes: &Processes| processes.gateway.metric("eenn_policy_generation").unwrap_or(-1.0);
    ensure!(generation(&processes) == 1.0, "the gateway follows {}", generation(&processes));
    let before = templates(&scene)?;
    // As much as is planned for, and then six times as much.
    let calm = send(&processes.gateway.address, 20.0, 12.0)?;
    ensure!(calm.answered > 9 * calm.refused, "{calm:?}");
    ensure!(scene.names("eennplans")? == ["camera-1"], "nothing has changed: {}", operator.log());
    let busy = send(&processes.gateway.address, 120.0, 15.0)?;
    scene.until("there is a plan for the load", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] != "camera-1")
    })?;
    let plan = scene.get("eennplan/camera-2")?;
    let rate: f64 = plan["spec"]["forecast"][0]["rate"].as_str().unwrap_or_default().parse()?;
    ensure!((80.0..180.0).contains(&rate), "{plan:#}");
    ensure!(plan["spec"]["reason"].as_str().is_some_and(|why| why.contains("camera")), "{plan:#}");
    scene.until("the gateway follows it", || generation(&processes) >= 2.0)?;
    ensure!(busy.answered > 0, "{busy:?}");
    ensure!(templates(&scene)? == before, "policies touch no pod");
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    // A gateway that starts anew has what its ConfigMap said when it was written, and is told the rest.
    processes.another_gateway(&book)?;
    scene.until("the new gateway follows it, too", || generation(&processes) >= 2.0)?;
    scene.until("a collector knows of the decision, and of what gateways were told", || {
        let spans = collector.spans();
        let decided = spans.iter().any(|one| one.is("drift", "plans", "1") && one.attributes["pool"] == "edge");
        let pushed =
            |one: &collector::Span| one.is("push policy", "generation", "2") && one.is(&one.name, "outcome", "applied");
        decided && spans.iter().any(pushed)
    })
}

fn what_is_paused_is_left_alone_and_says_so() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/paused=true"])?;
    scene.wait_for(SERVICE, "Active", "False", "Paused")?;
    let deployment = scene.names("deployments")?.pop().unwrap_or_default();
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployment", &deployment])?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsNotReady")?;
    ensure!(!scene.names("deployments")?.contains(&deployment), "it was made again");
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/paused-"])?;
    scene.wait_for(SERVICE, "Active", "True", "Active")?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_lost_node_is_done_without_before_anything_is_planned() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let first = scene.get("eennplan/camera-1")?;
    // To a chain through the node, so that it has to be done without.
    let used = first["spec"]["choices"].as_array().cloned().unwrap_or_default();
    let goes = |chain: &str| used.iter().any(|choice| choice["chain"] == chain);
    ensure!(goes("split") || goes("box"), "no job goes over the box: {first:#}");
    scene.kubectl(&["delete", "node", "box"])?;
    scene.until("there is a plan without the node", || scene.get("eennplan/camera-2").is_ok())?;
    let second = scene.get("eennplan/camera-2")?;
    let chains: Vec<&Value> = second["spec"]["choices"]
        .as_array()
        .map(|all| all.iter().map(|one| &one["chain"]).collect())
        .unwrap_or_default();
    ensure!(chains.iter().all(|chain| **chain == "pi"), "{second:#}");
    ensure!(second["spec"]["chains"] == first["spec"]["chains"], "pods stay until new ones are there: {second:#}");
    ensure!(second["spec"]["reason"] == "box is gone: jobs take the other chains", "{second:#}");
    scene.until("it is planned anew", || scene.get("eennplan/camera-3").is_ok())?;
    let third = scene.get("eennplan/camera-3")?;
    ensure!(third["spec"]["chains"].as_array().is_some_and(|chains| chains.len() == 1), "{third:#}");
    scene.until("the node is among those that are not used", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["rejectedDevices"][0]["name"] == "box")
    })
}

fn pods_without_room_beside_old_ones_are_told_and_let_in() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election", "--drain-seconds", "2"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Two fragments on a node of 3 GiB, with about 1 GiB each: two of them fit, three do not.
    let with_size = |size: &str| {
        let patch = format!(r#"{{"spec": {{"artifact": {{"size": "{size}"}}}}}}"#);
        scene.kubectl(&["-n", NAMESPACE, "patch", "eennmodel/fashion-mnist", "--type=merge", "-p", &patch])
    };
    with_size("480Mi")?;
    scene.until("old pods are gone", || {
        let placed = scene.condition(SERVICE, "Placed").is_ok_and(|(status, _, _)| status == "True");
        placed && scene.names("deployments").is_ok_and(|names| names.len() == 5)
    })?;
    with_size("481Mi")?;
    scene.until("it says that there is no room", || {
        scene.condition(SERVICE, "Placed").is_ok_and(|(_, _, message)| {
            let counted = message.contains("old and new pods on") && message.contains("and it has 3072 MiB");
            counted
                && message.contains("Insufficient memory")
                && message.contains("eenn.dev/replacement=BreakBeforeMake")
        })
    })?;
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/replacement=BreakBeforeMake"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn a_service_made_again_is_planned_again() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.kubectl(&["-n", NAMESPACE, "delete", SERVICE, "--cascade=foreground", "--timeout=60s"])?;
    scene.until("its plans are gone", || scene.names("eennplans").is_ok_and(|names| names.is_empty()))?;
    std::thread::sleep(Duration::from_secs(2));
    scene.kubectl(&["-n", NAMESPACE, "apply", "-f", &scene::manifest("two-tier.yaml")])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn what_others_have_made_is_left_alone() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.kubectl(&["-n", NAMESPACE, "create", "service", "clusterip", "camera", "--tcp=80:80"])?;
    scene.kubectl(&[
        "-n",
        NAMESPACE,
        "create",
        "secret",
        "generic",
        "camera-certificates",
        "--from-literal=password=x",
    ])?;
    scene.apply_all()?;
    for (kind, name) in [("secret", "camera-certificates"), ("service", "camera")] {
        scene.wait_for(SERVICE, "Placed", "False", "NotApplied")?;
        scene.until("it says what is in the way", || {
            let said = scene.condition(SERVICE, "Placed").map(|(_, _, message)| message.to_lowercase());
            said.is_ok_and(|said| said.contains(&format!("{kind} {name} is there already")))
        })?;
        let there = scene.get(&format!("{kind}/{name}"))?;
        ensure!(there["metadata"]["ownerReferences"].is_null(), "{there:#}");
        ensure!(
            there["data"]["tls.key"].is_null() && there["spec"]["selector"]["eenn.dev/service"].is_null(),
            "{there:#}"
        );
        scene.kubectl(&["-n", NAMESPACE, "delete", kind, name])?;
    }
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}
