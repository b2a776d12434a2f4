//! Plans all services of a problem together.
//!
//! # Problem
//! Per source of arrivals: which chains with which probabilities, and which thresholds on each, so that targets are
//! kept and answers are right. Services share devices, so they are planned at once; priorities weigh them
//! ([`domain::Score`]).
//!
//! # How
//! 1. *Screen.* A search over mixtures of threshold vectors on chains ([`Method`]), each tried by formulas
//!    ([`Decomposition`](crate::Decomposition)) in some microseconds. The best plans of the fluid relaxation (as if nothing
//!    waited, a linear program), simple plans (exit-last, prices of time up to exit-first; all chains alike, or one for
//!    each service), the incumbent, random plans and evolutions race: the better half goes on.
//! 2. *Referee.* What is left, with the incumbent, before a second evaluator with common random numbers. What it finds
//!    above the prediction of the screen tightens the limits that the screen keeps to, what it finds below loosens
//!    them, and each search goes on from where it is.
//! 3. *Finals.* The best are compared on arrivals that no search has seen, and whoever has won has to win again.
//! 4. *Publish.* The winner counts only if it [`beats`] the incumbent; a plan without incumbent is better than none.
//!
//! With more budget there are more and longer races, and finals on more arrivals.
//!
//! # Cost
//! See `docs/design/planner-search.md`.

mod calibrate;
mod candidate;
mod careful;
mod climb;
mod cma_es;
mod decide;
mod estimate;
mod explain;
mod finals;
mod fluid;
mod gradient;
mod lending;
mod pattern;
mod planned;
mod prices;
mod pricing;
mod race;
mod rate_table;
mod referee;
mod relaxation;
mod rivals;
mod screen;
mod search;
mod settle;
mod shift;
mod span;
mod starts;
mod ties;

pub use decide::held_out;
pub(crate) use estimate::{Estimate, pricers as pricers_of};
pub use explain::{Limit, Limiting, explain};
pub use planned::{HeldOut, Missed, Outcome, Planned, RunnerUp, Verdict};
pub(crate) use pricing::Pricer;
pub use rate_table::{RatePlan, ratios, window, with_rate_table};
pub use rivals::rivals;
pub use settle::{Settled, settle};
pub use span::{arrivals_for, arrivals_within, enough};

use domain::{Evaluation, EvaluationEffort, Evaluator, Plan, Policy, Problem};
use std::fmt;

#[cfg(doc)]
use domain::plan::beats;

/// What is to be planned, by whose word, and for how long.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// A problem that has passed its check.
    pub problem: &'a Problem,
    /// What is done now, if anything is.
    pub incumbent: Option<&'a Plan>,
    /// Plans that the referee looks at beside those of the search: what formulas cannot predict, such as tables over
    /// jobs present.
    pub rivals: &'a [Plan],
    /// Per service a policy that it keeps; empty where none does.
    pub fixed: &'a [Option<Policy>],
    /// Who has the last word.
    pub referee: &'a dyn Evaluator,
    /// How much the referee looks at for the final word (more where there are many services or the search goes on), and
    /// the seed of the search, from which those of the finals follow. Some 10,000 arrivals per service are the least
    /// that tells plans apart: in shorter runs queues that will overflow have not yet. Where jobs come in bursts it is
    /// raised, eight times at most, to some thousand bursts. Long looks have up to 32 replications. Its `stop` is asked by
    /// the referee only.
    pub effort: EvaluationEffort<'a>,
    /// When to end.
    pub budget: Budget<'a>,
    /// How to search.
    pub method: Method,
}

/// When planning ends. The best so far comes back.
#[derive(Clone, Copy, Default)]
pub struct Budget<'a> {
    /// Evaluations of the screen, at most. Without a limit it ends when nothing better is found any more.
    pub evaluations: Option<u64>,
    /// Says whether to stop now.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Says whether to stop what comes first now: a first race, since what it has found needs time to be looked at, or asking rivals for rows, since others
    /// have to be searched for. Where nobody says they end by themselves.
    pub first: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// How candidates are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// By prices per fragment, which give thresholds and mixtures.
    #[default]
    Prices,
    /// The same, but from the incumbent only: for a problem that is nearly the one that the incumbent was planned for.
    Near,
    /// Coordinate by coordinate, over prices of time per chain and chain scores.
    Pattern,
    /// An evolution strategy over thresholds and chain scores.
    Evolution,
}

/// A plan before the referee.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    pub(crate) plan: Plan,
    pub(crate) evaluation: Option<Evaluation>,
    pub(crate) is_incumbent: bool,
}

/// Plans. Never fails: where nothing better is found, or an evaluator cannot be trusted, the incumbent stays.
pub fn plan(request: &Request<'_>) -> Planned {
    search::plan(request, span::enough(request.problem, request.effort.arrivals))
}

impl Budget<'_> {
    pub(crate) fn is_over(&self, evaluations: u64) -> bool {
        self.evaluations.is_some_and(|most| evaluations >= most) || self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop())
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("evaluations", &self.evaluations).finish_non_exhaustive()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effort, budget, method, .. } = self;
        write!(f, "Request {{ effort: {effort:?}, budget: {budget:?}, method: {method:?} }}")
    }
}
