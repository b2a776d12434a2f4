//! Service times of the parts of a model, as measured on one machine.

use crate::{FragmentRange, Seconds};

/// Mean and variability of a service time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceTime {
    /// Mean.
    pub mean: Seconds,
    /// Squared coefficient of variation: variance ÷ mean².
    pub scv: f64,
}

/// Service times of every segment and every head of a model on the profiled machine.
///
/// The last exit is part of the last segment; its head counts zero.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTimes {
    /// One per segment.
    pub segments: Vec<ServiceTime>,
    /// One per exit.
    pub heads: Vec<ServiceTime>,
}

impl ServiceTimes {
    /// Time on the profiled machine for the first `segments_run` segments of `range` and the given heads.
    pub fn service(&self, range: FragmentRange, segments_run: usize, heads: impl Iterator<Item = usize>) -> Seconds {
        let segments: f64 = self.segments[range.first..range.first + segments_run].iter().map(|s| s.mean.get()).sum();
        let heads: f64 = heads.map(|head| self.heads[head].mean.get()).sum();
        Seconds::new(segments + heads).expect("a sum of durations is one")
    }
}
