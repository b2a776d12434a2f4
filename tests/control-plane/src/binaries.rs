//! The programs: found in `KUBEBUILDER_ASSETS` or in the cache, where what is missing is built once.

use crate::error::Error;
use crate::go::{self, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A program that tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binary {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Deployments, garbage collection, service accounts and all else that reconciles built-in kinds.
    KubeControllerManager,
    /// Pods to nodes.
    KubeScheduler,
    /// Pretends to be the kubelet of fake nodes.
    Kwok,
    /// The command line.
    Kubectl,
    /// Installs charts.
    Helm,
    /// Runs Lua as Argo CD does.
    Glua,
}

impl Binary {
    /// All of them, in the order in which they are built.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::Helm,
        Self::Glua,
    ];

    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Glua => "glua",
        }
    }

    pub(crate) fn source(self) -> Source {
        let (module, package) = match self {
            Self::Etcd => ("etcd", "go.etcd.io/etcd/server/v3"),
            Self::KubeApiserver => ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
            Self::KubeControllerManager => ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            Self::KubeScheduler => ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
            Self::Kwok => ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
            Self::Kubectl => ("kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
            Self::Helm => ("helm", "helm.sh/helm/v4/cmd/helm"),
            Self::Glua => ("lua", "github.com/yuin/gopher-lua/cmd/glua"),
        };
        Source { module, package }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Programs that are there.
#[derive(Debug, Clone)]
pub struct Binaries {
    paths: BTreeMap<Binary, PathBuf>,
}

impl Binaries {
    /// Finds programs, in `KUBEBUILDER_ASSETS` first, then in the cache. What is in neither is built into the cache;
    /// who asks meanwhile, in whatever process, waits for it. Progress goes to standard error, uncaptured.
    pub fn find(wanted: &[Binary]) -> Result<Self, Error> {
        let paths = wanted.iter().map(|binary| Ok((*binary, find(*binary)?)));
        Ok(Self { paths: paths.collect::<Result<_, Error>>()? })
    }

    /// Where a program is.
    ///
    /// # Panics
    ///
    /// If it was not among those that were asked for.
    pub fn path(&self, binary: Binary) -> &Path {
        self.paths.get(&binary).unwrap_or_else(|| panic!("{binary} was not asked for: name it in Binaries::find"))
    }

    /// The stages that KWOK is started with.
    pub(crate) fn stages(&self) -> impl Iterator<Item = PathBuf> + use<> {
        go::stage_files(&stage_folder(self.path(Binary::Kwok))).into_iter()
    }
}

/// Why programs can neither be found nor built, for tests that then skip; `None` when they can. Under `CI=true` it is
/// always `None`: there, a missing Go is a failure and not a reason to skip.
pub fn unavailable(wanted: &[Binary]) -> Option<String> {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let missing = || wanted.iter().filter(|binary| asset(**binary).is_none());
    let no_go = |binary: &Binary| go::key(*binary).err().filter(|error| matches!(error, Error::NoGo { .. }));
    if ci { None } else { missing().find_map(no_go).map(|error| format!("failed to {error}")) }
}

fn find(binary: Binary) -> Result<PathBuf, Error> {
    if let Some(path) = asset(binary) {
        return Ok(path);
    }
    let root = cache_folder()?;
    let folder = root.join(go::key(binary)?);
    let path = folder.join(binary.name());
    if !path.exists() {
        std::fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let _lock = lock(&root.join("lock"))?;
        // Whoever held the lock may have built it.
        if !path.exists() {
            build(binary, &path)?;
        }
    }
    Ok(path)
}

fn asset(binary: Binary) -> Option<PathBuf> {
    present(Path::new(&std::env::var_os("KUBEBUILDER_ASSETS")?), binary)
}

/// KWOK counts with its stages only.
fn present(folder: &Path, binary: Binary) -> Option<PathBuf> {
    let path = folder.join(binary.name());
    let complete = binary != Binary::Kwok || go::stage_files(&stage_folder(&path)).iter().all(|file| file.exists());
    (complete && path.exists()).then_some(path)
}

fn stage_folder(kwok: &Path) -> PathBuf {
    kwok.with_file_name("kwok-stages")
}

fn cache_folder() -> Result<PathBuf, Error> {
    // Empty counts as unset, as the XDG specification wants it.
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Ok(cache.ok_or(Error::NoCacheFolder)?.join("eenn-operator/control-plane"))
}

/// One build at a time: each takes all cores and up to 2 GB of memory. The lock ends with the process that holds it.
fn lock(path: &Path) -> Result<File, Error> {
    let attempt = || format!("lock {}", path.display());
    let file = File::create(path).map_err(Error::io(attempt()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("control-plane: waiting for a build that is under way");
            file.lock().map_err(Error::io(attempt()))?;
        }
        Err(TryLockError::Error(source)) => return Err(Error::Io { attempt: attempt(), source }),
    }
    Ok(file)
}

/// Built under another name and renamed, so that what has the name is complete.
fn build(binary: Binary, path: &Path) -> Result<(), Error> {
    say(&format!("control-plane: building {binary} with Go; the first time this takes up to some minutes"));
    let started = Instant::now();
    let unfinished = path.with_extension("unfinished");
    go::build(binary, &unfinished)?;
    if binary == Binary::Kwok {
        go::copy_stages(&stage_folder(path))?;
    }
    std::fs::rename(&unfinished, path).map_err(Error::io(format!("write {}", path.display())))?;
    say(&format!("control-plane: built {} in {:.0} s", path.display(), started.elapsed().as_secs_f64()));
    Ok(())
}

/// Unlike `eprintln!`, not captured by the test harness: nobody should wait for minutes without knowing why.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn kwok_without_stages_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        for binary in [Binary::Kwok, Binary::Etcd] {
            std::fs::write(folder.path().join(binary.name()), "").unwrap();
        }
        assert_eq!(present(folder.path(), Binary::Kwok), None);
        assert_eq!(present(folder.path(), Binary::Etcd), Some(folder.path().join("etcd")));
        std::fs::create_dir(folder.path().join("kwok-stages")).unwrap();
        for stage in go::stage_files(&folder.path().join("kwok-stages")) {
            std::fs::write(stage, "").unwrap();
        }
        assert_eq!(present(folder.path(), Binary::Kwok), Some(folder.path().join("kwok")));
    }

    #[test]
    fn second_builder_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path).unwrap();
        let (said, heard) = mpsc::channel();
        let second = std::thread::spawn(move || {
            said.send("waits").unwrap();
            drop(lock(&path).unwrap());
            said.send("has it").unwrap();
        });
        assert_eq!(heard.recv(), Ok("waits"));
        assert_eq!(heard.recv_timeout(Duration::from_millis(200)), Err(mpsc::RecvTimeoutError::Timeout));
        drop(first);
        assert_eq!(heard.recv(), Ok("has it"));
        second.join().unwrap();
    }

    #[test]
    #[should_panic(expected = "helm was not asked for")]
    fn programs_that_were_not_asked_for_have_no_path() {
        let _ = Binaries { paths: BTreeMap::new() }.path(Binary::Helm);
    }
}
