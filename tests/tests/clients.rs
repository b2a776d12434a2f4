//! The official Python clients of the Open Inference Protocol against a gateway, with and without compression, batches
//! and errors: `clients/test_clients.py` says what is checked.
//!
//! Needs Python 3.11 or newer; the first run installs the pinned clients into the user's cache folder.

use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::start_trivial;

/// What [`start_trivial`] serves: a model and the shape of one sample.
const MODEL: &str = "trivial";
const SAMPLE_SHAPE: [usize; 1] = [784];

#[test]
fn official_clients_find_what_they_expect() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let python = environment(&folder.join("requirements.txt"))?;
    let cluster = start_trivial();
    let mut script = Command::new(python);
    script.arg(folder.join("test_clients.py")).args([url(&cluster.gateway).as_str(), MODEL]);
    script.args(SAMPLE_SHAPE.map(|size| size.to_string()));
    // No __pycache__ beside the sources.
    run(script.env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// `host:port` or a whole URL.
fn url(gateway: &str) -> String {
    if gateway.starts_with("http") { gateway.to_owned() } else { format!("http://{gateway}") }
}

/// The interpreter of a virtual environment with exactly these requirements.
fn environment(requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = fs::read(requirements).with_context(|| format!("failed to read {}", requirements.display()))?;
    let venv = cache_folder()?.join(format!("clients-{:016x}", hash(&wanted)));
    let python = venv.join("bin/python");
    // Written last: an installation that was stopped half-way is taken up again.
    let complete = venv.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context("is Python 3.11 or newer installed?")?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    run(&mut pip).context("is the package index reachable, and Python 3.11 or newer?")?;
    fs::write(&complete, []).with_context(|| format!("failed to write {}", complete.display()))?;
    Ok(python)
}

/// `eenn-operator` in the user's cache, by the XDG base directory specification.
fn cache_folder() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value: &OsString| Path::new(value).is_absolute());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set: no place for the Python clients")?.join("eenn-operator"))
}

/// Another hash in another release of Rust costs no more than another environment.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Runs to the end; what it printed is in the error if it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let Ok(output) = command.output() else { bail!("failed to start {command:?}") };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} ended with {}\n{stdout}{stderr}", output.status);
    Ok(())
}
