//! Seeded discrete-event simulation of services, chains and fragments on devices.

mod check;
mod control;
mod effort;
mod engine;
mod estimate;
pub mod form;
mod histogram;
mod law;
mod network;
mod random;
mod report;
mod run;
mod summary;
mod warmup;

pub use check::NetworkError;
pub use control::{Control, Controller, Counts, MakeController, View};
pub use effort::{Effort, Precision, Progress};
pub use law::Law;
pub use network::{
    Arrivals, Chain, Device, Discipline, Handover, Lane, Link, MakeScheduler, Model, Network, Outages, Overflow,
    Region, Retry, Routing, Scheduling, Source, Step, Work,
};
pub use report::{
    ChainReport, DeviceReport, Ended, Estimate, Failure, Fate, Fates, Interval, JobRecord, LinkReport, Quantiles,
    Report, RunReport, Series, SourceReport, StepReport,
};

pub use run::simulate;
