//! `kubectl eenn` as people type it, against a real API server and an operator.

#[path = "../operator/scene.rs"]
#[expect(dead_code, reason = "tests of the operator need more of it")]
mod scene;

use anyhow::{Context as _, ensure};
use cluster_tests::{Said, Test, Tools, run};
use control_plane::Binary;
use scene::{NAMESPACE, Scene};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::process::{ExitCode, Stdio};

const SERVICE: &str = "eennservice/camera";

const TESTS: &[Test] = &[
    (
        "a_service_is_shown_from_the_first_trouble_to_what_limits_it",
        a_service_is_shown_from_the_first_trouble_to_what_limits_it,
    ),
    ("a_placement_is_looked_at_approved_and_waited_for", a_placement_is_looked_at_approved_and_waited_for),
    ("what_cannot_be_done_is_told_in_one_line", what_cannot_be_done_is_told_in_one_line),
    ("who_may_see_less_is_shown_less", who_may_see_less_is_shown_less),
    ("what_was_measured_is_explained_with", what_was_measured_is_explained_with),
];

fn main() -> ExitCode {
    run("tests of kubectl eenn", &Binary::ALL, TESTS)
}

/// kubectl with the plugin.
struct Plugin {
    tools: Tools,
    _folder: tempfile::TempDir,
}

impl Plugin {
    fn new(scene: &Scene) -> anyhow::Result<Self> {
        Self::of(Tools::of(&scene.plane, &[Binary::Kubectl])?)
    }

    /// Installed as the guide says: two links to `eenn`.
    fn of(tools: Tools) -> anyhow::Result<Self> {
        let test = std::env::current_exe()?;
        let eenn = test.ancestors().nth(2).context("a test lies in a folder of cargo")?.join("eenn");
        ensure!(eenn.exists(), "{} is missing: run `cargo build --release --workspace --bins`", eenn.display());
        let folder = tempfile::tempdir()?;
        for name in ["kubectl-eenn", "kubectl_complete-eenn"] {
            symlink(&eenn, folder.path().join(name))?;
        }
        Ok(Self { tools: tools.with_programs(folder.path()), _folder: folder })
    }

    fn say(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        self.tools.kubectl(&[&["eenn"], arguments].concat(), "")
    }

    /// In the namespace of the tests.
    fn there(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.say(&[arguments, &["-n", NAMESPACE]].concat())?.ok()
    }

    /// One line on standard error, and nothing else.
    fn refusal(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let said = self.say(arguments)?;
        ensure!(said.out.is_empty(), "printed: {}", said.out);
        let error = said.refused()?;
        ensure!(error.lines().count() == 1, "more than one line: {error}");
        Ok(error.trim_end().to_owned())
    }
}

/// `kubectl eenn status -w`, until its owner is gone.
struct Watch {
    child: std::process::Child,
    out: tempfile::NamedTempFile,
}

impl Watch {
    fn start(plugin: &Plugin) -> anyhow::Result<Self> {
        let out = tempfile::NamedTempFile::new()?;
        let mut command = plugin.tools.command(Binary::Kubectl, &["eenn", "status", "-w", "-n", NAMESPACE])?;
        let child = command.stdin(Stdio::null()).stdout(out.reopen()?).spawn()?;
        Ok(Self { child, out })
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.out.path()).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn holds(text: &str, words: &[&str]) -> anyhow::Result<()> {
    // Columns are as wide as their widest word.
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.iter().try_for_each(|word| {
        ensure!(plain.contains(word), "{word:?} is not in\n{text}");
        Ok(())
    })
}

fn patch(scene: &Scene, spec: &str) -> anyhow::Result<()> {
    scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", spec]).map(drop)
}

fn a_service_is_shown_from_the_first_trouble_to_what_limits_it() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let plugin = Plugin::new(&scene)?;
    // Nobody has looked yet.
    let text = plugin.there(&["status"])?;
    holds(
        &text,
        &["camera starts", "camera: no operator has said anything of it yet", "is one running, for this namespace"],
    )?;
    holds(&plugin.there(&["plan", "camera"])?, &["camera has no plan yet: no operator has said anything of it yet"])?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let text = plugin.there(&["status"])?;
    holds(
        &text,
        &["camera waits for gateways camera-1 5 of 5", "target", "≤ 250", "camera pi pi 1–6", "split pi 1–3 → box 4–6"],
    )?;
    holds(&text, &["edge ready 2 of 2 1", "fashion-mnist ready 6 6"])?;
    let text = plugin.say(&["status", "-A"])?.ok()?;
    holds(&text, &["namespace service state", "edge camera waits for gateways"])?;
    let text = plugin.there(&["status", "camera"])?;
    holds(
        &text,
        &[
            "camera in namespace edge: waits for gateways",
            "Accepted yes",
            "predicted by simulation",
            "gateway pi yes 0",
        ],
    )?;
    let document: Value = serde_json::from_str(&plugin.there(&["status", "-o", "json"])?)?;
    ensure!(document["services"][0]["state"] == "waits for gateways", "{document:#}");
    ensure!(document["services"][0]["pods"]["all"] == 5, "{document:#}");
    shows_its_plan(&scene, &plugin)?;
    let text = plugin.there(&["explain", "camera"])?;
    holds(&text, &["All targets are met, by simulation.", "camera: ", "By plan camera-1", "20 from camera"])?;
    // Whoever watches sees what is missing, said with what helps.
    let watch = Watch::start(&plugin)?;
    scene.until("the first status is shown", || watch.text().contains("5 of 5"))?;
    scene.kubectl(&["-n", NAMESPACE, "delete", "configmap", "fashion-mnist"])?;
    scene.wait_for(SERVICE, "ModelReady", "False", "ModelNotReady")?;
    scene.until("the second status is shown", || watch.text().contains("model not ready"))?;
    let text = plugin.there(&["status"])?;
    holds(
        &text,
        &["camera model not ready camera-1", "camera: EENNModel \"fashion-mnist\" is not ready: there is no ConfigMap"],
    )?;
    let refused = plugin.refusal(&["explain", "camera", "-n", NAMESPACE])?;
    ensure!(refused.contains("there is no ConfigMap \"fashion-mnist\", which EENNModel"), "{refused}");
    scene.kubectl(&["cordon", "box"])?;
    scene.until("the device is left out", || {
        plugin.there(&["status"]).is_ok_and(|text| text.contains("edge leaves out a device: box is cordoned"))
    })
}

fn shows_its_plan(scene: &Scene, plugin: &Plugin) -> anyhow::Result<()> {
    let text = plugin.there(&["plan", "camera"])?;
    holds(
        &text,
        &["camera-1 in force", "first plan of camera", "camera-1, in force All targets are met, by simulation."],
    )?;
    holds(
        &text,
        &[
            "predicted by loss accuracy mean ms p95 ms",
            "simulation",
            "decomposition",
            "source chain jobs/s share exit1",
        ],
    )?;
    // The object itself, which the API server takes for the same.
    let yaml = plugin.there(&["plan", "camera", "-o", "yaml"])?;
    let same = scene.tools.kubectl(&["-n", NAMESPACE, "diff", "-f", "-"], &yaml)?.ok()?;
    ensure!(same.is_empty(), "{same}");
    let document: Value = serde_json::from_str(&plugin.there(&["plan", "camera", "-o", "json"])?)?;
    ensure!(document["shown"]["policy"]["sources"][0]["name"] == "camera", "{document:#}");
    Ok(())
}

fn a_placement_is_looked_at_approved_and_waited_for() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let plugin = Plugin::new(&scene)?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let automatic = plugin.refusal(&["approve", "camera", "-n", NAMESPACE, "--yes"])?;
    ensure!(automatic.contains("puts plans into place by itself"), "{automatic}");
    patch(&scene, r#"{"spec": {"planning": "Manual", "approvedPlan": "camera-1"}}"#)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let nothing = plugin.refusal(&["approve", "camera", "-n", NAMESPACE, "--yes"])?;
    ensure!(
        nothing == "error: nothing waits for approval: plan camera-1 of service \"camera\" is in force",
        "{nothing}"
    );
    patch(
        &scene,
        r#"{"spec": {"placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#,
    )?;
    scene.until("a plan is proposed", || {
        scene.get(SERVICE).is_ok_and(|service| service["status"]["proposedPlanRef"]["name"] == "camera-2")
    })?;
    holds(&plugin.there(&["status"])?, &["plan camera-2 waits for approval: kubectl eenn approve camera -n edge"])?;
    let difference = ["camera-2 instead of camera-1", "chain pi", "Then stops pods for: box 4–6, pi 1–3, pi 1–6"];
    holds(&plugin.there(&["plan", "camera"])?, &difference)?;
    let said = plugin.say(&["approve", "camera", "-n", NAMESPACE])?;
    holds(&said.out, &difference)?;
    let asked = said.refused()?;
    ensure!(asked == "error: there is no terminal to ask at; --yes approves without asking\n", "{asked}");
    ensure!(scene.get(SERVICE)?["spec"]["approvedPlan"] == "camera-1", "nothing is approved without an answer");
    let unknown = plugin.refusal(&["approve", "camera", "-n", NAMESPACE, "--generation", "9", "--yes"])?;
    ensure!(unknown == "error: service \"camera\" has no plan with generation 9; it has 1 and 2", "{unknown}");
    let text = plugin.there(&["approve", "camera", "--yes", "--wait", "--timeout", "90"])?;
    holds(&text, &["Plan camera-2 is approved.", "Plan camera-2 is in force, and its pods are ready."])?;
    let service = scene.kubectl(&["-n", NAMESPACE, "get", SERVICE, "-o", "json", "--show-managed-fields"])?;
    let service: Value = serde_json::from_str(&service)?;
    ensure!(service["status"]["planRef"]["name"] == "camera-2", "{service:#}");
    let managers = service["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let ours = managers.iter().find(|one| one["manager"] == "kubectl-eenn").context("it has a manager of its own")?;
    ensure!(ours["fieldsV1"]["f:spec"]["f:approvedPlan"].is_object(), "{ours:#}");
    // And back.
    let text = plugin.there(&["approve", "camera", "--generation", "1", "--yes", "--wait"])?;
    // The operator makes it anew, since gateways take what is newer.
    holds(&text, &["camera-1 instead of camera-2", "is in force, and its pods are ready."])?;
    let service = scene.get(SERVICE)?;
    let now = service["status"]["planRef"]["name"].as_str().unwrap_or_default();
    let chains = |name: &str| anyhow::Ok(scene.get(&format!("eennplan/{name}"))?["spec"]["chains"].clone());
    ensure!(chains(now)? == chains("camera-1")?, "{service:#}");
    Ok(())
}

fn what_cannot_be_done_is_told_in_one_line() -> anyhow::Result<()> {
    // No cluster at all.
    let nowhere = Plugin::of(Tools::find(&[Binary::Kubectl])?)?;
    let said = nowhere.refusal(&["status"])?;
    ensure!(said.starts_with("error: ") && said.contains("context"), "{said}");
    let mut scene = Scene::new()?;
    let plugin = Plugin::new(&scene)?;
    holds(&plugin.there(&["status"])?, &["There is no EENNService in namespace edge; -A looks"])?;
    let unknown = plugin.refusal(&["plan", "camera", "-n", NAMESPACE])?;
    ensure!(
        unknown.starts_with("error: there is no EENNService \"camera\" in namespace \"edge\"; there is none"),
        "{unknown}"
    );
    scene.apply_all()?;
    let unknown = plugin.refusal(&["status", "camra", "-n", NAMESPACE])?;
    ensure!(unknown == "error: there is no EENNService \"camra\" in namespace \"edge\"; it has camera", "{unknown}");
    let context = plugin.refusal(&["status", "--context", "barn"])?;
    ensure!(context.starts_with("error: there is no context \"barn\" in the kubeconfig; it has "), "{context}");
    // What the tab key offers, as kubectl asks for it.
    let offered = plugin.tools.kubectl(&["__complete", "eenn", "status", "-n", NAMESPACE, ""], "")?.ok()?;
    ensure!(offered.lines().next() == Some("camera"), "{offered}");
    let offered = plugin.tools.kubectl(&["__complete", "eenn", "ap"], "")?.ok()?;
    ensure!(offered.starts_with("approve\t"), "{offered}");
    // Definitions that are not there.
    scene.kubectl(&["delete", "crd", "eennservices.eenn.dev"])?;
    let kind = plugin.refusal(&["status"])?;
    ensure!(kind.contains("does not know this kind; install the operator"), "{kind}");
    scene.plane.stop_api_server();
    let away = plugin.refusal(&["status"])?;
    ensure!(
        away.starts_with("error: cannot list eennservices in namespace default: no answer from the cluster at "),
        "{away}"
    );
    ensure!(away.contains("refused"), "{away}");
    Ok(())
}

fn who_may_see_less_is_shown_less() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let user = scene.plane.kubeconfig_for("ann", None).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), user)?;
    let plugin = Plugin::new(&scene)?;
    let kubeconfig = file.path().display().to_string();
    let as_ann = ["-n", NAMESPACE, "--kubeconfig", &kubeconfig];
    let refused = plugin.refusal(&[&["status"], &as_ann[..]].concat())?;
    ensure!(refused.contains("User \"ann\" cannot list resource \"eennservices\""), "{refused}");
    let services = "--resource=eennservices.eenn.dev,eennplans.eenn.dev";
    scene.kubectl(&["-n", NAMESPACE, "create", "role", "looks", "--verb=get,list", services])?;
    scene.kubectl(&["-n", NAMESPACE, "create", "rolebinding", "looks", "--role=looks", "--user=ann"])?;
    scene.until("she may list services", || {
        plugin.say(&[&["status"], &as_ann[..]].concat()).is_ok_and(|said| said.success)
    })?;
    let text = plugin.say(&[&["status"], &as_ann[..]].concat())?.ok()?;
    holds(&text, &["camera waits for gateways camera-1", "Not shown: cannot list devicepools: "])?;
    let refused = plugin.refusal(&[&["explain", "camera"], &as_ann[..]].concat())?;
    ensure!(refused.contains("cannot get DevicePool edge"), "{refused}");
    patch(
        &scene,
        r#"{"spec": {"planning": "Manual", "placement": {"pinned": [{"chain": "box", "fragments": [{"node": "box", "firstSegment": 1, "lastSegment": 6}]}]}}}"#,
    )?;
    scene.until("a plan waits, and the one before stays in force", || {
        scene.get(SERVICE).is_ok_and(|service| {
            let name = |field: &str| service["status"][field]["name"].clone();
            name("proposedPlanRef") == "camera-2" && name("planRef") == "camera-1"
        })
    })?;
    let said = plugin.say(&[&["approve", "camera", "--yes"], &as_ann[..]].concat())?.refused()?;
    ensure!(said.contains("cannot approve camera-2") && said.contains("cannot patch resource"), "{said}");
    Ok(())
}

fn what_was_measured_is_explained_with() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let plugin = Plugin::new(&scene)?;
    let operator = scene.operator("operator", &[])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    // What the pool says now is what counts: nobody must make another plan of it.
    drop(operator);
    let said = plugin.there(&["explain", "camera"])?;
    let (pool, path) = ("devicepool/edge", "/spec/classes/1/speedFactor");
    let speed = scene.get(pool)?.pointer(path).cloned().context("the class of the box has a speed")?;
    let unsaid = json!([{ "op": "remove", "path": path }]).to_string();
    scene.kubectl(&["patch", pool, "--type=json", "-p", &unsaid])?;
    let unknown = plugin.there(&["explain", "camera"])?;
    ensure!(unknown != said, "a class without a speed is as fast as the machine of the profile: {unknown}");
    let measured = json!({ "name": "edge-box", "speedFactor": speed, "node": "box", "model": "edge/fashion-mnist", "measuredTime": "2026-01-01T00:00:00Z" });
    let measured = json!({ "status": { "classes": [measured] } }).to_string();
    scene.kubectl(&["patch", pool, "--subresource=status", "--type=merge", "-p", &measured])?;
    let text = plugin.there(&["explain", "camera"])?;
    ensure!(text == said, "{text}\ninstead of\n{said}");
    Ok(())
}
