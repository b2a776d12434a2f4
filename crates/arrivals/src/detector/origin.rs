//! Excursions of the rate: where one came from, and whether it was a burst.

use super::{Model, Regime};
use crate::bounds::RateEstimate;
use crate::phases::TwoPhases;

/// Below this ratio to the rate around it an excursion is no burst.
const SMALLEST_SURGE: f64 = 1.5;

/// Rates within this ratio are the same place to return to.
const SAME: f64 = 1.33;

/// Where a drift came from, while it may still turn out to be a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Origin {
    pub(super) regime: Regime,
    pub(super) model: Model,
    /// The excursion so far.
    pub(super) away: Regime,
    /// The rate of the excursion, while it is being decided whether it is over; and what was counted since its likely end
    /// when that was noticed. The latter may have begun a reading too early, and says nothing about what comes after.
    pub(super) returning: Option<(RateEstimate, Regime)>,
}

impl Origin {
    fn rates(&self) -> impl Iterator<Item = f64> {
        let phases = if let Model::Phases { phases, .. } = &self.model { Some(phases.rates()) } else { None };
        std::iter::once(self.regime.rate()).chain(phases.into_iter().flatten())
    }

    /// Whether the rate has moved towards where it came from. How far is better judged a little later.
    pub(super) fn could_be_back(&self, now: Regime) -> bool {
        let away = self.away.without(now).rate();
        self.rates().any(|rate| (now.rate() - rate).abs() < (away - rate).abs())
    }

    pub(super) fn was_burst(&self, now: Regime) -> bool {
        let (low, high) = crate::poisson_bounds(now.arrivals, 0.999);
        let same = |rate: f64| {
            let ratio = now.rate() / rate;
            (1.0 / SAME..=SAME).contains(&ratio) || (low..=high).contains(&(rate * now.seconds))
        };
        let surge = self.away.rate() / now.rate();
        self.rates().any(same) && (surge >= SMALLEST_SURGE || surge <= 1.0 / SMALLEST_SURGE)
    }

    pub(super) fn with_visit(&self, back: Regime) -> TwoPhases {
        let pair = |regime: Regime| (regime.arrivals, regime.seconds);
        match self.model {
            Model::Phases { mut phases, .. } => {
                phases.add_visit(pair(back), pair(self.away));
                phases
            }
            Model::Plain { .. } => {
                let mut outside = self.regime;
                outside.add(back.arrivals, back.seconds);
                TwoPhases::of_visit(pair(outside), pair(self.away))
            }
        }
    }
}
