//! From a scheduler and a station to what is done with its jobs, at any arrival rate.

use super::bursts::{self, Bursts, Course, Phased};
use super::data_driven::{self, Objective};
use super::frontier::{self, Bend};
use super::modes::{self, Worth};
use super::reduce::Reduced;
use super::station::{Mode, Station};
use super::{Table, knapsack, mixture, published, smdp};
use crate::ThresholdSearch;
use domain::problem::Model;
use domain::{Lottery, Probability, Thresholds};
use queueing::ArgumentError;

/// What is done with the jobs of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Treatment {
    /// (share, where its jobs may leave); sums to one.
    pub shares: Vec<(f64, Thresholds)>,
    /// Where they may leave by jobs present; empty where that does not matter. Replaces the one entry of `shares` then.
    pub by_present: Vec<Lottery>,
}

/// The treatment at an arrival rate of the chain.
pub(crate) type Solve<'a> = Box<dyn Fn(f64) -> Result<Treatment, ArgumentError> + Sync + 'a>;

/// Evaluations of a search for thresholds, per arrival rate: as many as published.
pub(crate) const EVALUATIONS: usize = 105;
/// Seed of the Bayesian search and of courses of arrivals: the same for all rates, so that they differ by what they are, not by chance.
const SEED: u64 = 1;

/// Powers of time by which services cost.
const BENDS: [f64; 3] = [1.0, 2.0, 4.0];

/// Values for the modes of single exits: accuracies of the exit table, confidences of the exit table, or confidences as
/// tracked (one per exit).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    Accuracy,
    Confidence,
    Tracked(&'a [f64]),
}

/// A chain to solve for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain<'a> {
    pub(crate) model: &'a Model,
    pub(crate) reduced: Reduced,
    /// Largest loss.
    pub(crate) target: f64,
}

impl<'a> Chain<'a> {
    fn exits(&self, values: Values<'_>) -> Result<Station, ArgumentError> {
        let worth = if matches!(values, Values::Accuracy) { Worth::Accuracy } else { Worth::Confidence };
        let mut modes = modes::exits(self.model, self.reduced.server, worth)?;
        if let Values::Tracked(tracked) = values {
            modes.iter_mut().zip(tracked).for_each(|(mode, &value)| mode.value = value);
        }
        Ok(Station { capacity: self.reduced.capacity, modes })
    }

    pub(crate) fn frontier(&self, worth: Worth) -> Result<Vec<Mode>, ArgumentError> {
        frontier::frontier(self.model, self.reduced.server, worth)
    }

    pub(crate) fn knapsack(self, values: Values<'_>) -> Result<Solve<'a>, ArgumentError> {
        let station = self.exits(values)?;
        let plan = knapsack::Plan::new(&station);
        Ok(Box::new(move |rate| Ok(by_present(&station, &plan.table(rate.max(1e-9))))))
    }

    pub(crate) fn queueing(self, values: Values<'_>, approximate: bool) -> Result<Solve<'a>, ArgumentError> {
        let station = self.exits(values)?;
        Ok(Box::new(move |rate| {
            let rated = station.at(rate)?;
            let mixed =
                if approximate { published::best(&rated, self.target) } else { mixture::best(&rated, self.target) };
            let thresholds = |mode: usize| station.modes[mode].thresholds.clone();
            let shares = mixed.shares.iter().map(|&(share, mode)| (share, thresholds(mode))).collect();
            Ok(Treatment { shares, by_present: vec![] })
        }))
    }

    pub(crate) fn data_driven(self, search: ThresholdSearch) -> Result<Solve<'a>, ArgumentError> {
        let frontier = match search {
            ThresholdSearch::Direct => self.frontier(Worth::Accuracy)?,
            ThresholdSearch::Bayesian => vec![],
        };
        Ok(Box::new(move |rate| {
            let objective = Objective {
                model: self.model,
                server: self.reduced.server,
                worth: Worth::Accuracy,
                capacity: self.reduced.capacity,
                rate,
                target: self.target,
            };
            let found = match search {
                ThresholdSearch::Direct => data_driven::direct(&objective, &frontier, EVALUATIONS),
                ThresholdSearch::Bayesian => data_driven::bayesian(&objective, EVALUATIONS, SEED),
            };
            Ok(Treatment { shares: vec![(1.0, found.thresholds)], by_present: vec![] })
        }))
    }

    /// Exits and the frontier.
    fn all_modes(&self) -> Result<Station, ArgumentError> {
        let mut station = self.exits(Values::Accuracy)?;
        station.modes.extend(self.frontier(Worth::Accuracy)?);
        // What is both slower and worse than something else may only be better by its variability: not worth the time.
        station.modes = frontier::monotone(station.modes);
        Ok(station)
    }

    /// As [`Self::all_modes`] with modes of little variability: in a burst a long service loses more than it is worth.
    fn steady_modes(&self) -> Result<Station, ArgumentError> {
        let mut station = self.exits(Values::Accuracy)?;
        for bend in BENDS {
            station.modes.extend(frontier::bent(self.model, self.reduced.server, Worth::Accuracy, Bend(bend))?);
        }
        station.modes = frontier::undominated(station.modes);
        Ok(station)
    }

    /// By what is believed of the phase of `bursts`, one treatment per belief of [`bursts::edges`].
    pub(crate) fn smdp_in_bursts(self, bursts: Bursts) -> Result<Vec<Treatment>, ArgumentError> {
        let station = self.steady_modes()?;
        let course = Course::new(bursts, SEED);
        let found = bursts::on_target(&Phased::new(&station, bursts)?, &course, self.target);
        Ok(found.table.0.iter().map(|table| by_present(&station, table)).collect())
    }

    pub(crate) fn smdp(self) -> Result<Solve<'a>, ArgumentError> {
        let station = self.all_modes()?;
        Ok(Box::new(move |rate| {
            let found = smdp::on_target(&station.at(rate)?, self.target);
            Ok(by_present(&station, &found.table))
        }))
    }
}

/// Equal ends of a table are left out: the last entry stands for all that follow.
fn by_present(station: &Station, table: &Table) -> Treatment {
    let thresholds = |mode: usize| station.modes[mode].thresholds.clone();
    let lottery = |draws: &Vec<(f64, usize)>| {
        let draw = |&(share, mode): &(f64, usize)| (probability(share), thresholds(mode));
        Lottery::new(draws.iter().map(draw).collect(), "a table").expect("shares of a table sum to one")
    };
    let mut by_present: Vec<Lottery> = table.0.iter().map(lottery).collect();
    while let [.., before, last] = &by_present[..]
        && before == last
    {
        by_present.pop();
    }
    let alone = &table.0[0];
    let likeliest = alone.iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |&(_, mode)| mode);
    Treatment { shares: vec![(1.0, thresholds(likeliest))], by_present }
}

/// A share as a probability; rounding beyond its range is taken off.
pub(crate) fn probability(share: f64) -> Probability {
    Probability::new(share.clamp(0.0, 1.0)).expect("clamped into the range")
}
