//! What a gateway does with each job: which chain it takes, where it may leave, and how fast jobs arrive.
//!
//! Pure: time and randomness are arguments. The same code is driven by a gateway and by the simulator, so that what was
//! simulated is what runs.
//!
//! * [`read`] and [`write()`]: a policy document (its outer form, in `wire`) as a checked [`domain::Policy`], and back.
//! * [`Scheduler`]: what decides about jobs, for those who drive it.
//! * [`Gatekeeper`]: the scheduler that runs a policy: its mixtures, its tables over rates (with [`RateEstimator`] or a
//!   filter for the phase of a burst) and over jobs present, and its learners (Reactive, AdaEE).

mod adaee;
mod document;
mod draw;
mod gatekeeper;
mod memory;
mod phases;
mod rate;
mod reactive;
mod rows;
mod scheduler;

pub use document::{Deployed, DocumentError, Place, read, write};
pub use gatekeeper::Gatekeeper;
pub use phases::PhaseFilter;
pub use rate::RateEstimator;
pub use rows::RowInForce;
pub use scheduler::{Arriving, Dispatching, End, Outcome, Scheduler, Selected};
