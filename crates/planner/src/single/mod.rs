//! What computes schedulers, for one station.
//!
//! A [`Station`] has room for K jobs and some [`Mode`]s to treat them: exits ([`modes`]), or threshold vectors on the
//! accuracy–time [`frontier`]. On it work
//!
//! * [`knapsack`]: how many of the jobs present may go how far until memory is full;
//! * [`mixture`]: the mixture of modes whose exact loss is on target, and [`published`], its published approximation;
//! * [`data_driven`]: one threshold vector per arrival rate;
//! * [`adaee`]: arms and costs of a bandit;
//! * [`smdp`]: the optimal table over jobs present, and [`bursts`], the same where jobs arrive in bursts;
//! * [`tracking`]: confidences as they are observed instead of accuracies of the exit table.
//!
//! [`reduce`] makes stations of the chains of a service; [`embedded`] says exactly what any table does. From a problem
//! to a policy: [`crate::schedule`].

pub mod adaee;
mod balance;
pub mod bursts;
pub mod data_driven;
pub mod embedded;
pub mod frontier;
pub mod gaussian_process;
pub mod knapsack;
pub mod mixture;
pub mod modes;
pub mod published;
pub mod reduce;
pub mod smdp;
pub(crate) mod solve;
mod station;
pub mod tracking;

pub use embedded::{Performance, Table, performance};
pub use station::{Mode, Rated, Station};
