//! What is fuzzed, compiled without the crates around it.

/// Bodies of inference requests.
#[path = "../../runtime-image/src/oip/mod.rs"]
pub mod oip;
