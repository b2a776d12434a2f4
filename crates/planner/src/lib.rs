//! Decides at which confidence jobs leave, which chains they take, and where fragments live.
//!
//! * [`schedule`]: the schedulers of the literature and better ones, each for one service, as policies.
//! * [`single`]: what computes them, for one station.
//! * [`plan`]: thresholds and chain probabilities of several services that share devices; [`with_rate_table`] for other
//!   rates than the forecast, [`explain`] for what limits them.
//! * [`placement`]: where fragments live, and which chains they form.
//! * [`Decomposition`]: predictions by formulas, for the search of the latter.
//! * [`checker`]: what is wrong with a plan, said by code that did not make it.

pub mod checker;
mod decomposition;
mod joint;
mod parallel;
pub mod placement;
mod schedule;
mod scheduler;
pub mod single;

pub use decomposition::Decomposition;
pub use joint::{
    Budget, HeldOut, Limit, Limiting, Method, Missed, Outcome, Planned, RatePlan, Request, RunnerUp, Settled, Verdict,
    arrivals_for, arrivals_within, enough, explain, held_out, plan, ratios, rivals, settle, window, with_rate_table,
};
pub use schedule::{DEFAULT_LOSS, MARGIN, ScheduleError, epoch_of, retuned, schedule};
pub use scheduler::{Scheduler, ThresholdSearch};
