//! What the operator tells of itself: spans for a collector, and log lines for machines.

use crate::SERVICE;
use crate::collector::{Collector, Span};
use crate::scene::{NAMESPACE, Operator, Scene};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    ("spans_of_reconciles_and_plans_reach_a_collector", spans_of_reconciles_and_plans_reach_a_collector),
    ("a_collector_that_is_away_holds_up_nothing", a_collector_that_is_away_holds_up_nothing),
];

const ALONE: [&str; 3] = ["--no-leader-election", "--log-format", "json"];

fn spans_of_reconciles_and_plans_reach_a_collector() -> anyhow::Result<()> {
    let (scene, collector) = (Scene::with_service()?, Collector::start()?);
    let endpoint = collector.endpoint();
    let variables = |delay| {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=edge-1"),
            ("OTEL_BSP_SCHEDULE_DELAY", delay),
        ]
    };
    let operator = scene.operator_told("first", &ALONE, &variables("100"))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let has = |holds: &dyn Fn(&Span) -> bool| collector.spans().iter().any(holds);
    scene.until("the reconcile of the service has been told", || {
        has(&|one| one.is("reconcile", "controller", "eennservice") && one.is("reconcile", "outcome", "requeue_after"))
    })?;
    scene.until("the plan has been told", || has(&|one| one.is("plan", "plans", "1")))?;
    let succeeds = |one: &Span| one.is("reconcile", "controller", "plan") && one.is("reconcile", "outcome", "success");
    scene.until("the reconcile that has planned has been told", || has(&succeeds))?;
    drop(operator);
    check_plan(&collector.spans())?;
    // What has not been sent when it ends is sent then: here nothing is for ten minutes, and then everything.
    let mut operator = scene.operator_told("second", &ALONE, &variables("600000"))?;
    let told = || collector.spans().iter().filter(|one| one.resource["service.instance.id"] == "second").count();
    scene.until("it has looked at the service", || operator.log().contains("everything has been listed"))?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(told() == 0, "{} spans were sent early", told());
    operator.signal("TERM")?;
    scene.until("it has ended", || operator.ended().is_some())?;
    ensure!(told() > 0, "the spans were lost: {}", operator.log());
    check_lines(&operator)
}

/// A plan belongs to the reconcile of its pool, and tells who planned.
fn check_plan(spans: &[Span]) -> anyhow::Result<()> {
    let plan = spans.iter().find(|one| one.name == "plan").context("there is a plan")?;
    ensure!(
        plan.attributes["pool"] == "edge" && plan.attributes["services"] == "1" && plan.ended > plan.began,
        "{plan:?}"
    );
    let of = |one: &&Span| one.id == plan.parent && one.trace == plan.trace;
    let parent = spans.iter().find(of).with_context(|| format!("the parent of {plan:?}"))?;
    ensure!(parent.is("reconcile", "controller", "plan"), "{parent:?}");
    for (name, value) in
        [("service.name", "eenn-operator"), ("k8s.cluster.name", "edge-1"), ("service.instance.id", "first")]
    {
        ensure!(plan.resource.get(name).is_some_and(|there| there == value), "{name}: {:?}", plan.resource);
    }
    let foreign: Vec<_> = spans.iter().filter(|one| !["reconcile", "plan"].contains(&one.name.as_str())).collect();
    ensure!(foreign.is_empty(), "nobody asked for {foreign:?}");
    Ok(())
}

fn check_lines(operator: &Operator) -> anyhow::Result<()> {
    let log = operator.log();
    ensure!(log.contains("everything has been listed"), "{log}");
    for line in log.lines() {
        let read: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        for field in ["timestamp", "level", "message", "target"] {
            ensure!(read[field].is_string(), "no {field}: {line}");
        }
    }
    Ok(())
}

fn a_collector_that_is_away_holds_up_nothing() -> anyhow::Result<()> {
    let (scene, collector) = (Scene::with_service()?, Collector::start()?);
    let endpoint = collector.endpoint();
    // From now on nobody listens there.
    drop(collector);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
    ];
    let mut operator = scene.operator_told("operator", &ALONE, &variables)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let said = |words: &str| operator.log().matches(words).count();
    scene.until("it says that spans are lost", || said("spans were not taken by the collector") == 1)?;
    scene.until("it says that spans are dropped", || said("they are dropped") == 1)?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "deployments", "--all"])?;
    scene.until("they are there again", || scene.names("deployments").is_ok_and(|names| names.len() == 5))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(said("spans were not taken") == 1 && said("they are dropped") == 1, "{}", operator.log());
    operator.signal("TERM")?;
    scene.until("it has ended", || operator.ended().is_some())
}
