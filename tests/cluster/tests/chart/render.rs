//! What can be seen without a cluster.

use crate::{CHART, NAMESPACE, RELEASE, all_values, chart, values};
use anyhow::{Context as _, ensure};
use cluster_tests::{Said, Test, Tools, file, text};
use control_plane::Binary;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const TESTS: &[Test] = &[
    ("chart_passes_the_strict_linter", chart_passes_the_strict_linter),
    ("wrong_values_are_refused_with_what_would_be_right", wrong_values_are_refused_with_what_would_be_right),
    ("rendering_twice_gives_the_same_bytes", rendering_twice_gives_the_same_bytes),
    ("definitions_are_those_of_the_repository", definitions_are_those_of_the_repository),
    ("one_namespace_needs_one_cluster_role", one_namespace_needs_one_cluster_role),
    ("images_come_from_the_given_registry", images_come_from_the_given_registry),
    ("a_collector_is_told_to_the_operator_and_can_be_reached", a_collector_is_told_to_the_operator_and_can_be_reached),
    ("dashboard_asks_for_metrics_that_there_are", dashboard_asks_for_metrics_that_there_are),
];

/// What Helm makes of the chart, with more arguments.
pub(crate) fn rendered(tools: &Tools, arguments: &[String]) -> anyhow::Result<Said> {
    let chart = chart();
    let mut all = vec!["template", RELEASE, &chart, "--namespace", NAMESPACE, "--kube-version", "1.34.0"];
    all.extend(arguments.iter().map(String::as_str));
    tools.helm(&all)
}

fn helm() -> anyhow::Result<Tools> {
    Tools::find(&[Binary::Helm])
}

fn chart_passes_the_strict_linter() -> anyhow::Result<()> {
    let (tools, chart) = (helm()?, chart());
    for name in all_values() {
        let values = values(name);
        let mut arguments = vec!["lint", "--strict", &chart];
        arguments.extend(values.iter().map(String::as_str));
        let said = tools.helm(&arguments)?.ok()?;
        ensure!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{name:?}: {said}");
    }
    Ok(())
}

fn wrong_values_are_refused_with_what_would_be_right() -> anyhow::Result<()> {
    let tools = helm()?;
    for (set, expected) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("image.name=eenn-operator", "additional properties 'name' not allowed"),
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("scope=Everything", "at '/scope': value must be one of 'Cluster', 'Namespace'"),
        ("logLevel=loud", "at '/logLevel': value must be one of 'error', 'warn', 'info', 'debug', 'trace'"),
        ("logFormat=xml", "at '/logFormat': value must be one of 'text', 'json'"),
        (
            "telemetry.otlpEndpoint=otel-collector:4317",
            "at '/telemetry/otlpEndpoint': 'otel-collector:4317' does not match pattern",
        ),
        (
            "telemetry.environment.RUST_LOG=debug",
            "at '/telemetry/environment': additional properties 'RUST_LOG' not allowed",
        ),
        ("registry=https://ghcr.io", "at '/registry': 'https://ghcr.io' does not match pattern"),
        ("image.digest=sha256:12", "at '/image/digest': 'sha256:12' does not match pattern"),
        ("operatorName=Edge", "at '/operatorName': 'Edge' does not match pattern"),
        ("workers=65", "at '/workers': maximum: got 65, want 64"),
        (
            "namespace=cameras",
            "namespace is \"cameras\", but scope is Cluster, which serves all of them: set scope to Namespace",
        ),
        (
            "replicas=2,leaderElection.enabled=false",
            "replicas is 2, but leaderElection.enabled is false: all of them would write",
        ),
        ("podLabels.team=our team", "at '/podLabels/team': 'our team' does not match pattern"),
        (
            r"podLabels.app\.kubernetes\.io/name=cameras",
            "podLabels has \"app.kubernetes.io/name\", which this chart or commonLabels sets already: leave it out",
        ),
        (
            "commonLabels.team=a,podLabels.team=b",
            "podLabels has \"team\", which this chart or commonLabels sets already",
        ),
        (
            r"commonLabels.helm\.sh/chart=ours",
            "commonLabels has \"helm.sh/chart\", which this chart sets itself: leave it out",
        ),
        (
            "leaderElection.retrySeconds=10",
            "leaderElection.retrySeconds is 10, but must be less than two thirds of leaseSeconds (15)",
        ),
    ] {
        let complaint = rendered(&tools, &["--set".to_owned(), set.to_owned()])?.refused()?;
        ensure!(complaint.contains(expected), "{set}: wanted {expected:?}, got {complaint}");
    }
    let old = rendered(&tools, &["--kube-version=1.32.9".to_owned()])?.refused()?;
    ensure!(old.contains("requires kubeVersion: >=1.33.0-0"), "{old}");
    Ok(())
}

fn rendering_twice_gives_the_same_bytes() -> anyhow::Result<()> {
    let tools = helm()?;
    for name in all_values() {
        let [one, other] = [rendered(&tools, &values(name))?.ok()?, rendered(&tools, &values(name))?.ok()?];
        ensure!(one == other, "{name:?} renders differently the second time");
    }
    // What could make a difference between two machines or days.
    for entry in std::fs::read_dir(file(CHART).join("templates"))? {
        let template = std::fs::read_to_string(entry?.path())?;
        for function in ["lookup", "rand", "now", "genSelfSigned", "genCA", "uuidv4", "Capabilities"] {
            let used = template.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(function));
            ensure!(!used, "a template uses {function}");
        }
    }
    Ok(())
}

fn definitions_are_those_of_the_repository() -> anyhow::Result<()> {
    let names = |folder: &str| -> anyhow::Result<BTreeSet<_>> {
        std::fs::read_dir(file(folder))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let copies = format!("{CHART}/files/crds");
    ensure!(names("crds")? == names(&copies)?, "write them with `cargo xtask generate`");
    let rendered = rendered(&helm()?, &[])?.ok()?;
    for name in names("crds")? {
        let definition = text(&format!("crds/{name}"))?;
        ensure!(text(&format!("{copies}/{name}"))? == definition, "{name}: write it with `cargo xtask generate`");
        let (head, rest) = definition.split_once("\nmetadata:\n").context("a definition has metadata")?;
        let (name, rest) = rest.split_once('\n').context("metadata begin with the name")?;
        let start = format!("{head}\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  labels:\n");
        let at = rendered.match_indices(&start).find(|(at, _)| rendered[*at..].contains(&format!("\n{name}\n")));
        let (at, _) = at.with_context(|| format!("{name} is not rendered with the policy to keep it"))?;
        ensure!(
            rendered[at..].contains(&format!("\n{name}\n{}", rest.trim_end())),
            "{name} is rendered as another one"
        );
    }
    Ok(())
}

fn one_namespace_needs_one_cluster_role() -> anyhow::Result<()> {
    let tools = helm()?;
    let all = rendered(&tools, &values("namespace"))?.ok()?;
    let of =
        |kind: &str| all.split("\n---\n").filter(|it| it.contains(&format!("\nkind: {kind}\n"))).collect::<Vec<_>>();
    let roles = of("ClusterRole");
    ensure!(roles.len() == 1 && of("ClusterRoleBinding").len() == 1, "{roles:#?}");
    for (resource, named) in
        [("nodes", true), ("devicepools/status", true), ("configmaps", false), ("eennservices", false)]
    {
        ensure!(roles[0].contains(resource) == named, "{resource}: {}", roles[0]);
    }
    ensure!(of("Role").iter().any(|role| role.contains("\n  namespace: cameras\n")), "the rules are in no Role");
    ensure!(all.contains("name: EENN_NAMESPACE\n              value: \"cameras\""), "the operator is not told of it");
    Ok(())
}

fn images_come_from_the_given_registry() -> anyhow::Result<()> {
    let tools = helm()?;
    let mirrored = rendered(&tools, &["--set=registry=registry.lan:5000/mirror".to_owned()])?.ok()?;
    for image in ["eenn-operator:0.1.0", "\"registry.lan:5000/mirror/eenn-operator/eenn-runtime:0.1.0\""] {
        ensure!(mirrored.contains(image), "no {image}");
    }
    ensure!(!mirrored.contains("ghcr.io/"), "something still comes from ghcr.io");
    // Those who copy images must know all of them.
    let guide = text("docs/guide/install.md")?;
    let named = rendered(&tools, &[])?.ok()?;
    let images: BTreeSet<_> =
        named.split(['"', ' ', '\n']).filter(|word| word.starts_with("ghcr.io/")).map(str::to_owned).collect();
    ensure!(images.len() == 2, "{images:?}");
    for image in images {
        ensure!(guide.contains(&format!("\n{image}\n")), "{image} is not in the guide");
    }
    let pinned = rendered(&tools, &values("everything"))?.ok()?;
    let zeros = "0".repeat(64);
    ensure!(
        pinned.contains(&format!("image: registry.example.org:5000/mirror/eenn-operator/eenn-operator@sha256:{zeros}"))
    );
    Ok(())
}

fn a_collector_is_told_to_the_operator_and_can_be_reached() -> anyhow::Result<()> {
    let tools = helm()?;
    let without = rendered(&tools, &[])?.ok()?;
    ensure!(!without.contains("OTEL_") && !without.contains("collector"), "nobody asked for it: {without}");
    for (endpoint, more, port) in [
        ("http://otel-collector.monitoring:4318", "", "4318"),
        ("https://collector.example.org/otlp", "", "443"),
        ("http://collector.lan/otlp", "", "80"),
        ("http://otel-collector.monitoring:4318", ",networkPolicy.collectorPorts={14318}", "14318"),
    ] {
        let all = rendered(&tools, &[format!("--set=telemetry.otlpEndpoint={endpoint}{more}")])?.ok()?;
        let variable = format!("- name: OTEL_EXPORTER_OTLP_ENDPOINT\n              value: \"{endpoint}\"\n");
        ensure!(all.contains(&variable), "{endpoint}: {all}");
        let rule =
            format!("# The collector of spans.\n    - ports:\n        - port: {port}\n          protocol: TCP\n    #");
        ensure!(all.contains(&rule), "{endpoint}: {all}");
    }
    Ok(())
}

/// Held against the source, since the operator takes minutes to compile.
fn dashboard_asks_for_metrics_that_there_are() -> anyhow::Result<()> {
    let source = text("operator/src/metrics.rs")?;
    let registered: BTreeSet<&str> =
        source.split("register(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ensure!(
        registered.contains("leader_election_master_status"),
        "metrics are registered otherwise now: {registered:?}"
    );
    let is_there = |name: &str| {
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        suffixes.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(|name| registered.contains(name)))
    };
    let dashboard: Value = serde_json::from_str(&text(&format!("{CHART}/files/dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().context("there are panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
    let words = expressions.iter().flat_map(|it| it.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let ours = ["controller_runtime_", "workqueue_", "eenn_operator_", "leader_election_"];
    let asked: BTreeSet<&str> = words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).collect();
    let unknown: Vec<_> = asked.iter().filter(|name| !is_there(name)).collect();
    ensure!(unknown.is_empty() && asked.len() > 10, "unknown: {unknown:?}, of {asked:?}");
    Ok(())
}
