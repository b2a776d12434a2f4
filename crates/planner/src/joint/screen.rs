//! What the search climbs: one number for a plan, from the decomposition.

use super::{Budget, ties};
use crate::decomposition::{Layout, Solver, latency_p95, sum};
use domain::problem::Targets;
use std::cell::Cell;

/// Weight of a target missed by its own size, against a share of right answers of one.
const WEIGHT: f64 = 2.0;
/// Smaller limits count as this, as in [`domain::plan`].
const SMALLEST: f64 = 1e-4;

/// How much of the merit of a plan is its worth, which loss and latency lower also within targets: where accuracy is as high as
/// it gets, climbs would wander about otherwise.
const LEAN: f64 = 0.1;
/// Softness of targets in the end.
pub(crate) const SHARP: f64 = 0.01;
/// Evaluations before the clock is looked at first: fewer find nothing that is worth having.
const FEWEST: u64 = 50;
/// Evaluations after which it is looked at again.
const POLLED: u64 = 16;

/// How much tighter than asked for limits are taken, per service: factors on them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Margins {
    pub(crate) loss: f64,
    pub(crate) latency: f64,
}

/// Evaluates loads for a search and counts how often.
pub(crate) struct Screen<'p> {
    pub(crate) layout: &'p Layout<'p>,
    pub(crate) solver: Solver,
    pub(crate) waiting: Vec<f64>,
    pub(crate) margins: Vec<Margins>,
    /// How much of merit is worth.
    pub(crate) lean: f64,
    /// Over how much of a limit it turns from kept to missed: corners are hard to climb along.
    pub(crate) softness: f64,
    pub(crate) budget: Budget<'p>,
    pub(crate) spent: u64,
    /// No search goes on beyond this many evaluations.
    pub(crate) until: u64,
    /// Evaluations after which the clock was looked at last, and what it said.
    polled: Cell<(u64, bool)>,
}

/// How a service fares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
    pub(crate) mean: f64,
    pub(crate) p95: f64,
    /// Jobs per second answered ÷ arrivals.
    pub(crate) answered: f64,
}

impl<'p> Screen<'p> {
    pub(crate) fn new(layout: &'p Layout<'p>, waiting: Vec<f64>, budget: Budget<'p>) -> Self {
        let margins = vec![Margins { loss: 1.0, latency: 1.0 }; layout.problem.services.len()];
        let (solver, polled) = (Solver::default(), Cell::new((0, false)));
        Self {
            layout,
            solver,
            waiting,
            margins,
            lean: LEAN,
            softness: SHARP,
            budget,
            spent: 0,
            until: u64::MAX,
            polled,
        }
    }

    /// Another one with the same limits that has spent nothing, and may spend what it is given.
    pub(crate) fn alike(&self) -> Self {
        let budget = Budget { evaluations: None, ..self.budget };
        Self { margins: self.margins.clone(), ..Self::new(self.layout, self.waiting.clone(), budget) }
    }

    /// Whether the search has to end.
    pub(crate) fn is_over(&self) -> bool {
        self.spent >= self.until || self.budget.evaluations.is_some_and(|most| self.spent >= most) || self.is_late()
    }

    fn is_late(&self) -> bool {
        let (at, late) = self.polled.get();
        if late || self.spent < (at + POLLED).max(FEWEST) {
            return late;
        }
        let late = self.budget.is_stopped();
        self.polled.set((self.spent, late));
        late
    }

    /// How good loads are; more is better. What is not a number is worst.
    pub(crate) fn merit(&mut self, loads: &[f64]) -> f64 {
        self.spent += 1;
        self.solver.solve(self.layout, loads, &self.waiting);
        let services = &self.layout.problem.services;
        let (mut merit, mut weights) = (0.0, 0.0);
        let mut missed = 0.0;
        for (index, service) in services.iter().enumerate() {
            let Some(standing) = self.standing(index) else { continue };
            let worth = ties::worth_of(standing.accuracy, 1.0 - standing.answered, standing.mean);
            merit += service.targets.priority * ((1.0 - self.lean) * standing.accuracy + self.lean * worth);
            weights += service.targets.priority;
            missed += service.targets.priority * self.missed(&service.targets, self.margins[index], &standing);
        }
        let merit = if weights > 0.0 { merit / weights } else { 0.0 } - WEIGHT * missed;
        if merit.is_nan() { f64::NEG_INFINITY } else { merit }
    }

    /// How a service fares under the loads looked at last; `None` without arrivals.
    pub(crate) fn standing(&self, service: usize) -> Option<Standing> {
        let (rate, sum) = sum(self.layout, &self.solver, service);
        (rate > 0.0).then(|| {
            let (mean, second) = (sum.latency / sum.answered, sum.latency2 / sum.answered);
            Standing {
                loss: sum.lost / rate,
                accuracy: sum.correct / sum.answered,
                mean,
                p95: latency_p95(mean, second),
                answered: sum.answered / rate,
            }
        })
    }

    fn missed(&self, targets: &Targets, margins: Margins, standing: &Standing) -> f64 {
        let over = |value: f64, limit: f64, smallest: f64| soft(relative(value, limit, smallest), self.softness);
        let loss = targets.max_loss.map_or(0.0, |limit| over(standing.loss, limit.get() * margins.loss, SMALLEST));
        let right =
            targets.min_accuracy.map_or(0.0, |limit| over(1.0 - standing.accuracy, 1.0 - limit.get(), SMALLEST));
        let time = |limit: Option<domain::Seconds>, value: f64| {
            limit.map_or(0.0, |limit| over(value, limit.get() * margins.latency, 1e-6))
        };
        loss + right + time(targets.max_mean_latency, standing.mean) + time(targets.max_p95_latency, standing.p95)
    }
}

/// How far a limit is missed. Small limits are kept to as they are, and missed by little where they are missed by little beside
/// the smallest.
fn relative(value: f64, limit: f64, smallest: f64) -> f64 {
    (value - limit) / limit.max(smallest)
}

/// 0 below 0 and x above, rounded over `softness`.
fn soft(x: f64, softness: f64) -> f64 {
    let scaled = x / softness;
    if scaled > 30.0 { x } else { softness * scaled.exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_makes_small_limits_tighter_too() {
        // 0.1 % with a margin of 0.05: half of the smallest.
        let limit = 1e-3 * 0.05;
        assert!(relative(8e-5, limit, SMALLEST) > 0.2, "it is missed");
        assert!(relative(4e-5, limit, SMALLEST) < 0.0);
        assert!((relative(0.02, 0.01, SMALLEST) - 1.0).abs() < 1e-12);
    }
}
