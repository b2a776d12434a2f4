//! Events without a slot of their own.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A lost job tries again.
    Retry { job: u32 },
    /// A gateway has heard that a first fragment is done with a job, and sends the next.
    Turn { gate: u32 },
    /// A device goes down or comes back.
    Outage { device: u32 },
    /// The controller looks at the run.
    Control,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: f64,
    number: u64,
    timer: Timer,
}

/// Timers in the order of time, first come first among equals.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Entry>,
    pushed: u64,
}

impl Timers {
    pub(crate) fn push(&mut self, time: f64, timer: Timer) {
        self.pushed += 1;
        self.heap.push(Entry { time, number: self.pushed, timer });
    }

    /// When the first is due; infinite when there is none.
    pub(crate) fn due(&self) -> f64 {
        self.heap.peek().map_or(f64::INFINITY, |entry| entry.time)
    }

    pub(crate) fn pop(&mut self) -> Timer {
        self.heap.pop().expect("the timers' slot is due only when one is").timer
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first.
        other.time.total_cmp(&self.time).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
