//! A directed link between two devices.

use crate::{Bytes, Seconds};

/// A directed link: one first-come-first-served station with a bandwidth, followed by a latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Bytes per second; infinite when the link is not limited.
    pub bytes_per_second: f64,
    /// Time from the last byte sent to the last byte received.
    pub latency: Seconds,
}

impl Link {
    /// How long the link is busy with `size`; the latency comes on top and does not occupy it.
    pub fn transmission(&self, size: Bytes) -> Seconds {
        Seconds::new(size.0 as f64 / self.bytes_per_second).expect("a bandwidth is positive, so the time is finite")
    }
}
