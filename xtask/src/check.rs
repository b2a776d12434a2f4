//! `cargo xtask check`: what CI runs, in the same order. Stops at the first failure.

use crate::{generate, process};
use anyhow::Context;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Cargo's arguments for each step. All share the release profile, so that the inference engine is compiled once.
const STEPS: &[Step] = &[
    Step { name: "format", arguments: &["fmt", "--all", "--check"], flags: None },
    Step {
        name: "clippy",
        arguments: &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"],
        flags: None,
    },
    Step { name: "build", arguments: &["build", "--release", "--workspace", "--bins"], flags: None },
    Step { name: "test", arguments: &["test", "--release", "--workspace"], flags: None },
    Step {
        name: "docs",
        arguments: &["doc", "--release", "--workspace", "--no-deps"],
        flags: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
];

struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    flags: Option<(&'static str, &'static str)>,
}

impl Step {
    fn command(&self, root: &Path) -> Command {
        let mut command = process::cargo(root);
        command.args(self.arguments).envs(self.flags);
        command
    }
}

pub(crate) fn exec(root: &Path) -> anyhow::Result<()> {
    require_components(root)?;
    let mut report = Report::new(STEPS.len() + 1);
    for step in STEPS {
        let mut command = step.command(root);
        let shown = process::shown(&command);
        report.step(step.name, &shown, || process::run(&mut command, CARGO))?;
    }
    report.step("generated files", "cargo xtask generate --check", || generate::check(root))?;
    report.finish();
    Ok(())
}

const CARGO: &str = "install Rust with rustup, https://rustup.rs";

/// Asked first: otherwise a missing clippy is found only after the first minutes.
fn require_components(root: &Path) -> anyhow::Result<()> {
    for component in ["fmt", "clippy"] {
        process::output(process::cargo(root).args([component, "--version"]), COMPONENTS)?;
    }
    Ok(())
}

const COMPONENTS: &str = "install both with: rustup component add rustfmt clippy";

/// Headings, timings and the last line.
struct Report {
    steps: usize,
    done: Vec<(&'static str, Duration)>,
}

impl Report {
    fn new(steps: usize) -> Self {
        Self { steps, done: Vec::new() }
    }

    fn step(
        &mut self,
        name: &'static str,
        shown: &str,
        act: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let number = self.done.len() + 1;
        println!("\n=== {number}/{} {name}: {shown}", self.steps);
        let started = Instant::now();
        act().with_context(|| format!("check failed at {name}; repeat it with:\n    {shown}\nbecause"))?;
        self.done.push((name, started.elapsed()));
        println!("=== {name}: ok in {}", seconds(started.elapsed()));
        Ok(())
    }

    fn finish(&self) {
        let steps: Vec<_> = self.done.iter().map(|(name, time)| format!("{name} {}", seconds(*time))).collect();
        let total = self.done.iter().map(|(_, time)| *time).sum();
        println!("\ncheck passed in {}: {}", seconds(total), steps.join(", "));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_step_is_named_with_the_command_that_repeats_it() {
        let mut report = Report::new(2);
        report.step("first", "true", || Ok(())).unwrap();
        let error = report.step("second", "cargo second", || anyhow::bail!("broken")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("check failed at second") && text.contains("    cargo second\n"), "{text}");
        assert!(text.ends_with("broken"), "{text}");
    }

    #[test]
    fn no_step_compiles_in_another_profile() {
        for step in STEPS.iter().filter(|step| step.name != "format") {
            assert!(step.arguments.contains(&"--release"), "{} would compile everything again", step.name);
        }
    }
}
