//! Options of `eenn plan` and `eenn explain`.

use super::decision::{Decision, decide};
use super::document::PlanDocument;
use super::rates::{Rate, with_rates};
use super::{explain, manifest, table};
use crate::deploy::deploy;
use crate::exit_code::{Blame, Failure, Outcome};
use crate::models;
use crate::placement::{PlacementDocument, Settled, place};
use crate::up::Deciding;
use anyhow::Context;
use clap::{Args, ValueEnum};
use deployment::{Ask, Deployment, Judge, problem};
use domain::Problem;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What to plan for, and how.
#[derive(Debug, Args)]
struct Common {
    /// Folder (or file) with the manifests: EENNModel, DevicePool, QoSTarget, EENNService and Node
    #[arg(short = 'f', long = "file", value_name = "DIR")]
    manifests: PathBuf,

    #[command(flatten)]
    deciding: Deciding,

    /// Plan for so many jobs per second instead of the expected rates. Without SOURCE all sources together, in proportion to
    /// what they expect. May be given several times
    #[arg(long, value_name = "[SOURCE:]RATE", allow_hyphen_values = true)]
    rate: Vec<Rate>,

    /// Time for everything, such as 200ms or 5s: the search, whose best plan so far is what comes back, rows for other rates, by
    /// which gateways adapt on their own, and a last comparison
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    budget: Duration,

    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Decide thresholds and chains for the services of a folder, and predict what they will do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,

    /// Form of the plan on standard output; progress is on standard error
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,

    /// Show every row of the tables over rates and jobs present
    #[arg(long)]
    wide: bool,
}

const EXAMPLES: &str = "\
Examples:
  Which thresholds meet the targets, and what will they cost?
    eenn plan -f examples/two-tier

  And when six times as many jobs come?
    eenn plan -f examples/two-tier --rate 120

  What would another scheduler do?
    eenn plan -f examples/two-tier --rate 120 --scheduler QueueingLP

Nothing is started or changed. Targets that cannot be met are no error: the plan that misses them
least is shown, with how far it misses them. The form of the JSON document is in
docs/reference/plan.schema.json.";

/// Say in words which device or link limits each service
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct Explain {
    #[command(flatten)]
    common: Common,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  What would help: a faster device, more memory, a better link, or fewer jobs?
    eenn explain -f examples/two-tier --rate 120";

/// Form of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// One EENNPlan per service
    Yaml,
}

/// A problem with what was decided.
struct Decided {
    deployment: Deployment,
    problem: Problem,
    decision: Decision,
    placement: Option<PlacementDocument>,
}

impl Options {
    /// Decides and writes the plan to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let decided = self.common.decided()?;
        let document = decided.document();
        let text = match self.output {
            Output::Table => table::render(&document, self.wide),
            Output::Json => serde_json::to_string_pretty(&document).context("failed to write JSON")? + "\n",
            Output::Yaml => manifest::render(&decided.deployment, &decided.problem, &decided.decision)?,
        };
        Ok(out.write_all(text.as_bytes())?)
    }
}

impl Explain {
    /// Decides and writes what limits the services to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let decided = self.common.decided()?;
        let text = explain::render(&decided.problem, &decided.decision, &decided.document());
        Ok(out.write_all(text.as_bytes())?)
    }
}

impl Common {
    fn decided(&self) -> Outcome<Decided> {
        let manifests = api::load(&self.manifests).blame_input()?;
        let overrides = self.deciding.overrides()?;
        let Settled { manifests, placement } = place(manifests, &overrides, &self.rate)?;
        let deployed = deploy(&manifests, &overrides).blame_input()?;
        let models = models::read(&deployed, &manifests, None, Judge::Others)?;
        let deployment = deployed.deployment;
        let problem = problem(&deployment, &models).blame_input()?;
        let problem = with_rates(&problem, &self.rate).map_err(Failure::input)?;
        let ask = Ask { budget: self.budget, seed: self.seed, ..Ask::default() };
        let decision = Decision::new(&problem, decide(&problem, &deployment, &ask)?, &ask);
        Ok(Decided { deployment, problem, decision, placement })
    }
}

impl Decided {
    fn document(&self) -> PlanDocument {
        let services = || self.deployment.services.iter();
        let schedulers: Vec<String> = services().map(|service| format!("{:?}", service.resolved.kind)).collect();
        let exits: Vec<Vec<String>> = services().map(|service| service.exits.clone()).collect();
        let document = PlanDocument::new(&self.problem, &schedulers, &exits, &self.decision);
        PlanDocument { placement: self.placement.clone(), ..document }
    }
}

/// `200ms`, `5s`, or milliseconds.
fn time(text: &str) -> Result<Duration, &'static str> {
    const LONGEST: f64 = 3_600.0;
    let (number, unit) = match text {
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1e-3),
        _ if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        _ => (text, 1e-3),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| (0.0..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("write a time such as 200ms or 5s, at most an hour")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times() {
        for (text, want) in [("200ms", 200), ("5s", 5_000), ("0.5s", 500), ("1500", 1_500), ("0", 0)] {
            assert_eq!(time(text), Ok(Duration::from_millis(want)), "{text}");
        }
        for bad in ["", "s", "-1s", "2h", "1e9s", "NaN"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
