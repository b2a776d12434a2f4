//! What the operator does is what the chart lets it do, and nothing that the chart lets it do is left unused.

use crate::scene::{NAMESPACE, Scene, manifest};
use anyhow::{Context as _, ensure};
use cluster_tests::{Test, Tools, file};
use control_plane::Binary;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const TESTS: &[Test] = &[
    ("rights_are_those_that_are_used", rights_are_those_that_are_used),
    ("rights_in_one_namespace_are_those_that_are_used", rights_in_one_namespace_are_those_that_are_used),
];

const SYSTEM: &str = "eenn-system";
const RELEASE: &str = "eenn-operator";
const USER: &str = "system:serviceaccount:eenn-system:eenn-operator";

/// A verb and what it is used on: `patch apps/deployments`.
type Uses = BTreeSet<String>;

fn rights_are_those_that_are_used() -> anyhow::Result<()> {
    lives(&[], &[])
}

fn rights_in_one_namespace_are_those_that_are_used() -> anyhow::Result<()> {
    let served = format!("namespace={NAMESPACE}");
    lives(&["--set", "scope=Namespace", "--set", &served], &["--namespace", NAMESPACE])
}

/// An operator with the rights of the chart and nothing else. `values`: of the chart; `scope`: what the operator is told of them.
fn lives(values: &[&str], scope: &[&str]) -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let allowed = install(&scene, values)?;
    let kubeconfig = scene.plane.kubeconfig_for(USER, None).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let arguments = [&["--lease-namespace", SYSTEM], scope].concat();
    let operator = scene.operator_with("operator", &kubeconfig, &arguments)?;
    live(&scene)?;
    drop(operator);
    // One that starts anew makes sure of certificates that it does not know of.
    let operator = scene.operator_with("operator", &kubeconfig, &arguments)?;
    scene.until("certificates are given again", || {
        audited(&scene).is_ok_and(|(used, _)| used.contains("update /secrets"))
    })?;
    delete(&scene)?;
    drop(operator);
    let (used, refused) = audited(&scene)?;
    ensure!(refused.is_empty(), "the chart does not let the operator {refused:?}");
    let unused: Vec<_> = allowed.difference(&used).collect();
    ensure!(unused.is_empty(), "the chart lets the operator {unused:?}, which it does not");
    Ok(())
}

/// Installs roles and bindings of the chart, and nothing else of it. Returns what they allow.
fn install(scene: &Scene, values: &[&str]) -> anyhow::Result<Uses> {
    let tools = Tools::find(&[Binary::Helm])?;
    let chart = file("charts/eenn-operator").display().to_string();
    let arguments = ["template", RELEASE, &chart, "--namespace", SYSTEM, "--show-only", "templates/rbac.yaml"];
    let rendered = tools.helm(&[&arguments, values].concat())?.ok()?;
    scene.tools.kubectl(&["apply", "--server-side", "-f", "-"], &rendered)?.ok()?;
    let read = scene.tools.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", "-"], &rendered)?.ok()?;
    let objects = serde_json::Deserializer::from_str(&read).into_iter().collect::<Result<Vec<Value>, _>>()?;
    let objects: Vec<Value> = objects
        .into_iter()
        .flat_map(|one| one["items"].as_array().cloned().unwrap_or_else(|| vec![one]))
        .filter(|object| !object["rules"].is_null())
        .collect();
    ensure!(objects.len() >= 2, "the chart has a ClusterRole and a Role: {rendered}");
    Ok(objects.iter().flat_map(|role| items(&role["rules"])).flat_map(|rule| uses(&rule)).collect())
}

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn words(value: &Value) -> Vec<String> {
    items(value).iter().map(|word| word.as_str().unwrap_or_default().to_owned()).collect()
}

fn uses(rule: &Value) -> Vec<String> {
    let mut uses = vec![];
    for group in words(&rule["apiGroups"]) {
        for resource in words(&rule["resources"]) {
            uses.extend(words(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")));
        }
    }
    uses
}

/// All that may happen to a service: made, edited, approved, moved, pods replicated and not, what is made is lost.
fn live(scene: &Scene) -> anyhow::Result<()> {
    const SERVICE: &str = "eennservice/camera";
    let patch = |spec: &str| scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", spec]);
    scene.apply_all()?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // Several gateways on a node have a budget, one has none.
    patch(r#"{"spec": {"runtime": {"gatewayReplicas": 2}}}"#)?;
    scene.until("there is a budget", || scene.names("poddisruptionbudgets").is_ok_and(|names| names.len() == 1))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    patch(r#"{"spec": {"runtime": {"gatewayReplicas": 1}}}"#)?;
    patch(r#"{"spec": {"planning": "Manual", "approvedPlan": "camera-1"}}"#)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let newest = newest(scene)?;
    patch(
        r#"{"spec": {"placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#,
    )?;
    let proposed = || scene.get(SERVICE).map(|service| service["status"]["proposedPlanRef"]["name"].clone());
    scene.until("a plan is proposed", || proposed().is_ok_and(|name| name.is_string()))?;
    let proposed = proposed()?;
    ensure!(proposed != newest.as_str(), "{proposed} is new");
    patch(&format!(r#"{{"spec": {{"approvedPlan": {proposed}}}}}"#))?;
    scene.until("old pods are gone", || scene.names("deployments").is_ok_and(|names| names.len() == 2))?;
    scene.until("the budget is gone", || scene.names("poddisruptionbudgets").is_ok_and(|names| names.is_empty()))?;
    // More plans than are kept: old ones are deleted. Plans that stay the same are annotated.
    patch(r#"{"spec": {"planning": "Automatic"}}"#)?;
    for rate in ["5", "10", "40", "15", "35", "25", "30"] {
        let before = generation(scene)?;
        patch(&format!(
            r#"{{"spec": {{"sources": [{{"name": "camera", "node": "pi", "expectedRate": "{rate}"}}]}}}}"#
        ))?;
        scene.until("there is another plan", || generation(scene).is_ok_and(|now| now > before))?;
    }
    scene.until("old plans are gone", || scene.names("eennplans").is_ok_and(|names| names.len() <= 5))?;
    scene.kubectl(&[
        "-n",
        NAMESPACE,
        "patch",
        "qostarget/interactive",
        "--type=merge",
        "-p",
        r#"{"spec": {"maxLossRatio": "0.02"}}"#,
    ])?;
    // A model that loses its times is measured, until it has them again.
    let model = "eennmodel/fashion-mnist";
    scene.kubectl(&["-n", NAMESPACE, "patch", model, "--type=merge", "-p", r#"{"spec": {"profile": null}}"#])?;
    scene.until("there is a Job", || scene.names("jobs").is_ok_and(|names| !names.is_empty()))?;
    let times = r#"{"meanMicroseconds": "100"}"#;
    let times = format!(r#"{{"spec": {{"profile": {{"segments": [{}]}}}}}}"#, [times; 6].join(", "));
    scene.kubectl(&["-n", NAMESPACE, "patch", model, "--type=merge", "-p", &times])?;
    scene.until("there is no Job any more", || scene.names("jobs").is_ok_and(|names| names.is_empty()))?;
    scene.kubectl(&["cordon", "pi"])?;
    scene.wait_for("devicepool/edge", "Ready", "True", "SomeDevicesUsable")?;
    scene.kubectl(&["uncordon", "pi"])?;
    Ok(())
}

fn delete(scene: &Scene) -> anyhow::Result<()> {
    scene.kubectl(&["-n", NAMESPACE, "delete", "-f", &manifest("two-tier.yaml"), "--timeout=60s"])?;
    scene.until("nothing is left", || scene.names("deployments").is_ok_and(|names| names.is_empty()))
}

fn newest(scene: &Scene) -> anyhow::Result<String> {
    scene.names("eennplans")?.pop().context("there is a plan")
}

fn generation(scene: &Scene) -> anyhow::Result<i64> {
    let plans = scene.get("eennplans")?;
    Ok(items(&plans["items"]).iter().filter_map(|plan| plan["spec"]["generation"].as_i64()).max().unwrap_or_default())
}

/// What the operator did according to the audit log, and what of it was forbidden.
fn audited(scene: &Scene) -> anyhow::Result<(Uses, Uses)> {
    let log = std::fs::read_to_string(scene.plane.audit_log())?;
    let (mut used, mut refused) = (Uses::new(), Uses::new());
    for entry in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if entry["user"]["username"] != USER || entry["objectRef"].is_null() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &entry["objectRef"];
        let sub = text(&object["subresource"]);
        let sub = if sub.is_empty() { sub } else { format!("/{sub}") };
        let (group, resource) = (text(&object["apiGroup"]), text(&object["resource"]));
        let mut uses = vec![format!("{} {group}/{resource}{sub}", text(&entry["verb"]))];
        // An object that an apply makes is authorized as created, too.
        if entry["verb"] == "patch" && entry["responseStatus"]["code"] == 201 {
            uses.push(format!("create {group}/{resource}{sub}"));
        }
        if entry["responseStatus"]["code"] == 403 {
            refused.extend(uses.clone());
        }
        used.extend(uses);
    }
    Ok((used, refused))
}
