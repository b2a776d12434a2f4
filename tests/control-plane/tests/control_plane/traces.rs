//! What a control plane leaves on the machine: its folder and its processes.

use std::path::{Path, PathBuf};

/// What could be left of a control plane.
pub(crate) struct Traces {
    pub(crate) folder: PathBuf,
    group: u32,
}

impl Traces {
    pub(crate) fn of(folder: &Path, etcd: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{etcd}/stat")).expect("etcd runs");
        Self { folder: folder.to_owned(), group: stat_fields(&stat).expect("/proc/PID/stat is readable").1 }
    }

    pub(crate) fn left(&self) -> bool {
        self.folder.exists() || !self.processes().is_empty()
    }

    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.processes(), [""; 0], "processes are left");
        assert!(!self.folder.exists(), "{} is left", self.folder.display());
    }

    /// Living processes that belong to the group or have to do with the folder, the guardian among them.
    pub(crate) fn processes(&self) -> Vec<String> {
        let entries = std::fs::read_dir("/proc").expect("/proc is readable").filter_map(Result::ok);
        entries.filter_map(|entry| self.trace(&entry.path())).collect()
    }

    fn trace(&self, process: &Path) -> Option<String> {
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        let command = String::from_utf8_lossy(&std::fs::read(process.join("cmdline")).ok()?).replace('\0', " ");
        let (state, group) = stat_fields(&stat)?;
        let ours = group == self.group || command.contains(&*self.folder.to_string_lossy());
        (ours && state != "Z").then(|| format!("{}: {command}", process.display()))
    }
}

/// State and process group, after the name, which may contain anything.
fn stat_fields(stat: &str) -> Option<(&str, u32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}
