//! Limits that the screen keeps to, moved to where the referee finds targets just kept.

use super::candidate::Candidate;
use super::referee::{Look, more_cautious};
use super::screen::{Margins, Screen};
use super::search::{Desk, Search};
use super::{Contender, cma_es, gradient, shift};
use domain::Evaluation;
use domain::plan::upper_loss;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Share of a limit from which on it binds.
const BINDING: f64 = 0.7;
/// Limits of a service that misses its targets become tighter than what was found says by this: the next look is
/// another sample.
const CAREFUL: f64 = 0.93;

/// Arrivals per service below which a look is short, and by how many half widths of their intervals losses count more then: limits that
/// are just kept in one short look are missed in every second one, and a plan that misses them does not beat an incumbent.
const SHORT: u64 = 25_000;
const AFTER_SHORT_LOOKS: f64 = 0.8;

impl Search<'_> {
    /// Moves limits by what the referee finds, and searches on from there; `known`: what it has found already.
    pub(super) fn calibrate(
        &self,
        desk: &mut Desk<'_, '_>,
        best: &mut Candidate,
        look: Look,
        times: usize,
        mut known: Option<Evaluation>,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.request.effort.seed);
        for _ in 0..times {
            if desk.screen.budget.is_over(desk.screen.spent) {
                return;
            }
            let plan = desk.workshop.plan(best);
            let Some(found) = known.take().or_else(|| desk.referee.judge(&plan, look)) else { return };
            desk.screen.merit(&desk.workshop.loads(best));
            let more = match look.arrivals < SHORT * self.request.problem.services.len() as u64 {
                true => AFTER_SHORT_LOOKS,
                false => 0.0,
            };
            let moved = self.set_margins(&mut desk.screen, &more_cautious(&found, more));
            desk.contenders.push(Contender { plan, evaluation: Some(found), is_incumbent: false });
            if !moved {
                return;
            }
            desk.screen.until = desk.screen.spent + self.touch(desk.screen.spent);
            let found = shift::shift(desk.workshop, &mut desk.screen, best.clone());
            let found = gradient::ascend(desk.workshop, &mut desk.screen, found);
            *best = cma_es::polish(desk.workshop, &mut desk.screen, &mut rng, found).1;
            desk.screen.until = u64::MAX;
            if desk.contenders.last().is_some_and(|last| last.plan == desk.workshop.plan(best)) {
                return;
            }
        }
    }

    /// Evaluations to follow limits that have moved: some rounds, and never more than a part of what is left.
    fn touch(&self, spent: u64) -> u64 {
        let rounds = 4 * (self.layout.lanes.len() + 5 * self.layout.flows.len()) as u64;
        let left = self.request.budget.evaluations.map_or(u64::MAX, |all| all.saturating_sub(spent) / 4);
        rounds.max(600).min(left.max(100))
    }

    /// Whether any limit has moved by more than what makes no difference.
    fn set_margins(&self, screen: &mut Screen<'_>, found: &Evaluation) -> bool {
        let mut moved = false;
        for (index, service) in self.request.problem.services.iter().enumerate() {
            let Some(standing) = screen.standing(index) else { continue };
            let metrics = found.service(index);
            let (before, targets) = (screen.margins[index], &service.targets);
            let upper = if found.is_sampled { upper_loss(found, index) } else { metrics.unanswered() };
            let loss = targets.max_loss.map(|limit| Found::new(standing.loss, upper, limit.get().max(1e-4)));
            let mean =
                targets.max_mean_latency.map(|limit| Found::new(standing.mean, metrics.mean_latency, limit.get()));
            let p95 = targets.max_p95_latency.map(|limit| Found::new(standing.p95, metrics.p95_latency, limit.get()));
            let next = Margins {
                loss: loss.map_or(before.loss, |loss| loss_margin(before.loss, loss)),
                latency: latency_margin(before.latency, mean.into_iter().chain(p95)),
            };
            if next.loss.is_finite() && next.latency.is_finite() && next.loss > 0.0 && next.latency > 0.0 {
                moved |=
                    (next.loss / before.loss).ln().abs() > 0.05 || (next.latency / before.latency).ln().abs() > 0.02;
                screen.margins[index] = next;
            }
        }
        moved
    }
}

/// What formulas say of a plan, what the referee found, and the limit.
#[derive(Debug, Clone, Copy)]
struct Found {
    predicted: f64,
    found: f64,
    limit: f64,
}

impl Found {
    fn new(predicted: f64, found: f64, limit: f64) -> Self {
        Self { predicted, found, limit }
    }

    fn is_missed(&self) -> bool {
        self.found > self.limit
    }

    /// Whether the limit, with a margin, is what held the search back.
    fn binds(&self, margin: f64) -> bool {
        self.predicted > BINDING * margin * self.limit
    }

    /// The margin with which formulas would have been right.
    fn right(&self) -> f64 {
        self.predicted / self.found.max(1e-9)
    }
}

/// The next margin of a loss. Limits that neither bind the search nor are missed say nothing about what formulas get wrong near
/// them.
fn loss_margin(before: f64, loss: Found) -> f64 {
    let right = loss.right().clamp(0.02, 3.0);
    if loss.is_missed() {
        return if right < before { right * CAREFUL } else { right };
    }
    if loss.binds(before) { loosened(before, right) } else { before }
}

/// The next margin of latencies: the tightest that one of them asks for.
fn latency_margin(before: f64, latencies: impl Iterator<Item = Found>) -> f64 {
    let telling = latencies.filter(|one| one.is_missed() || one.binds(before));
    let (right, is_missed) = telling
        .fold((f64::INFINITY, false), |(least, missed), one| (one.right().min(least), missed || one.is_missed()));
    match (right.is_finite(), is_missed) {
        (false, _) => before,
        (true, true) => right.clamp(0.2, 3.0),
        (true, false) => loosened(before, right.clamp(0.2, 3.0)),
    }
}

/// Limits that are kept are loosened most of the way only: the next look may find otherwise.
fn loosened(before: f64, to: f64) -> f64 {
    before * (to / before).powf(0.7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_missed_gets_as_tight_as_formulas_are_wrong_and_a_little_more() {
        let missed = Found::new(0.01, 0.02, 0.01);
        assert!((loss_margin(1.0, missed) - 0.5 * CAREFUL).abs() < 1e-12);
        assert!((latency_margin(1.0, [missed].into_iter()) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_limit_that_binds_is_loosened_most_of_the_way() {
        let cautious = Found::new(0.01, 0.005, 0.01);
        assert!((loss_margin(1.0, cautious) - 2f64.powf(0.7)).abs() < 1e-12);
        assert!((latency_margin(1.0, [cautious].into_iter()) - 2f64.powf(0.7)).abs() < 1e-12);
    }

    #[test]
    fn a_limit_that_neither_binds_nor_is_missed_stays() {
        let far = Found::new(0.001, 0.008, 0.01);
        assert_eq!(loss_margin(1.0, far), 1.0);
        assert_eq!(latency_margin(1.0, [far].into_iter()), 1.0);
        assert_eq!(latency_margin(0.8, std::iter::empty()), 0.8);
    }

    #[test]
    fn the_tightest_latency_counts_and_a_missed_one_is_followed_at_once() {
        let [missed, kept] = [Found::new(0.9, 1.2, 1.0), Found::new(0.9, 0.8, 1.0)];
        assert!((latency_margin(1.0, [missed, kept].into_iter()) - 0.75).abs() < 1e-12);
    }
}
