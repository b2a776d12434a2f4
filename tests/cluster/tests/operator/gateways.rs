//! Gateways as real processes: what they are told, and what their load comes to.

use crate::SERVICE;
use crate::collector::{Collector, Span};
use crate::processes::{Processes, Sent, send};
use crate::scene::{NAMESPACE, Scene};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
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
    (
        "everybody_is_understood_while_one_authority_follows_another",
        everybody_is_understood_while_one_authority_follows_another,
    ),
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
    // Where this machine is slow there may be another plan for slower devices, but none for another load.
    ensure!((15.0..27.0).contains(&planned_rate(&in_force(&scene)?)?), "the load is as before: {}", operator.log());
    let busy = send(&processes.door, 120.0, 15.0)?;
    // The first is made a second after the step, for what was counted until then; its rows may do for all of the load.
    let is_of_the_load = |plan: &Value| planned_rate(plan).is_ok_and(|rate| (40.0..180.0).contains(&rate));
    scene.until("there is a plan for the load", || in_force(&scene).is_ok_and(|plan| is_of_the_load(&plan)))?;
    let plan = in_force(&scene)?;
    ensure!(plan["spec"]["reason"].as_str().is_some_and(|why| why.contains("camera")), "{plan:#}");
    let generation = plan["spec"]["generation"].as_f64().context("plans are counted")?;
    scene.until("the gateway follows it", || following(&processes) >= generation)?;
    ensure!(busy.answered > 0, "{busy:?}");
    ensure!(templates(&scene)? == before, "policies touch no pod");
    scene.wait_for("eennplan/camera-1", "InForce", "False", "Superseded")?;
    // A gateway that starts anew has what its ConfigMap said when it was written, and is told the rest.
    processes.another_gateway(&book)?;
    scene.until("the new gateway follows it, too", || following(&processes) >= generation)?;
    scene.until("a collector knows of the decision, and of what gateways were told", || {
        let spans = collector.spans();
        let decided = spans.iter().any(|one| one.is("drift", "plans", "1") && one.attributes["pool"] == "edge");
        let generation = generation.to_string();
        let pushed =
            |one: &Span| one.is("push policy", "generation", &generation) && one.is(&one.name, "outcome", "applied");
        decided && spans.iter().any(pushed)
    })
}

fn in_force(scene: &Scene) -> anyhow::Result<Value> {
    let service = scene.get(SERVICE)?;
    let name = service["status"]["planRef"]["name"].as_str().context("a plan is in force")?;
    scene.get(&format!("eennplan/{name}"))
}

/// Jobs per second of the one source.
fn planned_rate(plan: &Value) -> anyhow::Result<f64> {
    Ok(plan["spec"]["forecast"][0]["rate"].as_str().unwrap_or_default().parse()?)
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
    let operator = scene.operator("operator", &unhurried(&book.display().to_string()))?;
    let mut processes = served(&scene, &book)?;
    let as_expected = Jobs::start(&processes, 10.0, 40.0);
    // New fragments are not there before their processes are: until then nothing may be sent to them.
    let held = Held::nodes(&scene)?;
    change(&scene, SERVICE, SPLIT)?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsStuck")?;
    let plan = scene.get(SERVICE)?["status"]["planRef"]["name"].clone();
    let generation = plan.as_str().and_then(|name| name.strip_prefix("camera-")?.parse().ok());
    let generation: f64 = generation.context("a plan is in force")?;
    ensure!(generation > 1.0, "it is not planned anew");
    // What the gateway started from comes back, and it goes on meanwhile.
    let configuration = scene.names("configmaps")?.into_iter().find(|name| name.starts_with("camera-g-"));
    let configuration = format!("configmap/{}", configuration.context("a gateway has a configuration")?);
    scene.kubectl(&["-n", NAMESPACE, "delete", &configuration])?;
    scene.until("it is there again", || scene.get(&configuration).is_ok())?;
    // More jobs come than were expected: what is decided about that is for later.
    let more = Jobs::start(&processes, 10.0, 25.0);
    std::thread::sleep(Duration::from_secs(12));
    // Another policy for the fragments of before may have come before that one, where this machine is slow.
    let followed = processes.gateway.metric("eenn_policy_generation")?;
    ensure!(followed < generation, "{followed} of {plan}, of fragments that are not there: {}", operator.log());
    ensure!(scene.get(SERVICE)?["status"]["planRef"]["name"] == plan, "a plan for the old placement is in force");
    ensure!(processes.follow(&scene, &book)? == (3, 1), "old fragments and new ones are side by side");
    held.let_go()?;
    scene.until("the gateway follows the new plan", || following(&processes) >= generation)?;
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

/// The Secret in which the operator keeps its authorities.
const AUTHORITIES: &str = "/api/v1/namespaces/eenn-system/secrets/eenn-operator-eenn-authorities";
const DAY: i64 = 86_400;

fn everybody_is_understood_while_one_authority_follows_another() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    scene.apply_all()?;
    change(&scene, SERVICE, SPLIT)?;
    let book = scene.path("addresses.json");
    let book_name = book.display().to_string();
    let arguments = [&unhurried(&book_name)[..], &["--no-leader-election", "--authorities-seconds", "1"]].concat();
    let _operator = scene.operator("operator", &arguments)?;
    let processes = served(&scene, &book)?;
    let first = certificates(&scene)?;
    ensure!(first.known.len() == 1, "{first:?}");
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    // The operator goes on through all of it. What pods mount is renewed by and by: with whatever the service is looked at for.
    let certified = |step: usize, what: &str, holds: &dyn Fn(&Certificates) -> bool| {
        change(&scene, SERVICE, &format!(r#"{{"metadata": {{"annotations": {{"example.com/step": "{step}"}}}}}}"#))?;
        scene.until(what, || {
            let _ = change(&scene, SERVICE, r#"{"metadata": {"annotations": {"example.com/looked": null}}}"#);
            let _ = change(&scene, SERVICE, r#"{"metadata": {"annotations": {"example.com/looked": "again"}}}"#);
            certificates(&scene).is_ok_and(|now| holds(&now))
        })?;
        processes.certify(&scene)
    };
    let understood = |generation: f64, rate: &str| -> anyhow::Result<()> {
        let jobs = Jobs::start(&processes, 10.0, 3.0);
        let more =
            format!(r#"{{"spec": {{"sources": [{{"name": "camera", "node": "pi", "expectedRate": "{rate}"}}]}}}}"#);
        change(&scene, SERVICE, &more)?;
        scene.until("the gateway follows the next plan", || following(&processes) >= generation)?;
        jobs.all_answered()
    };
    let jobs = Jobs::start(&processes, 5.0, 40.0);
    authorities(&scene, |all| all[0]["ends"] = (now + 100 * DAY).into())?;
    certified(1, "two authorities are known, and the first one signs", &|now| {
        now.known.len() == 2 && now.known[0] == first.known[0] && now.own == first.own
    })?;
    understood(2.0, "10.5")?;
    authorities(&scene, |all| all[1]["made"] = (now - 2 * DAY).into())?;
    certified(2, "the second one signs", &|now| now.known.len() == 2 && now.own != first.own)?;
    understood(3.0, "11")?;
    authorities(&scene, |all| all[0]["ends"] = (now - 1).into())?;
    certified(3, "the first one is forgotten", &|now| now.known.len() == 1 && now.known[0] != first.known[0])?;
    understood(4.0, "11.5")?;
    jobs.all_answered()?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")
}

/// What pods of the service mount.
#[derive(Debug)]
struct Certificates {
    own: String,
    known: Vec<String>,
}

fn certificates(scene: &Scene) -> anyhow::Result<Certificates> {
    let secret = scene.get("secret/camera-certificates")?;
    let file = |name: &str| -> anyhow::Result<String> {
        let text = secret["data"][name].as_str().with_context(|| format!("there is no {name}"))?;
        Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text)?)?)
    };
    let known = file("ca.crt")?;
    let known = known.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect();
    Ok(Certificates { own: file("tls.crt")?, known })
}

/// Changes what the operator remembers of its authorities, as if more time had passed; tried again where the operator writes, too.
fn authorities(scene: &Scene, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
    let engine = base64::engine::general_purpose::STANDARD;
    for _ in 0..20 {
        let mut secret = scene.plane.api().get(AUTHORITIES)?;
        let document = secret["data"]["authorities.json"].as_str().context("authorities are there")?;
        let mut document: Value = serde_json::from_slice(&engine.decode(document)?)?;
        change(&mut document);
        secret["data"]["authorities.json"] = engine.encode(document.to_string()).into();
        if scene.plane.api().send("PUT", AUTHORITIES, Some(&secret))?.status == 200 {
            return Ok(());
        }
    }
    anyhow::bail!("the operator writes its authorities all the time")
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
