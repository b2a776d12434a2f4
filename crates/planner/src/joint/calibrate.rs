//! Limits that the screen keeps to, moved to where the referee finds targets just kept.

use super::candidate::Candidate;
use super::referee::{Look, cautious};
use super::screen::{Margins, Screen};
use super::search::{Desk, Search};
use super::{Contender, Outcome, cma_es, gradient, shift};
use domain::Evaluation;
use domain::plan::upper_loss;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Share of a limit from which on it binds.
const BINDING: f64 = 0.7;
/// Limits of a service that misses its targets become tighter than what was found says by this: the next look is
/// another sample.
const CAREFUL: f64 = 0.93;

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
            let moved = self.set_margins(&mut desk.screen, &cautious(&found));
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
            let before = screen.margins[index];
            let mut next = before;
            // Limits that neither bind the search nor are missed say nothing about what formulas get wrong near them.
            if let Some(limit) = service.targets.max_loss {
                let limit = limit.get().max(1e-4);
                let upper = if found.is_sampled { upper_loss(found, index) } else { metrics.unanswered() };
                if upper > limit || standing.loss > BINDING * before.loss * limit {
                    next.loss = (standing.loss / upper.max(1e-9)).clamp(0.02, 3.0);
                }
            }
            let latency = service.targets.max_p95_latency.map(|limit| (standing.p95, metrics.p95_latency, limit));
            let mean = service.targets.max_mean_latency.map(|limit| (standing.mean, metrics.mean_latency, limit));
            let binds = |(predicted, measured, limit): &(f64, f64, domain::Seconds)| {
                *measured > limit.get() || *predicted > BINDING * before.latency * limit.get()
            };
            let binding = [latency, mean].into_iter().flatten().filter(binds);
            if let Some(tightest) = binding.map(|(predicted, measured, _)| predicted / measured).reduce(f64::min) {
                next.latency = tightest.clamp(0.2, 3.0);
            }
            let misses = !Outcome::of(self.request.problem, found).is_met(&service.name);
            // Limits that are kept are loosened most of the way only: the next look may find otherwise.
            let weight = if misses { 1.0 } else { 0.7 };
            if misses && next.loss < before.loss {
                next.loss *= CAREFUL;
            }
            let blend = |from: f64, to: f64| from * (to / from).powf(weight);
            next = Margins { loss: blend(before.loss, next.loss), latency: blend(before.latency, next.latency) };
            if next.loss.is_finite() && next.latency.is_finite() && next.loss > 0.0 && next.latency > 0.0 {
                moved |=
                    (next.loss / before.loss).ln().abs() > 0.05 || (next.latency / before.latency).ln().abs() > 0.02;
                screen.margins[index] = next;
            }
        }
        moved
    }
}

impl Outcome {
    fn is_met(&self, service: &str) -> bool {
        match self {
            Self::Feasible => true,
            Self::Infeasible(missed) => missed.iter().all(|one| one.service != service),
        }
    }
}
