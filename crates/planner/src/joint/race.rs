//! Searches from several starts against each other: all run for a while, the better half goes on for longer.
//!
//! Which start leads to the best chains is not known beforehand, and differs between problems: climbing by prices wins
//! where targets are hard, a wide evolution where few variables count. Merit after a short run tells most of it, so
//! that most of the budget goes to what is promising (successive halving).
//!
//! # Reference
//! K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS
//! 2016.

use super::candidate::{Candidate, Workshop};
use super::cma_es::{self, Evolution};
use super::fluid::{self, Filling};
use super::screen::{SHARP, Screen};
use super::{climb, gradient, shift, starts};
use crate::parallel;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Rounds of a climb, at most.
const ROUNDS: usize = 40;
/// Runners that are left for the last heat.
const FINALISTS: usize = 2;

/// Where a search begins.
pub(super) enum Start {
    /// The best of simple plans.
    Simple,
    /// The best plan of the fluid relaxation.
    Fluid,
    /// The same with all resources as full, which is quick.
    Level,
    /// One that fills resources differently at random, by its number.
    Tilted(u64),
    /// This one.
    Given(Candidate),
    /// A random plan, by its number.
    Random(u64),
    /// An evolution with wide steps, by its number: it finds other chains than prices do.
    Wide(u64),
}

/// Lets all starts run for `quantum` evaluations, then the better half for twice as many, until two are left, which
/// have a heat of their own. What they have found, best first. What is found does not depend on how many run at a time.
pub(super) fn race(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    starts: Vec<Start>,
    seed: u64,
    mut quantum: u64,
) -> Vec<(f64, Candidate)> {
    // Half of what is left is for what comes after.
    let mut left = screen.budget.evaluations.map(|all| all.saturating_sub(screen.spent) / 2);
    let heats = u64::from(starts.len().div_ceil(FINALISTS).max(1).ilog2()) + 1;
    let mut runners: Vec<Runner> = starts.into_iter().map(|start| Runner::new(start, seed)).collect();
    for heat in 0..heats {
        let share = left.map(|left| left / (heats - heat) / runners.len() as u64);
        let most = quantum.min(share.unwrap_or(u64::MAX));
        let work: Vec<_> = runners.into_iter().map(|runner| (runner, screen.alike())).enumerate().collect();
        let runs = parallel::each(work, |(place, (mut runner, mut own))| {
            own.until = most;
            // Whatever the time, one of them finds something.
            if place == 0 || !own.budget.is_stopped() {
                runner.advance(workshop, &mut own, heat + 1 == heats);
            }
            (runner, own.spent)
        });
        let spent: u64 = runs.iter().map(|(_, spent)| spent).sum();
        screen.spent += spent;
        left = left.map(|left| left.saturating_sub(spent));
        runners = runs.into_iter().map(|(runner, _)| runner).collect();
        runners.sort_by(|one, other| other.merit().total_cmp(&one.merit()));
        runners = better_half(runners);
        quantum *= 2;
        if screen.budget.is_over(screen.spent) {
            break;
        }
    }
    let found: Vec<_> = runners.into_iter().filter_map(|runner| runner.found).collect();
    assert!(!found.is_empty(), "a search from a start ends");
    found
}

/// The better half of runners in order, of both kinds while there are both: formulas err alike about plans that were
/// found alike, so that the best of either kind may be the best in truth.
fn better_half(mut runners: Vec<Runner>) -> Vec<Runner> {
    let keep = runners.len().div_ceil(2).max(FINALISTS);
    if runners.len() > keep {
        let evolves = |runner: &Runner| matches!(runner.start, Start::Wide(_));
        let kind = evolves(&runners[0]);
        if runners[..keep].iter().all(|runner| evolves(runner) == kind)
            && let Some(other) = runners.iter().position(|runner| evolves(runner) != kind)
        {
            runners.swap(keep - 1, other);
        }
    }
    runners.truncate(keep);
    runners
}

/// A search that can be continued.
struct Runner {
    start: Start,
    rng: ChaCha8Rng,
    evolution: Option<Evolution>,
    found: Option<(f64, Candidate)>,
}

impl Runner {
    fn new(start: Start, seed: u64) -> Self {
        let number = match start {
            Start::Random(number) | Start::Wide(number) | Start::Tilted(number) => number + 1,
            Start::Simple | Start::Fluid | Start::Level | Start::Given(_) => 0,
        };
        let rng = ChaCha8Rng::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self { start, rng, evolution: None, found: None }
    }

    fn merit(&self) -> f64 {
        self.found.as_ref().map_or(f64::NEG_INFINITY, |found| found.0)
    }

    /// Searches on until the screen's budget is over.
    fn advance(&mut self, workshop: &Workshop<'_>, screen: &mut Screen<'_>, is_last: bool) {
        if let Start::Wide(number) = self.start {
            let until = screen.until;
            // In the end what it has found is climbed on from.
            screen.until = if is_last { until / 2 } else { until };
            let evolution = self.evolution.get_or_insert_with(|| Evolution::wide(workshop, number, &mut self.rng));
            let found = evolution.run(workshop, screen, &mut self.rng);
            screen.until = until;
            self.keep(workshop, screen, found);
            if !is_last {
                return;
            }
        }
        let begin = match &self.found {
            Some(found) => found.1.clone(),
            None => self.begin(workshop, screen),
        };
        let is_near = !matches!(self.start, Start::Simple | Start::Random(_) | Start::Wide(_));
        let softness = if is_near { climb::FROM_NEAR } else { climb::FROM_AFAR };
        // Prices find chains; in the end gradients move all thresholds at once.
        let until = screen.until;
        screen.until = if is_last { until - until.saturating_sub(screen.spent) / 4 } else { until };
        let found = climb::climb(workshop, screen, &begin, ROUNDS, softness);
        screen.until = until;
        let found = shift::shift(workshop, screen, found.1);
        let found = gradient::ascend(workshop, screen, found);
        let found = cma_es::polish(workshop, screen, &mut self.rng, found);
        self.keep(workshop, screen, found.1);
    }

    /// Where it begins, which is kept.
    fn begin(&mut self, workshop: &Workshop<'_>, screen: &mut Screen<'_>) -> Candidate {
        let found = match &self.start {
            Start::Given(candidate) => Some(candidate.clone()),
            Start::Fluid => fluid::best(workshop, screen, Filling::Each),
            Start::Level => fluid::best(workshop, screen, Filling::Alike),
            Start::Tilted(_) => fluid::best(workshop, screen, Filling::Random(&mut self.rng)),
            Start::Random(_) | Start::Wide(_) => Some(starts::random(workshop, &mut self.rng)),
            Start::Simple => None,
        };
        let found = found.unwrap_or_else(|| starts::best_simple(workshop, screen));
        self.keep(workshop, screen, found.clone());
        found
    }

    /// Keeps what is better, by the same sharp targets for all.
    fn keep(&mut self, workshop: &Workshop<'_>, screen: &mut Screen<'_>, found: Candidate) {
        screen.softness = SHARP;
        let merit = screen.merit(&workshop.loads(&found));
        if self.found.is_none() || merit > self.merit() {
            self.found = Some((merit, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(start: Start, merit: f64) -> Runner {
        Runner { found: Some((merit, Candidate::default())), ..Runner::new(start, 1) }
    }

    fn kept(runners: Vec<Runner>) -> Vec<f64> {
        better_half(runners).iter().map(Runner::merit).collect()
    }

    #[test]
    fn the_best_of_either_kind_goes_on() {
        let climbers =
            || vec![runner(Start::Simple, 0.9), runner(Start::Random(0), 0.8), runner(Start::Random(1), 0.7)];
        assert_eq!(kept(climbers()), [0.9, 0.8]);
        let with = |start, merit| climbers().into_iter().chain([runner(start, merit)]).collect();
        assert_eq!(kept(with(Start::Wide(0), 0.6)), [0.9, 0.6]);
        assert_eq!(kept(with(Start::Random(2), 0.6)), [0.9, 0.8]);
    }
}
