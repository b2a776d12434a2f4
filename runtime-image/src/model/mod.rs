//! Early-exit networks in ONNX files: loading, cutting into fragments, running them, and measuring them.
//!
//! Everything is synchronous and uses one thread. A [`Network`] is read once, gives out [`Fragment`]s, and can then be
//! dropped: a fragment keeps the weights of its own segments only.

mod error;
mod fragment;
mod graph;
mod inspect;
mod load;
mod measure;
mod network;
mod partition;
mod proto;
mod refuse;
mod run;

pub use error::{ModelError, Refusal, RunError};
pub use fragment::Fragment;
pub use inspect::{CutInspection, ExitInspection, ExitScores, Inspection, SegmentInspection, inspect};
pub use measure::{MeasureError, Memory, Samples, exit_table, profile, resident_memory_bytes};
pub use network::{Network, Whole, read_description};
pub use run::{Evaluated, Features, Run, Worker};
