//! A release on a real API server, with nodes that only pretend.

use crate::render::rendered;
use crate::{NAMESPACE, NEEDED, RELEASE, all_values, chart, values};
use anyhow::{Context as _, ensure};
use cluster_tests::{Test, Tools, eventually, file, start, text};
use control_plane::{ControlPlane, FakeNodes, Options};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) const TESTS: &[Test] = &[
    ("manifests_are_taken_without_a_warning", manifests_are_taken_without_a_warning),
    ("release_lives_from_install_to_uninstall", release_lives_from_install_to_uninstall),
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn manifests_are_taken_without_a_warning() -> anyhow::Result<()> {
    let plane = start(&Options { controller_manager: true, ..Options::default() })?;
    let tools = Tools::of(&plane, &NEEDED)?;
    for name in [NAMESPACE, "cameras"] {
        restricted(&plane, name)?;
    }
    pod_monitors(&plane)?;
    let apply = ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "--filename", "-"];
    for name in all_values() {
        let manifests = rendered(&tools, &values(name))?.ok()?;
        tools.kubectl(&apply, &manifests)?.ok().with_context(|| format!("values {name:?}"))?;
    }
    // That is no wonder only if warnings are given at all: for a pod that is not restricted.
    let loose = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "loose", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "loose"}},
            "template": {
                "metadata": {"labels": {"app": "loose"}},
                "spec": {"containers": [{"name": "loose", "image": "loose"}]},
            },
        },
    });
    let complaint = tools.kubectl(&apply, &loose.to_string())?.refused()?;
    ensure!(complaint.contains("would violate PodSecurity \"restricted:latest\""), "{complaint}");
    Ok(())
}

fn release_lives_from_install_to_uninstall() -> anyhow::Result<()> {
    let plane = start(&Options::everything())?;
    for (prefix, architecture) in [("board", "arm64"), ("other", "riscv64")] {
        let nodes =
            FakeNodes { prefix: prefix.to_owned(), architecture: architecture.to_owned(), ..FakeNodes::default() };
        plane.add_fake_nodes(&nodes)?;
    }
    restricted(&plane, NAMESPACE)?;
    let tools = Tools::of(&plane, &NEEDED)?;

    let older = older_chart()?;
    let notes = tools.helm(&helm("install", &older.path().display().to_string(), &[]))?.ok()?;
    ensure!(notes.contains(&format!("kubectl --namespace {NAMESPACE} rollout status deployment/{RELEASE}")), "{notes}");
    let before = plane.api().get(&format!("{DEFINITIONS}/qostargets.eenn.dev"))?;
    ensure!(before["spec"]["names"]["shortNames"].is_null(), "{:#}", before["spec"]["names"]);
    runs_on_boards_only(&plane)?;
    let target = r#"{"apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget", "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"maxLossRatio": "0.01"}}"#;
    tools.kubectl(&["apply", "--filename", "-"], target)?.ok()?;
    others_have_their_say(&tools)?;

    tools.helm(&helm("upgrade", &chart(), &[]))?.ok().context("no conflicts with what others set")?;
    let after = plane.api().get(&format!("{DEFINITIONS}/qostargets.eenn.dev"))?;
    ensure!(after["spec"]["names"]["shortNames"][0].is_string(), "{:#}", after["spec"]["names"]);
    let deployment = deployment(&plane)?;
    ensure!(deployment["spec"]["replicas"] == 2, "somebody scaled it: {:#}", deployment["spec"]);
    ensure!(deployment["metadata"]["labels"]["example.org/owner"] == "edge-team", "{:#}", deployment["metadata"]);
    applied_by_helm_only(&deployment)?;
    example_is_taken(&plane, &tools)?;

    // A number that is given counts, and brings the budget along.
    let budgets = format!("/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/{RELEASE}");
    tools.helm(&helm("upgrade", &chart(), &["--set=replicas=3,workers=4"]))?.ok()?;
    ensure!(self::deployment(&plane)?["spec"]["replicas"] == 3 && arguments(&plane)?.contains("--workers=4"));
    plane.api().get(&budgets)?;
    what_others_changed_is_not_overwritten(&tools)?;
    tools.helm(&["rollback", RELEASE, "2", "--namespace", NAMESPACE, "--wait", "--timeout=2m"])?.ok()?;
    ensure!(arguments(&plane)?.contains("--workers=8") && plane.api().get(&budgets).is_err());

    tools.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout=2m"])?.ok()?;
    nothing_but_definitions_is_left(&plane)?;
    // The definitions it finds are its own.
    tools.helm(&helm("install", &chart(), &[]))?.ok()?;
    runs_on_boards_only(&plane)
}

/// A command of Helm that waits until everything is ready.
fn helm<'a>(command: &'a str, chart: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![command, RELEASE, chart, "--namespace", NAMESPACE, "--wait", "--timeout=2m"];
    arguments.extend(more);
    arguments
}

/// The chart of a version before this one, in which a QoSTarget has no short name.
fn older_chart() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    copy(&file(crate::CHART), folder.path())?;
    replace(&folder.path().join("Chart.yaml"), "version: 0.1.0", "version: 0.0.9")?;
    let definition = folder.path().join("files/crds/qostargets.yaml");
    let line = text("crds/qostargets.yaml")?;
    let line =
        line.lines().find(|line| line.trim().starts_with("shortNames:")).context("it has a short name")?.to_owned();
    replace(&definition, &format!("{line}\n"), "")?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (source, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        match source.is_dir() {
            true => copy(&source, &target)?,
            false => std::fs::copy(&source, &target).map(drop)?,
        }
    }
    Ok(())
}

fn replace(file: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)?;
    ensure!(text.contains(from), "{from:?} is not in {}", file.display());
    Ok(std::fs::write(file, text.replacen(from, to, 1))?)
}

/// A namespace in which no pod is admitted that is not *restricted*.
fn restricted(plane: &ControlPlane, name: &str) -> anyhow::Result<()> {
    let levels =
        ["enforce", "warn", "audit"].map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".into()));
    let labels: serde_json::Map<String, Value> = levels.into_iter().collect();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    plane.api().post("/api/v1/namespaces", &namespace)?;
    Ok(())
}

/// The kind of the Prometheus operator, as far as an API server must know it.
fn pod_monitors(plane: &ControlPlane) -> anyhow::Result<()> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "podmonitors.monitoring.coreos.com",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    plane.api().post(DEFINITIONS, &definition)?;
    eventually(plane, "PodMonitors can be made", || {
        plane.api().get("/apis/monitoring.coreos.com/v1/podmonitors").is_ok()
    })
}

fn deployment(plane: &ControlPlane) -> anyhow::Result<Value> {
    Ok(plane.api().get(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}"))?)
}

fn arguments(plane: &ControlPlane) -> anyhow::Result<String> {
    Ok(deployment(plane)?["spec"]["template"]["spec"]["containers"][0]["args"].to_string())
}

/// Helm has waited until pods are ready; they are where there are images for them.
fn runs_on_boards_only(plane: &ControlPlane) -> anyhow::Result<()> {
    let pods = plane.api().get(&format!("/api/v1/namespaces/{NAMESPACE}/pods"))?;
    let pods = pods["items"].as_array().context("a list has items")?;
    let running: Vec<_> = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").collect();
    ensure!(!running.is_empty() && running.iter().all(|pod| pod["spec"]["nodeName"] == "board-0"), "{pods:#?}");
    Ok(())
}

/// What people do between two upgrades.
fn others_have_their_say(tools: &Tools) -> anyhow::Result<()> {
    let deployment = format!("deployment/{RELEASE}");
    let namespace = format!("--namespace={NAMESPACE}");
    for action in [
        &["scale", "--replicas=2"][..],
        &["rollout", "restart"],
        &["label", "example.org/owner=edge-team"],
        &["annotate", "example.org/note=asked by us"],
    ] {
        let (command, options): (Vec<_>, Vec<_>) = action.iter().partition(|word| !word.contains('='));
        let arguments: Vec<&str> = command
            .into_iter()
            .chain([&deployment.as_str(), &namespace.as_str()])
            .copied()
            .chain(options.into_iter().copied())
            .collect();
        tools.kubectl(&arguments, "")?.ok()?;
    }
    Ok(())
}

/// That there were no conflicts before says something only if there can be some.
fn what_others_changed_is_not_overwritten(tools: &Tools) -> anyhow::Result<()> {
    let namespace = format!("--namespace={NAMESPACE}");
    let deployment = format!("deployment/{RELEASE}");
    tools.kubectl(&["set", "image", &deployment, "operator=example.org/mine:1", &namespace], "")?.ok()?;
    let complaint = tools.helm(&helm("upgrade", &chart(), &[]))?.refused()?;
    ensure!(complaint.contains("conflict with \"kubectl-set\""), "{complaint}");
    tools.helm(&helm("upgrade", &chart(), &["--force-conflicts"]))?.ok().map(drop)
}

/// Server-side, so that conflicts would have been seen.
fn applied_by_helm_only(deployment: &Value) -> anyhow::Result<()> {
    let fields = deployment["metadata"]["managedFields"].as_array().context("fields have managers")?;
    let helm: Vec<_> = fields.iter().filter(|it| it["manager"] == "helm").map(|it| &it["operation"]).collect();
    ensure!(helm == ["Apply"], "{fields:#?}");
    Ok(())
}

/// The manifests of the guide, with the name of a node put in.
fn example_is_taken(plane: &ControlPlane, tools: &Tools) -> anyhow::Result<()> {
    let apply = ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "--filename", "-"];
    for name in ["pool", "model", "service"] {
        let manifest = text(&format!("examples/cluster/{name}.yaml"))?.replace("NODE", "board-0");
        tools.kubectl(&apply, &manifest)?.ok()?;
    }
    let forgotten = tools.kubectl(&apply, &text("examples/cluster/service.yaml")?)?.refused()?;
    ensure!(forgotten.contains("spec.sources[0].node"), "{forgotten}");
    ensure!(plane.api().get("/apis/eenn.dev/v1alpha1/devicepools")?["items"] == json!([]), "nothing was made");
    Ok(())
}

fn nothing_but_definitions_is_left(plane: &ControlPlane) -> anyhow::Result<()> {
    let kept = plane.api().get("/apis/eenn.dev/v1alpha1/namespaces/default/qostargets/kept")?;
    ensure!(kept["spec"]["maxLossRatio"] == "0.01", "{kept:#}");
    let ours = format!("labelSelector=app.kubernetes.io/instance={RELEASE}");
    let definitions = plane.api().get(&format!("{DEFINITIONS}?{ours}"))?;
    ensure!(definitions["items"].as_array().is_some_and(|all| all.len() == 5), "{definitions:#}");
    for list in [
        "apis/apps/v1/deployments",
        "apis/policy/v1/poddisruptionbudgets",
        "apis/networking.k8s.io/v1/networkpolicies",
        "api/v1/serviceaccounts",
        "api/v1/configmaps",
        "apis/rbac.authorization.k8s.io/v1/roles",
        "apis/rbac.authorization.k8s.io/v1/rolebindings",
        "apis/rbac.authorization.k8s.io/v1/clusterroles",
        "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ] {
        let found = plane.api().get(&format!("/{list}?{ours}"))?;
        ensure!(found["items"] == json!([]), "{list}: {found:#}");
    }
    Ok(())
}
