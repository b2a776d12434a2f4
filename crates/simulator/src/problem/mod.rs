//! A problem with a plan as a network, and the simulation of it as an [`Evaluator`](domain::Evaluator).
//!
//! What processes do in local mode is what is simulated: fragments of a device share its cores, every fragment has memory
//! of its own, the next fragment reserves before the one before lets go, answers pay the latency of the links on their
//! way back.
//!
//! * [`network`]: the translation.
//! * [`Simulation`]: replications with common random numbers.

mod chains;
mod evaluator;
mod network;

pub use evaluator::Simulation;
pub use network::network;

use domain::Policy;
use std::sync::Arc;

/// What a gateway holds for a job beside its sample, in bytes.
pub const JOB_STATE: u64 = 4 * 1024;

/// What runs the policy of a gateway in one replication. The one place that knows how policies become schedulers.
fn scheduler(policy: &Arc<Policy>) -> Box<dyn policy::Scheduler> {
    Box::new(policy::Gatekeeper::new(Arc::clone(policy), 0.0))
}
