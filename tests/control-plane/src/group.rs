//! Processes and a folder that are gone when their owner is, however it ended.
//!
//! Two small shells help. The *guardian* holds one end of a pipe to the owner; when the other end is closed, by
//! [`Group::end`] or because the owner was killed, it kills the process group and removes the folder. The *anchor* leads
//! that process group and does nothing: as long as it lives, no stranger can get the group's number. The guardian is not
//! in the group, and no signal but KILL stops it.

use crate::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the group to be empty, since a process that still dies could write into the folder. Not for ever: where no
/// init reaps orphans, their group stays.
const GUARDIAN: &str = r#"
trap '' HUP INT QUIT TERM
group=
read -r group
cat >/dev/null
if [ -n "$group" ]; then
    kill -s KILL -- "-$group"
    tries=50
    while kill -s 0 -- "-$group" && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
fi
rm -rf -- "$1"
"#;

/// A folder, and the group of the processes that use it.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    guardian: Child,
    anchor: Child,
}

impl Group {
    pub(crate) fn new() -> Result<Self, Error> {
        let attempt = "create a temporary folder";
        let folder = tempfile::Builder::new().prefix("control-plane-").tempdir().map_err(Error::io(attempt))?;
        let mut guardian = Command::new("sh");
        guardian.args(["-c", GUARDIAN, "guardian"]).arg(folder.path()).process_group(0);
        guardian.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guardian = guardian.spawn().map_err(Error::io("start the guardian with sh"))?;
        // From here on the guardian removes the folder.
        let folder = folder.keep();
        let mut anchor = Command::new("cat");
        let alive_with_guardian = guardian.stdout.take().expect("the guardian's output is piped");
        anchor.process_group(0).stdin(alive_with_guardian).stdout(Stdio::null()).stderr(Stdio::null());
        let anchor = anchor.spawn().map_err(Error::io("start the anchor with cat"))?;
        let pipe = guardian.stdin.as_mut().expect("the guardian's input is piped");
        writeln!(pipe, "{}", anchor.id()).map_err(Error::io("tell the guardian its group"))?;
        Ok(Self { folder, guardian, anchor })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a process that ends with the group, its output at the end of `log`.
    pub(crate) fn spawn(&self, command: &mut Command, log: &Path) -> Result<Child, Error> {
        let attempt = || format!("write {}", log.display());
        let out = File::options().create(true).append(true).open(log).map_err(Error::io(attempt()))?;
        let also = out.try_clone().map_err(Error::io(attempt()))?;
        let group = i32::try_from(self.anchor.id()).expect("process ids are positive and fit");
        command.process_group(group).stdin(Stdio::null()).stdout(out).stderr(also);
        command.spawn().map_err(Error::io(format!("start {}", command.get_program().display())))
    }

    /// Kills what still runs, removes the folder and returns when both has happened.
    pub(crate) fn end(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.anchor.wait();
        let _ = self.guardian.wait();
    }
}
