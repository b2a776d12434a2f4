//! Other programs: run with their output shown, and one clear error when they fail or are missing.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command that runs in `folder`.
pub(crate) fn command(folder: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

/// The cargo that runs this program, or the one on the path, as if it had been typed: what `cargo run` says about the package of
/// this program is left out. Build scripts read variables of these names and would run again, with all that depends on them,
/// whenever a command is typed after one of ours.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = command(root, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
}

fn is_of_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// Runs to the end with inherited output. `install` says where the program comes from when it is missing.
pub(crate) fn run(command: &mut Command, install: &str) -> anyhow::Result<()> {
    let status = command.status();
    let status = status.map_err(|error| cannot_start(command, error, install))?;
    if !status.success() {
        bail!("`{}` failed with {status}", shown(command));
    }
    Ok(())
}

/// Runs quietly to the end; what it printed, or an error that says what it complained about.
pub(crate) fn output(command: &mut Command, install: &str) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| cannot_start(command, error, install))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed with {}: {}\n{install}", shown(command), output.status, complaint.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print text", shown(command)))
}

fn cannot_start(command: &Command, error: std::io::Error, install: &str) -> anyhow::Error {
    let program = command.get_program().display();
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("{program} was not found: {install}"),
        _ => anyhow::anyhow!("failed to start {program}: {error}"),
    }
}

/// The command as it can be typed, with variables that were set for it and without the folders of the program.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy()))));
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| quoted(&argument.to_string_lossy()));
    variables.chain([program.into_owned()]).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(program: &str) -> Command {
        command(Path::new("."), program)
    }

    #[test]
    fn missing_program_says_what_to_install() {
        let error = run(&mut here("eenn-no-such-program"), "apt-get install it").unwrap_err();
        assert_eq!(error.to_string(), "eenn-no-such-program was not found: apt-get install it");
    }

    #[test]
    fn failure_names_the_whole_command() {
        let error = run(here("false").arg("two words"), "").unwrap_err();
        assert_eq!(error.to_string(), "`false 'two words'` failed with exit status: 1");
    }

    #[test]
    fn cargo_is_told_nothing_of_the_package_that_asks() {
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo says it to its tests");
        let cargo = cargo(Path::new("."));
        let removed = |wanted: &str| cargo.get_envs().any(|(name, value)| name == wanted && value.is_none());
        assert!(removed("CARGO_MANIFEST_DIR") && removed("CARGO_PKG_NAME"));
        assert!(!removed("CARGO_TARGET_DIR") && !removed("CARGO_HOME") && !removed("CARGO"));
    }

    #[test]
    fn shown_command_can_be_typed() {
        let mut command = here("/some/where/cargo");
        command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]);
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }
}
