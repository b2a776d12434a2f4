//! Queueing formulas for stations of finite capacity, and for networks of them.
//!
//! A job that finds a station full is lost; a station's capacity K counts the jobs in service. All functions are pure,
//! take plain numbers and refuse those that make no sense with an [`ArgumentError`] that names the argument. Times are
//! in any unit, the same throughout a call; rates in its inverse.
//!
//! ```
//! use queueing::{Law, Service, mg1k};
//!
//! // Six of ten jobs leave at an early exit.
//! let service = Service::new([(0.6, Law::deterministic(0.01)?), (0.4, Law::log_normal(0.08, 0.3)?)])?;
//! let metrics = mg1k::solve(20.0, &service, 11)?.metrics;
//! assert!(metrics.loss < 0.02);
//! # Ok::<(), queueing::ArgumentError>(())
//! ```
//!
//! | station | module | |
//! |---|---|---|
//! | one core, any service | [`mg1k`] | exact |
//! | the same, bursty arrivals | [`map`] | exact |
//! | several cores | [`mmck`] | exact for exponential service, approximate for other |
//! | processor sharing | [`ps`] | exact for any service |
//! | two priority classes | [`hol`] | exact for exponential service |
//! | shared memory, no waiting | [`kaufman_roberts`] | exact for any service |
//! | the published baseline for one core | [`smith`] | approximate |
//! | **network** of chains | [`decomposition`] | approximate, for screening |

mod counts;
pub mod decomposition;
mod error;
pub mod hol;
pub mod kaufman_roberts;
pub mod map;
pub mod mg1k;
pub mod mmck;
mod numeric;
mod phased;
pub mod ps;
mod service;
pub mod smith;
mod solution;

pub use counts::ArrivalCounts;
pub use error::{ArgumentError, MOST_JOBS, PROBABILITY_TOLERANCE};
pub use phased::{PhasedArrivals, PhasedCounts};
pub use service::{Law, Service};
pub use solution::{Metrics, Solution};
