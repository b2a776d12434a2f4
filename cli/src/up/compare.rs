//! What the same load would have met without new plans, by simulation.

use super::follow::{Change, Start};
use crate::deploy::Deployment;
use crate::exit_code::Outcome;
use crate::format::percent;
use crate::load::plan::Plan as Load;
use crate::simulate::network_of;
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
    /// Loss predicted for the same load under the first plan, without its table over rates; null where nobody can say.
    pub(crate) predicted_loss_without: Option<f64>,
    /// The same for accuracy.
    pub(crate) predicted_accuracy_without: Option<f64>,
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
    let network = network_of(deployment, &start.problem, plan, Some(load))?;
    let effort = Effort { seed: start.seed, replications: Some(REPLICATIONS), precision: None, ..Effort::default() };
    let report = simulator::simulate(&network, &effort).ok();
    Ok(Reoptimization {
        changes,
        predicted_loss_without: report.as_ref().map(loss),
        predicted_accuracy_without: report.as_ref().map(accuracy),
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
        let _ = writeln!(
            text,
            " measured: loss {}, accuracy {}; predicted with the first plan only (--no-reoptimize): loss {}, accuracy {}",
            percent(loss),
            percent(accuracy),
            percent(self.predicted_loss_without),
            percent(self.predicted_accuracy_without)
        );
        text
    }
}
