//! A cluster with two fake nodes, the definitions, and operators as processes.

use anyhow::{Context as _, ensure};
use cluster_tests::{Tools, file, start};
use control_plane::{Binary, ControlPlane, Options};
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where services of tests live. Pods that do not pass Pod Security *restricted* are refused there.
pub(crate) const NAMESPACE: &str = "edge";
/// Generous: the machine may do other things.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster.
pub(crate) struct Scene {
    pub(crate) plane: ControlPlane,
    pub(crate) tools: Tools,
    folder: tempfile::TempDir,
}

impl Scene {
    /// With nodes, definitions and namespaces, and nothing else.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let options = Options { audit: true, ..Options::everything() };
        let plane = start(&options)?;
        let tools = Tools::of(&plane, &[Binary::Kubectl])?;
        let scene = Self { plane, tools, folder: tempfile::tempdir()? };
        let crds = file("crds");
        scene.kubectl(&["apply", "--server-side", "-f", &crds.display().to_string()])?;
        scene.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        // Established is not served yet: the first lists may be refused.
        let lists = ["get", "eennservices,eennmodels,eennplans,qostargets,devicepools", "--all-namespaces"];
        scene.until("definitions are served", || scene.kubectl(&lists).is_ok())?;
        scene.kubectl(&["create", "-f", &manifest("nodes.yaml")])?;
        scene.kubectl(&["create", "namespace", "eenn-system"])?;
        scene.kubectl(&["create", "namespace", NAMESPACE])?;
        scene.kubectl(&["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"])?;
        Ok(scene)
    }

    /// With the service of `manifests/two-tier.yaml`, in every way ready for an operator.
    pub(crate) fn with_service() -> anyhow::Result<Self> {
        let scene = Self::new()?;
        scene.apply_all()?;
        Ok(scene)
    }

    pub(crate) fn apply_all(&self) -> anyhow::Result<()> {
        self.make_table()?;
        self.kubectl(&["-n", NAMESPACE, "apply", "--warnings-as-errors", "-f", &manifest("two-tier.yaml")])?;
        Ok(())
    }

    /// The exit table of the model, as a ConfigMap.
    pub(crate) fn make_table(&self) -> anyhow::Result<()> {
        let table = file("examples/fashion-mnist/exit-table.safetensors");
        let from = format!("--from-file=exit-table.safetensors={}", table.display());
        self.kubectl(&["-n", NAMESPACE, "create", "configmap", "fashion-mnist", &from]).map(drop)
    }

    /// A second service like the first, `door`, in the same pool.
    pub(crate) fn add_door(&self) -> anyhow::Result<()> {
        let all = std::fs::read_to_string(manifest("two-tier.yaml"))?;
        let door = all.rsplit("---\n").next().unwrap_or_default().replacen("name: camera", "name: door", 1);
        let said = self.tools.kubectl(&["-n", NAMESPACE, "apply", "-f", "-"], &door)?.ok()?;
        ensure!(said.contains("door created"), "{said}");
        Ok(())
    }

    /// Runs kubectl as administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.tools.kubectl(arguments, "")?.ok()
    }

    /// Objects of the namespace.
    pub(crate) fn get(&self, what: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["-n", NAMESPACE, "get", what, "-o", "json"])?)?)
    }

    /// Names of objects of the namespace.
    pub(crate) fn names(&self, what: &str) -> anyhow::Result<Vec<String>> {
        let names = self.kubectl(&["-n", NAMESPACE, "get", what, "-o", "jsonpath={.items[*].metadata.name}"])?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Status, reason and message of a condition; empty where there is none.
    pub(crate) fn condition(&self, object: &str, condition: &str) -> anyhow::Result<(String, String, String)> {
        let object = self.get(object)?;
        let generation = &object["metadata"]["generation"];
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|one| one["type"] == condition && one["observedGeneration"] == *generation);
        let text = |name: &str| found.and_then(|one| one[name].as_str()).unwrap_or_default().to_owned();
        Ok((text("status"), text("reason"), text("message")))
    }

    /// Waits for a condition of an object to have this status and reason.
    pub(crate) fn wait_for(&self, object: &str, condition: &str, status: &str, reason: &str) -> anyhow::Result<()> {
        let mut last = Default::default();
        self.until(&format!("{condition} of {object} is {status} with {reason}"), || {
            last = self.condition(object, condition).unwrap_or_default();
            (last.0.as_str(), last.1.as_str()) == (status, reason)
        })
        .with_context(|| format!("it is {last:?}"))
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !holds() {
            ensure!(began.elapsed() < PATIENCE, "not in {} s: {what}\n{}", PATIENCE.as_secs(), self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Starts an operator as a user with all rights.
    pub(crate) fn operator(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Operator> {
        self.operator_told(name, arguments, &[])
    }

    /// The same, with more variables of its environment.
    pub(crate) fn operator_told(
        &self,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Operator> {
        let user = self
            .plane
            .kubeconfig_for(name, Some("system:masters"))
            .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        self.spawn(name, &user, arguments, environment)
    }

    /// Starts an operator with a kubeconfig.
    pub(crate) fn operator_with(&self, name: &str, user: &str, arguments: &[&str]) -> anyhow::Result<Operator> {
        self.spawn(name, user, arguments, &[])
    }

    fn spawn(
        &self,
        name: &str,
        user: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Operator> {
        let kubeconfig = self.folder.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&kubeconfig, user)?;
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(beside("eenn-operator")?);
        command.env("KUBECONFIG", &kubeconfig).args(["--identity", name]).args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !arguments.contains(&"--unheard-seconds") {
            // Nobody listens at fake pods.
            command.args(["--unheard-seconds", "0"]);
        }
        command.envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn()?;
        Ok(Operator { child, log })
    }

    /// A file or folder of this scene's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What operators have logged.
    fn said(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        let texts = logs.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        texts
            .flat_map(|text| text.lines().rev().take(15).map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Successful writes of a user, from the audit log: verb and path, in order.
    pub(crate) fn writes_of(&self, user: &str) -> anyhow::Result<Vec<String>> {
        let log = std::fs::read_to_string(self.plane.audit_log())?;
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let written = entries.filter(|entry| {
            let verb = entry["verb"].as_str().unwrap_or_default();
            let done = entry["stage"] == "ResponseComplete" && entry["responseStatus"]["code"].as_u64() < Some(300);
            done && entry["user"]["username"] == user && ["create", "update", "patch", "delete"].contains(&verb)
        });
        let of = |entry: Value| {
            let uri = entry["requestURI"].as_str().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
            format!("{} {uri}", entry["verb"].as_str().unwrap_or_default())
        };
        Ok(written.map(of).filter(|write| !write.contains("/leases/")).collect())
    }
}

/// A manifest of these tests.
pub(crate) fn manifest(name: &str) -> String {
    file("tests/cluster/manifests").join(name).display().to_string()
}

/// A binary of the workspace: cargo puts it beside this test.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("a test lies in a folder of cargo")?;
    let binary = folder.join(name);
    ensure!(binary.exists(), "{} is missing: run `cargo build --release --workspace --bins`", binary.display());
    Ok(binary)
}

/// An operator process; it ends with its owner.
pub(crate) struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(done.success(), "kill -{name} failed");
        Ok(())
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it at once, as a node that loses power does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
