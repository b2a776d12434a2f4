//! What a gateway runs: a policy, with the state that its tables and learners keep.
//!
//! At an arrival the job is counted, the row of the rate table is found ([`crate::RowInForce`]), and a chain is drawn from its
//! mixture. Thresholds are those of the choice drawn, or what a learner says; under [`Epoch::Dispatch`] that waits until
//! the job is sent, and may look at the jobs present. Outcomes are heard by learners.
//!
//! A policy that replaces another goes on with what was measured and learnt ([`Gatekeeper::after`]), as far as that is about the
//! same thing.
//!
//! Cost per decision: linear in the choices of a mixture (and in the arms of a bandit); nothing is allocated.

use crate::adaee::Bandit;
use crate::draw;
use crate::reactive::Reactive;
use crate::rows::{RowInForce, Rows};
use crate::scheduler::{Arriving, Dispatching, End, Outcome, Scheduler, Selected};
use domain::{Choice, Epoch, Learning, Mixture, Policy, RateTable, Thresholds};
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Decides about the jobs of one gateway as a policy says.
#[derive(Debug, Clone)]
pub struct Gatekeeper {
    policy: Arc<Policy>,
    rows: Option<Rows>,
    learner: Option<Learner>,
}

#[derive(Debug, Clone, PartialEq)]
enum Learner {
    Reactive(Reactive),
    Bandit(Bandit),
}

impl Gatekeeper {
    /// Begins with a checked policy at `now`, in seconds since any fixed start: with the row of the forecast, knowing nothing.
    pub fn new(policy: impl Into<Arc<Policy>>, now: f64) -> Self {
        let policy = policy.into();
        let exits = policy.default.choices().first().map_or(1, |choice| choice.thresholds.exits());
        let learner = policy.learning.as_ref().map(|learning| match learning {
            Learning::Reactive => Learner::Reactive(Reactive::new(exits)),
            Learning::AdaEE(rules) => Learner::Bandit(Bandit::new(rules.arms.len())),
        });
        Self { rows: policy.rates.as_ref().map(|table| Rows::new(table, now)), learner, policy }
    }

    /// Begins with `policy` where `before` leaves off. The measured rate is kept if it is measured in the same way (a window of
    /// the same length, or phases), and what was learnt if it is learnt by the same rules. `before` serves the jobs that
    /// it has; its row of the rate table stays, because it no longer hears of arrivals.
    pub fn after(before: &mut Self, policy: impl Into<Arc<Policy>>, now: f64) -> Self {
        let mut next = Self::new(policy, now);
        if let Some(rows) = &mut before.rows {
            if let Some(table) = &next.policy.rates {
                next.rows = Some(Rows::after(rows, table, now));
            }
            rows.retire();
        }
        if next.learns_like(before) {
            next.learner.clone_from(&before.learner);
        }
        next
    }

    /// Whether outcomes of the jobs of `other` teach this one the same.
    pub fn learns_like(&self, other: &Self) -> bool {
        let exits = |policy: &Policy| policy.default.choices().first().map(|choice| choice.thresholds.exits());
        self.policy.learning == other.policy.learning && exits(&self.policy) == exits(&other.policy)
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The row of the rate table in force at `now`, in seconds; `None` without a table.
    pub fn row(&mut self, now: f64) -> Option<RowInForce> {
        Some(self.rows.as_mut()?.in_force(self.policy.rates.as_ref()?, now))
    }

    /// The exit (from 0) that a reactive policy sends jobs to now; `None` for others.
    pub fn reactive_exit(&self) -> Option<usize> {
        match &self.learner {
            Some(Learner::Reactive(reactive)) => Some(reactive.exit()),
            _ => None,
        }
    }

    /// Whether [`Outcome::evaluated`] is looked at.
    pub fn hears_confidences(&self) -> bool {
        matches!(self.learner, Some(Learner::Bandit(_)))
    }

    /// Hears of a job that was lost when it arrived at `now`, in seconds, before anything was decided about it.
    pub fn lost_unseen(&mut self, now: f64) {
        self.row_of_arrival(now, false);
        if let Some(Learner::Reactive(reactive)) = &mut self.learner {
            reactive.lost();
        }
    }

    fn row_of_arrival(&mut self, now: f64, again: bool) -> Option<usize> {
        let (rows, table) = (self.rows.as_mut()?, self.policy.rates.as_ref()?);
        Some(if again { rows.last() } else { rows.arrive(table, now) })
    }

    fn row_number(&mut self, now: f64) -> Option<usize> {
        Some(self.rows.as_mut()?.row(self.policy.rates.as_ref()?, now))
    }
}

impl Scheduler for Gatekeeper {
    fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
        let row = self.row_of_arrival(arriving.now, arriving.again);
        let choices = mixture(&self.policy, row, arriving.source).choices();
        let choice = draw::choice(choices, |choice| (arriving.usable)(choice.chain), rng)?;
        let share = self.policy.audit.get();
        let audit = share > 0.0 && rng.random_bool(share);
        let (thresholds, tag) = match self.policy.epoch {
            Epoch::Dispatch => (None, 0),
            Epoch::Arrival => {
                let (thresholds, tag) = self.learner.decide(&self.policy, 1).unwrap_or((&choice.thresholds, 0));
                (Some(thresholds), tag)
            }
        };
        Some(Selected { chain: choice.chain, thresholds, audit, tag })
    }

    fn dispatch(&mut self, job: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        let row = self.row_number(job.now);
        let choices = choices_of_chain(&self.policy, row, job.source, job.chain)?;
        match self.learner.decide(&self.policy, job.present) {
            Some(decided) => Some(decided),
            None => {
                let choice = draw::choice(choices, |choice| choice.chain == job.chain, rng)?;
                Some((draw::thresholds(choice, job.present, rng), 0))
            }
        }
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        match (&mut self.learner, outcome.end) {
            (Some(Learner::Reactive(reactive)), End::Lost) => reactive.lost(),
            (Some(Learner::Bandit(bandit)), End::Answered { exit, confidence, .. }) => {
                if let (Some(Learning::AdaEE(rules)), Some(arm)) = (&self.policy.learning, outcome.tag.checked_sub(1)) {
                    bandit.answered(rules, arm as usize, exit, confidence, outcome.evaluated);
                }
            }
            _ => {}
        }
    }
}

/// Decisions of what may be a learner. Tags count arms from 1: 0 is a job that no learner decided.
trait Decides {
    fn decide<'a>(&'a mut self, policy: &'a Policy, present: usize) -> Option<(&'a Thresholds, u32)>;
}

impl Decides for Option<Learner> {
    fn decide<'a>(&'a mut self, policy: &'a Policy, present: usize) -> Option<(&'a Thresholds, u32)> {
        match (self, &policy.learning) {
            (Some(Learner::Reactive(reactive)), _) => Some((reactive.choose(present), 0)),
            (Some(Learner::Bandit(bandit)), Some(Learning::AdaEE(rules))) => {
                let (arm, thresholds) = bandit.choose(rules, present);
                Some((thresholds, arm as u32 + 1))
            }
            _ => None,
        }
    }
}

fn mixture<'a>(policy: &'a Policy, row: Option<usize>, source: &str) -> &'a Mixture {
    match (row, &policy.rates) {
        (Some(row), Some(table)) => table.rows[row].mixture(source),
        _ => policy.mixture(source),
    }
}

/// The choices of a source by which jobs of `chain` are sent: those of the row in force, or, where that row does not use the
/// chain, of the nearest one that does. (The job arrived under another row.) Of two as near, the one for the higher rate.
fn choices_of_chain<'a>(policy: &'a Policy, row: Option<usize>, source: &str, chain: usize) -> Option<&'a [Choice]> {
    let of_chain = |mixture: &'a Mixture| {
        let choices = mixture.choices();
        choices.iter().any(|choice| choice.chain == chain).then_some(choices)
    };
    let (Some(row), Some(RateTable { rows, .. })) = (row, &policy.rates) else {
        return of_chain(policy.mixture(source));
    };
    let at = |row: Option<usize>| rows.get(row?).and_then(|row| of_chain(row.mixture(source)));
    (0..rows.len()).find_map(|far| at(row.checked_add(far)).or_else(|| at(row.checked_sub(far))))
}

#[cfg(test)]
mod tests;
