//! In the place of the kubelet of a node that KWOK does not look after: what pods of Jobs would run, as processes with the arguments and
//! the certificates that the operator has made for them.

use crate::scene::{Scene, beside};
use crate::stage::Stage;
use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

/// A node that no KWOK looks after, so that it does not end pods of Jobs by itself.
pub(crate) const NODE: &str = "lab";

pub(crate) fn add_node(scene: &Scene) -> anyhow::Result<()> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": NODE, "labels": { "example.com/pool": "edge", "node.kubernetes.io/instance-type": "lab" } },
    });
    scene.tools.kubectl(&["create", "-f", "-"], &node.to_string())?.ok()?;
    let room = json!({ "cpu": "4", "memory": "4Gi", "pods": "110" });
    let status = json!({ "status": { "capacity": room, "allocatable": room, "nodeInfo": {
        "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
        "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "osImage": "", "systemUUID": "",
    } } });
    scene.kubectl(&["patch", "node", NODE, "--subresource=status", "--type=merge", "-p", &status.to_string()])?;
    beat(scene)
}

/// Says that the node is well, which holds for 40 s.
pub(crate) fn beat(scene: &Scene) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now,
    });
    let status = json!({ "status": { "conditions": [ready] } }).to_string();
    scene.kubectl(&["patch", "node", NODE, "--subresource=status", "--type=merge", "-p", &status]).map(drop)
}

/// What the pod of a Job would run; it ends with its owner.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// With the paths and ports of this machine, and the certificate of the Job, which has to be there.
    pub(crate) fn start(scene: &Scene, namespace: &str, job: &Value) -> anyhow::Result<Self> {
        let name = job["metadata"]["name"].as_str().context("a Job has a name")?;
        let folder = scene.path(&format!("{namespace}.{name}"));
        std::fs::create_dir_all(&folder)?;
        certificate(&scene.plane.api().get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"))?, &folder)?;
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().context("it has arguments")?.iter().filter_map(Value::as_str);
        let (model, table) = (example("model.onnx"), example("exit-table.safetensors"));
        let here = |argument: &str| match argument {
            "/model/model.onnx" => model.display().to_string(),
            "/exit-table/exit-table.safetensors" => table.display().to_string(),
            "/etc/eenn-tls" => folder.display().to_string(),
            "0.0.0.0:9443" => "127.0.0.1:0".to_owned(),
            other => other.replace("$$", "$"),
        };
        let mut command = Command::new(beside("eenn-runtime")?);
        command.args(arguments.map(here)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Where its result is served, once it has one.
    pub(crate) fn address(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).with_context(|| format!("it said {line:?}"))?;
        Ok(said["address"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

/// A file of the example that is measured.
pub(crate) fn example(name: &str) -> PathBuf {
    cluster_tests::file("examples/fashion-mnist").join(name)
}

fn certificate(secret: &Value, folder: &Path) -> anyhow::Result<()> {
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let file = secret["data"][name].as_str().with_context(|| format!("{name} is not in {secret}"))?;
        std::fs::write(folder.join(name), base64::engine::general_purpose::STANDARD.decode(file)?)?;
    }
    Ok(())
}

/// For pods of Jobs on one stage.
pub(crate) struct Kubelet<'a> {
    stage: &'a Stage<'a>,
    /// Where operators find out where pods are reached.
    book: PathBuf,
    addresses: BTreeMap<String, String>,
    /// By the names of pods.
    running: BTreeMap<String, Process>,
}

impl<'a> Kubelet<'a> {
    pub(crate) fn of(stage: &'a Stage<'a>) -> Self {
        let (addresses, running) = Default::default();
        Self { stage, book: stage.book(), addresses, running }
    }

    /// Brings what runs to what is wanted. Waits until a process that it has started knows its result.
    pub(crate) fn look(&mut self) -> anyhow::Result<()> {
        for job in self.stage.list("/apis/batch/v1", "jobs")? {
            let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let of_job = |pod: &Value| pod["metadata"]["labels"]["eenn.dev/workload"] == *name;
            for pod in self.stage.list("/api/v1", "pods")?.iter().filter(|pod| of_job(pod)) {
                self.run(&job, &name, pod)?;
            }
        }
        for pod in self.stage.list("/api/v1", "pods")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let ended = self.running.get_mut(name).and_then(Process::ended);
            if let Some(ended) = ended {
                let phase = if ended.success() { "Succeeded" } else { "Failed" };
                self.stage.put_phase(&pod, phase)?;
                self.running.remove(name);
            }
            if pod["spec"]["nodeName"] == NODE && !pod["metadata"]["deletionTimestamp"].is_null() {
                self.running.remove(name);
                self.stage.remove(&pod)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, job: &Value, workload: &str, pod: &Value) -> anyhow::Result<()> {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let waits = pod["status"]["phase"] == "Pending" && pod["spec"]["nodeName"] == NODE;
        // A kubelet waits for what is to be mounted.
        let secret = format!("/api/v1/namespaces/{}/secrets/{workload}", self.stage.name);
        let certified = || self.stage.scene.plane.api().get(&secret).is_ok();
        if !waits || self.running.contains_key(&name) || !certified() {
            return Ok(());
        }
        let mut process = Process::start(self.stage.scene, &self.stage.name, job)?;
        self.addresses.insert(workload.to_owned(), process.address()?);
        std::fs::write(&self.book, json!(self.addresses).to_string())?;
        self.running.insert(name, process);
        self.stage.put_phase(pod, "Running")
    }
}
