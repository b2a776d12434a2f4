//! Gateways as real processes: what they are told, and what their load comes to.

use crate::SERVICE;
use crate::collector::{Collector, Span};
use crate::processes::{Processes, Sent, send};
use crate::scene::{NAMESPACE, Scene};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const TESTS: &[Test] = &[
    ("gateways_are_told_and_plans_follow_the_load", gateways_are_told_and_plans_follow_the_load),
    (
        "gateways_do_without_a_lost_node_before_anything_is_planned",
        gateways_do_without_a_lost_node_before_anything_is_planned,
    ),
    ("no_job_is_lost_while_fragments_move", no_job_is_lost_while_fragments_move),
    ("no_job_is_lost_while_a_model_is_replaced", no_job_is_lost_while_a_model_is_replaced),
];

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
    ensure!(following(&processes) == 1.0, "the gateway follows {}", following(&processes));
    let before = templates(&scene)?;
    // As much as is planned for, and then six times as much.
    let calm = send(&processes.door, 20.0, 12.0)?;
    ensure!(calm.answered > 9 * calm.refused, "{calm:?}");
    ensure!(scene.names("eennplans")? == ["camera-1"], "nothing has changed: {}", operator.log());
    let busy = send(&processes.door, 120.0, 15.0)?;
    scene.until("there is a plan for the load", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["planRef"]["name"] != "camera-1")
    })?;
    let plan = scene.get("eennplan/camera-2")?;
    let rate: f64 = plan["spec"]["forecast"][0]["rate"].as_str().unwrap_or_default().parse()?;
    ensure!((80.0..180.0).contains(&rate), "{plan:#}");
    ensure!(plan["spec"]["reason"].as_str().is_some_and(|why| why.contains("camera")), "{plan:#}");
    scene.until("the gateway follows it", || following(&processes) >= 2.0)?;
    ensure!(busy.answered > 0, "{busy:?}");
    ensure!(templates(&scene)? == before, "policies touch no pod");
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    // A gateway that starts anew has what its ConfigMap said when it was written, and is told the rest.
    processes.another_gateway(&book)?;
    scene.until("the new gateway follows it, too", || following(&processes) >= 2.0)?;
    scene.until("a collector knows of the decision, and of what gateways were told", || {
        let spans = collector.spans();
        let decided = spans.iter().any(|one| one.is("drift", "plans", "1") && one.attributes["pool"] == "edge");
        let pushed = |one: &Span| one.is("push policy", "generation", "2") && one.is(&one.name, "outcome", "applied");
        decided && spans.iter().any(pushed)
    })
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

/// A job goes over the nodes that a policy names: nobody may be sent over one that is gone, and nobody waits for a new plan.
fn gateways_do_without_a_lost_node_before_anything_is_planned() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let book = scene.path("addresses.json");
    let collector = Collector::start()?;
    let endpoint = collector.endpoint();
    let told = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let arguments = ["--no-leader-election", "--pod-addresses", &book.display().to_string()];
    let _operator = scene.operator_told("operator", &arguments, &told)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let mut processes = Processes::start(&scene, &book)?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")?;
    let lost = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    processes.lose("box")?;
    scene.kubectl(&["delete", "node", "box"])?;
    scene.until("the gateway follows another policy", || {
        processes.gateway.metric("eenn_policy_generation").is_ok_and(|generation| generation >= 2.0)
    })?;
    // What the devices that are left can take.
    let sent = send(&processes.door, 5.0, 4.0)?;
    ensure!(sent.refused == 0 && sent.answered == 20, "{sent:?}");
    let second = scene.get("eennplan/camera-2")?;
    ensure!(second["spec"]["reason"] == "box is gone: jobs take the other chains", "{second:#}");
    let pushed = |one: &Span| one.is("push policy", "generation", "2") && one.is(&one.name, "outcome", "applied");
    let planned = |one: &&Span| one.is("plan", "pool", "edge") && u128::from(one.began) > lost;
    let mut spans = vec![];
    scene.until("a collector knows of the push, and of a plan", || {
        spans = collector.spans();
        spans.iter().any(pushed) && spans.iter().any(|one| planned(&one))
    })?;
    let push = spans.iter().find(|one| pushed(one)).map(|push| push.ended).unwrap_or_default();
    let early: Vec<&Span> = spans.iter().filter(planned).filter(|one| one.began < push).collect();
    ensure!(early.is_empty(), "planned before the gateway knew: {early:#?}");
    Ok(())
}

/// Everything on the box, and then cut in two.
const WHOLE: &str = r#"{"spec": {"sources": [{"name": "camera", "node": "pi", "expectedRate": "10"}], "placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#;
const SPLIT: &str = r#"{"spec": {"placement": {"pinned": [{"chain": "split", "fragments": [{"node": "pi", "firstSegment": 1, "lastSegment": 2}, {"node": "box", "firstSegment": 3, "lastSegment": 6}]}]}}}"#;

fn no_job_is_lost_while_fragments_move() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    scene.apply_all()?;
    change(&scene, SERVICE, WHOLE)?;
    let book = scene.path("addresses.json");
    let _operator = scene.operator("operator", &unhurried(&book.display().to_string()))?;
    let mut processes = served(&scene, &book)?;
    let as_expected = Jobs::start(&processes, 10.0, 40.0);
    // New fragments are not there before their processes are: until then nothing may be sent to them.
    let held = Held::nodes(&scene)?;
    change(&scene, SERVICE, SPLIT)?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsStuck")?;
    let plan = scene.get(SERVICE)?["status"]["planRef"]["name"].clone();
    ensure!(plan != "camera-1", "it is not planned anew");
    // What the gateway started from comes back, and it goes on meanwhile.
    let configuration = scene.names("configmaps")?.into_iter().find(|name| name.starts_with("camera-g-"));
    let configuration = format!("configmap/{}", configuration.context("a gateway has a configuration")?);
    scene.kubectl(&["-n", NAMESPACE, "delete", &configuration])?;
    scene.until("it is there again", || scene.get(&configuration).is_ok())?;
    // More jobs come than were expected: what is decided about that is for later.
    let more = Jobs::start(&processes, 10.0, 25.0);
    std::thread::sleep(Duration::from_secs(12));
    ensure!(following(&processes) == 1.0, "the gateway was told of fragments that are not there");
    ensure!(scene.get(SERVICE)?["status"]["planRef"]["name"] == plan, "a plan for the old placement is in force");
    ensure!(processes.follow(&scene, &book)? == (3, 1), "old fragments and new ones are side by side");
    held.let_go()?;
    scene.until("the gateway follows the new plan", || following(&processes) >= 2.0)?;
    scene.until("the old fragment is gone", || processes.follow(&scene, &book).is_ok_and(|count| count == (2, 1)))?;
    as_expected.all_answered()?;
    more.all_answered()?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")
}

/// Another file of the model under the same name: fragments and the gateway are replaced, and nothing else changes.
const NEXT_MODEL: &str =
    r#"{"spec": {"artifact": {"sha256": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}}}"#;

fn no_job_is_lost_while_a_model_is_replaced() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    scene.apply_all()?;
    change(&scene, SERVICE, SPLIT)?;
    let book = scene.path("addresses.json");
    let _operator = scene.operator("operator", &unhurried(&book.display().to_string()))?;
    let mut processes = served(&scene, &book)?;
    let jobs = Jobs::start(&processes, 20.0, 30.0);
    let held = Held::nodes(&scene)?;
    change(&scene, "eennmodel/fashion-mnist", NEXT_MODEL)?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsStuck")?;
    ensure!(processes.follow(&scene, &book)? == (4, 1), "no gateway is made before its fragments take jobs");
    held.let_go()?;
    let mut most = 0;
    scene.until("what was there before is gone", || {
        let count = processes.follow(&scene, &book).unwrap_or_default();
        most = most.max(count.1);
        count == (2, 1)
    })?;
    ensure!(most == 2, "the gateway of before went before its successor was there");
    jobs.all_answered()?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")
}

/// Arguments of an operator that waits for gateways that it cannot ask, and lets what is old drain for a while.
fn unhurried(book: &str) -> [&str; 6] {
    ["--pod-addresses", book, "--drain-seconds", "3", "--unheard-seconds", "60"]
}

fn change(scene: &Scene, object: &str, patch: &str) -> anyhow::Result<()> {
    scene.kubectl(&["-n", NAMESPACE, "patch", object, "--type=merge", "-p", patch]).map(drop)
}

/// The processes of the service, once gateways follow their policy.
fn served(scene: &Scene, book: &Path) -> anyhow::Result<Processes> {
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let processes = Processes::start(scene, book)?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")?;
    Ok(processes)
}

fn following(processes: &Processes) -> f64 {
    processes.gateway.metric("eenn_policy_generation").unwrap_or(-1.0)
}

/// Jobs that are sent meanwhile.
struct Jobs {
    count: usize,
    sender: JoinHandle<anyhow::Result<Sent>>,
}

impl Jobs {
    fn start(processes: &Processes, rate: f64, seconds: f64) -> Self {
        let door = Arc::clone(&processes.door);
        Self { count: (rate * seconds) as usize, sender: std::thread::spawn(move || send(&door, rate, seconds)) }
    }

    fn all_answered(self) -> anyhow::Result<()> {
        let sent = self.sender.join().map_err(|_| anyhow::anyhow!("senders panicked"))??;
        ensure!(sent.refused == 0 && sent.answered == self.count, "{sent:?}");
        Ok(())
    }
}

/// Nodes that take no new pods for a while.
struct Held<'a>(&'a Scene);

impl<'a> Held<'a> {
    fn nodes(scene: &'a Scene) -> anyhow::Result<Self> {
        scene.kubectl(&["taint", "node", "pi", "box", "example.com/away=now:NoSchedule"])?;
        Ok(Self(scene))
    }

    fn let_go(self) -> anyhow::Result<()> {
        self.0.kubectl(&["taint", "node", "pi", "box", "example.com/away-"]).map(drop)
    }
}
