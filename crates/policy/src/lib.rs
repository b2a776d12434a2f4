//! What a gateway does with each job: which chain it takes, where it may leave, and how fast jobs arrive.
//!
//! Pure: time and randomness are arguments. The same code is driven by a gateway and by the simulator, so that what was
//! simulated is what runs.
//!
//! * [`read`]: a policy document (its outer form, in `wire`) as a checked [`domain::Policy`].
//! * [`Router`]: the decisions of a policy, at both epochs.
//! * [`Scheduler`]: what decides about jobs, a policy or anything that keeps state and learns.
//! * [`RateEstimator`]: arrivals per second over a sliding window.

mod document;
mod rate;
mod router;
mod scheduler;

pub use document::{Deployed, DocumentError, Place, read};
pub use rate::RateEstimator;
pub use router::{Router, Selected};
pub use scheduler::{Arriving, Dispatching, End, Outcome, Scheduler};
