//! What a gateway is told to do with jobs, as data. Behaviour per job lives in the crate `policy`.

use crate::{FragmentRange, PerSecond, Probability, Seconds, Thresholds};

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
    /// Where it may leave if that depends on the jobs present at the first fragment of the chain when it is sent, itself
    /// included: entry 0 for one job, the last entry for as many and more. Empty where it does not; looked at by
    /// policies of the epoch [`Epoch::Dispatch`] only.
    pub by_present: Vec<Lottery>,
}

/// Threshold vectors of which one is drawn; probabilities sum to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Lottery(Vec<(Probability, Thresholds)>);

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
    /// Other mixtures for other arrival rates than those forecast; the gateway chooses by what it measures.
    pub rates: Option<RateTable>,
    /// Thresholds that the gateway finds by itself; mixtures then decide about chains only.
    pub learning: Option<Learning>,
    /// Share of jobs that run to the last exit after their answer, to track accuracy without labels.
    pub audit: Probability,
    /// Time a job may take when its request does not say.
    pub deadline: Option<Seconds>,
}

/// Mixtures over arrival rates, around a forecast. A gateway measures the rate of all of its sources together, divides it by
/// the forecast, and takes the first row that reaches so far.
#[derive(Debug, Clone, PartialEq)]
pub struct RateTable {
    /// Arrivals per second at this gateway, of all its sources together, that the ratio 1 stands for; > 0.
    pub forecast: PerSecond,
    /// How the rate is measured.
    pub measured: Measured,
    /// At least one; `up_to` increases. The last row also serves all higher rates.
    pub rows: Vec<RateRow>,
}

/// One row of a rate table.
#[derive(Debug, Clone, PartialEq)]
pub struct RateRow {
    /// Largest measured rate ÷ forecast that the row is for; > 0.
    pub up_to: f64,
    /// Mixture for sources that are not named in `sources`.
    pub default: Mixture,
    /// Mixtures of single sources.
    pub sources: Vec<(String, Mixture)>,
}

/// How a gateway measures the rate by which it chooses a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measured {
    /// Arrivals over a sliding window of this length (> 0), and over parts and multiples of it, as far back as the rate seems
    /// to have been constant.
    Window(Seconds),
    /// A process that is in one of two phases: Poisson with `rates[i]` ÷ forecast in phase i, which ends at `switch[i]`
    /// per second. The gateway keeps the probability of each phase from the times between arrivals (a Bayes filter, two
    /// numbers per arrival) and takes the row of the likelier one.
    Phases {
        /// Rate of each phase ÷ forecast, the lower one first; > 0.
        rates: [f64; 2],
        /// Changes per second out of each phase; > 0.
        switch: [f64; 2],
    },
    /// The same process and filter; the measured rate is the mean over what is believed of the phases, so that rows can
    /// tell how sure the gateway is.
    Belief {
        /// Rate of each phase ÷ forecast, the lower one first; > 0.
        rates: [f64; 2],
        /// Changes per second out of each phase; > 0.
        switch: [f64; 2],
    },
}

/// Thresholds that a gateway finds by itself, from how jobs end.
#[derive(Debug, Clone, PartialEq)]
pub enum Learning {
    /// All jobs leave at one exit, the last one at first; one exit earlier after each loss, one later whenever a job finds
    /// nobody else present. Dispatch policies only.
    Reactive,
    /// A bandit over threshold vectors.
    AdaEE(AdaEE),
}

/// A bandit over threshold vectors: the reward of a job is the confidence it gained behind each exit that it passed, less
/// what going on costs (AdaEE, ICC 2023; here for any number of exits).
#[derive(Debug, Clone, PartialEq)]
pub struct AdaEE {
    /// What it chooses from; at least one, at most 10,000.
    pub arms: Vec<Thresholds>,
    /// Weight of the exploration term, c in Q + c·√(ln t ÷ N); ≥ 0.
    pub exploration: f64,
    /// Per exit what it costs to leave there instead of at the first one, in units of confidence; not decreasing, from 0.
    pub costs: Vec<f64>,
    /// Jobs that the first fragment has room for, if waiting jobs make going on dearer: the cost is then multiplied by
    /// 1 ÷ (share of room that is left). `None` for the original, which does not look at the queue.
    pub room: Option<u32>,
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
    /// A number in a table or of a learner that makes no sense.
    #[error("{place} is {given}, but must be {must}")]
    Number {
        /// Where.
        place: String,
        /// What was given.
        given: f64,
        /// What would be right.
        must: &'static str,
    },
    /// Something that looks at jobs present in a policy that decides when jobs arrive.
    #[error("{place} looks at the jobs present, which needs the epoch Dispatch")]
    NeedsDispatch {
        /// What.
        place: String,
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

impl Choice {
    /// The same thresholds however many jobs are present.
    pub fn new(probability: Probability, chain: usize, thresholds: Thresholds) -> Self {
        Self { probability, chain, thresholds, by_present: vec![] }
    }

    /// What is drawn from with `present` jobs (≥ 1) at the first fragment; `None` where that does not matter.
    pub fn present(&self, present: usize) -> Option<&Lottery> {
        self.by_present.get(present.max(1) - 1).or(self.by_present.last())
    }
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
        check_mixtures(self, &self.default, &self.sources, "", exits)?;
        if let Some(rates) = &self.rates {
            rates.check(self, exits)?;
        }
        match &self.learning {
            None => Ok(()),
            Some(Learning::Reactive) => self.needs_dispatch("Reactive"),
            Some(Learning::AdaEE(bandit)) => bandit.check(self, exits),
        }
    }

    fn needs_dispatch(&self, what: &str) -> Result<(), PolicyError> {
        match self.epoch {
            Epoch::Dispatch => Ok(()),
            Epoch::Arrival => Err(PolicyError::NeedsDispatch { place: what.to_owned() }),
        }
    }

    /// The mixture of a source.
    pub fn mixture(&self, source: &str) -> &Mixture {
        self.sources.iter().find(|(name, _)| name == source).map_or(&self.default, |(_, mixture)| mixture)
    }
}

/// Checks mixtures; `row` names the row they are in.
fn check_mixtures(
    policy: &Policy,
    default: &Mixture,
    sources: &[(String, Mixture)],
    row: &str,
    exits: usize,
) -> Result<(), PolicyError> {
    let named = sources.iter().map(|(name, mixture)| (format!("source {name:?}{row}"), mixture));
    for (place, mixture) in std::iter::once((format!("the default{row}"), default)).chain(named) {
        for choice in mixture.choices() {
            let chains = policy.chains.len();
            if choice.chain >= chains {
                return Err(PolicyError::NoSuchChain { place, chain: choice.chain, chains });
            }
            if !choice.by_present.is_empty() {
                policy.needs_dispatch(&format!("a choice of {place}"))?;
            }
            let lotteries = choice.by_present.iter().flat_map(|lottery| lottery.draws());
            for thresholds in std::iter::once(&choice.thresholds).chain(lotteries.map(|(_, thresholds)| thresholds)) {
                if thresholds.exits() != exits {
                    return Err(PolicyError::Exits { place, given: thresholds.exits(), exits });
                }
            }
        }
    }
    Ok(())
}

fn number(holds: bool, place: &str, given: f64, must: &'static str) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError::Number { place: place.to_owned(), given, must }) }
}

impl Lottery {
    /// Threshold vectors whose probabilities sum to one within 1e-6. `place` is for the error.
    pub fn new(draws: Vec<(Probability, Thresholds)>, place: &str) -> Result<Self, PolicyError> {
        let sum: f64 = draws.iter().map(|(probability, _)| probability.get()).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(PolicyError::Sum { place: place.to_owned(), sum });
        }
        Ok(Self(draws))
    }

    /// The same thresholds always.
    pub fn always(thresholds: Thresholds) -> Self {
        Self(vec![(Probability::new(1.0).expect("1 is a probability"), thresholds)])
    }

    /// What is drawn from; at least one.
    pub fn draws(&self) -> &[(Probability, Thresholds)] {
        &self.0
    }
}

impl RateTable {
    fn check(&self, policy: &Policy, exits: usize) -> Result<(), PolicyError> {
        let positive = |place: &str, value: f64| number(value > 0.0 && value.is_finite(), place, value, "above 0");
        positive("the forecast of the rate table", self.forecast.get())?;
        match self.measured {
            Measured::Window(window) => positive("the window of the rate table", window.get())?,
            Measured::Phases { rates, switch } | Measured::Belief { rates, switch } => {
                for value in [rates, switch].concat() {
                    positive("a rate of the phases", value)?;
                }
                number(rates[0] <= rates[1], "the rate of the first phase", rates[0], "the lower one")?;
            }
        }
        number(!self.rows.is_empty(), "the number of rows of the rate table", 0.0, "at least 1")?;
        let mut before = 0.0;
        for row in &self.rows {
            let increases = row.up_to > before && row.up_to.is_finite();
            number(increases, "a row of the rate table", row.up_to, "above 0 and above the row before")?;
            before = row.up_to;
            check_mixtures(policy, &row.default, &row.sources, &format!(" in row {}", row.up_to), exits)?;
        }
        Ok(())
    }
}

impl RateRow {
    /// The mixture of a source.
    pub fn mixture(&self, source: &str) -> &Mixture {
        self.sources.iter().find(|(name, _)| name == source).map_or(&self.default, |(_, mixture)| mixture)
    }
}

impl AdaEE {
    /// Arms, at most: a gateway looks at all of them for each job.
    pub const MOST_ARMS: usize = 10_000;

    fn check(&self, policy: &Policy, exits: usize) -> Result<(), PolicyError> {
        let arms = self.arms.len();
        number((1..=Self::MOST_ARMS).contains(&arms), "the number of arms", arms as f64, "from 1 to 10,000")?;
        if let Some(arm) = self.arms.iter().find(|arm| arm.exits() != exits) {
            return Err(PolicyError::Exits { place: "AdaEE".to_owned(), given: arm.exits(), exits });
        }
        let explores = self.exploration >= 0.0 && self.exploration.is_finite();
        number(explores, "the exploration of AdaEE", self.exploration, "a number ≥ 0")?;
        let costs = self.costs.len();
        number(costs == exits, "the number of costs of AdaEE", costs as f64, "that of the exits")?;
        let mut before = 0.0;
        for &cost in &self.costs {
            number(cost >= before && cost.is_finite(), "a cost of AdaEE", cost, "a number ≥ the one before")?;
            before = cost;
        }
        match self.room {
            None => Ok(()),
            Some(room) => {
                number(room > 0, "the room of AdaEE", f64::from(room), "at least 1")?;
                policy.needs_dispatch("AdaEE with room")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(ranges: &[(usize, usize)], chain: usize, exits: usize) -> Policy {
        let choice = Choice::new(Probability::new(1.0).unwrap(), chain, Thresholds::exit_last(exits));
        Policy {
            epoch: Epoch::Arrival,
            overflow: Overflow::Drop,
            chains: vec![Chain {
                name: "c".into(),
                fragments: ranges.iter().map(|&(first, last)| FragmentRange { first, last }).collect(),
            }],
            default: Mixture::new(vec![choice], "the default").unwrap(),
            sources: vec![],
            rates: None,
            learning: None,
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
        let half = Choice::new(Probability::new(0.5).unwrap(), 0, Thresholds::exit_last(2));
        assert!(Mixture::new(vec![half.clone()], "the default").is_err());
        assert!(Mixture::new(vec![], "the default").is_err());
        assert!(Mixture::new(vec![half.clone(), half], "the default").is_ok());
    }
}
