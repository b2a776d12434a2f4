//! What the same load would have met without new plans, by simulation.

use super::follow::{Change, Start};
use crate::exit_code::Outcome;
use crate::format::percent;
use crate::load::plan::Plan as Load;
use crate::simulate::network_of;
use deployment::Deployment;
use domain::Plan;
use serde::Serialize;
use simulator::{Effort, Report};
use std::fmt::Write as _;
use std::num::NonZeroU32;

/// Runs of the load that are simulated: the loss of one run is one draw.
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(16).expect("16 is not 0");

/// New plans of a run, and what it would have been without them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reoptimization {
    /// New plans, in order.
    pub(crate) changes: Vec<Change>,
    /// Loss predicted for the same load under the thresholds of the first plan (`--no-reoptimize`); null where nobody can say.
    pub(crate) predicted_loss_without: Option<f64>,
    /// The same for accuracy.
    pub(crate) predicted_accuracy_without: Option<f64>,
    /// Loss predicted for the same load if gateways only had the table over rates of the first plan.
    pub(crate) predicted_loss_with_table: Option<f64>,
    /// The same for accuracy.
    pub(crate) predicted_accuracy_with_table: Option<f64>,
}

/// Simulates the load under the first plan.
pub(crate) fn compare(
    start: &Start,
    deployment: &Deployment,
    load: &Load,
    changes: Vec<Change>,
) -> Outcome<Reoptimization> {
    let keeps = |policy: &domain::Policy| domain::Policy { rates: None, ..policy.clone() };
    let plan = Plan { policies: start.plan.policies.iter().map(keeps).collect() };
    let effort = Effort { seed: start.seed, replications: Some(REPLICATIONS), precision: None, ..Effort::default() };
    let predict = |plan: Plan| -> Outcome<Option<Report>> {
        let network = network_of(deployment, &start.problem, plan, Some(load))?;
        Ok(simulator::simulate(&network, &effort).ok())
    };
    let (without, table) = (predict(plan)?, predict(start.plan.clone())?);
    Ok(Reoptimization {
        changes,
        predicted_loss_without: without.as_ref().map(loss),
        predicted_accuracy_without: without.as_ref().map(accuracy),
        predicted_loss_with_table: table.as_ref().map(loss),
        predicted_accuracy_with_table: table.as_ref().map(accuracy),
    })
}

fn loss(report: &Report) -> f64 {
    let arrived: f64 = report.sources.iter().map(|source| source.fates.arrival_rate.value).sum();
    let lost = report.sources.iter().map(|source| source.fates.arrival_rate.value * source.fates.loss.value);
    lost.sum::<f64>() / arrived
}

fn accuracy(report: &Report) -> f64 {
    let answered: f64 = report.sources.iter().map(|source| source.fates.throughput.value).sum();
    let right = report.sources.iter().map(|source| source.fates.throughput.value * source.fates.accuracy.value);
    right.sum::<f64>() / answered
}

impl Reoptimization {
    /// For people, beside what was measured.
    pub(crate) fn in_words(&self, loss: Option<f64>, accuracy: Option<f64>) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let _ = writeln!(
                text,
                " plan {} at {:.1} s, decided in {:.0} ms: {}; {}",
                change.generation,
                change.at,
                change.milliseconds,
                change.reasons.join("; "),
                change.gain
            );
        }
        if self.changes.is_empty() {
            text.push_str(" no new plan was needed\n");
        }
        let rows = [
            ("measured", loss, accuracy),
            (
                "predicted, first plan with its table over rates",
                self.predicted_loss_with_table,
                self.predicted_accuracy_with_table,
            ),
            (
                "predicted, thresholds of the first plan (--no-reoptimize)",
                self.predicted_loss_without,
                self.predicted_accuracy_without,
            ),
        ];
        for (what, loss, accuracy) in rows {
            let _ = writeln!(text, " {what}: loss {}, accuracy {}", percent(loss), percent(accuracy));
        }
        text
    }
}
