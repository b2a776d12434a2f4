//! One program of a control plane: started, watched while it becomes ready, stopped.

use crate::error::Error;
use crate::flags::Program;
use crate::group::Group;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A graceful end of the API server waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(20);

/// A program with its arguments; running or not.
#[derive(Debug)]
pub(crate) struct Component {
    program: Program,
    path: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    /// Length of the log when it was last started: what is before it is about earlier runs.
    log_start: u64,
    child: Option<Child>,
}

impl Component {
    pub(crate) fn new(program: Program, path: &Path, arguments: Vec<String>, log: PathBuf) -> Self {
        Self { program, path: path.to_owned(), arguments, log, log_start: 0, child: None }
    }

    pub(crate) fn program(&self) -> Program {
        self.program
    }

    /// Process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&mut self, group: &Group) -> Result<(), Error> {
        if self.child.is_none() {
            self.log_start = std::fs::metadata(&self.log).map_or(0, |log| log.len());
            let mut command = Command::new(&self.path);
            command.args(&self.arguments).current_dir(group.folder());
            // Proxies and the like of whoever runs the tests are none of its business.
            command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
            // Memory for time: all of them are written in Go, and share few cores with what is tested.
            command.env("GOGC", "400");
            self.child = Some(group.spawn(&mut command, &self.log)?);
        }
        Ok(())
    }

    /// The error that it was waited for in vain; `last` is what the last look gave.
    pub(crate) fn not_ready(&self, seconds: u64, last: String) -> Error {
        Error::NotReady { program: self.program, seconds, last, log: self.log.clone(), tail: self.tail() }
    }

    /// An error if it was started and has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait().map_err(Error::io(format!("look after {}", self.program)))?.is_some(),
            None => false,
        };
        if ended {
            self.child = None;
            return Err(Error::Ended { program: self.program, log: self.log.clone(), tail: self.tail() });
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it does not.
    pub(crate) fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The end of what it has logged since it was started.
    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or_default().min(text.len());
        let text = String::from_utf8_lossy(&text[start..]).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
