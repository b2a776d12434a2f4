//! `eenn` as users run it, on the example: runs under load, serving until a signal, wrong input, and foreign models.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do; clippy only knows the latter")]

use hyper::Method;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};
use system_tests::{Client, binary, build};
use tempfile::TempDir;

/// The manifests and the network of the example.
fn example() -> PathBuf {
    build::file("../examples/fashion-mnist")
}

/// A copy of the example with `from` replaced in one of its manifests, and the number of that line.
fn changed_example(manifest: &str, from: &str, to: &str) -> (TempDir, usize) {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(example()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = folder.path().join(manifest);
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(from).unwrap_or_else(|| panic!("{manifest} does not hold {from:?} any more"));
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (folder, 1 + text[..at].matches('\n').count())
}

/// Figures of loss are measured alone, everything else side by side: emulated devices need their share of the real
/// processor to keep their pace.
static MACHINE: RwLock<()> = RwLock::new(());

fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// `eenn` in a temporary folder of its own. Its children carry that folder in their command lines.
fn eenn(temporary: &TempDir) -> Command {
    let mut command = Command::new(binary("eenn"));
    command.env("TMPDIR", temporary.path()).stdin(Stdio::null());
    command
}

/// Runs `eenn` to its end; nothing may be left of it.
fn run(arguments: &[&str]) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let output = eenn(&temporary).args(arguments).output().unwrap();
    assert_nothing_is_left(&temporary, &format!("{arguments:?}\n{}", text(&output.stderr)));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Processes with a file of this folder in their command line.
fn processes(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| text(&line).contains(folder));
    pids.filter(ours).collect()
}

/// Neither processes nor files.
fn assert_nothing_is_left(temporary: &TempDir, shown: &str) {
    let processes = processes(temporary.path());
    let files: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(processes.is_empty() && files.is_empty(), "left: {processes:?} {files:?}\n{shown}");
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}

/// `eenn up` on the example under load with these options, to its end: the summary, which is all of standard output.
fn summary(options: &[&str]) -> Value {
    let folder = example();
    let output = run(&[&["up", "-f", folder.to_str().unwrap(), "-o", "json"], options].concat());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let summary = serde_json::from_slice(&output.stdout);
    let summary = summary.unwrap_or_else(|error| panic!("{error}: {}\n{stderr}", text(&output.stdout)));
    assert_balanced(&summary, &stderr);
    summary
}

fn assert_balanced(summary: &Value, stderr: &str) {
    let count = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary:#}"));
    let ended = count("answered") + count("lost") + count("failed");
    assert_eq!(count("arrived"), ended, "{summary:#}\n{stderr}");
}

fn number(summary: &Value, name: &str) -> f64 {
    summary[name].as_f64().unwrap_or_else(|| panic!("no number {name} in {summary:#}"))
}

#[test]
fn a_run_prints_all_figures_in_json_and_nothing_else() {
    let _guard = beside_others();
    let summary = summary(&["--load", "rate=100/s for 2s", "--seed", "1"]);
    let service = &summary["services"][0];
    assert_eq!((&service["name"], &service["sources"][0]["name"]), (&"fashion-mnist".into(), &"camera".into()));
    for figures in [&summary, service, &service["sources"][0]] {
        for name in ["arrived", "answered", "lost", "failed"] {
            assert_eq!(figures[name], summary[name], "{summary:#}");
            assert!(figures[name].is_u64(), "{name}: {figures:#}");
        }
        assert!(number(figures, "accuracy") > 0.8, "{figures:#}");
        assert!((0.0..=1.0).contains(&number(figures, "loss_ratio")), "{figures:#}");
        let latency = &figures["latency_milliseconds"];
        let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| number(latency, name));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99 && number(latency, "mean") > 0.0, "{figures:#}");
        let exits: Vec<f64> =
            figures["exits"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).collect();
        assert!(exits.len() == 6 && (exits.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{figures:#}");
    }
    let devices: Vec<_> = summary["devices"].as_array().unwrap().iter().map(|device| &device["name"]).collect();
    assert_eq!(devices, ["box", "pi-1", "pi-2"]);
    // 200 are expected; a Poisson count is within 5 standard deviations of that.
    assert!((130..270).contains(&summary["arrived"].as_u64().unwrap()), "{summary:#}");
}

#[test]
fn the_seed_decides_how_many_jobs_arrive() {
    let _guard = beside_others();
    let arrived = |seed| summary(&["--load", "rate=80/s for 1s", "--seed", seed])["arrived"].clone();
    let first = arrived("7");
    assert_eq!(arrived("7"), first);
    assert_ne!(arrived("9"), first);
}

#[test]
fn uniform_and_recorded_arrivals_are_exact() {
    let _guard = beside_others();
    let uniform = summary(&["--arrivals", "uniform", "--load", "rate=40/s for 1s, then 80/s for 30 jobs"]);
    assert_eq!(uniform["arrived"], 70, "{uniform:#}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("times.txt");
    let times: Vec<_> = (0..25).map(|job| format!("{}", f64::from(job) * 0.03)).collect();
    fs::write(&file, times.join("\n")).unwrap();
    let trace = summary(&["--load", &format!("camera:trace={}", file.display())]);
    assert_eq!(trace["arrived"], 25, "{trace:#}");
    let trace = summary(&["--arrivals", &format!("trace:{}", file.display())]);
    assert_eq!(trace["arrived"], 25, "{trace:#}");
}

#[test]
fn thresholds_carry_a_load_of_which_most_is_lost_without() {
    let _guard = alone();
    let load = ["--load", "rate=300/s for 6s", "--seed", "1"];
    let last = summary(&[&["--scheduler", "ExitLast"], &load[..]].concat());
    let early = ["--scheduler", "Fixed", "--thresholds", "0.6,0.6,0.6,0.6,0.6"];
    let early = summary(&[&early, &load[..]].concat());
    assert!(number(&last, "loss_ratio") > 0.2, "{last:#}");
    assert_eq!(last["exits"], serde_json::json!([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), "{last:#}");
    assert!(number(&early, "loss_ratio") < 0.01, "{early:#}");
    assert_eq!(early["failed"], 0, "{early:#}");
    let given_up = number(&last, "accuracy") - number(&early, "accuracy");
    assert!((-0.01..0.06).contains(&given_up), "{given_up} of accuracy is given up: {last:#} {early:#}");
}

/// `eenn up` that runs beside the test; killed when dropped.
struct Up {
    child: Child,
    temporary: TempDir,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Up {
    fn start(options: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = eenn(&temporary);
        command.args(["up", "-f"]).arg(example()).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, temporary, stdout, stderr }
    }

    fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until there is something; the limit is there to end a test that fails.
    fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "never: {what}\n{}\n{}", self.stdout(), self.stderr());
            sleep(Duration::from_millis(20));
        }
    }

    /// The line on standard output that starts so.
    fn line(&self, start: &str) -> String {
        let found = || {
            Some(self.stdout().split_inclusive('\n').map(str::trim).find(|line| line.starts_with(start))?.to_owned())
        };
        self.until(start, || found().filter(|_| self.stdout().ends_with('\n')))
    }

    /// What `-o json` says of its processes.
    fn addresses(&self) -> Value {
        serde_json::from_str(&self.line("{")).unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end\n{}", self.stderr());
            sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal and expects an end in good order that leaves nothing.
    fn end(&mut self, name: &str) {
        signal(name, self.child.id());
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status}\n{}", self.stderr());
        assert_nothing_is_left(&self.temporary, &self.stderr());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let shared = collected.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            *shared.lock().unwrap() += &(line + "\n");
        }
    });
    collected
}

/// Status and body of an answer.
fn http(method: Method, address: &str, path: &str, body: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(Client::new(address).send(method, path, &[], body.to_owned())).unwrap();
    (reply.status.as_u16(), text(&reply.body))
}

/// Exit and class in the answer to one sample.
fn answer(body: &str) -> Option<(u64, u64)> {
    let body: Value = serde_json::from_str(body).ok()?;
    let output =
        |name: &str| body["outputs"].as_array()?.iter().find(|output| output["name"] == name)?["data"][0].as_u64();
    Some((output("exit")?, output("class")?))
}

/// `http://HOST:PORT/PATH` as address and path.
fn split(url: &str) -> (&str, String) {
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    (address, format!("/{path}"))
}

/// A request of one image.
fn request() -> String {
    let image: Vec<_> = (0..784).map(|pixel| f64::from(pixel % 28) / 28.0).collect();
    let input = serde_json::json!({"name": "input", "datatype": "FP32", "shape": [1, 1, 28, 28], "data": image});
    serde_json::json!({"inputs": [input]}).to_string()
}

#[test]
fn it_serves_the_line_that_it_prints_until_ctrl_c() {
    let _guard = beside_others();
    let mut up = Up::start(&["--listen", "127.0.0.1:0"]);
    let line = up.line("curl ");
    let url = line.split(' ').find(|word| word.starts_with("http://")).unwrap();
    let (address, path) = split(url);
    assert_eq!(http(Method::GET, address, "/v2/health/ready", "").0, 200, "{}", up.stderr());
    let body = match Command::new("sh").args(["-c", &line]).output() {
        Ok(output) if output.status.success() => text(&output.stdout),
        // There is no curl here.
        _ => http(Method::POST, address, &path, &fs::read_to_string(line.split_once('@').unwrap().1).unwrap()).1,
    };
    let (exit, class) = answer(&body).unwrap_or_else(|| panic!("{line}: {body}\n{}", up.stderr()));
    assert!((1..=6).contains(&exit) && class < 10, "{body}");
    up.end("INT");
}

#[test]
fn nothing_outlives_a_parent_that_is_killed() {
    let _guard = beside_others();
    let mut up = Up::start(&["--listen", "127.0.0.1:0", "-o", "json"]);
    let addresses = up.addresses();
    let started = |kind: &str| addresses[kind].as_array().unwrap().clone();
    let pids: Vec<_> =
        [started("devices"), started("gateways")].concat().iter().map(|one| one["pid"].clone()).collect();
    let mut alive = processes(up.temporary.path());
    alive.sort_unstable();
    assert_eq!((pids.len(), pids), (4, alive.into_iter().map(Value::from).collect()));
    up.child.kill().unwrap();
    up.wait();
    up.until("all children have ended", || processes(up.temporary.path()).is_empty().then_some(()));
    assert_nothing_is_left(&up.temporary, &up.stderr());
}

#[test]
fn a_device_that_is_killed_comes_back_on_its_port() {
    let _guard = beside_others();
    // Every job goes to the last exit, so that none gets by without the box.
    let mut up = Up::start(&["--listen", "127.0.0.1:0", "-o", "json", "--scheduler", "ExitLast"]);
    let addresses = up.addresses();
    let (address, path) = split(addresses["gateways"][0]["url"].as_str().unwrap());
    let path = format!("{path}/infer");
    let exit = || answer(&http(Method::POST, address, &path, &request()).1).map(|(exit, _)| exit);
    assert_eq!(exit(), Some(6), "{}", up.stderr());
    let device = &addresses["devices"][0];
    assert_eq!(device["name"], "box");
    let pid = device["pid"].as_u64().unwrap() as u32;
    signal("KILL", pid);
    up.until("the death is told", || up.stderr().contains("device box was killed").then_some(()));
    up.until("the return is told", || up.stderr().contains("device box is back").then_some(()));
    up.until("requests are answered again", || exit().filter(|exit| *exit == 6));
    // Another process has taken its place, at the same address.
    let running = processes(up.temporary.path());
    assert!(running.len() == 4 && !running.contains(&pid), "{pid} {running:?}\n{}", up.stderr());
    let (status, telemetry) = http(Method::GET, device["metrics"].as_str().unwrap(), "/telemetry", "");
    assert_eq!(status, 200, "{telemetry}");
    up.end("INT");
}

#[test]
fn sigterm_under_load_ends_with_what_was_measured() {
    let _guard = beside_others();
    let mut up = Up::start(&["--load", "rate=50/s for 10m", "-o", "json"]);
    up.until("progress is shown", || up.stderr().contains("s  fashion-mnist: ").then_some(()));
    up.end("TERM");
    let summary: Value = serde_json::from_str(&up.stdout()).unwrap_or_else(|error| panic!("{error}\n{}", up.stderr()));
    assert_balanced(&summary, &up.stderr());
    assert!((1..10_000).contains(&summary["arrived"].as_u64().unwrap()), "{summary:#}");
}

/// Runs `eenn`, which must refuse what it is given with a message and nothing on standard output.
fn refused(arguments: &[&str], code: i32, message: &str) -> String {
    let output = run(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stderr}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    // The parser of options adds how to get help.
    let said = stderr.split("\n\nFor more").next().unwrap().trim_end();
    assert!(said.starts_with("error: ") && said.contains(message), "{arguments:?}: {message:?} is not in\n{stderr}");
    assert!(said.lines().count() <= if said.contains("--load") { 3 } else { 1 }, "{arguments:?}\n{stderr}");
    stderr
}

#[test]
fn manifests_that_are_wrong_are_refused_with_their_line() {
    let _guard = beside_others();
    for (manifest, from, to, message) in [
        (
            "service.yaml",
            "overflow: Drop",
            "overflow: Drup",
            ": spec.overflow: unknown value \"Drup\"; did you mean \"Drop\"?",
        ),
        ("service.yaml", "overflow:", "overfow:", ": spec: unknown field \"overfow\"; did you mean \"overflow\"?"),
        (
            "service.yaml",
            "node: pi-1 #",
            "node: pi-9 #",
            ": spec.sources[0].node: no device of pool \"edge\" is named \"pi-9\"",
        ),
        ("qos.yaml", "minAccuracy: \"0.88\"", "minAccuracy: 0.88", ": spec.minAccuracy: must be text, not a number"),
        ("pool.yaml", "tier: NearEdge", "tier: Edge", "allowed: Gateway, NearEdge, FarEdge, Cloud"),
    ] {
        let (folder, line) = changed_example(manifest, from, to);
        let place = format!("{}:{line}:", folder.path().join(manifest).display());
        let stderr = refused(&["up", "-f", folder.path().to_str().unwrap(), "--load", "5/s for 1s"], 2, message);
        assert!(stderr.contains(&place), "{place} is not in\n{stderr}");
    }
}

#[test]
fn manifests_that_do_not_fit_the_network_are_refused() {
    let _guard = beside_others();
    for (from, to, code, message) in [
        ("uri: file://model.onnx", "uri: file://absent.onnx", 2, "absent.onnx: No such file"),
        // Only the process that loads the network finds this.
        ("{ tensor: cut3,", "{ tensor: cut33,", 1, "failed to start device box: ended with code 1"),
        ("{ tensor: cut3,", "{ tensor: cut33,", 1, "there is no cut tensor \"cut33\"; similar ones are cut1"),
    ] {
        let (folder, _) = changed_example("model.yaml", from, to);
        refused(&["up", "-f", folder.path().to_str().unwrap(), "--load", "5/s for 1s"], code, message);
    }
}

#[test]
fn options_that_are_wrong_are_refused_with_what_is_allowed() {
    let _guard = beside_others();
    let folder = example();
    let up = ["up", "-f", folder.to_str().unwrap()];
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let load = ["--load", "5/s for 1s"];
    refused(&["up", "-f", "/nowhere"], 2, "/nowhere: cannot be read: No such file");
    for (options, code, message) in [
        (&["--load", "rate=40/s for 30"][..], 2, "\n                  ^ s, m (or min), h or jobs"),
        (&["--load", "door: 5/s for 1s"], 2, "--load names source \"door\"; there are fashion-mnist/camera"),
        (&["--load", "trace=/nowhere"], 2, "/nowhere"),
        (&["--scheduler", "Best"], 2, "available are Auto, ExitFirst, ExitLast, Fixed"),
        (&["--scheduler", "Fixed"], 2, "--scheduler Fixed needs --thresholds"),
        (&["--thresholds", "0.5,0.5"], 2, "--thresholds (for EENNService/fashion-mnist): has 2 thresholds"),
        (&["--thresholds", "0.5,2"], 2, "write numbers from 0 to 1"),
        (&["--arrivals", "sometimes"], 2, "write poisson, uniform or trace:FILE"),
        (&[&load[..], &["--data", "/nowhere"]].concat(), 2, "/nowhere: cannot be read"),
        (&["--listen", &listen], 1, &format!("cannot listen on {listen}; choose another address with --listen")),
    ] {
        refused(&[&up, options].concat(), code, message);
    }
}

/// A network of the tests of the data plane.
fn foreign(name: &str) -> PathBuf {
    build::file("../runtime-image/tests/models").join(name)
}

#[test]
fn a_foreign_network_is_inspected_and_its_manifest_can_be_used() {
    let _guard = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("branchy.onnx");
    fs::copy(foreign("branchy.onnx"), &file).unwrap();
    let inspect = |form: &str| {
        let output = run(&["model", "inspect", file.to_str().unwrap(), "--output", form]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let table = inspect("table");
    for words in ["early", "middle", "late", "final", "possible cut", "MACs"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    let found: Value = serde_json::from_str(&inspect("json")).unwrap();
    assert_eq!(found["exits"].as_array().map(Vec::len), Some(4), "{found:#}");
    fs::write(folder.path().join("model.yaml"), inspect("manifest")).unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = run(&["model", "profile", "-f", folder, "--repetitions", "1", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(measured["profile"]["heads"].as_array().map(Vec::len), Some(4), "{measured:#}");
}

#[test]
fn networks_that_cannot_be_served_are_refused_with_the_reason() {
    let _guard = beside_others();
    for (file, message) in [
        ("half.onnx", "holds float16 values"),
        ("quantised.onnx", "is the quantised operator DequantizeLinear"),
        ("sequence.onnx", "has no fixed size"),
        ("one-exit.onnx", "at least two outputs"),
        ("absent.onnx", "No such file"),
        ("make_models.py", "cannot be read as an ONNX file"),
    ] {
        refused(&["model", "inspect", foreign(file).to_str().unwrap()], 2, message);
    }
}

#[test]
fn bash_takes_the_completion_script() {
    let script = run(&["completion", "bash"]);
    let complete =
        "complete -p eenn && COMP_WORDS=(eenn up --sch) COMP_CWORD=2 && _eenn eenn --sch up && echo ${COMPREPLY[@]}";
    let script = format!("{}\n{complete}", text(&script.stdout));
    let output = match Command::new("bash").args(["--noprofile", "--norc", "-c", &script]).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: there is no bash here: {error}"),
    };
    let said = text(&output.stdout);
    assert!(said.starts_with("complete ") && said.ends_with("\n--scheduler\n"), "{said}{}", text(&output.stderr));
}
