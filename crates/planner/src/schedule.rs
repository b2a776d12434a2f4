//! A scheduler of a service as a policy.
//!
//! Each chain is [reduced](crate::single::reduce) to a station, the scheduler is solved for it at its share of the
//! arrivals, and the answers become choices. Schedulers that depend on the arrival rate get a [table over
//! rates](RateTable): rows at 1/8 to 8 times the forecast, each solved for the largest rate that it serves. Where
//! arrivals come in two phases, rows are those of the phases, and the gateway tells phases apart; SMDP has rows for what is
//! believed of the phase ([`crate::single::bursts`]).
//!
//! The loss target is the service's, or [`DEFAULT_LOSS`]; plans aim at [`MARGIN`] of it, because a loss is judged by
//! the upper end of its interval and rates between rows are only rounded.

use crate::parallel;
use crate::single::adaee;
use crate::single::bursts::{self, Bursts};
use crate::single::modes::Worth;
use crate::single::reduce::{Reduced, reduce};
use crate::single::solve::{Chain, Solve, Treatment, Values, probability};
use crate::{Scheduler, ThresholdSearch};
use domain::problem::{Burstiness, Service, Source};
use domain::{
    Choice, Epoch, Learning, Measured, Mixture, PerSecond, Policy, Problem, RateRow, RateTable, Seconds, Thresholds,
};
use queueing::ArgumentError;
use std::sync::Arc;

/// Largest loss of services that have no target.
pub const DEFAULT_LOSS: f64 = 0.01;
/// Share of the loss target that plans aim at.
pub const MARGIN: f64 = 0.9;
/// The same for SMDP in bursts, where a loss is known less well: a run sees few bursts, each with many losses, and jobs unlike
/// the samples that choose lose more (up to 9 % in the evaluation's setting).
const BURST_MARGIN: f64 = 0.8;
/// Rows of a table over rates on either side of the forecast. Row u of −7..=7 is for ratios up to 2^(3·(u/7)·|u/7|):
/// from 1/8 to 8, closer together around the forecast, where a row too high costs accuracy all the time.
const ROWS_EACH_SIDE: i32 = 7;
/// ln₂ of the ratio of the last row.
const OCTAVES: f64 = 3.0;
/// Arrivals in the window by which a gateway measures the rate, and its shortest length in seconds.
const WINDOW_ARRIVALS: f64 = 50.0;
const SHORTEST_WINDOW: f64 = 1.0;
/// Phases without arrivals count as having this many: rates must be above 0.
const SILENCE: f64 = 1e-3;

/// Why a scheduler gives no policy for a service.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// It plans for all services together.
    #[error("Auto is planned for all services together")]
    Joint,
    /// Numbers for another number of exits.
    #[error("the scheduler has {given} {what}, the model has {exits} exits")]
    Exits {
        /// Of what, such as `probabilities`.
        what: &'static str,
        /// How many.
        given: usize,
        /// Exits of the model.
        exits: usize,
    },
    /// Probabilities that are none or do not sum to one.
    #[error("the probabilities of exits must be between 0 and 1 and sum to 1, not {given:?}")]
    Probabilities {
        /// What was given.
        given: Vec<f64>,
    },
    /// Times or rates that make no sense, such as a model whose times are all zero.
    #[error("the service cannot be computed with")]
    Argument(#[from] ArgumentError),
}

/// The policy of a scheduler for one service (by index) of a problem that has passed its check. Chains get jobs so
/// that most can go to the last exit.
///
/// # Errors
/// [`ScheduleError`].
pub fn schedule(scheduler: &Scheduler, problem: &Problem, service: usize) -> Result<Policy, ScheduleError> {
    scheduled(scheduler, problem, service, None)
}

/// As [`schedule`] for schedulers that track confidence, with confidences (one per exit) as they were observed instead
/// of those of the exit table. Others do not look at them.
///
/// # Errors
/// [`ScheduleError`].
pub fn retuned(
    scheduler: &Scheduler,
    problem: &Problem,
    service: usize,
    confidences: &[f64],
) -> Result<Policy, ScheduleError> {
    expect_exits("confidences", confidences.len(), problem.services[service].model.exits())?;
    scheduled(scheduler, problem, service, Some(confidences))
}

/// [`schedule`] for some services. What is the same for several of them is computed once: large pools have many services that
/// differ by their names only.
pub(crate) fn schedule_each(
    scheduler: &Scheduler,
    problem: &Problem,
    services: impl Iterator<Item = usize>,
) -> Vec<Result<Policy, ScheduleError>> {
    let mut known: Vec<(Draft<'_>, Result<Policy, ScheduleError>)> = vec![];
    let mut of = |index: usize| {
        let draft = Draft::new(problem, index, epoch_of(scheduler));
        if let Some((_, policy)) = known.iter().find(|(known, _)| known.is_alike(&draft)) {
            return policy.clone().map(|policy| draft.adopt(policy));
        }
        let policy = draft.by(scheduler, None);
        known.push((draft, policy.clone()));
        policy
    };
    services.map(&mut of).collect()
}

fn scheduled(
    scheduler: &Scheduler,
    problem: &Problem,
    index: usize,
    confidences: Option<&[f64]>,
) -> Result<Policy, ScheduleError> {
    Draft::new(problem, index, epoch_of(scheduler)).by(scheduler, confidences)
}

/// When a scheduler fixes thresholds; `Arrival` for `Auto`, which may do either.
pub fn epoch_of(scheduler: &Scheduler) -> Epoch {
    match scheduler {
        Scheduler::Knapsack { .. } | Scheduler::SMDP | Scheduler::Reactive => Epoch::Dispatch,
        Scheduler::AdaEE { buffer_aware: true } => Epoch::Dispatch,
        Scheduler::Auto
        | Scheduler::ExitFirst
        | Scheduler::ExitLast
        | Scheduler::Fixed(_)
        | Scheduler::Random
        | Scheduler::FixedDistribution(_)
        | Scheduler::QueueingLP { .. }
        | Scheduler::DataDriven(ThresholdSearch::Bayesian | ThresholdSearch::Direct)
        | Scheduler::AdaEE { buffer_aware: false } => Epoch::Arrival,
    }
}

fn expect_exits(what: &'static str, given: usize, exits: usize) -> Result<(), ScheduleError> {
    if given == exits { Ok(()) } else { Err(ScheduleError::Exits { what, given, exits }) }
}

/// A policy to be filled in.
struct Draft<'a> {
    problem: &'a Problem,
    service: &'a Service,
    epoch: Epoch,
    chains: Vec<Reduced>,
}

/// Solvers of distinct stations, and which one each chain has.
struct Solvers<'a> {
    known: Vec<(Reduced, Solve<'a>)>,
    of_chain: Vec<usize>,
}

impl Solvers<'_> {
    fn at(&self, chain: usize, rate: f64) -> Result<Treatment, ArgumentError> {
        (self.known[self.of_chain[chain]].1)(rate)
    }
}

impl<'a> Draft<'a> {
    fn new(problem: &'a Problem, index: usize, epoch: Epoch) -> Self {
        Self { problem, service: &problem.services[index], epoch, chains: reduce(problem, index, epoch) }
    }

    /// Whether every scheduler treats the jobs of both in the same way.
    fn is_alike(&self, other: &Self) -> bool {
        let rates = |source: &Source| (source.rate, source.burstiness);
        self.epoch == other.epoch
            && Arc::ptr_eq(&self.service.model, &other.service.model)
            && self.service.targets == other.service.targets
            && self.service.sources.iter().map(rates).eq(other.service.sources.iter().map(rates))
            && self.chains == other.chains
    }

    /// The policy of a service that is alike, for this one.
    fn adopt(&self, policy: Policy) -> Policy {
        let Policy { rates, learning, default, .. } = policy;
        Policy { rates, learning, ..self.policy(default) }
    }

    fn by(&self, scheduler: &Scheduler, confidences: Option<&[f64]>) -> Result<Policy, ScheduleError> {
        let exits = self.service.model.exits();
        let values = |tracks: bool| match confidences {
            _ if !tracks => Values::Accuracy,
            None => Values::Confidence,
            Some(confidences) => Values::Tracked(confidences),
        };
        match scheduler {
            Scheduler::Auto => Err(ScheduleError::Joint),
            Scheduler::ExitFirst => Ok(self.always(&Thresholds::exit_first(exits))),
            Scheduler::ExitLast => Ok(self.always(&Thresholds::exit_last(exits))),
            Scheduler::Fixed(thresholds) => {
                expect_exits("thresholds + 1", thresholds.exits(), exits)?;
                Ok(self.always(thresholds))
            }
            Scheduler::Random => self.distribution(&vec![1.0 / exits as f64; exits]),
            Scheduler::FixedDistribution(shares) => {
                expect_exits("probabilities", shares.len(), exits)?;
                self.distribution(shares)
            }
            Scheduler::Reactive => {
                let policy = self.always(&Thresholds::exit_last(exits));
                Ok(Policy { learning: Some(Learning::Reactive), ..policy })
            }
            Scheduler::AdaEE { buffer_aware } => self.on_line(*buffer_aware),
            Scheduler::Knapsack { tracks_confidence } => {
                self.over_rates(|chain| chain.knapsack(values(*tracks_confidence)))
            }
            Scheduler::QueueingLP { approximate, tracks_confidence } => {
                self.over_rates(|chain| chain.queueing(values(*tracks_confidence), *approximate))
            }
            Scheduler::DataDriven(search) => self.over_rates(|chain| chain.data_driven(*search)),
            Scheduler::SMDP => match self.phases() {
                Some((rates, switch)) if rates[0] < rates[1] && self.rate() > 0.0 => self.over_beliefs(rates, switch),
                _ => self.over_rates(Chain::smdp),
            },
        }
    }

    /// A bandit; its arms and costs are those of the chain that gets most jobs.
    fn on_line(&self, buffer_aware: bool) -> Result<Policy, ScheduleError> {
        let largest = self.chains.iter().max_by(|a, b| a.share.total_cmp(&b.share)).expect("a service has chains");
        let model = &self.service.model;
        let frontier = self.chain(*largest).frontier(Worth::Confidence)?;
        let at = (largest.capacity, self.rate() * largest.share);
        let bandit = adaee::bandit(model, largest.server, &frontier, at, self.target(), buffer_aware)?;
        let policy = self.always(&Thresholds::exit_last(model.exits()));
        Ok(Policy { learning: Some(Learning::AdaEE(bandit)), ..policy })
    }

    /// Arrivals per second of all sources.
    fn rate(&self) -> f64 {
        self.service.sources.iter().map(|source| source.rate.get()).sum()
    }

    fn target(&self) -> f64 {
        MARGIN * self.service.targets.max_loss.map_or(DEFAULT_LOSS, domain::Probability::get)
    }

    fn chain(&self, reduced: Reduced) -> Chain<'a> {
        Chain { model: &self.service.model, reduced, target: self.target() }
    }

    fn policy(&self, default: Mixture) -> Policy {
        let chain = |chain: &domain::problem::Chain| domain::Chain {
            name: chain.name.clone(),
            fragments: chain.hops.iter().map(|&hop| self.problem.fragment(hop).range).collect(),
        };
        Policy {
            epoch: self.epoch,
            overflow: self.service.overflow,
            chains: self.service.chains.iter().map(chain).collect(),
            default,
            sources: vec![],
            rates: None,
            learning: None,
            audit: self.service.audit,
            deadline: self.service.deadline,
        }
    }

    fn mixture(&self, treat: impl Fn(usize) -> Result<Treatment, ArgumentError>) -> Result<Mixture, ArgumentError> {
        let mut choices = vec![];
        let used = self.chains.iter().enumerate().filter(|(_, reduced)| reduced.share > 0.0);
        for (chain, reduced) in used {
            let Treatment { shares, by_present } = treat(chain)?;
            choices.extend(shares.into_iter().map(|(share, thresholds)| Choice {
                by_present: by_present.clone(),
                ..Choice::new(probability(reduced.share * share), chain, thresholds)
            }));
        }
        Ok(Mixture::new(choices, "all chains").expect("shares of chains and of their treatments sum to one"))
    }

    fn always(&self, thresholds: &Thresholds) -> Policy {
        let treatment = |_| Ok(Treatment { shares: vec![(1.0, thresholds.clone())], by_present: vec![] });
        self.policy(self.mixture(treatment).expect("nothing is computed"))
    }

    /// Exits with these probabilities.
    fn distribution(&self, shares: &[f64]) -> Result<Policy, ScheduleError> {
        let sum: f64 = shares.iter().sum();
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) || (sum - 1.0).abs() > 1e-6 {
            return Err(ScheduleError::Probabilities { given: shares.to_vec() });
        }
        let exits = shares.len();
        let drawn = shares.iter().enumerate().filter(|(_, share)| **share > 0.0);
        let shares: Vec<_> = drawn.map(|(exit, &share)| (share / sum, Thresholds::exit_at(exits, exit))).collect();
        Ok(self.policy(self.mixture(|_| Ok(Treatment { shares: shares.clone(), by_present: vec![] }))?))
    }

    /// The mixture at the forecast, and a table over rates where there are arrivals at all.
    fn over_rates(
        &self,
        prepare: impl Fn(Chain<'a>) -> Result<Solve<'a>, ArgumentError>,
    ) -> Result<Policy, ScheduleError> {
        let solvers = self.solvers(prepare)?;
        let rate = self.rate();
        let at = |ratio: f64| self.mixture(|chain| solvers.at(chain, ratio * rate * self.chains[chain].share));
        let mut policy = self.policy(at(1.0)?);
        if rate > 0.0 {
            policy.rates = Some(self.rate_table(at)?);
        }
        Ok(policy)
    }

    /// What is prepared per chain; chains with the same station share it.
    fn solvers(
        &self,
        prepare: impl Fn(Chain<'a>) -> Result<Solve<'a>, ArgumentError>,
    ) -> Result<Solvers<'a>, ArgumentError> {
        let mut solvers = Solvers { known: vec![], of_chain: vec![] };
        for &reduced in &self.chains {
            let same = |(known, _): &(Reduced, Solve<'_>)| {
                (known.server, known.capacity) == (reduced.server, reduced.capacity)
            };
            let known = match solvers.known.iter().position(same) {
                Some(known) => known,
                None => {
                    solvers.known.push((reduced, prepare(self.chain(reduced))?));
                    solvers.known.len() - 1
                }
            };
            solvers.of_chain.push(known);
        }
        Ok(solvers)
    }

    fn rate_table(
        &self,
        at: impl Fn(f64) -> Result<Mixture, ArgumentError> + Sync,
    ) -> Result<RateTable, ArgumentError> {
        // Of the whole service: who deploys the policy splits it over gateways.
        let forecast = self.rate();
        let (measured, ratios) = self.measured(forecast);
        let row = |up_to: f64| Ok(RateRow { up_to, default: at(up_to)?, sources: vec![] });
        let count = ratios.len();
        let rows = parallel::each(ratios, row).into_iter().collect::<Result<Vec<_>, ArgumentError>>()?;
        assert_eq!(rows.len(), count, "a row could not be solved");
        Ok(RateTable { forecast: PerSecond::new(forecast).expect("a sum of rates is a rate"), measured, rows })
    }

    /// The rates ÷ forecast and the switching of the only source, the lower rate first; with several sources their phases cannot
    /// be told apart.
    fn phases(&self) -> Option<([f64; 2], [f64; 2])> {
        let [source] = &self.service.sources[..] else { return None };
        let Burstiness::Phases { rates, switch } = source.burstiness else { return None };
        let (rates, switch) =
            if rates[0] <= rates[1] { (rates, switch) } else { ([rates[1], rates[0]], [switch[1], switch[0]]) };
        Some((rates.map(|rate| rate.max(SILENCE)), switch))
    }

    /// A row per belief about the phase; without its table the policy is that of the mean rate.
    fn over_beliefs(&self, rates: [f64; 2], switch: [f64; 2]) -> Result<Policy, ScheduleError> {
        let forecast = self.rate();
        let solvers = self.solvers(Chain::smdp)?;
        let policy = self.policy(self.mixture(|chain| solvers.at(chain, forecast * self.chains[chain].share))?);
        let mut solved: Vec<(Reduced, Vec<Treatment>)> = vec![];
        let mut of_chain = vec![];
        for &reduced in &self.chains {
            let known = match solved.iter().position(|(known, _)| *known == reduced) {
                // No mixture asks for chains that get no jobs.
                _ if reduced.share == 0.0 => usize::MAX,
                Some(known) => known,
                None => {
                    let bursts = Bursts { rates: rates.map(|rate| rate * forecast * reduced.share), switch };
                    solved.push((
                        reduced,
                        Chain { target: BURST_MARGIN / MARGIN * self.target(), ..self.chain(reduced) }
                            .smdp_in_bursts(bursts)?,
                    ));
                    solved.len() - 1
                }
            };
            of_chain.push(known);
        }
        let row = |(belief, edge): (usize, &f64)| {
            let default = self.mixture(|chain| Ok(solved[of_chain[chain]].1[belief].clone()))?;
            Ok(RateRow { up_to: rates[0] + edge * (rates[1] - rates[0]), default, sources: vec![] })
        };
        let mut rows = bursts::edges().iter().enumerate().map(row).collect::<Result<Vec<_>, ArgumentError>>()?;
        // The upper of two equal neighbours stands for both.
        let distinct = |index: &usize| rows.get(index + 1).is_none_or(|next| next.default != rows[*index].default);
        let kept: Vec<usize> = (0..rows.len()).filter(distinct).collect();
        rows = kept.into_iter().map(|index| rows[index].clone()).collect();
        let forecast = PerSecond::new(forecast).expect("a sum of rates is a rate");
        Ok(Policy { rates: Some(RateTable { forecast, measured: Measured::Belief { rates, switch }, rows }), ..policy })
    }

    /// How the rate is measured, and the ratios that get a row. Phases can be told apart where they are those of the
    /// only source.
    fn measured(&self, forecast: f64) -> (Measured, Vec<f64>) {
        if let Some((rates, switch)) = self.phases() {
            let rows = if rates[0] < rates[1] { rates.to_vec() } else { vec![rates[0]] };
            return (Measured::Phases { rates, switch }, rows);
        }
        let window = (WINDOW_ARRIVALS / forecast).clamp(SHORTEST_WINDOW, 1e6);
        let window = Seconds::new(window).expect("clamped into the range");
        let ratio = |row: i32| {
            let part = f64::from(row) / f64::from(ROWS_EACH_SIDE);
            2f64.powf(OCTAVES * part * part.abs())
        };
        (Measured::Window(window), (-ROWS_EACH_SIDE..=ROWS_EACH_SIDE).map(ratio).collect())
    }
}
