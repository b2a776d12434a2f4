//! Models that say little of themselves: the operator has them measured. In the place of the pod of its Job there is the process that
//! the pod would run, with the arguments and the certificate that the operator has made for it.

use crate::kubelet::{NODE, Process, example};
use crate::scene::{NAMESPACE, Scene};
use crate::{SERVICE, kubelet, scene};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::Command;

/// Its class, without a speed.
const LAB: &str = "    - name: lab
      matchLabels: { node.kubernetes.io/instance-type: lab }
      tier: NearEdge
      memoryBudget: 256Ki
";
const MODEL: &str = "eennmodel/fashion-mnist";
/// The digest of the file that `manifests/two-tier.yaml` speaks of, which nobody has.
const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn what_a_model_does_not_say_is_measured() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    kubelet::add_node(&scene)?;
    scene.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], &manifest()?)?.ok()?;
    let book = scene.path("addresses.json");
    let operator = scene.operator("operator", &["--pod-addresses", &book.display().to_string()])?;
    scene.wait_for(MODEL, "Ready", "False", "BeingMeasured")?;
    let (_, _, message) = scene.condition(MODEL, "Ready")?;
    ensure!(message.contains("inspected on lab"), "{message}");
    scene.wait_for(SERVICE, "ModelReady", "False", "ModelNotReady")?;
    let job = job(&scene, 1)?;
    let (pod, job_name) = (pod(&scene, &job, "")?, name(&job));
    check_pod(&scene, &pod)?;
    let mut process = start(&scene, &job)?;
    std::fs::write(&book, json!({ &job_name: process.address()? }).to_string())?;
    patch_pod(&scene, &pod, &json!({ "phase": "Running" }))?;
    scene.wait_for(MODEL, "Ready", "True", "Ready")?;
    check_numbers(&scene)?;
    let ended = wait(&scene, &mut process)?;
    ensure!(ended.success(), "it ended with {ended}: {}", operator.log());
    scene.wait_for(SERVICE, "Planned", "True", "Planned")?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let events = scene.kubectl(&["-n", NAMESPACE, "events", "--for", MODEL])?;
    ensure!(events.contains("BeingMeasured") && events.contains("Ready"), "{events}");
    another_file_is_measured_anew(&scene)
}

/// What is known of a file does not hold of another one; and one that is not there is told.
fn another_file_is_measured_anew(scene: &Scene) -> anyhow::Result<()> {
    let wrong = format!(r#"{{"spec": {{"artifact": {{"sha256": "{}"}}}}}}"#, "0".repeat(64));
    scene.kubectl(&["-n", NAMESPACE, "patch", MODEL, "--type=merge", "-p", &wrong])?;
    scene.wait_for(MODEL, "Ready", "False", "BeingMeasured")?;
    let job = job(scene, 1)?;
    let first = pod(scene, &job, "")?;
    let waiting = json!({ "reason": "ImagePullBackOff", "message": "no such image" });
    let container = |state: Value| json!([{ "name": "inspect", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }]);
    patch_pod(scene, &first, &json!({ "containerStatuses": container(json!({ "waiting": waiting })) }))?;
    scene.wait_for(MODEL, "Ready", "False", "ImagePull")?;
    let mut process = start(scene, &job)?;
    let ended = wait(scene, &mut process)?;
    let mut said = String::new();
    process.stderr().context("it is piped")?.read_to_string(&mut said)?;
    ensure!(ended.code() == Some(1) && said.contains("SHA-256"), "{ended}: {said}");
    let failed = json!({ "exitCode": 1, "reason": "Error", "message": said });
    let failed = json!({ "phase": "Failed", "containerStatuses": container(json!({ "terminated": failed })) });
    patch_pod(scene, &first, &failed)?;
    let second = pod(scene, &job, &first)?;
    patch_pod(scene, &second, &failed)?;
    scene.wait_for(MODEL, "Ready", "False", "MeasurementFailed")?;
    let told = |word: &str| scene.condition(MODEL, "Ready").is_ok_and(|(_, _, message)| message.contains(word));
    scene.until("it is told why", || told("attempt 1") && told("has SHA-256"))?;
    // And tried again.
    self::job(scene, 2).map(drop)
}

pub(crate) fn a_class_without_speed_is_measured() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    kubelet::add_node(&scene)?;
    let table = format!("--from-file=exit-table.safetensors={}", example("exit-table.safetensors").display());
    scene.kubectl(&["-n", NAMESPACE, "create", "configmap", "fashion-mnist", &table])?;
    let text = std::fs::read_to_string(scene::manifest("two-tier.yaml"))?;
    let class = format!("  classes:\n{LAB}");
    let text = text.replace("  classes:\n", &class).replace(DIGEST, &sha256("model.onnx")?);
    scene.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], &text)?.ok()?;
    let book = scene.path("addresses.json");
    let _operator = scene.operator("operator", &["--pod-addresses", &book.display().to_string()])?;
    let pool = "devicepool/edge";
    scene.wait_for(pool, "Calibrated", "False", "BeingMeasured")?;
    // Nobody waits for it.
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let job = job(&scene, 1)?;
    let owner = &job["metadata"]["ownerReferences"][0];
    ensure!(owner["kind"] == "DevicePool" && owner["name"] == "edge", "{job:#}");
    let pod = pod(&scene, &job, "")?;
    let mut process = start(&scene, &job)?;
    std::fs::write(&book, json!({ &name(&job): process.address()? }).to_string())?;
    patch_pod(&scene, &pod, &json!({ "phase": "Running" }))?;
    scene.wait_for(pool, "Calibrated", "True", "Calibrated")?;
    ensure!(wait(&scene, &mut process)?.success(), "it was acknowledged");
    let status = scene.get(pool)?["status"].clone();
    let class = &status["classes"][0];
    let speed: f64 = class["speedFactor"].as_str().unwrap_or_default().parse()?;
    ensure!(class["name"] == "lab" && class["node"] == NODE && class["model"] == "edge/fashion-mnist", "{status:#}");
    ensure!(speed > 0.0 && status["classes"].as_array().map(Vec::len) == Some(1), "{status:#}");
    let device =
        status["devices"].as_array().and_then(|devices| devices.iter().find(|device| device["name"] == NODE).cloned());
    let known = device.as_ref().and_then(|device| device["speedFactor"].as_str()?.parse::<f64>().ok());
    ensure!(known == Some(speed), "what is planned with is what was measured: {status:#}");
    Ok(())
}

pub(crate) fn images_are_mounted_only_where_the_cluster_can() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &[])?;
    let manifest = manifest()?
        .replace("https://models.example.com/fashion-mnist.onnx", "oci://registry.example.com/fashion-mnist:1");
    scene.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], &manifest)?.ok()?;
    // Version 1.34 has them, turned off.
    scene.wait_for(MODEL, "Accepted", "False", "ArtifactNotReachable")?;
    let (_, _, message) = scene.condition(MODEL, "Accepted")?;
    ensure!(message.contains("feature gate ImageVolume"), "{message}");
    ensure!(scene.names("jobs")?.is_empty(), "there is nothing to measure");
    Ok(())
}

/// The manifests of a service whose model says only where it is and where it can be left and cut.
pub(crate) fn manifest() -> anyhow::Result<String> {
    let text = std::fs::read_to_string(scene::manifest("two-tier.yaml"))?;
    let (mut out, mut skipped) = (String::new(), false);
    for line in text.lines() {
        skipped = line == "  profile:" || skipped && line != "---";
        let line = line.split_once(", bytes:").map_or(line.to_owned(), |(cut, _)| format!("{cut} }}"));
        if !skipped {
            out += &(line + "\n");
        }
    }
    let table = format!(
        "https://models.example.com/exit-table.safetensors\n    sha256: {:?}",
        sha256("exit-table.safetensors")?
    );
    let class = format!("  classes:\n{LAB}      speedFactor: \"1\"\n");
    out = out.replace("configmap://fashion-mnist/exit-table.safetensors", &table);
    out = out.replace(DIGEST, &sha256("model.onnx")?);
    Ok(out.replace("  classes:\n", &class))
}

/// The digest of a file of the example.
pub(crate) fn sha256(name: &str) -> anyhow::Result<String> {
    let said = Command::new("sha256sum").arg(example(name)).output()?;
    let said = String::from_utf8(said.stdout)?;
    Ok(said.split_whitespace().next().context("it says a digest")?.to_owned())
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// The Job that is at work now, of this attempt.
fn job(scene: &Scene, attempt: u32) -> anyhow::Result<Value> {
    let attempt = attempt.to_string();
    let mut found = None;
    scene.until(&format!("there is a Job of attempt {attempt}"), || {
        let jobs = scene.get("jobs").unwrap_or_default();
        let all = jobs["items"].as_array().cloned().unwrap_or_default();
        let at_work = |job: &Value| {
            let over = job["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|one| {
                    ["Complete", "Failed", "SuccessCriteriaMet"].contains(&one["type"].as_str().unwrap_or_default())
                })
            });
            !over
                && job["metadata"]["annotations"]["eenn.dev/attempt"] == *attempt
                && job["metadata"]["deletionTimestamp"].is_null()
        };
        // One that nobody needs any more may still be there.
        let mut at_work: Vec<Value> = all.into_iter().filter(at_work).collect();
        found = if at_work.len() == 1 { at_work.pop() } else { None };
        found.is_some()
    })?;
    found.context("it was found")
}

/// A pod of a Job that is another one than `before`.
fn pod(scene: &Scene, job: &Value, before: &str) -> anyhow::Result<String> {
    let selector = format!("eenn.dev/workload={}", name(job));
    let jsonpath = "jsonpath={.items[*].metadata.name}";
    let mut found = None;
    scene.until("there is a pod of the Job", || {
        let names =
            scene.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", &selector, "-o", jsonpath]).unwrap_or_default();
        found = names.split_whitespace().find(|name| *name != before).map(str::to_owned);
        found.is_some()
    })?;
    found.context("it was found")
}

/// It is pinned, reached by the operator only, and goes with the model.
fn check_pod(scene: &Scene, pod: &str) -> anyhow::Result<()> {
    let pod = scene.get(&format!("pod/{pod}"))?;
    let term = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    ensure!(pod.pointer(term) == Some(&NODE.into()), "{pod:#}");
    ensure!(
        pod["spec"]["initContainers"].as_array().map(Vec::len) == Some(2),
        "model and exit table are fetched: {pod:#}"
    );
    let workload = pod["metadata"]["labels"]["eenn.dev/workload"].as_str().unwrap_or_default();
    let policy = scene.get(&format!("networkpolicy/{workload}"))?;
    ensure!(policy["spec"]["ingress"][0]["ports"][0]["port"] == 9443, "{policy:#}");
    for (object, kind) in [("networkpolicy", "Job"), ("secret", "Job"), ("job", "EENNModel")] {
        let object = scene.get(&format!("{object}/{workload}"))?;
        ensure!(object["metadata"]["ownerReferences"][0]["kind"] == kind, "{object:#}");
    }
    Ok(())
}

fn patch_pod(scene: &Scene, pod: &str, status: &Value) -> anyhow::Result<()> {
    let patch = json!({ "status": status }).to_string();
    scene
        .kubectl(&["-n", NAMESPACE, "patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &patch])
        .map(drop)
}

/// The status says what `eenn model inspect` would, and the exit table is in a ConfigMap.
fn check_numbers(scene: &Scene) -> anyhow::Result<()> {
    let model = scene.get(MODEL)?;
    let status = &model["status"];
    let bytes: Vec<i64> =
        status["segments"].as_array().into_iter().flatten().filter_map(|one| one["activationBytes"].as_i64()).collect();
    ensure!(bytes == [9408, 18816, 9408, 12544, 18816, 0], "{status:#}");
    ensure!(status["profile"]["segments"].as_array().map(Vec::len) == Some(6), "{status:#}");
    ensure!(status["exits"][0]["segment"] == 1 && status["exits"][5]["segment"] == 6, "{status:#}");
    let (measured, accuracy) = (&status["measured"], status["accuracy"].as_str().unwrap_or_default());
    ensure!(measured["node"] == NODE && measured["class"] == "lab" && measured["speedFactor"] == "1", "{status:#}");
    ensure!(accuracy.parse::<f64>().is_ok_and(|accuracy| accuracy > 0.9), "{status:#}");
    let table = status["exitTableRef"]["name"].as_str().context("there is a table")?;
    let table = scene.get(&format!("configmap/{table}"))?;
    let stored = table["binaryData"]["exit-table.safetensors"].as_str().unwrap_or_default();
    let stored = base64::engine::general_purpose::STANDARD.decode(stored)?;
    ensure!(stored == std::fs::read(example("exit-table.safetensors"))?, "it fits as it is");
    ensure!(table["metadata"]["ownerReferences"][0]["kind"] == "EENNModel", "{:#}", table["metadata"]);
    Ok(())
}

/// The process that the pod of a Job would run, as soon as it has its certificate.
fn start(scene: &Scene, job: &Value) -> anyhow::Result<Process> {
    scene.until("the Job has a certificate", || scene.get(&format!("secret/{}", name(job))).is_ok())?;
    Process::start(scene, NAMESPACE, job)
}

fn wait(scene: &Scene, process: &mut Process) -> anyhow::Result<std::process::ExitStatus> {
    let mut ended = None;
    scene.until("the process has ended", || {
        ended = process.ended();
        ended.is_some()
    })?;
    ended.context("it has ended")
}
