//! `eenn up`: serve manifests on this machine, with emulated devices, and drive load through them.
//!
//! * [`options`]: the options and what they mean.
//! * [`drive`]: those of them that a simulation understands as well; [`deciding`]: those that a planner understands.
//! * [`samples`]: what load carries, and the request that a user can try.
//! * [`local`]: the processes.
//! * [`follow`]: new plans when the load drifts.
//! * [`compare`]: what would have been without them.
//! * [`board`]: what is known of them while they run.
//! * [`run`]: all of it, from the start to the summary.

mod board;
mod compare;
mod deciding;
mod drive;
mod follow;
mod local;
mod options;
mod run;
mod samples;

pub(crate) use compare::Reoptimization;
pub(crate) use deciding::Deciding;
pub(crate) use drive::Drive;
pub(crate) use options::Options;
pub(crate) use run::sources;
