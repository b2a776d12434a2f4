//! Decides at which confidence jobs leave and which chains they take.
//!
//! * [`schedule`]: the schedulers of the literature and better ones, each for one service, as policies.
//! * `single`: what computes them, for one station.

mod schedule;
mod scheduler;
pub mod single;

pub use schedule::{ScheduleError, schedule};
pub use scheduler::{Scheduler, ThresholdSearch};
