//! The operator against a real API server: what users see of it, and what holds when things fail.

mod automatic;
mod collector;
mod failpoints;
mod faults;
mod gateways;
mod kubelet;
mod leaders;
mod measurements;
mod mutation;
mod neighbours;
mod outages;
mod places;
mod processes;
mod proxy;
mod references;
mod rights;
mod scene;
mod stage;
mod tables;
mod telemetry;

use anyhow::ensure;
use cluster_tests::{Test, run};
use control_plane::Binary;
use scene::{NAMESPACE, Scene};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

const SERVICE: &str = "eennservice/camera";
/// Everything of a namespace that the operator keeps.
const ALL: &str = "eennservices,eennmodels,eennplans,qostargets,deployments,configmaps,services,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets";

const TESTS: &[Test] = &[
    ("a_service_becomes_ready_and_shows_its_plan", a_service_becomes_ready_and_shows_its_plan),
    ("the_commands_of_the_guide_end_in_pods", the_commands_of_the_guide_end_in_pods),
    ("nothing_is_written_when_nothing_changes", nothing_is_written_when_nothing_changes),
    ("what_is_deleted_comes_back", what_is_deleted_comes_back),
    ("an_object_that_cannot_be_read_stops_no_other", an_object_that_cannot_be_read_stops_no_other),
    ("a_deleted_service_leaves_nothing", a_deleted_service_leaves_nothing),
    ("a_service_made_again_is_planned_again", a_service_made_again_is_planned_again),
    ("what_is_paused_is_left_alone_and_says_so", what_is_paused_is_left_alone_and_says_so),
    ("what_a_model_does_not_say_is_measured", measurements::what_a_model_does_not_say_is_measured),
    ("a_class_without_speed_is_measured", measurements::a_class_without_speed_is_measured),
    ("images_are_mounted_only_where_the_cluster_can", measurements::images_are_mounted_only_where_the_cluster_can),
];

fn main() -> ExitCode {
    let tests = [
        TESTS,
        places::TESTS,
        references::TESTS,
        automatic::TESTS,
        gateways::TESTS,
        leaders::TESTS,
        outages::TESTS,
        failpoints::TESTS,
        faults::TESTS,
        mutation::TESTS,
        neighbours::TESTS,
        rights::TESTS,
        tables::TESTS,
        telemetry::TESTS,
    ]
    .concat();
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
    // Steps on the way are conditions; what goes wrong is an event as well. Nobody listens at fake pods.
    let events = || scene.kubectl(&["-n", NAMESPACE, "events", "--for", SERVICE]);
    scene.until("an event tells that no gateway answers", || {
        events().is_ok_and(|events| events.contains("PolicyNotAcknowledged"))
    })?;
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
    scene.wait_for("qostarget/interactive", "Accepted", "True", "Accepted")?;
    // What was applied is what is wanted, also after the operator has done its part: GitOps sees no difference.
    for name in ["pool.yaml", "model.yaml"] {
        scene.kubectl(&["-n", NAMESPACE, "diff", "-f", &example(name)])?;
    }
    scene.tools.kubectl(&["-n", NAMESPACE, "diff", "-f", "-"], &service)?.ok().map(drop)
}

/// Versions of all objects by kind and name.
fn versions(scene: &Scene) -> anyhow::Result<BTreeMap<String, String>> {
    let all = scene.get(&format!("{ALL},devicepools,jobs"))?;
    let items = all["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = |one: &Value| {
        let name = format!("{}/{}", text(&one["kind"]), text(&one["metadata"]["name"]));
        (name, text(&one["metadata"]["resourceVersion"]))
    };
    Ok(items.iter().map(version).collect())
}

/// Time for which nothing may be written; `EENN_IDLE_SECONDS=600` is the long form.
fn idle() -> anyhow::Result<Duration> {
    let seconds = std::env::var("EENN_IDLE_SECONDS").ok().map(|text| text.parse()).transpose()?;
    Ok(Duration::from_secs(seconds.unwrap_or(20)))
}

fn nothing_is_written_when_nothing_changes() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let mut operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Nobody listens at fake pods.
    scene.wait_for(SERVICE, "Ready", "False", "PolicyNotAcknowledged")?;
    std::thread::sleep(Duration::from_secs(3));
    let (before, written) = (versions(&scene)?, scene.writes_of("operator")?.len());
    std::thread::sleep(idle()?);
    let since = scene.writes_of("operator")?;
    // Certificates are given again after two minutes, four more and so on, which changes nothing: nobody may see whether
    // they are there.
    let (again, others): (Vec<&String>, Vec<_>) =
        since[written..].iter().partition(|write| write.contains("/secrets/"));
    ensure!(others.is_empty() && again.len() <= 1 + idle()?.as_secs().ilog2().saturating_sub(5) as usize, "{since:?}");
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
