//! `kubectl eenn plan`: the plans of a service, and one of them in full.
//!
//! * [`document`]: what an EENNPlan says, pure. [`table`]: the same for people.

mod document;
mod table;
#[cfg(test)]
mod tests;

pub(super) use document::{ChainLine, Proposal, chains};
pub(super) use table::difference;

use super::cluster::{Cluster, ClusterOptions};
use super::plans::Plans;
use super::service::{Found, find};
use super::words;
use crate::exit_code::{Failure, Outcome};
use crate::yaml;
use anyhow::Context;
use api::{EENNModel, EENNPlan, QoSTarget};
use clap::{Args, ValueEnum};
use document::PlansDocument;
use jiff::Timestamp;
use kube::ResourceExt;
use std::io::Write;

/// Show the plans of a service, and in full the one in force
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// The service
    service: String,

    /// Show the plan with this generation in full
    #[arg(short, long, value_name = "N")]
    generation: Option<i64>,

    /// Show every row of the tables over rates and jobs present
    #[arg(long)]
    wide: bool,

    /// Form of the plans on standard output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,

    #[command(flatten)]
    cluster: ClusterOptions,
}

const EXAMPLES: &str = "\
Examples:
  Where do jobs go, at which confidence do they leave, and what is expected of that?
    kubectl eenn plan fashion-mnist

  And before the last change?
    kubectl eenn plan fashion-mnist --generation 3

  What would the gateways do at twice the load?
    kubectl eenn plan fashion-mnist --wide

If a plan waits for approval (planning: Manual), what it would change is shown below. Nothing is
computed or changed: all of this is read from the EENNPlans of the service.";

/// Form of the plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// The EENNPlan that is shown, as the cluster holds it
    Yaml,
}

impl Options {
    /// Reads the plans and writes them to `out`.
    pub(super) fn exec(self, out: &mut dyn Write) -> Outcome {
        let cluster = self.cluster.connect()?;
        let Found { service, plans } = find(&cluster, &self.service)?;
        let plans = Plans::of(&service, &plans);
        let shown = self.shown(&plans)?;
        let (model, target) = named(&cluster, &service);
        let document = PlansDocument::new(&service, &plans, shown, model.as_ref(), target.as_ref());
        let text = match (self.output, shown) {
            (Output::Json, _) => serde_json::to_string_pretty(&document).context("failed to write JSON")? + "\n",
            (Output::Yaml, Some(plan)) => stored(plan)?,
            (_, None) => {
                let why = words::trouble(&service).into_iter().next().unwrap_or_else(|| "it is being made".to_owned());
                format!("{} has no plan yet: {why}\n", self.service)
            }
            (Output::Table, _) => table::render(&document, self.wide, Timestamp::now()),
        };
        Ok(out.write_all(text.as_bytes())?)
    }

    /// The one that was asked for, or what matters most.
    fn shown<'p>(&self, plans: &Plans<'p>) -> Outcome<Option<&'p EENNPlan>> {
        let Some(generation) = self.generation else {
            return Ok(plans.in_force.or(plans.proposed).or_else(|| plans.all.last().copied()));
        };
        let missing = || {
            let there = plans.generations();
            Failure::input(format!(
                "service {:?} has no plan with generation {generation}; it has {there}",
                self.service
            ))
        };
        plans.generation(generation).map(Some).ok_or_else(missing)
    }
}

/// The model and the target that a service names, where they can be read.
fn named(cluster: &Cluster, service: &api::EENNService) -> (Option<EENNModel>, Option<QoSTarget>) {
    let namespace = Some(cluster.namespace.as_str());
    let model = cluster.find(namespace, service.spec.model_ref.name.as_str()).ok().flatten();
    let target = service.spec.qos_target_ref.as_ref();
    let target = target.and_then(|target| cluster.find(namespace, target.name.as_str()).ok().flatten());
    (model, target)
}

/// An EENNPlan as `kubectl get -o yaml` prints it.
fn stored(plan: &EENNPlan) -> Outcome<String> {
    let mut plan = plan.clone();
    plan.managed_fields_mut().clear();
    let value = serde_json::to_value(plan).context("failed to write an EENNPlan")?;
    Ok(yaml::render(&value))
}
