//! Gateways and fragments as processes, in the place of pods that nobody runs here: with the configuration and the certificates that
//! the operator has made for them.

use crate::scene::{NAMESPACE, Scene, beside};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How fast devices of the classes of `manifests/two-tier.yaml` are.
const SPEEDS: [(&str, f64); 2] = [("pi", 0.016), ("box", 0.028)];

/// A process, which ends with its owner.
pub(crate) struct Process {
    child: Child,
    _input: Option<ChildStdin>,
    /// Where it takes jobs or requests.
    pub(crate) address: String,
    metrics: String,
    control: String,
}

impl Process {
    fn start(role: &str, config: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(beside("eenn-runtime")?);
        command.args([role, "--exit-with-parent", "--config"]).arg(config);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("{role} said {line:?}"))?;
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        let (address, metrics, control) = (text("address"), text("metrics"), text("control"));
        Ok(Self { _input: child.stdin.take(), child, address, metrics, control })
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(done.success(), "kill -{name} failed");
        Ok(())
    }

    /// Waits until it has finished what it has begun, as a kubelet does.
    fn end(mut self) -> anyhow::Result<()> {
        let ended = self.child.wait()?;
        ensure!(ended.success(), "it ended with {ended}");
        Ok(())
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (_, text) = exchange(&self.metrics, "GET /metrics", "")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no {name} in {text}"))?.trim().parse()?)
    }
}

/// Takes processes out that are not among those wanted.
fn take_others(processes: &mut BTreeMap<String, Process>, wanted: &[String]) -> Vec<Process> {
    let others: Vec<String> = processes.keys().filter(|name| !wanted.contains(name)).cloned().collect();
    others.iter().filter_map(|name| processes.remove(name)).collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All processes of the service.
pub(crate) struct Processes {
    folder: PathBuf,
    /// By the names of their Deployments.
    fragments: BTreeMap<String, Process>,
    /// The newest gateway.
    pub(crate) gateway: Process,
    gateway_name: String,
    /// Those before it, while their Deployments are there.
    gateways_of_before: BTreeMap<String, Process>,
    /// Where requests get to gateways, as a Service would bring them: to all in turn.
    pub(crate) door: Door,
    addresses: BTreeMap<String, String>,
}

/// Addresses that may change while somebody sends.
pub(crate) type Door = Arc<Mutex<Vec<String>>>;

impl Processes {
    /// Starts what the operator has configured for the service, and says in `book` where.
    pub(crate) fn start(scene: &Scene, book: &Path) -> anyhow::Result<Self> {
        let folder = scene.path("processes");
        std::fs::create_dir_all(&folder)?;
        mount(scene, &folder)?;
        let (mut fragments, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for name in deployments(scene, "fragment")? {
            let config = configuration(scene, &folder, &name)?;
            let process = Process::start("fragment", &config)?;
            addresses.insert(name.clone(), process.control.clone());
            addresses.insert(format!("{name}.{NAMESPACE}.svc:9000"), process.address.clone());
            fragments.insert(name, process);
        }
        let gateway_name = deployments(scene, "gateway")?.pop().context("there is a gateway")?;
        let config = configuration(scene, &folder, &gateway_name)?;
        let gateway = Process::start("gateway", &with_hops(&config, &addresses)?)?;
        addresses.insert(gateway_name.clone(), gateway.control.clone());
        let (door, gateways_of_before) = (Arc::new(Mutex::new(vec![gateway.address.clone()])), BTreeMap::new());
        let processes = Self { folder, fragments, gateway, gateway_name, gateways_of_before, door, addresses };
        processes.tell(book)?;
        ensure!(!processes.fragments.is_empty(), "there are fragments");
        Ok(processes)
    }

    /// Brings the certificates of the service to its processes, as a kubelet does, and gives them the time to read them.
    pub(crate) fn certify(&self, scene: &Scene) -> anyhow::Result<()> {
        mount(scene, &self.folder)?;
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    }

    /// The gateway dies, and another one is in its place: as when a pod is started anew elsewhere.
    pub(crate) fn another_gateway(&mut self, book: &Path) -> anyhow::Result<()> {
        let _ = self.gateway.child.kill();
        let _ = self.gateway.child.wait();
        let _ = std::fs::remove_file(self.folder.join(format!("{}.policy", self.gateway_name)));
        self.gateway = Process::start("gateway", &self.folder.join(format!("{}.json", self.gateway_name)))?;
        self.addresses.insert(self.gateway_name.clone(), self.gateway.control.clone());
        self.doors().clone_from(&vec![self.gateway.address.clone()]);
        self.tell(book)
    }

    /// A node goes, and its fragments with it.
    pub(crate) fn lose(&mut self, node: &str) -> anyhow::Result<()> {
        let on = |name: &String| -> anyhow::Result<bool> {
            let config = std::fs::read(self.folder.join(format!("{name}.json")))?;
            Ok(serde_json::from_slice::<Value>(&config)?["device"] == node)
        };
        let gone: Vec<String> = self.fragments.keys().filter(|name| on(name).unwrap_or(false)).cloned().collect();
        ensure!(!gone.is_empty(), "there is no fragment on {node}");
        self.fragments.retain(|name, _| !gone.contains(name));
        Ok(())
    }

    /// Starts fragments and gateways that have been configured since, and ends those that nobody wants any more. Returns how many
    /// fragments and gateways run.
    pub(crate) fn follow(&mut self, scene: &Scene, book: &Path) -> anyhow::Result<(usize, usize)> {
        let wanted = deployments(scene, "fragment")?;
        for name in &wanted {
            if !self.fragments.contains_key(name) {
                let process = Process::start("fragment", &configuration(scene, &self.folder, name)?)?;
                self.addresses.insert(name.clone(), process.control.clone());
                self.addresses.insert(format!("{name}.{NAMESPACE}.svc:9000"), process.address.clone());
                self.fragments.insert(name.clone(), process);
            }
        }
        take_others(&mut self.fragments, &wanted)
            .into_iter()
            .try_for_each(|one| one.signal("TERM").and_then(|()| one.end()))?;
        let wanted = deployments(scene, "gateway")?;
        let known = |name: &&String| **name == self.gateway_name || self.gateways_of_before.contains_key(*name);
        if let Some(name) = wanted.iter().find(|name| !known(name)) {
            let config = configuration(scene, &self.folder, name)?;
            let next = Process::start("gateway", &with_hops(&config, &self.addresses)?)?;
            self.addresses.insert(name.clone(), next.control.clone());
            let before = std::mem::replace(&mut self.gateway, next);
            self.gateways_of_before.insert(std::mem::replace(&mut self.gateway_name, name.clone()), before);
            self.doors().push(self.gateway.address.clone());
        }
        for gateway in take_others(&mut self.gateways_of_before, &wanted) {
            gateway.signal("TERM")?;
            // Not every node hears of it at once.
            std::thread::sleep(Duration::from_secs(1));
            self.doors().retain(|address| *address != gateway.address);
            gateway.end()?;
        }
        self.tell(book)?;
        Ok((self.fragments.len(), 1 + self.gateways_of_before.len()))
    }

    fn doors(&self) -> MutexGuard<'_, Vec<String>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, book: &Path) -> anyhow::Result<()> {
        // At once: the operator may be reading.
        let next = book.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(&self.addresses)?)?;
        Ok(std::fs::rename(next, book)?)
    }
}

/// What a kubelet does with the Secret of the service: another folder takes the place of the one before, all files at once.
fn mount(scene: &Scene, folder: &Path) -> anyhow::Result<()> {
    let secret = scene.get("secret/camera-certificates")?;
    let version = secret["metadata"]["resourceVersion"].as_str().context("it has a version")?;
    std::fs::create_dir_all(folder.join(version))?;
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let file = secret["data"][name].as_str().with_context(|| format!("{name} is not in {secret}"))?;
        let file = base64::engine::general_purpose::STANDARD.decode(file)?;
        std::fs::write(folder.join(version).join(name), file)?;
    }
    std::os::unix::fs::symlink(version, folder.join("next"))?;
    Ok(std::fs::rename(folder.join("next"), folder.join("tls"))?)
}

fn deployments(scene: &Scene, role: &str) -> anyhow::Result<Vec<String>> {
    let label = format!("eenn.dev/role={role}");
    let jsonpath = "jsonpath={.items[*].metadata.name}";
    let names = scene.kubectl(&["-n", NAMESPACE, "get", "deployments", "-l", &label, "-o", jsonpath])?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// What the operator has made for a pod, with the paths and ports of this machine, and as fast as its device.
fn configuration(scene: &Scene, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let config = scene.get(&format!("configmap/{name}"))?;
    let text = config["data"]["config.json"].as_str().with_context(|| format!("{name} has a configuration"))?;
    let mut document: Value = serde_json::from_str(text)?;
    for listen in ["listen", "metricsListen", "adminListen"] {
        if let Some(address) = document.get_mut(listen) {
            *address = "127.0.0.1:0".into();
        }
    }
    document["tls"]["folder"] = folder.join("tls").display().to_string().into();
    document["tls"]["control"]["listen"] = "127.0.0.1:0".into();
    if let Some(fragments) = document.get_mut("fragments").and_then(Value::as_array_mut) {
        for fragment in fragments {
            fragment["file"] = cluster_tests::file("examples/fashion-mnist/model.onnx").display().to_string().into();
        }
        let device = document["device"].as_str().unwrap_or_default();
        let speed = SPEEDS.iter().find(|(name, _)| *name == device).context("it is on one of the devices")?.1;
        document["emulate"] = json!({ "cores": 1.0, "speedFactor": speed });
    } else {
        document["policyFile"] = folder.join(format!("{name}.policy")).display().to_string().into();
    }
    let file = folder.join(format!("{name}.json"));
    std::fs::write(&file, document.to_string())?;
    Ok(file)
}

/// The configuration of a gateway that knows where fragments are, and follows something older than everything that the operator has.
fn with_hops(config: &Path, addresses: &BTreeMap<String, String>) -> anyhow::Result<PathBuf> {
    let mut document: Value = serde_json::from_slice(&std::fs::read(config)?)?;
    document["policy"]["version"] = json!({ "transitions": 0, "generation": 0 });
    let chains = document["policy"]["chains"].as_array_mut().context("a policy has chains")?;
    for hop in chains.iter_mut().filter_map(|chain| chain["hops"].as_array_mut()).flatten() {
        let address = hop["address"].as_str().unwrap_or_default().to_owned();
        hop["address"] =
            addresses.get(&address).with_context(|| format!("nobody listens for {address}"))?.clone().into();
    }
    std::fs::write(config, document.to_string())?;
    Ok(config.to_owned())
}

/// What became of a load, for messages.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "the reason is printed with the rest")]
pub(crate) struct Sent {
    /// Jobs that were answered.
    pub(crate) answered: usize,
    /// Jobs that were not.
    pub(crate) refused: usize,
    /// Why one of them was not.
    pub(crate) why: String,
}

/// Sends images at a constant rate for a time, whether answers come or not.
pub(crate) fn send(door: &Door, rate: f64, seconds: f64) -> anyhow::Result<Sent> {
    /// More than are in flight at any time here.
    const SENDERS: usize = 48;
    let images: Arc<Vec<String>> = Arc::new(images()?);
    let (next, answered, refused) = (Arc::new(AtomicUsize::new(0)), Arc::default(), Arc::default());
    let why = Arc::default();
    let (count, began) = ((rate * seconds) as usize, Instant::now());
    let senders = (0..SENDERS).map(|_| {
        let (images, next, door) = (Arc::clone(&images), Arc::clone(&next), Arc::clone(door));
        let (answered, refused): (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::clone(&answered), Arc::clone(&refused));
        let why: Arc<Mutex<String>> = Arc::clone(&why);
        std::thread::spawn(move || {
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= count {
                    return;
                }
                let due = Duration::from_secs_f64(job as f64 / rate);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                let address = {
                    let door = door.lock().unwrap_or_else(PoisonError::into_inner);
                    door[job % door.len()].clone()
                };
                let sent = exchange(&address, "POST /v2/models/camera/infer", &images[job % images.len()]);
                match sent {
                    Ok((200, _)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                    other => {
                        refused.fetch_add(1, Ordering::Relaxed);
                        *why.lock().unwrap_or_else(PoisonError::into_inner) = format!("{other:?}");
                    }
                }
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?;
    }
    let why = why.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Sent { answered: answered.load(Ordering::Relaxed), refused: refused.load(Ordering::Relaxed), why })
}

/// Requests with images of the test set.
fn images() -> anyhow::Result<Vec<String>> {
    const PIXELS: usize = 28 * 28;
    let file = std::fs::read(cluster_tests::file("examples/fashion-mnist/load.safetensors"))?;
    let (length, rest) = file.split_first_chunk::<8>().context("the file has a header")?;
    let data = &rest[usize::try_from(u64::from_le_bytes(*length))?..];
    let image = |image: &[[u8; 4]]| {
        let pixels: Vec<f32> = image.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        json!({ "inputs": [{ "name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": pixels }] })
            .to_string()
    };
    let (pixels, _) = data.as_chunks::<4>();
    Ok(pixels.chunks_exact(PIXELS).take(400).map(image).collect())
}

/// One request on a connection of its own: status and body.
fn exchange(address: &str, request: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer has a status")?;
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
