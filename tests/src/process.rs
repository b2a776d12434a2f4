//! A process of the data plane as a test holds it.

use serde::Serialize;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use wire::document::ReadyDocument;

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub ready: ReadyDocument,
    _config: NamedTempFile,
}

/// The path of a program of this workspace, beside the running test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it runs");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/PROFILE/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release --workspace` first", path.display());
    path
}

impl Process {
    /// Starts `eenn-runtime KIND` with a document and waits until it is ready.
    pub fn start(kind: &str, document: &impl Serialize) -> Self {
        let mut config = NamedTempFile::new().expect("a temporary file");
        serde_json::to_writer(&mut config, document).expect("documents serialise");
        config.flush().expect("the temporary file takes the document");
        let mut child = Command::new(binary("eenn-runtime"))
            .args([kind, "--exit-with-parent", "--config"])
            .arg(config.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("eenn-runtime starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("standard output is piped");
        BufReader::new(out).read_line(&mut line).expect("the process says that it is ready");
        let ready =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{kind} is not ready: {error}: {line:?}"));
        Self { child, ready, _config: config }
    }

    /// Starts a process that cannot start: how it ends, and what it says.
    pub fn refuses_to_start(kind: &str, document: &impl Serialize) -> (ExitStatus, String) {
        let mut config = NamedTempFile::new().expect("a temporary file");
        serde_json::to_writer(&mut config, document).expect("documents serialise");
        config.flush().expect("the temporary file takes the document");
        let command = Command::new(binary("eenn-runtime")).args([kind, "--config"]).arg(config.path()).output();
        let output = command.expect("eenn-runtime starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {}", self.id());
    }

    /// What happens to a child whose parent dies.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return status;
            }
            assert!(start.elapsed() < limit, "process {} still runs after {limit:?}", self.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Peak and present resident memory in bytes.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the process lives");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of /proc/PID/status");
            1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB")
        };
        (field("VmHWM:"), field("VmRSS:"))
    }

    /// Sets the peak back to the present, so that the next reading is of what came since.
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("the peak can be reset");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
