//! Seeded discrete-event simulation of services, chains and fragments on devices.
//!
//! A [`Network`] says what there is: devices, regions of memory, links, chains, schedulers, sources. An [`Effort`] says how
//! much to simulate. [`simulate`] gives a [`Report`]: rates, losses, times, accuracy, each with its confidence interval.
//! What is modelled, in which order events happen and how estimates are made is in `docs/design/simulation.md`.
//!
//! * Schedulers are those of the crate `policy`: what was simulated is what runs.
//! * [`Control`] looks at a run from time to time and may change it.
//! * [`form`] reads networks from JSON.
//! * [`problem`] makes networks of problems with plans, and an evaluator of the simulation.
//!
//! ```
//! use simulator::{
//!     Arrivals, Chain, Device, Discipline, Effort, Law, Network, Outages, Overflow, Region, Routing, Source, Step, Work,
//! };
//! // One core that serves a job in a second on average, room for five, a job every two seconds.
//! let network = Network {
//!     devices: vec![Device {
//!         name: "pi".into(),
//!         cores: 1.0,
//!         speed: 1.0,
//!         discipline: Discipline::Fcfs,
//!         outages: Outages::Never,
//!     }],
//!     regions: vec![Region { name: "pi".into(), budget: 5 }],
//!     chains: vec![Chain {
//!         name: "all".into(),
//!         priority: 0,
//!         overflow: Overflow::Drop,
//!         model: None,
//!         steps: vec![Step {
//!             device: 0,
//!             lane: 0,
//!             regions: vec![0],
//!             memory: 1,
//!             memory_after: 1,
//!             work: Work::Law(Law::Exponential { mean: 1.0 }),
//!             exit_probability: 1.0,
//!             link: None,
//!             transfer: 0,
//!         }],
//!     }],
//!     sources: vec![Source {
//!         name: "camera".into(),
//!         arrivals: Arrivals::Renewal(Law::Exponential { mean: 2.0 }),
//!         routing: Routing::Mixture(vec![(0, 1.0)]),
//!         deadline: None,
//!         retry: None,
//!     }],
//!     ..Network::default()
//! };
//! let report = simulator::simulate(&network, &Effort::arrivals(1, 200_000)).unwrap();
//! let loss = report.chains[0].fates.loss;
//! // Erlang: (1 − ρ) ρ⁵ ÷ (1 − ρ⁶) with ρ = 1/2.
//! assert!((loss.value - 1.0 / 63.0).abs() < 1.3 * loss.ci99);
//! ```

mod check;
mod control;
mod effort;
mod engine;
mod estimate;
pub mod form;
mod histogram;
mod law;
mod network;
pub mod problem;
mod random;
mod report;
mod run;
mod summary;
mod warmup;

pub use check::NetworkError;
pub use control::{Agreement, Control, Controller, Counts, MakeController, View};
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

pub use problem::Simulation;
pub use run::simulate;
