//! Starts from the fluid relaxation: how full devices and links should be, decided by merit.
//!
//! # How
//! For given shares of time that resources may be busy, [`Relaxation`] gives the best plan of all if nothing ever waits. How
//! full is best depends on what waits: a ladder of shares for all resources alike is tried by formulas, then more and
//! less for each by itself. Other starts fill resources differently at random: regions that formulas are wrong about.
//!
//! # Cost
//! Some tens of linear programs with as many columns and a row per source and resource: 10 to 20 ms for 5 devices, 2 services
//! and 6 exits.

use super::candidate::{Candidate, Workshop};
use super::relaxation::{Columns, Relaxation};
use super::screen::Screen;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Shares of time that all resources are busy, tried first.
const LADDER: [f64; 7] = [0.8, 0.88, 0.95, 0.72, 0.64, 0.55, 0.45];
/// Factors on the share of one resource, tried afterwards, and the fullest that one is tried.
const FACTORS: [f64; 3] = [1.25, 1.12, 1.06];
const FULLEST: f64 = 1.2;
/// Factor by which resources are filled differently at random, at most, as a logarithm.
const TILT: f64 = 0.2;
/// Softness of targets: fluid plans are rarely where they are just kept.
const SOFTNESS: f64 = 0.05;

struct Ladder<'a, 's, 'w, 'p> {
    workshop: &'w Workshop<'p>,
    screen: &'a mut Screen<'s>,
    relaxation: Relaxation<'w, 'p>,
    best: Option<(f64, Vec<f64>, Candidate)>,
}

/// How full resources are compared with each other.
pub(crate) enum Filling<'r> {
    /// All alike, which is quick.
    Alike,
    /// As merit has it.
    Each,
    /// Differently, at random.
    Random(&'r mut ChaCha8Rng),
}

/// The best fluid plan by merit; `None` where the solver gave up.
pub(crate) fn best(workshop: &Workshop<'_>, screen: &mut Screen<'_>, filling: Filling<'_>) -> Option<Candidate> {
    screen.softness = SOFTNESS;
    let relaxation = Relaxation::new(workshop);
    let resources = relaxation.resources();
    let mut ladder = Ladder { workshop, screen, relaxation, best: None };
    let is_each = matches!(filling, Filling::Each);
    let tilts: Vec<f64> = match filling {
        Filling::Random(rng) => (0..resources).map(|_| (TILT * rng.random_range(-1.0..1.0)).exp()).collect(),
        Filling::Alike | Filling::Each => vec![1.0; resources],
    };
    for fill in LADDER {
        ladder.consider(tilts.iter().map(|tilt| fill * tilt).collect(), true);
    }
    if is_each {
        for factor in FACTORS {
            (0..resources).for_each(|resource| ladder.fill(resource, factor));
        }
        if let Some((_, fills, _)) = ladder.best.clone() {
            ladder.consider(fills, true);
        }
    }
    ladder.best.map(|best| best.2)
}

impl Ladder<'_, '_, '_, '_> {
    /// Whether these shares are better than all before; with new columns or with those that are known.
    fn consider(&mut self, fills: Vec<f64>, is_new: bool) -> bool {
        // Linear programs take longer than evaluations: the clock is asked for each, once there is something to show.
        if self.best.is_some() && (self.screen.is_over() || self.screen.budget.is_stopped()) {
            return false;
        }
        let budget = self.screen.budget;
        let stop = move || budget.is_stopped();
        let columns = if is_new { Columns::New { stop: &stop } } else { Columns::Known };
        let Some(found) = self.relaxation.solve(&fills, columns) else { return false };
        let merit = self.screen.merit(&self.workshop.loads(&found));
        let is_better = self.best.as_ref().is_none_or(|best| merit > best.0);
        if is_better {
            self.best = Some((merit, fills, found));
        }
        is_better
    }

    /// Fills one resource more, or else less, for as long as that is better.
    fn fill(&mut self, resource: usize, factor: f64) {
        for factor in [factor, 1.0 / factor] {
            let mut moved = false;
            while let Some((_, fills, _)) = &self.best {
                let mut fills = fills.clone();
                fills[resource] *= factor;
                if fills[resource] > FULLEST || !self.consider(fills, false) {
                    break;
                }
                moved = true;
            }
            if moved {
                return;
            }
        }
    }
}
