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

mod evaluator;
mod exit_evaluator;
mod exit_table;
mod link;
mod model;
pub mod plan;
mod policy;
pub mod problem;
mod profile;
mod thresholds;
mod units;

pub use evaluator::{Evaluation, EvaluationEffort, Evaluator, ServiceMetrics, Unsupported};
pub use exit_evaluator::{ExitBehaviour, ExitEvaluator};
pub use exit_table::{ExitTable, ExitTableError};
pub use link::Link;
pub use model::{Confidence, Exit, ExitOutput, FragmentRange, Model, ModelError, Softmax};
pub use plan::{Plan, Score};
pub use policy::{
    AdaEE, Chain, Choice, Epoch, Learning, Lottery, Measured, Mixture, Overflow, Policy, PolicyError, RateRow,
    RateTable,
};
pub use problem::Problem;
pub use profile::{ServiceTime, ServiceTimes};
pub use thresholds::{Thresholds, ThresholdsError};
pub use units::{Bytes, PerSecond, Probability, Seconds, UnitError};
