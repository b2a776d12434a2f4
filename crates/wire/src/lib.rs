//! What two processes must agree on: the job protocol, documents, and metric names.
//!
//! * [`frame`]: the framed protocol by which a job travels from gateway to fragment to fragment, and its answer back.
//! * [`document`]: JSON documents: model, policy, telemetry, and what a process is started with.
//! * [`measurement`]: what jobs find out about models.
//! * [`metric`]: names of metrics.
//!
//! Nothing here does I/O or knows a clock.

pub mod document;
pub mod frame;
pub mod measurement;
pub mod metric;
