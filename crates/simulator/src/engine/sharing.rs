//! Egalitarian sharing of cores.

use super::heap::{Heap, Running};

/// Jobs that share evenly. Virtual time is the core time that each of them has received.
#[derive(Debug)]
pub(crate) struct Sharing {
    cores: f64,
    received: f64,
    at: f64,
    heap: Heap,
}

impl Sharing {
    pub(crate) fn new(cores: f64) -> Self {
        Self { cores, received: 0.0, at: 0.0, heap: Heap::default() }
    }

    fn rate(&self) -> f64 {
        (self.cores / self.heap.len() as f64).min(1.0)
    }

    fn advance(&mut self, now: f64) {
        if self.heap.len() == 0 {
            self.received = 0.0;
        } else {
            self.received += (now - self.at) * self.rate();
        }
        self.at = now;
    }

    pub(crate) fn start(&mut self, now: f64, job: u32, work: f64) -> f64 {
        self.advance(now);
        self.heap.push(Running { ends: self.received + work, job, work });
        self.next_end()
    }

    pub(crate) fn end(&mut self, now: f64) -> Running {
        let ended = self.heap.pop();
        // Not by `advance`: what is due has received its work exactly.
        (self.received, self.at) = (ended.ends, now);
        ended
    }

    pub(crate) fn next_end(&self) -> f64 {
        match self.heap.len() {
            0 => f64::INFINITY,
            _ => self.at + ((self.heap.next_end() - self.received) / self.rate()).max(0.0),
        }
    }
}
