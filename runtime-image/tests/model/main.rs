//! ONNX files: fragments against the whole network and against ONNX Runtime, refusals, inspection, measurements.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chain;
mod fashion;
mod inspection;
mod measurements;
mod refusals;
mod runs;
mod support;
