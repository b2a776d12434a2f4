//! Exit tables in ConfigMaps of users: what cannot be used, and what changes in place.

use crate::SERVICE;
use crate::references::{apply, document};
use crate::scene::{NAMESPACE, Scene};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_table_that_cannot_be_used_stops_its_own_services_only",
        a_table_that_cannot_be_used_stops_its_own_services_only,
    ),
    (
        "a_service_that_cannot_be_planned_does_without_a_lost_node",
        a_service_that_cannot_be_planned_does_without_a_lost_node,
    ),
];

const MODEL: &str = "eennmodel/fashion-mnist";

/// Makes a ConfigMap, or replaces what is in it, as users do.
fn put(scene: &Scene, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let file = scene.path(name);
    std::fs::write(&file, content)?;
    let from = format!("--from-file=exit-table.safetensors={}", file.display());
    let make = ["-n", NAMESPACE, "create", "configmap", name, &from, "--dry-run=client", "-o", "yaml"];
    scene
        .tools
        .kubectl(&["-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-"], &scene.kubectl(&make)?)?
        .ok()
        .map(drop)
}

fn good() -> anyhow::Result<Vec<u8>> {
    Ok(std::fs::read(cluster_tests::file("examples/fashion-mnist/exit-table.safetensors"))?)
}

/// The service `door` with a model of its own, whose exit table is in the ConfigMap `broken`.
fn add_door(scene: &Scene) -> anyhow::Result<()> {
    let model = document("EENNModel")?.replacen("name: fashion-mnist", "name: broken", 1);
    apply(scene, &model.replace("configmap://fashion-mnist/", "configmap://broken/"))?;
    let service = document("EENNService")?.replacen("name: camera", "name: door", 1);
    apply(scene, &service.replace("modelRef: { name: fashion-mnist }", "modelRef: { name: broken }"))
}

fn newest(scene: &Scene) -> anyhow::Result<Value> {
    let plans = scene.get("eennplans")?["items"].as_array().cloned().unwrap_or_default();
    let own = plans.into_iter().filter(|plan| plan["spec"]["serviceRef"]["name"] == "camera");
    own.max_by_key(|plan| plan["spec"]["generation"].as_i64()).context("there is a plan")
}

fn set_rate(scene: &Scene, rate: &str) -> anyhow::Result<()> {
    let patch = format!(r#"{{"spec": {{"sources": [{{"name": "camera", "node": "pi", "expectedRate": "{rate}"}}]}}}}"#);
    scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", &patch]).map(drop)
}

fn a_table_that_cannot_be_used_stops_its_own_services_only() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    put(&scene, "broken", &[0xff; 64])?;
    add_door(&scene)?;
    scene.wait_for("eennmodel/broken", "Ready", "False", "ExitTableUnusable")?;
    scene.wait_for("eennservice/door", "ModelReady", "False", "ModelNotReady")?;
    let (_, _, message) = scene.condition("eennmodel/broken", "Ready")?;
    ensure!(message.contains("configmap://broken/exit-table.safetensors cannot be used"), "{message}");
    let before = newest(&scene)?["spec"]["generation"].as_i64();
    set_rate(&scene, "40")?;
    scene.until("the other service is planned", || {
        newest(&scene).is_ok_and(|plan| plan["spec"]["generation"].as_i64() > before)
    })?;
    // It is put right, and nothing else changes.
    put(&scene, "broken", &good()?)?;
    scene.wait_for("eennmodel/broken", "Ready", "True", "Ready")?;
    scene.wait_for("eennservice/door", "Placed", "True", "Placed")?;
    // Another table of the same name is planned with.
    let made_for = |plan: &Value| plan["metadata"]["annotations"]["eenn.dev/inputs"].clone();
    let before = made_for(&newest(&scene)?);
    let mut other = good()?;
    let label = other.last_mut().context("it has samples")?;
    *label = if *label == 0 { 1 } else { 0 };
    put(&scene, "fashion-mnist", &other)?;
    scene
        .until("there are plans for the other table", || newest(&scene).is_ok_and(|plan| made_for(&plan) != before))?;
    ensure!(!operator.log().contains("panicked"), "{}", operator.log());
    Ok(())
}

fn a_service_that_cannot_be_planned_does_without_a_lost_node() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let running = scene.names("deployments")?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "configmap", "fashion-mnist"])?;
    scene.wait_for(MODEL, "Ready", "False", "ExitTableNotFound")?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "qostarget", "interactive"])?;
    scene.wait_for(SERVICE, "Accepted", "False", "QoSTargetNotFound")?;
    scene.kubectl(&["delete", "node", "box"])?;
    scene.until("jobs take the other chains", || {
        newest(&scene).is_ok_and(|plan| plan["spec"]["reason"] == "box is gone: jobs take the other chains")
    })?;
    let generation = newest(&scene)?["spec"]["generation"].clone();
    scene.until("gateways that start follow it", || followed(&scene).is_ok_and(|followed| followed == generation))?;
    ensure!(scene.names("deployments")? == running, "what runs goes on");
    scene.wait_for(SERVICE, "Accepted", "False", "QoSTargetNotFound")
}

/// The generation that the gateway of the service starts from.
fn followed(scene: &Scene) -> anyhow::Result<Value> {
    let label = ["-n", NAMESPACE, "get", "deployments", "-l", "eenn.dev/role=gateway"];
    let gateway = scene.kubectl(&[&label[..], &["-o", "jsonpath={.items[*].metadata.name}"]].concat())?;
    let config = scene.get(&format!("configmap/{}", gateway.trim()))?;
    let config = config["data"]["config.json"].as_str().context("it has a configuration")?;
    Ok(serde_json::from_str::<Value>(config)?["policy"]["version"]["generation"].clone())
}
