//! `cargo xtask generate`: files that are made from code, committed, and compared by `--check`.

use crate::{chart, process};
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// One generated file. To add one, write its maker in a module of its own and list it in `GENERATED`.
struct Generated {
    /// Path in the repository.
    path: &'static str,
    /// Its whole content, given the root of the repository.
    make: fn(&Path) -> anyhow::Result<String>,
}

const GENERATED: &[Generated] = &[
    Generated { path: "docs/reference/cli.md", make: |root| reference(root, "cli") },
    Generated { path: "docs/reference/metrics.md", make: |root| reference(root, "metrics") },
    Generated { path: "docs/reference/manifests.md", make: |root| reference(root, "manifests") },
    Generated { path: "docs/reference/network.schema.json", make: |root| reference(root, "network") },
    Generated { path: "docs/reference/plan.schema.json", make: |root| reference(root, "plan") },
    Generated { path: "crds/devicepools.yaml", make: |root| definition(root, "DevicePool") },
    Generated { path: "crds/eennmodels.yaml", make: |root| definition(root, "EENNModel") },
    Generated { path: "crds/eennplans.yaml", make: |root| definition(root, "EENNPlan") },
    Generated { path: "crds/eennservices.yaml", make: |root| definition(root, "EENNService") },
    Generated { path: "crds/qostargets.yaml", make: |root| definition(root, "QoSTarget") },
    // After the definitions, of which they are copies.
    Generated {
        path: "charts/eenn-operator/files/crds/devicepools.yaml",
        make: |root| chart::definition(root, "devicepools"),
    },
    Generated {
        path: "charts/eenn-operator/files/crds/eennmodels.yaml",
        make: |root| chart::definition(root, "eennmodels"),
    },
    Generated {
        path: "charts/eenn-operator/files/crds/eennplans.yaml",
        make: |root| chart::definition(root, "eennplans"),
    },
    Generated {
        path: "charts/eenn-operator/files/crds/eennservices.yaml",
        make: |root| chart::definition(root, "eennservices"),
    },
    Generated {
        path: "charts/eenn-operator/files/crds/qostargets.yaml",
        make: |root| chart::definition(root, "qostargets"),
    },
    Generated { path: "charts/eenn-operator/README.md", make: chart::readme },
    Generated { path: "docs/gitops/argocd/argocd-cm.yaml", make: chart::argocd },
];

/// A page that `eenn` makes of itself. It is run, not imported: automation must build while the product does not. All of the
/// workspace is built for it, as for tests: with fewer packages their dependencies have fewer features, and the inference engine
/// would be compiled once more.
fn reference(root: &Path, page: &str) -> anyhow::Result<String> {
    let mut build = process::cargo(root);
    build.args(["build", "--release", "--quiet", "--workspace", "--bins"]);
    process::output(&mut build, "look at what it says")?;
    let xtask = std::env::current_exe().context("xtask does not know where it is")?;
    let mut eenn = Command::new(xtask.with_file_name("eenn"));
    eenn.current_dir(root).args(["reference", page]);
    process::output(&mut eenn, "look at what it says")
}

/// The CustomResourceDefinition of a kind.
fn definition(root: &Path, kind: &str) -> anyhow::Result<String> {
    let all = reference(root, "crds")?;
    let mut documents = all.split("\n---\n");
    let found = documents.find(|document| document.contains(&format!("\n    kind: {kind}\n")));
    let document = found.with_context(|| format!("there is no definition of {kind}"))?;
    Ok(format!("# Made by `cargo xtask generate`. Change the code instead.\n{}\n", document.trim_end()))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Writes nothing; fails when a file is not what would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn exec(root: &Path, options: Options) -> anyhow::Result<()> {
    if options.check { check(root) } else { write(root, GENERATED) }
}

pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let stale = stale(root, GENERATED)?;
    if !stale.is_empty() {
        bail!("out of date: {}; write them with `cargo xtask generate` and commit them", stale.join(", "));
    }
    println!("{} generated files are up to date", GENERATED.len());
    Ok(())
}

fn write(root: &Path, files: &[Generated]) -> anyhow::Result<()> {
    for file in files {
        let path = root.join(file.path);
        fs::create_dir_all(path.parent().expect("a file of the repository has a folder"))?;
        fs::write(&path, made(root, file)?).with_context(|| format!("failed to write {}", file.path))?;
        println!("wrote {}", file.path);
    }
    Ok(())
}

/// Paths whose content differs, or that are missing.
fn stale(root: &Path, files: &[Generated]) -> anyhow::Result<Vec<&'static str>> {
    let mut stale = Vec::new();
    for file in files {
        let current = fs::read_to_string(root.join(file.path)).ok();
        if current.as_deref() != Some(made(root, file)?.as_str()) {
            stale.push(file.path);
        }
    }
    Ok(stale)
}

fn made(root: &Path, file: &Generated) -> anyhow::Result<String> {
    (file.make)(root).with_context(|| format!("failed to generate {}", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[Generated] = &[Generated { path: "docs/a.md", make: |_| Ok("new\n".into()) }];

    #[test]
    fn missing_and_changed_files_are_stale_until_written() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(stale(root.path(), FILES).unwrap(), ["docs/a.md"]);
        write(root.path(), FILES).unwrap();
        assert!(stale(root.path(), FILES).unwrap().is_empty());
        fs::write(root.path().join("docs/a.md"), "old\n").unwrap();
        assert_eq!(stale(root.path(), FILES).unwrap(), ["docs/a.md"]);
    }

    #[test]
    fn failure_names_the_file() {
        let broken = [Generated { path: "docs/b.md", make: |_| bail!("no source") }];
        let error = stale(Path::new("."), &broken).unwrap_err();
        assert_eq!(format!("{error:#}"), "failed to generate docs/b.md: no source");
    }
}
