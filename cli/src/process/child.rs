//! One child process: it is ready after its first line, and ends when it is told to, or with its parent.

use super::config::Config;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use wire::document::ReadyDocument;

/// Loading and optimising a large network takes seconds; a process that is silent for longer hangs.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Time to finish jobs in flight after SIGTERM.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Log lines on their way to the display. When it is full the child waits with its next line.
const LOG_QUEUE: usize = 256;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// When this closes, also because this process was killed, the child exits.
    _lifeline: Option<ChildStdin>,
    /// Where it listens.
    pub(crate) ready: ReadyDocument,
    /// Lines that it logs; closed when it has ended.
    log: mpsc::Receiver<String>,
}

/// What a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It logged a line.
    Logged(String),
    /// It ended, and how.
    Ended(String),
}

/// Starts `eenn runtime` with a document and waits until it is ready.
pub(crate) async fn start(executable: &Path, config: &Config) -> anyhow::Result<Running> {
    // It has been read when the child is ready, and is removed then: nothing is left over when this process is killed.
    let file = config.write().context("failed to write a temporary file")?;
    let mut child = Command::new(executable)
        .args(["runtime", config.role(), "--exit-with-parent", "--config"])
        .arg(file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: Ctrl-C in a terminal reaches the parent alone, which stops children in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to start {}", executable.display()))?;
    // `wait` would close it.
    let lifeline = child.stdin.take();
    let stdout: Option<ChildStdout> = child.stdout.take();
    let stderr: Option<ChildStderr> = child.stderr.take();
    let (sender, mut log) = mpsc::channel(LOG_QUEUE);
    if let Some(stderr) = stderr {
        tokio::spawn(forward(BufReader::new(stderr).lines(), sender.clone()));
    }
    let mut lines = BufReader::new(stdout.context("standard output is not a pipe")?).lines();
    let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
    let Ok(first) = first else { bail!("not ready after {} s", READY_WITHIN.as_secs()) };
    let Some(first) = first? else { bail!("{}", why_it_ended(&mut child, &mut log).await) };
    let ready = serde_json::from_str(&first).with_context(|| format!("its first line is not that of eenn: {first}"))?;
    tokio::spawn(forward(lines, sender));
    Ok(Running { child, _lifeline: lifeline, ready, log })
}

async fn forward<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>, sender: mpsc::Sender<String>) {
    while let Ok(Some(line)) = lines.next_line().await {
        // Nobody reads any more: go on, so that the child is not held up by a full pipe.
        let _ = sender.send(line).await;
    }
}

/// How it ended, with the last thing it said.
async fn why_it_ended(child: &mut Child, log: &mut mpsc::Receiver<String>) -> String {
    let status = match tokio::time::timeout(DRAIN_WITHIN, child.wait()).await {
        Ok(Ok(status)) => ended(status),
        _ => "closed its standard output".to_owned(),
    };
    let mut last = None;
    // The end of its log: the sender goes when its standard error is closed.
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(200), log.recv()).await {
        last = Some(line).filter(|line| !line.trim().is_empty()).or(last);
    }
    match last {
        Some(line) => format!("{status}: {}", line.trim_start_matches("error: ")),
        None => status,
    }
}

/// How a process ended, in words.
fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (_, Some(9)) => "was killed".to_owned(),
        (_, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
    }
}

impl Running {
    /// Process id, until it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its next line, or, when there are no more, for its end. May be cancelled.
    pub(crate) async fn next(&mut self) -> Happened {
        if let Some(line) = self.log.recv().await {
            return Happened::Logged(line);
        }
        Happened::Ended(self.child.wait().await.map_or_else(|error| error.to_string(), ended))
    }

    /// Asks it to finish, and kills it when it takes too long or when `at_once` comes. True if it was killed.
    pub(crate) async fn stop(mut self, at_once: impl Future<Output = ()>) -> bool {
        let asked = self.id().and_then(|id| Pid::from_raw(id as i32)).map(|pid| kill_process(pid, Signal::TERM));
        if matches!(asked, Some(Ok(()))) {
            tokio::select! {
                ended = self.child.wait() => return ended.is_err(),
                () = tokio::time::sleep(DRAIN_WITHIN) => {}
                () = at_once => {}
            }
        }
        let _ = self.child.kill().await;
        true
    }
}
