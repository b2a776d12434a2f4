//! `eenn completion`: completion scripts for shells.

use crate::cli::Cli;
use crate::exit_code::Outcome;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use std::io::Write;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  eenn completion bash > ~/.local/share/bash-completion/completions/eenn")]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

impl Options {
    /// Writes the script to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut visible(&Cli::command()), "eenn", &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// The commands that help shows: scripts for some shells offer hidden ones too.
fn visible(all: &Command) -> Command {
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("eenn").version(env!("CARGO_PKG_VERSION")).propagate_version(true).subcommands(shown.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_commands_are_not_offered() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            Options { shell }.exec(&mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("inspect") && script.contains("--thresholds") | script.contains("-l thresholds"));
            assert!(!script.contains("runtime") && !script.contains("exit-with-parent"), "{shell}:\n{script}");
        }
    }
}
