//! Who decides about thresholds: one policy for all sources of a model.

use super::chains::Chains;
use super::document;
use super::error::{FormError, Place};
use super::number::{at_least_one, shares};
use super::object::Object;
use crate::{Chain, Model, Scheduling, Work};
use domain::{Choice, Epoch, Mixture, Overflow, Policy, Probability, Thresholds};
use std::collections::HashMap;
use std::sync::Arc;

/// Most thresholds in all policies together, which repeat those of chains for each source.
const MOST_THRESHOLDS: usize = 4_000_000;

/// Deciders while they are made.
pub(super) struct Deciders<'a> {
    case: &'a document::Case,
    chains: &'a Chains,
    models: &'a [Model],
    /// Of the chains.
    list: Place<'a>,
    all: Vec<Decider>,
    of_model: HashMap<usize, usize>,
    thresholds: usize,
}

/// The policy of a model.
struct Decider {
    model: String,
    /// Its chains, as indices of the network.
    chains: Vec<usize>,
    positions: HashMap<usize, usize>,
    sources: Vec<(String, Mixture)>,
}

impl<'a> Deciders<'a> {
    pub(super) fn new(case: &'a document::Case, chains: &'a Chains, models: &'a [Model], list: Place<'a>) -> Self {
        Self { case, chains, models, list, all: Vec::new(), of_model: HashMap::new(), thresholds: 0 }
    }

    /// Adds a source whose jobs take chains of a model with these shares. Returns the index of its scheduler.
    pub(super) fn source(
        &mut self,
        model: usize,
        name: &str,
        shares: &[(usize, f64)],
        place: &Place<'_>,
    ) -> Result<usize, FormError> {
        let exits = self.models[model].times.heads.len();
        let index = *self.of_model.entry(model).or_insert(self.all.len());
        if index == self.all.len() {
            self.all.push(Decider::new(&self.models[model].name));
        }
        let mut choices = Vec::new();
        for &(chain, share) in shares {
            let position = self.all[index].position(chain);
            for (probability, thresholds) in self.mixture(chain, exits)? {
                self.thresholds += exits;
                if self.thresholds > MOST_THRESHOLDS {
                    return Err(place.error("has too many thresholds, counted once for each source"));
                }
                let probability = Probability::new((share * probability).min(1.0));
                let probability = probability.map_err(|error| place.error(error.to_string()))?;
                choices.push(Choice::new(probability, position, thresholds));
            }
        }
        let mixture = Mixture::new(choices, "the chains").map_err(|error| place.error(error.to_string()))?;
        self.all[index].sources.push((name.to_owned(), mixture));
        Ok(index)
    }

    pub(super) fn finish(self) -> Vec<Scheduling> {
        let chains = &self.chains.all;
        self.all.into_iter().map(|decider| decider.finish(chains)).collect()
    }

    /// The thresholds of a chain with their shares.
    fn mixture(&self, index: usize, exits: usize) -> Result<Vec<(f64, Thresholds)>, FormError> {
        let (chain, place) = (&self.case.chains[index], self.list.index(index));
        match (&chain.thresholds, &chain.mixture) {
            (Some(given), None) => Ok(vec![(1.0, thresholds(given, exits, &place.field("thresholds"))?)]),
            (None, Some(mixture)) => choices(mixture, exits, &place.field("mixture")),
            (None, None) if exits == 1 => Ok(vec![(1.0, Thresholds::exit_last(1))]),
            (None, None) => Err(place.error("needs `thresholds` (or `mixture`), because it has a model")),
            (Some(_), Some(_)) => Err(place.error("has both `thresholds` and `mixture`; leave one of them out")),
        }
    }
}

impl Decider {
    fn new(model: &str) -> Self {
        Self { model: model.to_owned(), chains: Vec::new(), positions: HashMap::new(), sources: Vec::new() }
    }

    fn position(&mut self, chain: usize) -> usize {
        let next = self.chains.len();
        let position = *self.positions.entry(chain).or_insert(next);
        if position == next {
            self.chains.push(chain);
        }
        position
    }

    fn finish(mut self, chains: &[Chain]) -> Scheduling {
        let (_, default) = self.sources.remove(0);
        let policy = Arc::new(Policy {
            epoch: Epoch::Arrival,
            // The simulator looks at the chain.
            overflow: Overflow::Drop,
            chains: self.chains.iter().map(|&chain| of_policy(&chains[chain])).collect(),
            default,
            sources: self.sources,
            rates: None,
            learning: None,
            audit: Probability::new(0.0).expect("0 is a probability"),
            deadline: None,
        });
        let make = Arc::new(move |_| {
            Box::new(policy::Gatekeeper::new(Arc::clone(&policy), 0.0)) as Box<dyn policy::Scheduler>
        });
        Scheduling { name: self.model, chains: self.chains, gateway: None, turnaround: 0.0, make }
    }
}

fn of_policy(chain: &Chain) -> domain::Chain {
    let ranges = chain.steps.iter().filter_map(|step| match step.work {
        Work::Segments(range) => Some(range),
        Work::Law(_) => None,
    });
    domain::Chain { name: chain.name.clone(), fragments: ranges.collect() }
}

fn choices(
    mixture: &[Object<document::Choice>],
    exits: usize,
    place: &Place<'_>,
) -> Result<Vec<(f64, Thresholds)>, FormError> {
    at_least_one(mixture.len(), "choice", place)?;
    let given: Vec<f64> = mixture.iter().map(|choice| choice.probability).collect();
    let shares = shares(&given, place)?;
    let choices = mixture.iter().zip(shares).enumerate().map(|(index, (choice, share))| {
        Ok((share, thresholds(&choice.thresholds, exits, &place.index(index).field("thresholds"))?))
    });
    choices.collect()
}

fn thresholds(given: &[f32], exits: usize, place: &Place<'_>) -> Result<Thresholds, FormError> {
    if given.len() + 1 != exits {
        let message = format!("must be {}, one per exit but the last, but are {}", exits - 1, given.len());
        return Err(place.error(message));
    }
    Thresholds::new(given).map_err(|error| {
        place.index(error.index).error(format!("must be from 0 (always leaves) to 1 (closed), not {}", error.value))
    })
}
