//! `kubectl eenn`: `eenn` under the name `kubectl-eenn`, for services of a cluster.
//!
//! * [`cluster`]: the way to the API server. [`read`]: objects of it.
//! * [`status`], [`plan`], [`explain`], [`approve`]: one subcommand each; tables are made of objects by pure functions.
//! * [`complete`]: what a shell offers behind the tab key, under the name `kubectl_complete-eenn`.

mod approve;
mod cluster;
mod complete;
#[cfg(test)]
mod example;
mod explain;
mod output;
mod plan;
mod plans;
mod read;
mod service;
mod status;
mod words;

use crate::exit_code::Outcome;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// See what early-exit networks of a cluster do, and approve what is planned for them.
#[derive(Debug, Parser)]
#[command(name = "kubectl-eenn", bin_name = "kubectl eenn", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Which services take jobs, and what keeps the others from it?
    kubectl eenn status -A

  Where do jobs of one go, at which confidence do they leave, and what is expected of that?
    kubectl eenn plan fashion-mnist -n cameras

  Which device or link limits it?
    kubectl eenn explain fashion-mnist -n cameras

  Put the placement that waits into place
    kubectl eenn approve fashion-mnist -n cameras

Plans without a cluster: `eenn plan`, which is the same program under its other name.

Exit codes:
  0  all went well
  1  the cluster gave no answer, refused, or did not get there in time
  2  the input was refused: options, names that are not there, or nothing to approve";

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Options),
    Plan(plan::Options),
    Explain(explain::Options),
    Approve(approve::Options),
}

impl Cli {
    /// Runs the subcommand; results go to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        match self.command {
            Command::Status(options) => options.exec(out),
            Command::Plan(options) => options.exec(out),
            Command::Explain(options) => options.exec(out),
            Command::Approve(options) => options.exec(out),
        }
    }
}

/// What this program was started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// `eenn`, or whatever else.
    Eenn,
    /// By kubectl, as its plugin.
    Plugin,
    /// By kubectl, for a shell that completes a command line of the plugin.
    Completion,
}

impl Called {
    /// By the name of the file that was started, the first argument.
    pub(crate) fn by(program: Option<OsString>) -> Self {
        let name = program.as_deref().map(Path::new).and_then(Path::file_name);
        match name.and_then(|name| name.to_str()) {
            Some("kubectl-eenn") => Self::Plugin,
            Some("kubectl_complete-eenn") => Self::Completion,
            _ => Self::Eenn,
        }
    }
}

pub(crate) use complete::print as print_completions;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_name_of_the_file_decides() {
        let by = |name: &str| Called::by(Some(name.into()));
        assert_eq!(by("/usr/local/bin/kubectl-eenn"), Called::Plugin);
        assert_eq!(by("kubectl_complete-eenn"), Called::Completion);
        assert_eq!([by("eenn"), by("./target/release/eenn"), Called::by(None)], [Called::Eenn; 3]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_looks_like_this() {
        for (path, file) in [
            (&["kubectl-eenn"][..], "help.txt"),
            (&["kubectl-eenn", "status"], "help-status.txt"),
            (&["kubectl-eenn", "plan"], "help-plan.txt"),
            (&["kubectl-eenn", "explain"], "help-explain.txt"),
            (&["kubectl-eenn", "approve"], "help-approve.txt"),
        ] {
            let arguments = [path, &["--help"]].concat();
            let help = Cli::command().term_width(100).try_get_matches_from(arguments).unwrap_err().to_string();
            assert!(!help.contains("kubectl-eenn"), "people type kubectl eenn:\n{help}");
            crate::snapshot::check(&format!("kubectl/testdata/{file}"), &help);
        }
    }
}
