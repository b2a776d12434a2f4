//! The data plane: fragments that serve slices of a model, and the gateways that jobs arrive at.
//!
//! * [`model`]: ONNX files through tract: loading, slicing, running, inspecting, profiling.
//! * [`oip`]: the Open Inference Protocol, version 2, as pure functions.
//! * [`command`]: the subcommands of `eenn-runtime`, also used by `eenn`.
//! * [`fragment`] and [`gateway`]: the two kinds of processes.
//!
//! Jobs travel from gateway to fragment to fragment over the protocol in `wire`; thresholds and route travel with them.

pub mod command;
pub mod fragment;
pub mod gateway;
pub mod model;
pub mod oip;

mod control;
mod executor;
mod exit_table;
mod fetch;
mod handover;
mod hop;
mod measurement;
mod memory;
mod process;
mod secure;
mod timer;
