//! What tests against a real API server have in common: programs with their arguments, and skipping that is seen.
//!
//! Nothing here needs the data plane or the inference engine, so that these tests are compiled in seconds.

use anyhow::{Context as _, bail};
use control_plane::{Binaries, Binary, ControlPlane, Options, Program, unavailable};
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A test and its name, which is a sentence.
pub type Test = (&'static str, fn() -> anyhow::Result<()>);

/// Runs tests that need programs. Where these can neither be found nor built, tests are counted as ignored and a line says why; under
/// `CI=true` they fail instead.
pub fn run(what: &str, needed: &[Binary], tests: &[Test]) -> ExitCode {
    let skip = unavailable(needed);
    if let Some(reason) = &skip {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {reason}");
    }
    let times = Arc::new(Mutex::new(vec![]));
    let trial = |&(name, test): &Test| {
        let times = Arc::clone(&times);
        let run = move || {
            let started = Instant::now();
            let outcome = test().map_err(|error| Failed::from(format!("{error:?}")));
            times.lock().expect("nothing panics while it holds times").push((started.elapsed(), name));
            outcome
        };
        Trial::test(name, run).with_ignored_flag(skip.is_some())
    };
    let mut arguments = Arguments::from_args();
    // They wait for clusters most of the time.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(cores + 2);
    let conclusion = libtest_mimic::run(&arguments, tests.iter().map(trial).collect());
    tell_slowest(times.lock().expect("nothing panics while it holds times").clone());
    conclusion.exit_code()
}

/// Where to look when tests take long.
fn tell_slowest(mut times: Vec<(Duration, &str)>) {
    const TOLD: usize = 10;
    times.sort_by(|one, other| other.cmp(one));
    for (took, name) in times.iter().take(TOLD) {
        let _ = writeln!(std::io::stderr(), "{:6.1} s  {name}", took.as_secs_f64());
    }
}

/// A file or folder of the repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of a file of the repository.
pub fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file(path)).with_context(|| format!("failed to read {path}"))
}

/// Starts a control plane.
pub fn start(options: &Options) -> anyhow::Result<ControlPlane> {
    ControlPlane::start(options).map_err(|error| anyhow::anyhow!("failed to {error}"))
}

/// Waits, generously, since the machine may do other things; a failure shows what the API server logged last.
pub fn eventually(plane: &ControlPlane, what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > Duration::from_secs(120) {
            let log = std::fs::read_to_string(plane.log(Program::ApiServer))?;
            let lines: Vec<_> = log.lines().collect();
            bail!("{what}: not in 120 s; the API server said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// The command, for failures.
    pub command: String,
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Its output, if it succeeded.
    pub fn ok(self) -> anyhow::Result<String> {
        match self.success {
            true => Ok(self.out),
            false => bail!("{} failed: {}{}", self.command, self.out, self.err),
        }
    }

    /// Its complaint, if it failed.
    pub fn refused(self) -> anyhow::Result<String> {
        match self.success {
            true => bail!("{} succeeded: {}", self.command, self.out),
            false => Ok(self.err),
        }
    }
}

/// Programs of the control plane, with folders of their own and at most one cluster.
#[derive(Debug)]
pub struct Tools {
    binaries: Binaries,
    home: tempfile::TempDir,
    kubeconfig: Option<PathBuf>,
    programs: Option<PathBuf>,
}

impl Tools {
    /// Without a cluster.
    pub fn find(needed: &[Binary]) -> anyhow::Result<Self> {
        let binaries = Binaries::find(needed).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        Ok(Self { binaries, home: tempfile::tempdir()?, kubeconfig: None, programs: None })
    }

    /// As administrator of a cluster.
    pub fn of(plane: &ControlPlane, needed: &[Binary]) -> anyhow::Result<Self> {
        Ok(Self { kubeconfig: Some(plane.kubeconfig_path()), ..Self::find(needed)? })
    }

    /// With programs of a folder that others find by their names, as plugins of kubectl.
    pub fn with_programs(self, folder: &Path) -> Self {
        Self { programs: Some(folder.to_owned()), ..self }
    }

    /// A program with its arguments, and nothing of the user's: repositories, plugins, clusters.
    pub fn command(&self, binary: Binary, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(self.binaries.path(binary));
        command.args(arguments);
        command.env("HOME", self.home.path());
        command.env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(Path::new("/dev/null")));
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path().join(name));
        }
        if let Some(programs) = &self.programs {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(programs.clone()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders)?);
        }
        Ok(command)
    }

    /// Runs a program to its end, with `input` on standard input.
    pub fn run(&self, binary: Binary, arguments: &[&str], input: &str) -> anyhow::Result<Said> {
        let mut command = self.command(binary, arguments)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{binary} does not start"))?;
        let mut stdin = child.stdin.take().context("its input is piped")?;
        let input = input.to_owned();
        // Beside reading: a program may answer before it has read everything. One that reads nothing closes the pipe.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        Ok(Said {
            command: format!("{binary} {}", arguments.join(" ")),
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs Helm.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        self.run(Binary::Helm, arguments, "")
    }

    /// Runs kubectl, with `input` on standard input.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> anyhow::Result<Said> {
        self.run(Binary::Kubectl, arguments, input)
    }
}
