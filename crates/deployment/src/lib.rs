//! What manifests come to: which processes there are, what is planned for, where fragments live, and what is decided.
//!
//! `eenn plan` on a laptop and the operator in a cluster call these functions. Nothing here reads files or starts anything, and
//! time comes in as a function.
//!
//! * [`cluster`]: objects of an API server as manifests. [`known`]: what of them was measured.
//! * [`deploy`]: manifests with all their chains as documents of processes.
//! * [`Models`], [`model`] and [`Outline`]: what is known of models, whoever has read it.
//! * [`problem()`]: both together as what is planned for.
//! * [`sound()`]: what is left where something is wrong with a service.
//! * [`placement`]: chains for services of strategy Auto.
//! * [`decide()`], [`replan`] and [`retune`]: policies for all services, at first and while gateways serve; [`predict`] says what
//!   they will do.
//! * [`Mind`]: the drift loop with all of this behind it.
//! * [`spec`]: all of it as an EENNPlan. [`read_back`]: the way back.

pub mod cluster;
mod decide;
mod deploy;
mod documents;
mod in_force;
pub mod known;
mod lost;
mod mind;
mod model;
pub mod placement;
mod predict;
mod problem;
mod sound;
mod spec;
#[cfg(test)]
mod tests;

pub use decide::{Ask, Clock, Found, Replanned, Undecided, decide, replan, retune, tracks_confidence};
pub use deploy::{Deployment, ServicePlan, SourcePlan, deploy};
pub use in_force::{keep, read_back, with_chains, with_forecast};
pub use lost::without_nodes;
pub use mind::{Change, Conclusion, Mind};
pub use model::{Judge, Models, Outline, model};
pub use predict::{Look, Prediction, judge, misses, predict};
pub use problem::{problem, targets};
pub use sound::{Sound, sound, with_services};
pub use spec::{Decided, chains, choices, forecast, metrics, missed, spec};

/// Why something cannot be planned or served, for whoever wrote the manifests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
