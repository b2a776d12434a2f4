//! Gateways as real processes: what they are told, and what their load comes to.

use crate::SERVICE;
use crate::collector::{Collector, Span};
use crate::processes::{Processes, send};
use crate::scene::{NAMESPACE, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    ("gateways_are_told_and_plans_follow_the_load", gateways_are_told_and_plans_follow_the_load),
    ("no_job_is_lost_while_fragments_move", no_job_is_lost_while_fragments_move),
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

/// Everything on the box, and then cut in two.
const WHOLE: &str = r#"{"spec": {"placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#;
const SPLIT: &str = r#"{"spec": {"placement": {"pinned": [{"chain": "split", "fragments": [{"node": "pi", "firstSegment": 1, "lastSegment": 2}, {"node": "box", "firstSegment": 3, "lastSegment": 6}]}]}}}"#;

fn no_job_is_lost_while_fragments_move() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    scene.apply_all()?;
    let place = |patch: &str| scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", patch]);
    place(WHOLE)?;
    let book = scene.path("addresses.json");
    let arguments = ["--pod-addresses", &book.display().to_string(), "--drain-seconds", "2", "--unheard-seconds", "60"];
    let _operator = scene.operator("operator", &arguments)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let mut processes = Processes::start(&scene, &book)?;
    scene.wait_for(SERVICE, "Ready", "True", "Ready")?;
    let address = processes.gateway.address.clone();
    let jobs = std::thread::spawn(move || send(&address, 20.0, 30.0));
    // New fragments are not there before their processes are: until then nothing may be sent to them.
    let away = |node: &str, taint: &str| scene.kubectl(&["taint", "node", node, taint]);
    ["pi", "box"].iter().try_for_each(|node| away(node, "example.com/away=now:NoSchedule").map(drop))?;
    place(SPLIT)?;
    scene.wait_for(SERVICE, "Placed", "False", "PodsStuck")?;
    let plan = scene.get(SERVICE)?["status"]["planRef"]["name"].clone();
    ensure!(plan != "camera-1", "it is not planned anew");
    let following = |processes: &Processes| processes.gateway.metric("eenn_policy_generation").unwrap_or(-1.0);
    std::thread::sleep(std::time::Duration::from_secs(4));
    ensure!(following(&processes) == 1.0, "the gateway was told of fragments that are not there");
    ensure!(processes.follow(&scene, &book)? == 3, "old fragments and new ones are side by side");
    ["pi", "box"].iter().try_for_each(|node| away(node, "example.com/away-").map(drop))?;
    scene.until("the gateway follows the new plan", || following(&processes) >= 2.0)?;
    scene.until("the old fragment is gone", || processes.follow(&scene, &book).is_ok_and(|count| count == 2))?;
    let sent = jobs.join().map_err(|_| anyhow::anyhow!("senders panicked"))??;
    ensure!(sent.refused == 0 && sent.answered == 600, "{sent:?}");
    scene.wait_for(SERVICE, "Ready", "True", "Ready")
}
