//! Builds with Go from the wrapper modules beside this crate, which pin what is built by go.mod and go.sum.

use crate::binaries::Binary;
use crate::error::Error;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// Wrapper module: a folder beside this crate's `src`.
    pub(crate) module: &'static str,
    /// Package of the program.
    pub(crate) package: &'static str,
}

/// Go module whose stages KWOK needs; the bare program knows none.
const KWOK: &str = "sigs.k8s.io/kwok";

/// Nodes become ready and send heartbeats, pods run, complete and are deleted.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// Everything that a build depends on, as the name of a folder: module, flags, version of Go, target.
pub(crate) fn key(binary: Binary) -> Result<String, Error> {
    let source = binary.source();
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        hash.update(read(&folder(source).join(file))?);
    }
    hash.update(flags(source)?.join("\n"));
    hash.update(environment(binary)?);
    let hex = hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(format!("{}-{hex}", source.module))
}

/// Builds a program into `output`; minutes, when Go's own cache is empty.
pub(crate) fn build(binary: Binary, output: &Path) -> Result<(), Error> {
    let source = binary.source();
    let mut go = go(source);
    go.arg("build").args(flags(source)?).arg("-o").arg(output).arg(source.package);
    run(binary, &mut go).map(drop)
}

/// Copies the stages of KWOK out of Go's module cache.
pub(crate) fn copy_stages(folder: &Path) -> Result<(), Error> {
    let attempt = || format!("write {}", folder.display());
    let binary = Binary::Kwok;
    let module = run(binary, go(binary.source()).args(["list", "-m", "-f", "{{.Dir}}", KWOK]))?;
    std::fs::create_dir_all(folder).map_err(Error::io(attempt()))?;
    for (stage, file) in STAGES.iter().zip(stage_files(folder)) {
        // Not fs::copy: files in the module cache are read-only, and a copy of that kind could not be written again.
        let text = read(&Path::new(module.trim()).join("kustomize/stage").join(stage))?;
        std::fs::write(file, text).map_err(Error::io(attempt()))?;
    }
    Ok(())
}

/// The stages of KWOK in a folder that [`copy_stages`] has filled.
pub(crate) fn stage_files(folder: &Path) -> [PathBuf; STAGES.len()] {
    STAGES.map(|stage| folder.join(stage.rsplit('/').next().unwrap_or(stage)))
}

fn folder(source: Source) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(source.module)
}

fn go(source: Source) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder(source)).stdin(Stdio::null());
    // Static programs, by the Go that is there, and not as part of somebody's workspace.
    go.envs([("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")]);
    go
}

/// What Go says about itself and its target.
fn environment(binary: Binary) -> Result<Vec<u8>, Error> {
    let no_go = |reason: String| Error::NoGo { binary, reason };
    let output = go(binary.source()).args(["env", "GOVERSION", "GOOS", "GOARCH"]).output();
    let output = output.map_err(|error| no_go(format!("`go` cannot be started: {error}")))?;
    // A module that wants a newer Go fails here, before anything is built.
    let list = go(binary.source()).args(["list", "-m"]).output().map_err(|error| no_go(error.to_string()))?;
    match output.status.success() && list.status.success() {
        true => Ok(output.stdout),
        false => Err(no_go(String::from_utf8_lossy(&list.stderr).trim().to_owned())),
    }
}

fn flags(source: Source) -> Result<Vec<String>, Error> {
    let mut linked = "-s -w".to_owned();
    for (variable, value) in variables(source)? {
        let _ = write!(linked, " -X {variable}={value}");
    }
    Ok(["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", &linked].map(String::from).to_vec())
}

/// What the projects' own builds link in: without it programs call themselves v0.0.0-master, and Helm and
/// checks of versions believe them.
fn variables(source: Source) -> Result<Vec<(String, String)>, Error> {
    let text = String::from_utf8_lossy(&read(&folder(source).join("go.mod"))?).into_owned();
    let version = |module| required(&text, module).unwrap_or_default();
    Ok(match source.module {
        "kubernetes" => kubernetes_variables(&version("k8s.io/kubernetes")),
        "helm" => vec![("helm.sh/helm/v4/internal/version.version".to_owned(), version("helm.sh/helm/v4"))],
        _ => Vec::new(),
    })
}

fn kubernetes_variables(version: &str) -> Vec<(String, String)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let values = [
        ("gitVersion", version.to_owned()),
        ("gitMajor", part()),
        ("gitMinor", part()),
        ("gitTreeState", "clean".to_owned()),
        ("buildDate", "1970-01-01T00:00:00Z".to_owned()),
    ];
    let packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
    let of_package = |package| values.clone().map(|(name, value): (&str, String)| (format!("{package}.{name}"), value));
    packages.into_iter().flat_map(of_package).collect()
}

/// The version of a module in a go.mod.
fn required(go_mod: &str, module: &str) -> Option<String> {
    let words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
    words.into_iter().find_map(|mut words| (words.next()? == module).then(|| words.next().map(str::to_owned))?)
}

fn run(binary: Binary, go: &mut Command) -> Result<String, Error> {
    let output = go.output();
    let failed = |complaint| Error::Build { binary, command: shown(go), complaint };
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// As it can be typed, in the folder where it ran.
fn shown(go: &Command) -> String {
    let folder = go.get_current_dir().unwrap_or(Path::new(".")).display();
    let quoted = |word: &str| if word.contains(' ') { format!("'{word}'") } else { word.to_owned() };
    let words = std::iter::once(go.get_program()).chain(go.get_args()).map(|word| quoted(&word.to_string_lossy()));
    format!("cd {folder} && {}", words.collect::<Vec<_>>().join(" "))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(Error::io(format!("read {}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_go_mod() {
        let go_mod = "require (\n\tk8s.io/api v0.0.0\n\tk8s.io/kubernetes v1.34.4 // indirect\n)\nrequire a.b/c v2.0.0";
        assert_eq!(required(go_mod, "k8s.io/kubernetes").as_deref(), Some("v1.34.4"));
        assert_eq!(required(go_mod, "a.b/c").as_deref(), Some("v2.0.0"));
        assert_eq!(required(go_mod, "k8s.io/kube"), None);
    }

    #[test]
    fn failed_build_is_an_error_with_command_and_complaint() {
        let mut command = Command::new("sh");
        command.current_dir("/").args(["-c", "echo broken >&2; false"]);
        let error = run(Binary::Etcd, &mut command).unwrap_err();
        assert_eq!(error.to_string(), "build etcd with `cd / && sh -c 'echo broken >&2; false'`: broken");
    }

    #[test]
    fn every_module_pins_what_is_built_from_it() {
        for binary in Binary::ALL {
            let source = binary.source();
            let go_mod = std::fs::read_to_string(folder(source).join("go.mod")).unwrap();
            assert!(go_mod.contains(source.package), "{binary}: {} is no tool of its go.mod", source.package);
            assert!(folder(source).join("go.sum").exists(), "{binary}");
        }
    }

    #[test]
    fn kubernetes_knows_its_version() {
        let flags = flags(Binary::KubeApiserver.source()).unwrap().join(" ");
        for expected in ["component-base/version.gitVersion=v1.", "client-go/pkg/version.gitMajor=1"] {
            assert!(flags.contains(expected), "{flags}");
        }
    }
}
