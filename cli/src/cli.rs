//! The command line: one subcommand per file.

use crate::exit_code::Outcome;
use crate::{completion, model, plan, reference, simulate, up};
use clap::{Parser, Subcommand};
use std::io::Write;

/// Serve early-exit neural networks on clusters of small machines, and on this one.
#[derive(Debug, Parser)]
#[command(name = "eenn", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Serve the example on emulated devices, until Ctrl-C:
    eenn up -f examples/fashion-mnist

  Send it images of the test set, first slowly, then faster than it can take:
    eenn up -f examples/fashion-mnist --load 'rate=40/s for 30s, then 160/s for 30s'

  Decide at which confidence jobs should leave, and which devices they should take:
    eenn plan -f examples/two-tier

  Predict what a network of devices will do, without any of them:
    eenn simulate examples/networks/two-chains.json

  See where a network of your own can leave early, and what that saves:
    eenn model inspect network.onnx

Exit codes:
  0  all went well, also when Ctrl-C ended it
  1  it failed while running
  2  the input was refused: options, manifests, networks, models or data";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Options),
    Plan(plan::Options),
    Explain(plan::Explain),
    Simulate(simulate::Options),
    /// Look into a model and measure it
    #[command(subcommand)]
    Model(model::Command),
    Completion(completion::Options),
    #[command(hide = true)]
    Reference(reference::Options),
    /// What a device or a gateway runs; started by `up`
    #[command(subcommand, hide = true)]
    Runtime(runtime_image::command::Command),
}

impl Cli {
    /// Runs the subcommand; results go to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        match self.command {
            Command::Up(options) => options.exec(out),
            Command::Plan(options) => options.exec(out),
            Command::Explain(options) => options.exec(out),
            Command::Simulate(options) => options.exec(out),
            Command::Model(command) => command.exec(out),
            Command::Completion(options) => options.exec(out),
            Command::Reference(options) => options.exec(out),
            Command::Runtime(command) => Ok(runtime_image::command::run(command)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_looks_like_this() {
        for (path, file) in [
            (&["eenn"][..], "testdata/help.txt"),
            (&["eenn", "up"], "testdata/help-up.txt"),
            (&["eenn", "plan"], "testdata/help-plan.txt"),
            (&["eenn", "explain"], "testdata/help-explain.txt"),
            (&["eenn", "simulate"], "testdata/help-simulate.txt"),
            (&["eenn", "model"], "testdata/help-model.txt"),
            (&["eenn", "model", "inspect"], "testdata/help-model-inspect.txt"),
            (&["eenn", "model", "profile"], "testdata/help-model-profile.txt"),
        ] {
            let arguments = [path, &["--help"]].concat();
            let help = Cli::command().term_width(100).try_get_matches_from(arguments).unwrap_err();
            crate::snapshot::check(file, &help.to_string());
        }
    }

    #[test]
    fn a_wrong_load_is_drawn() {
        let error = Cli::try_parse_from(["eenn", "up", "-f", ".", "--load", "rate=4/s for 30"]).unwrap_err();
        let want =
            "error: invalid value 'rate=4/s for 30' for '--load <SPEC>': \n  rate=4/s for 30\n                 ^ s, m";
        assert!(error.to_string().starts_with(want), "{error}");
    }
}
