//! Simulated annealing over placements.

use super::appraise::{Appraisal, Appraiser};
use super::fit::Fit;
use super::moves::Mover;
use super::route::Placement;
use super::{Costs, Request};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// Steps of the first round; each round has twice as many as the one before. They do not depend on the budget: a longer search
/// begins with all that a shorter one does, so that it never ends worse.
const STEPS: usize = 40;
/// Rounds, at most, and rounds in a row without anything better that end the search.
const MOST_ROUNDS: usize = 12;
const IN_VAIN: usize = 3;
/// Loss of worth that is accepted with a probability of 1 ÷ e, at the beginning and at the end of a round.
const HOT: f64 = 0.03;
const COLD: f64 = 0.0005;
/// Estimated worth by which a placement may be behind the best and still be judged, and how many of them are in a round.
const MAYBE_BETTER: f64 = 0.005;
const JUDGED: usize = 8;

/// A placement that was judged.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) placement: Placement,
    pub(super) appraisal: Appraisal,
    /// Its worth less what it costs to get there.
    pub(super) net: f64,
}

pub(super) struct Search<'a, 'f> {
    pub(super) fit: &'f Fit<'a>,
    pub(super) appraiser: Appraiser<'a>,
    pub(super) mover: Mover<'f, 'a>,
    costs: Costs,
    rng: ChaCha8Rng,
    /// What there was, with chains that fit no more left out.
    before: Placement,
    pub(super) best: Option<Judged>,
    /// What the first start is worth.
    pub(super) base: Option<f64>,
    /// The largest estimate so far, less costs.
    top: f64,
    judged: BTreeSet<Placement>,
    judged_in_round: usize,
}

impl<'a, 'f> Search<'a, 'f> {
    pub(super) fn new(request: &'a Request<'a>, fit: &'f Fit<'a>, mover: Mover<'f, 'a>) -> Self {
        Self {
            fit,
            appraiser: Appraiser::new(request),
            before: mover.incumbent.clone(),
            mover,
            costs: request.costs,
            rng: ChaCha8Rng::seed_from_u64(request.seed),
            best: None,
            base: None,
            top: f64::NEG_INFINITY,
            judged: BTreeSet::new(),
            judged_in_round: 0,
        }
    }

    /// From each of these placements, then round after round from the best.
    pub(super) fn run(&mut self, starts: &[Placement]) {
        for start in starts {
            if self.best.is_some() && self.appraiser.is_over() {
                return;
            }
            self.judge(start);
            self.base = self.base.or(self.best.as_ref().map(|best| best.appraisal.worth));
        }
        let mut in_vain = 0;
        for round in 0..MOST_ROUNDS {
            if self.mover.free.is_empty() || in_vain == IN_VAIN || self.appraiser.is_over() {
                return;
            }
            let before = self.net();
            self.round(STEPS << round);
            in_vain = if self.net() > before { 0 } else { in_vain + 1 };
        }
    }

    fn net(&self) -> f64 {
        self.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.net)
    }

    fn round(&mut self, steps: usize) {
        self.judged_in_round = 0;
        let Some(best) = &self.best else { return };
        let mut here = best.placement.clone();
        let mut worth = self.consider(&here);
        for step in 0..steps {
            if self.appraiser.is_over() {
                return;
            }
            let heat = HOT * (COLD / HOT).powf(step as f64 / (steps - 1) as f64);
            let Some(next) = self.mover.neighbour(&here, &mut self.rng) else { return };
            let there = self.consider(&next);
            let is_taken = there >= worth || self.rng.random::<f64>() < ((there - worth) / heat).exp();
            if is_taken {
                (here, worth) = (next, there);
            }
        }
        self.go_back();
    }

    /// Estimates, and judges what may be the best.
    fn consider(&mut self, placement: &Placement) -> f64 {
        let net = self.appraiser.estimate(placement) - self.cost(placement);
        let is_new = !self.judged.contains(placement);
        if is_new && (net > self.top || (net > self.top - MAYBE_BETTER && self.judged_in_round < JUDGED)) {
            self.judged_in_round += 1;
            self.judge(placement);
        }
        self.top = self.top.max(net);
        net
    }

    fn judge(&mut self, placement: &Placement) {
        if !self.judged.insert(placement.clone()) || self.is_spent() {
            return;
        }
        let Some(appraisal) = self.appraiser.judge(placement) else { return };
        let net = appraisal.worth - self.cost(placement);
        if self.best.as_ref().is_none_or(|best| net > best.net) {
            self.best = Some(Judged { placement: placement.clone(), appraisal, net });
        }
    }

    /// Whether there is something to show, and no time for more.
    fn is_spent(&self) -> bool {
        self.best.is_some() && self.appraiser.is_over()
    }

    /// Takes back what has moved and need not have.
    fn go_back(&mut self) {
        for service in self.mover.free.clone() {
            let Some(best) = &self.best else { return };
            let before = &self.before.services[service];
            if before.is_empty() || best.placement.services[service] == *before || self.is_spent() {
                continue;
            }
            let mut back = best.placement.clone();
            back.services[service].clone_from(before);
            if self.fit.holds(&back) {
                self.judge(&back);
            }
        }
    }

    /// What it costs to get to a placement from what there was.
    fn cost(&self, placement: &Placement) -> f64 {
        if !placement.differs(&self.before) {
            return 0.0;
        }
        self.costs.change + self.costs.started * placement.started(&self.before) as f64
    }
}
