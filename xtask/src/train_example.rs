//! `cargo xtask train-example`: the network of `examples/fashion-mnist`, from data to committed files.

use crate::process;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLE: &str = "examples/fashion-mnist";
const DATA: &str = "/usr/share/datasets/fashion-mnist";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seed of everything random, the held-out images included
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passes over the training images [default: what train.py says]
    #[arg(long)]
    epochs: Option<u32>,
    /// Runs every step on few images, into a temporary folder, and only reports what a real run must reach
    #[arg(long, conflicts_with = "epochs")]
    trial: bool,
    /// Interpreter to make the environment with, 3.11 or newer
    #[arg(long, default_value = "python3")]
    python: String,
}

pub(crate) fn exec(root: &Path, options: Options) -> anyhow::Result<()> {
    require_data(Path::new(DATA))?;
    let cache = cache_folder(|name| std::env::var_os(name))?;
    let training = root.join(EXAMPLE).join("training");
    let python = environment(&cache.join("train-venv"), &training.join("requirements.txt"), &options.python)?;
    let scripts = Scripts { folder: training, python };
    if options.trial { trial(&scripts, options.seed) } else { real(&scripts, &cache, &options) }
}

fn require_data(folder: &Path) -> anyhow::Result<()> {
    if !folder.join("train-images-idx3-ubyte.gz").exists() {
        bail!("{} has no Fashion-MNIST: apt-get install dataset-fashion-mnist", folder.display());
    }
    Ok(())
}

/// `eenn-operator` in the user's cache, by the XDG base directory specification.
fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<PathBuf> {
    let set = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for the training environment")?
        .join("eenn-operator"))
}

/// The interpreter of a virtual environment with exactly these requirements.
fn environment(venv: &Path, requirements: &Path, python: &str) -> anyhow::Result<PathBuf> {
    let interpreter = venv.join("bin/python");
    let wanted = fs::read(requirements).with_context(|| format!("failed to read {}", requirements.display()))?;
    let installed = venv.join("installed-requirements.txt");
    if interpreter.exists() && fs::read(&installed).is_ok_and(|text| text == wanted) {
        return Ok(interpreter);
    }
    println!("=== Python environment in {} (about 6 GB, some minutes the first time)", venv.display());
    let here = Path::new(".");
    if !interpreter.exists() {
        process::run(process::command(here, python).args(["-m", "venv"]).arg(venv), PYTHON)
            .with_context(|| format!("failed to make a virtual environment; {PYTHON}"))?;
    }
    let mut pip = process::command(here, &interpreter);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    process::run(&mut pip, PYTHON).context(
        "failed to install the pinned Python packages (is the package index reachable, and Python 3.11 or newer?)",
    )?;
    fs::write(&installed, wanted).with_context(|| format!("failed to write {}", installed.display()))?;
    Ok(interpreter)
}

const PYTHON: &str = "Python 3.11 or newer is needed: apt-get install python3 python3-venv";

struct Scripts {
    folder: PathBuf,
    python: PathBuf,
}

impl Scripts {
    fn script(&self, name: &str, work: &Path) -> Command {
        let mut command = process::command(&self.folder, &self.python);
        // No __pycache__ beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(name);
        command.arg("--work").arg(work);
        command
    }

    fn seeded(&self, name: &str, work: &Path, seed: u64) -> Command {
        let mut command = self.script(name, work);
        command.arg(format!("--seed={seed}"));
        command
    }
}

fn real(scripts: &Scripts, cache: &Path, options: &Options) -> anyhow::Result<()> {
    let work = cache.join("train-fashion-mnist");
    let mut train = scripts.seeded("train.py", &work, options.seed);
    train.args(options.epochs.map(|epochs| format!("--epochs={epochs}")));
    step("train (resumes where it was stopped)", &mut train)?;
    step("refine the last block", &mut scripts.seeded("refine.py", &work, options.seed))?;
    step("export", &mut scripts.script("export.py", &work))?;
    println!("train-example: done; the files are in {EXAMPLE}");
    Ok(())
}

/// What the training scripts are given so that all of it takes about a minute.
const TRIAL: [&str; 2] = ["--epochs=1", "--limit=2000"];

fn trial(scripts: &Scripts, seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    let (work, out) = (folder.path(), folder.path().join("out"));
    step("train, few images", scripts.seeded("train.py", work, seed).args(TRIAL))?;
    step("refine the last block, few images", scripts.seeded("refine.py", work, seed).args(TRIAL))?;
    step("export, few images", scripts.script("export.py", work).args(["--trial", "--out"]).arg(&out))?;
    println!("train-example: the trial passed; its files are thrown away");
    Ok(())
}

fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("=== {name}");
    process::run(command, PYTHON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(xdg: Option<&str>, home: Option<&str>) -> Option<String> {
        let variable = |name: &str| if name == "HOME" { home } else { xdg }.map(OsString::from);
        cache_folder(variable).ok().map(|path| path.display().to_string())
    }

    #[test]
    fn cache_folder_follows_the_xdg_rules() {
        assert_eq!(cache(Some("/c"), Some("/h")).unwrap(), "/c/eenn-operator");
        assert_eq!(cache(None, Some("/h")).unwrap(), "/h/.cache/eenn-operator");
        assert_eq!(cache(Some("relative"), Some("/h")).unwrap(), "/h/.cache/eenn-operator");
        assert_eq!(cache(None, None), None);
    }

    #[test]
    fn missing_data_says_which_package_has_it() {
        let error = require_data(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("apt-get install dataset-fashion-mnist"), "{error}");
    }
}
