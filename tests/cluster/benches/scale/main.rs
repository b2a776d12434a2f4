//! How the operator does with many services: time to all children, requests, memory, and the time of one edit, held against the bars
//! of `docs/benchmarks/operator.json`. Run by `cargo xtask bench operator`.
//!
//! ```text
//! scale [SERVICES]    1000 unless given: pools of 20 services on two nodes each
//! ```

mod audit;
mod bars;
mod crowd;

use anyhow::{Context as _, ensure};
use audit::Audit;
use bars::Measured;
use control_plane::{Binary, ControlPlane, Options, unavailable};
use crowd::{Crowd, Edit};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// As the operator's certificate names it, and so the audit log.
const USER: &str = "measured";
/// Edits that are timed, one after the other, with a pause between them.
const EDITS: usize = 40;
/// Generous: what is too slow is to be measured, not given up on.
const PATIENCE: Duration = Duration::from_secs(900);
const SAY_EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Some(reason) = unavailable(&Binary::ALL) {
        say(&format!("SKIPPED: bench of the operator: {reason}"));
        return if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    // Cargo gives --bench.
    let services = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    match run(services) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn run(services: usize) -> anyhow::Result<bool> {
    let bars = bars::read()?;
    say(&format!("load of the machine before: {}", load()));
    let options = Options { kube_api_qps: Some(1000), ..Options::everything() };
    let began = Instant::now();
    let plane = ControlPlane::start(&options).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let up = Measured { name: "controlPlaneReady", unit: "s", value: began.elapsed().as_secs_f64() };
    let crowd = Crowd::gather(&plane, services)?;
    say(&format!("{services} services are there; the operator starts"));
    let mut operator = Operator::start(&plane)?;
    let mut measured = measure(&plane, &crowd, &mut operator)?;
    measured.insert(0, up);
    say(&format!("load of the machine after: {}", load()));
    Ok(bars::compare(&bars, services, &measured))
}

fn measure(plane: &ControlPlane, crowd: &Crowd, operator: &mut Operator) -> anyhow::Result<Vec<Measured>> {
    operator.until("Deployments are there", || crowd.all_applied())?;
    let applied = operator.began.elapsed();
    say(&format!("all Deployments after {:.1} s", applied.as_secs_f64()));
    operator.until("services are placed", || crowd.all_ready())?;
    let ready = operator.began.elapsed();
    let log = operator.log();
    let count = |what: &str| log.matches(what).count();
    let cpu = operator.processor_seconds()?;
    say(&format!(
        "plannings: {}, failures: {}, processor time: {cpu:.1} s",
        count("planning: "),
        count("tried again later")
    ));
    // Until nothing is under way: statuses, events.
    std::thread::sleep(Duration::from_secs(5));
    let audit = Audit::read(&plane.audit_log(), USER)?;
    tell_progress(&audit);
    tell_events(plane)?;
    let children = crowd.children_per_service()?;
    let requests = audit.requests() as f64 / crowd.services as f64;
    let memory = operator.memory()?;
    settle(plane)?;
    let edits = edits(plane, crowd)?;
    ensure!(operator.child.try_wait()?.is_none(), "the operator has ended");
    let one = |name: &'static str, unit: &'static str, value: f64| Measured { name, unit, value };
    Ok(vec![
        one("coldStart", "s", audit.last_child().context("children were written")?),
        one("placed", "s", ready.as_secs_f64()),
        one("requestsBeyondChildren", "1", requests - children),
        one("children", "1", children),
        one("memory", "MB", memory.0),
        one("peakMemory", "MB", memory.1),
        one("editMedian", "ms", edits.all),
        one("editToFragments", "ms", edits.to_fragments),
        one("editToGateways", "ms", edits.to_gateways),
    ])
}

/// Where the time goes, for whoever wants less of it.
fn tell_progress(audit: &Audit) {
    for resource in ["eennplans", "configmaps", "deployments"] {
        if let Some([tenth, half, all]) = audit.progress(resource) {
            say(&format!("{resource}: a tenth after {tenth:.1} s, half after {half:.1} s, all after {all:.1} s"));
        }
    }
    let counts = audit.counts();
    let counts = counts.iter().take(16).map(|(what, count, time)| format!("{count} {what} ({time:.0} ms)"));
    say(&counts.collect::<Vec<_>>().join(", "));
}

/// What users were told of, and how often: each costs a request.
fn tell_events(plane: &ControlPlane) -> anyhow::Result<()> {
    let events = plane.api().get("/apis/events.k8s.io/v1/events")?;
    let mut reasons = BTreeMap::<&str, usize>::new();
    for event in events["items"].as_array().into_iter().flatten() {
        if event["regarding"]["apiVersion"].as_str().is_some_and(|version| version.starts_with("eenn.dev/")) {
            *reasons.entry(event["reason"].as_str().unwrap_or_default()).or_default() += 1;
        }
    }
    say(&format!("events: {reasons:?}"));
    Ok(())
}

/// Waits until nothing has been written for a while: nobody listens at fake pods, which is told of every service a little later.
fn settle(plane: &ControlPlane) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_secs(10);
    let mut before = 0;
    for _ in 0..18 {
        let now = Audit::read(&plane.audit_log(), USER)?.requests();
        if now == before {
            break;
        }
        before = now;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Median times from edits that need no new plan, in milliseconds by the clock of the API server.
struct Edits {
    /// One more gateway, to the last child that changes.
    all: f64,
    /// All pods are replaced: to the last child of fragments and of the service itself.
    to_fragments: f64,
    /// The same to the last child of all: gateways wait until pods of their fragments are ready.
    to_gateways: f64,
}

fn edits(plane: &ControlPlane, crowd: &Crowd) -> anyhow::Result<Edits> {
    for edit in [Edit::Replicas, Edit::PullSecrets] {
        for number in 0..EDITS {
            crowd.edit(number, edit)?;
            std::thread::sleep(Duration::from_millis(700));
        }
        settle(plane)?;
    }
    let audit = Audit::read(&plane.audit_log(), USER)?;
    let median = |edit: Edit, gateways: bool| median(crowd, &audit, edit, gateways);
    Ok(Edits {
        all: median(Edit::Replicas, true)?,
        to_fragments: median(Edit::PullSecrets, false)?,
        to_gateways: median(Edit::PullSecrets, true)?,
    })
}

fn median(crowd: &Crowd, audit: &Audit, edit: Edit, gateways: bool) -> anyhow::Result<f64> {
    let times = (0..EDITS).map(|number| audit.edit(&crowd.name(number), edit as usize, gateways));
    let mut times = times.collect::<anyhow::Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    say(&format!("edits: {:.0} to {:.0} ms, p95 {:.0} ms", times[0], times[EDITS - 1], times[EDITS * 95 / 100]));
    Ok(times[EDITS / 2])
}

struct Operator {
    child: Child,
    began: Instant,
    folder: tempfile::TempDir,
}

impl Operator {
    fn start(plane: &ControlPlane) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let user =
            plane.kubeconfig_for(USER, Some("system:masters")).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        std::fs::write(&kubeconfig, user)?;
        let this = std::env::current_exe()?;
        // As images have it, since its size is measured.
        let binary = this.ancestors().nth(3).context("a benchmark lies in a folder of cargo")?;
        let binary = binary.join("dist").join("eenn-operator");
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(&binary);
        // As the chart sets it.
        command.env("KUBECONFIG", &kubeconfig).env("MALLOC_ARENA_MAX", "1").args([
            "--listen",
            "127.0.0.1:0",
            "--no-leader-election",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child =
            child.with_context(|| format!("{}: run `cargo build --profile dist -p operator`", binary.display()))?;
        Ok(Self { child, began: Instant::now(), folder })
    }

    /// Waits until all are there; `there` tells how many of how many are.
    fn until(&mut self, what: &str, mut there: impl FnMut() -> anyhow::Result<(usize, usize)>) -> anyhow::Result<()> {
        let mut said = Instant::now();
        loop {
            let (some, all) = there()?;
            if some >= all {
                return Ok(());
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                say(&format!("{:.0} s: {some} of {all} {what}", self.began.elapsed().as_secs_f64()));
            }
            let log = self.log();
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            ensure!(self.child.try_wait()?.is_none(), "the operator has ended; its log, last first: {end:#?}");
            ensure!(
                self.began.elapsed() < PATIENCE,
                "{some} of {all} {what}; the operator's log, last first: {end:#?}"
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Whatever is unusual there explains a slow run.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it has computed so far.
    fn processor_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name, in ticks of 10 ms.
        let (_, fields) = stat.rsplit_once(") ").context("Linux counts time")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }

    /// Memory now and at most, in MB.
    fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("Linux counts memory")?;
            let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
            Ok::<f64, anyhow::Error>(kilobytes * 1024.0 / 1e6)
        };
        say(&format!("of that {:.1} MB are not of files", of("RssAnon:")?));
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Other work on the machine makes everything slower.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
