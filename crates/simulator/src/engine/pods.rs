//! Lanes that share the cores of a device by water-filling.

use super::heap::{Heap, Running};
use crate::network::Lane;

/// Lanes that share cores by water-filling on their requests.
#[derive(Debug)]
pub(crate) struct Pods {
    cores: f64,
    at: f64,
    lanes: Vec<LaneState>,
}

#[derive(Debug)]
struct LaneState {
    lane: Lane,
    /// Core time that each running job has received since the lane was last empty, in ticks.
    received: f64,
    /// Cores that each running job gets.
    rate: f64,
    /// For the water-filling.
    settled: bool,
    heap: Heap,
}

impl Pods {
    pub(crate) fn new(cores: f64, lanes: &[Lane]) -> Self {
        let lane = |lane: &Lane| LaneState {
            lane: lane.clone(),
            received: 0.0,
            rate: 0.0,
            settled: true,
            heap: Heap::default(),
        };
        Self { cores, at: 0.0, lanes: lanes.iter().map(lane).collect() }
    }

    pub(crate) fn has_room(&self, lane: u32) -> bool {
        let lane = &self.lanes[lane as usize];
        lane.heap.len() < lane.lane.workers as usize
    }

    fn advance(&mut self, now: f64) {
        for lane in &mut self.lanes {
            if lane.heap.len() == 0 {
                lane.received = 0.0;
            } else {
                lane.received += (now - self.at) * lane.rate;
            }
        }
        self.at = now;
    }

    pub(crate) fn start(&mut self, now: f64, job: u32, lane: u32, work: f64) -> f64 {
        self.advance(now);
        let lane = &mut self.lanes[lane as usize];
        lane.heap.push(Running { ends: lane.received + work, job, work });
        self.fill();
        self.next_end()
    }

    pub(crate) fn end(&mut self, now: f64) -> Running {
        let due = self.first_lane();
        self.advance(now);
        let lane = &mut self.lanes[due];
        let ended = lane.heap.pop();
        lane.received = ended.ends;
        self.fill();
        ended
    }

    fn end_of(&self, lane: &LaneState) -> f64 {
        match lane.heap.len() {
            0 => f64::INFINITY,
            _ => self.at + ((lane.heap.next_end() - lane.received) / lane.rate).max(0.0),
        }
    }

    fn first_lane(&self) -> usize {
        let mut first = (f64::INFINITY, 0);
        for (index, lane) in self.lanes.iter().enumerate() {
            let end = self.end_of(lane);
            if end < first.0 {
                first = (end, index);
            }
        }
        first.1
    }

    pub(crate) fn next_end(&self) -> f64 {
        self.lanes.iter().map(|lane| self.end_of(lane)).fold(f64::INFINITY, f64::min)
    }

    /// Divides the cores between busy lanes in proportion to requests, none above its limit or its busy workers; what a
    /// capped lane leaves goes to the others.
    fn fill(&mut self) {
        let (mut left, mut weights) = (self.cores, 0.0);
        for lane in &mut self.lanes {
            lane.settled = lane.heap.len() == 0;
            weights += if lane.settled { 0.0 } else { lane.lane.request };
        }
        loop {
            let (share, mut capped) = (left / weights, false);
            for lane in self.lanes.iter_mut().filter(|lane| !lane.settled) {
                let jobs = lane.heap.len() as f64;
                let cap = lane.lane.limit.min(jobs);
                lane.rate = share * lane.lane.request / jobs;
                if share * lane.lane.request >= cap {
                    lane.rate = cap / jobs;
                    lane.settled = true;
                    capped = true;
                    left -= cap;
                    weights -= lane.lane.request;
                }
            }
            if !capped || weights <= 1e-12 {
                return;
            }
        }
    }
}
