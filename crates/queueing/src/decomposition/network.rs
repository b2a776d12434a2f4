//! The network as plain numbers, checked once and laid out for evaluation.

use std::ops::Range;

use crate::ArgumentError;
use crate::error::{count, not_negative, positive, probability};

/// How a station shares its cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// First come, first served.
    FirstCome,
    /// Each of n jobs present gets min(1, cores/n) of a core.
    ProcessorSharing,
}

/// A station of finite capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Station {
    /// Most jobs present, those in service included; ≥ 1.
    pub capacity: usize,
    /// Cores ≥ 1.
    pub cores: usize,
    /// How jobs share them.
    pub discipline: Discipline,
}

/// One visit of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Index of the station.
    pub station: usize,
    /// Mean time on an idle core, the speed of the station applied; > 0. Of a mixture over exits that of the mixture.
    pub mean_service: f64,
    /// Squared coefficient of variation of that time, ≥ 0; 0 for a constant.
    pub service_scv: f64,
    /// Probability that a job is answered and leaves after this step; 1 for the last step.
    pub exit_probability: f64,
}

/// A stream of jobs and the way they take.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Arrival rate ≥ 0.
    pub rate: f64,
    /// Squared coefficient of variation of the times between arrivals, ≥ 0; 1 for Poisson.
    pub arrival_scv: f64,
    /// At least one.
    pub steps: Vec<Step>,
}

/// A checked network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub(super) stations: Vec<Station>,
    pub(super) chains: Vec<ChainPlan>,
    pub(super) steps: Vec<StepPlan>,
    /// Stations in the order of the flow, as far as there is one.
    pub(super) order: Vec<usize>,
    ranks: Vec<usize>,
    visitors: Vec<usize>,
    first_visitor: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChainPlan {
    pub(super) rate: f64,
    pub(super) arrival_scv: f64,
    pub(super) steps: Range<usize>,
}

/// A step with what its neighbours and its chain say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StepPlan {
    pub(super) station: usize,
    pub(super) mean_service: f64,
    pub(super) service_scv: f64,
    pub(super) exit_probability: f64,
    pub(super) chain_rate: f64,
    pub(super) previous_station: usize,
    pub(super) next_station: usize,
}

/// Instead of the station before the first step and after the last.
pub(super) const NO_STATION: usize = usize::MAX;

impl Network {
    /// Checks the numbers. Refuses an empty network, a chain without steps, a station that does not exist, and a last
    /// step that not all jobs leave after.
    pub fn new(stations: &[Station], chains: &[Chain]) -> Result<Self, ArgumentError> {
        for (index, station) in stations.iter().enumerate() {
            count(format_args!("capacity of station {index}"), station.capacity)?;
            count(format_args!("cores of station {index}"), station.cores)?;
        }
        if chains.is_empty() {
            return Err(ArgumentError::new("number of chains", "at least 1", 0.0));
        }
        for (index, chain) in chains.iter().enumerate() {
            check_chain(index, chain, stations.len())?;
        }
        Ok(Self::lay_out(stations, chains))
    }

    /// Steps that visit a station.
    pub(super) fn visitors(&self, station: usize) -> &[usize] {
        &self.visitors[self.first_visitor[station]..self.first_visitor[station + 1]]
    }

    /// Whether a sweep comes to `station` after `other`.
    pub(super) fn is_later(&self, station: usize, other: usize) -> bool {
        self.ranks[station] > self.ranks[other]
    }

    fn lay_out(stations: &[Station], chains: &[Chain]) -> Self {
        let mut steps = Vec::new();
        let mut plans = Vec::with_capacity(chains.len());
        for chain in chains {
            let first = steps.len();
            let station_of = |index: usize| chain.steps.get(index).map_or(NO_STATION, |step| step.station);
            steps.extend(chain.steps.iter().enumerate().map(|(index, step)| StepPlan {
                station: step.station,
                mean_service: step.mean_service,
                service_scv: step.service_scv,
                exit_probability: step.exit_probability,
                chain_rate: chain.rate,
                previous_station: index.checked_sub(1).map_or(NO_STATION, station_of),
                next_station: station_of(index + 1),
            }));
            plans.push(ChainPlan { rate: chain.rate, arrival_scv: chain.arrival_scv, steps: first..steps.len() });
        }
        let mut visitors: Vec<usize> = (0..steps.len()).collect();
        visitors.sort_by_key(|&step| steps[step].station);
        let first_visitor = (0..=stations.len())
            .map(|station| visitors.partition_point(|&step| steps[step].station < station))
            .collect();
        let mut network = Self {
            stations: stations.to_vec(),
            chains: plans,
            steps,
            order: Vec::new(),
            ranks: vec![0; stations.len()],
            visitors,
            first_visitor,
        };
        network.find_order();
        network
    }

    /// Reverse postorder: topological where chains do not lead in circles.
    fn find_order(&mut self) {
        let mut seen = vec![false; self.stations.len()];
        // (station, next of its visitors to follow)
        let mut path: Vec<(usize, usize)> = Vec::new();
        for start in 0..self.steps.len() {
            let station = self.steps[start].station;
            if self.steps[start].previous_station != NO_STATION || std::mem::replace(&mut seen[station], true) {
                continue;
            }
            path.push((station, 0));
            while let Some((station, followed)) = path.pop() {
                match self.visitors(station).get(followed).map(|&step| self.steps[step].next_station) {
                    Some(next) => {
                        path.push((station, followed + 1));
                        if next != NO_STATION && !std::mem::replace(&mut seen[next], true) {
                            path.push((next, 0));
                        }
                    }
                    None => self.order.push(station),
                }
            }
        }
        self.order.reverse();
        for (rank, &station) in self.order.iter().enumerate() {
            self.ranks[station] = rank;
        }
    }
}

fn check_chain(index: usize, chain: &Chain, stations: usize) -> Result<(), ArgumentError> {
    not_negative(format_args!("arrival rate of chain {index}"), chain.rate)?;
    not_negative(format_args!("arrival scv of chain {index}"), chain.arrival_scv)?;
    for (position, step) in chain.steps.iter().enumerate() {
        // Nothing is formatted unless it is refused: a search checks some hundred steps per prediction.
        if step.station >= stations {
            let argument = format_args!("station of step {position} of chain {index}").to_string();
            return Err(ArgumentError::new(argument, "the index of a station", step.station as f64));
        }
        positive(format_args!("mean of service of step {position} of chain {index}"), step.mean_service)?;
        not_negative(format_args!("scv of service of step {position} of chain {index}"), step.service_scv)?;
        probability(format_args!("exit probability of step {position} of chain {index}"), step.exit_probability)?;
    }
    match chain.steps.last() {
        None => Err(ArgumentError::new(format_args!("number of steps of chain {index}"), "at least 1", 0.0)),
        Some(last) if last.exit_probability != 1.0 => {
            let argument = format_args!("exit probability of the last step of chain {index}").to_string();
            Err(ArgumentError::new(argument, "1", last.exit_probability))
        }
        Some(_) => Ok(()),
    }
}
