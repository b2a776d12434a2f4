//! The words of the field as plain values: thresholds, exits, models, links, policies.
//!
//! No serde, no tokio, no clock: what is stored or sent has its own type in `wire` or `api` and is read into these
//! values once, at the edge. Behind that line nothing is checked again.
//!
//! ```
//! use domain::Thresholds;
//! let thresholds = Thresholds::new(vec![0.7, 1.0]).unwrap();
//! assert!(thresholds.leaves(0, 0.71));
//! assert!(!thresholds.is_open(1), "a threshold of 1 closes the exit: its head is not computed");
//! assert!(thresholds.leaves(2, 0.0), "the last exit always answers");
//! ```

mod exit_table;
mod link;
mod model;
mod policy;
mod profile;
mod thresholds;
mod units;

pub use exit_table::{ExitTable, ExitTableError};
pub use link::Link;
pub use model::{Confidence, Exit, ExitOutput, FragmentRange, Model, ModelError, Softmax};
pub use policy::{Chain, Choice, Epoch, Mixture, Overflow, Policy, PolicyError};
pub use profile::{ServiceTime, ServiceTimes};
pub use thresholds::{Thresholds, ThresholdsError};
pub use units::{Bytes, PerSecond, Probability, Seconds, UnitError};
