//! What a gateway is told to do with jobs, as data. Behaviour per job lives in the crate `policy`.

use crate::{FragmentRange, Probability, Seconds, Thresholds};

/// When a job's thresholds are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// Chain and thresholds when the job arrives.
    Arrival,
    /// The chain when the job arrives, the thresholds when it is sent: the gateway holds the queue of the first
    /// fragment and keeps at most its workers busy.
    Dispatch,
}

/// What happens to a job that does not fit into the memory of the next device, or cannot reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is lost.
    Drop,
    /// It is answered with the deepest exit evaluated for it; lost if there is none.
    AnswerWithLastExit,
}

/// Ordered fragments on devices that together hold the whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Name in answers, metrics and tables.
    pub name: String,
    /// The segments of each fragment, in order and without gap.
    pub fragments: Vec<FragmentRange>,
}

/// One way to treat a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Share of the jobs treated so.
    pub probability: Probability,
    /// Index of the chain.
    pub chain: usize,
    /// Where the job may leave.
    pub thresholds: Thresholds,
}

/// Choices whose probabilities sum to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture(Vec<Choice>);

/// A policy: for each source how its jobs are treated.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// When thresholds are fixed.
    pub epoch: Epoch,
    /// What happens on overflow.
    pub overflow: Overflow,
    /// Chains that the choices point to.
    pub chains: Vec<Chain>,
    /// Mixture for sources that are not named in `sources`.
    pub default: Mixture,
    /// Mixtures of single sources.
    pub sources: Vec<(String, Mixture)>,
    /// Share of jobs that run to the last exit after their answer, to track accuracy without labels.
    pub audit: Probability,
    /// Time a job may take when its request does not say.
    pub deadline: Option<Seconds>,
}

/// Why a policy cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Probabilities do not sum to one.
    #[error("probabilities of {place} sum to {sum}, not to 1")]
    Sum {
        /// Which mixture.
        place: String,
        /// What they sum to.
        sum: f64,
    },
    /// A choice points to a chain that is not there.
    #[error("a choice of {place} names chain {chain}, but there are only {chains}")]
    NoSuchChain {
        /// Which mixture.
        place: String,
        /// The index.
        chain: usize,
        /// How many there are.
        chains: usize,
    },
    /// Thresholds for another number of exits.
    #[error("a choice of {place} has thresholds for {given} exits, the model has {exits}")]
    Exits {
        /// Which mixture.
        place: String,
        /// Exits of the thresholds.
        given: usize,
        /// Exits of the model.
        exits: usize,
    },
    /// A chain that does not hold the whole model.
    #[error("chain {chain:?} does not hold segments 1 to {segments} in order without gap")]
    Incomplete {
        /// Its name.
        chain: String,
        /// Segments of the model.
        segments: usize,
    },
}

impl Mixture {
    /// Choices that sum to one within 1e-6. `place` is for the error.
    pub fn new(choices: Vec<Choice>, place: &str) -> Result<Self, PolicyError> {
        let sum: f64 = choices.iter().map(|choice| choice.probability.get()).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(PolicyError::Sum { place: place.to_owned(), sum });
        }
        Ok(Self(choices))
    }

    /// The choices; at least one.
    pub fn choices(&self) -> &[Choice] {
        &self.0
    }
}

impl Policy {
    /// Checks the policy against a model of `exits` exits and `segments` segments.
    pub fn check(&self, exits: usize, segments: usize) -> Result<(), PolicyError> {
        for chain in &self.chains {
            let mut next = 0;
            let whole = chain.fragments.iter().all(|range| std::mem::replace(&mut next, range.last + 1) == range.first);
            if !whole || next != segments {
                return Err(PolicyError::Incomplete { chain: chain.name.clone(), segments });
            }
        }
        let named = self.sources.iter().map(|(name, mixture)| (format!("source {name:?}"), mixture));
        for (place, mixture) in std::iter::once(("the default".to_owned(), &self.default)).chain(named) {
            for choice in mixture.choices() {
                if choice.chain >= self.chains.len() {
                    return Err(PolicyError::NoSuchChain { place, chain: choice.chain, chains: self.chains.len() });
                }
                if choice.thresholds.exits() != exits {
                    return Err(PolicyError::Exits { place, given: choice.thresholds.exits(), exits });
                }
            }
        }
        Ok(())
    }

    /// The mixture of a source.
    pub fn mixture(&self, source: &str) -> &Mixture {
        self.sources.iter().find(|(name, _)| name == source).map_or(&self.default, |(_, mixture)| mixture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(ranges: &[(usize, usize)], chain: usize, exits: usize) -> Policy {
        let choice =
            Choice { probability: Probability::new(1.0).unwrap(), chain, thresholds: Thresholds::exit_last(exits) };
        Policy {
            epoch: Epoch::Arrival,
            overflow: Overflow::Drop,
            chains: vec![Chain {
                name: "c".into(),
                fragments: ranges.iter().map(|&(first, last)| FragmentRange { first, last }).collect(),
            }],
            default: Mixture::new(vec![choice], "the default").unwrap(),
            sources: vec![],
            audit: Probability::new(0.0).unwrap(),
            deadline: None,
        }
    }

    #[test]
    fn chains_hold_the_whole_model_without_gap() {
        for (ranges, good) in [
            (&[(0, 5)][..], true),
            (&[(0, 1), (2, 5)], true),
            (&[(0, 1), (3, 5)], false),
            (&[(0, 2), (2, 5)], false),
            (&[(0, 4)], false),
            (&[(1, 5)], false),
            (&[], false),
        ] {
            assert_eq!(policy(ranges, 0, 3).check(3, 6).is_ok(), good, "{ranges:?}");
        }
    }

    #[test]
    fn choices_name_chains_and_exits_that_exist() {
        assert!(matches!(policy(&[(0, 5)], 1, 3).check(3, 6), Err(PolicyError::NoSuchChain { chain: 1, .. })));
        assert!(matches!(policy(&[(0, 5)], 0, 4).check(3, 6), Err(PolicyError::Exits { given: 4, exits: 3, .. })));
    }

    #[test]
    fn probabilities_sum_to_one() {
        let half =
            Choice { probability: Probability::new(0.5).unwrap(), chain: 0, thresholds: Thresholds::exit_last(2) };
        assert!(Mixture::new(vec![half.clone()], "the default").is_err());
        assert!(Mixture::new(vec![], "the default").is_err());
        assert!(Mixture::new(vec![half.clone(), half], "the default").is_ok());
    }
}
