//! How cores are given to jobs: one state machine per discipline.

use super::job::NONE;
use crate::network::{Discipline, Lane};

/// A job that is being served by a core of its own, or that shares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    /// When it ends: in ticks, or in the virtual time of those it shares with.
    ends: f64,
    pub(crate) job: u32,
    /// Core time it needs, in ticks.
    pub(crate) work: f64,
}

/// A small set of running jobs, the one that ends first on top: a binary heap, first come first among equals.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    items: Vec<(Running, u64)>,
    pushed: u64,
}

/// The cores of a device.
#[derive(Debug)]
pub(crate) enum Station {
    /// One core for one job at a time.
    Single { running: u32, work: f64 },
    /// Several cores, each for one job at a time.
    Multi { free: u32, heap: Heap },
    /// Egalitarian sharing.
    Ps(Sharing),
    /// Lanes.
    Pods(Pods),
}

/// Jobs that share evenly. Virtual time is the core time that each of them has received.
#[derive(Debug)]
pub(crate) struct Sharing {
    cores: f64,
    received: f64,
    at: f64,
    heap: Heap,
}

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

impl Station {
    pub(crate) fn new(discipline: &Discipline, cores: f64) -> Self {
        match discipline {
            Discipline::Fcfs | Discipline::Hol if cores == 1.0 => Station::Single { running: NONE, work: 0.0 },
            Discipline::Fcfs | Discipline::Hol => Station::Multi { free: cores as u32, heap: Heap::default() },
            Discipline::Ps => Station::Ps(Sharing { cores, received: 0.0, at: 0.0, heap: Heap::default() }),
            Discipline::Pods(lanes) => Station::Pods(Pods::new(cores, lanes)),
        }
    }

    /// Whether a job that comes to this lane now is served at once.
    #[inline(always)]
    pub(crate) fn has_room(&self, lane: u32) -> bool {
        match self {
            Station::Single { running, .. } => *running == NONE,
            Station::Multi { free, .. } => *free > 0,
            Station::Ps(_) => true,
            Station::Pods(pods) => pods.has_room(lane),
        }
    }

    /// A job begins to be served. Gives when the station's next job ends.
    #[inline(always)]
    pub(crate) fn start(&mut self, now: f64, job: u32, lane: u32, work: f64) -> f64 {
        match self {
            Station::Single { running, work: of_running } => {
                (*running, *of_running) = (job, work);
                now + work
            }
            Station::Multi { free, heap } => {
                *free -= 1;
                heap.push(Running { ends: now + work, job, work });
                heap.next_end()
            }
            Station::Ps(sharing) => sharing.start(now, job, work),
            Station::Pods(pods) => pods.start(now, job, lane, work),
        }
    }

    /// The job that ends now is served: it leaves its core, unless the core is kept blocked.
    #[inline(always)]
    pub(crate) fn end(&mut self, now: f64) -> Running {
        match self {
            Station::Single { running, work } => {
                let job = std::mem::replace(running, NONE);
                Running { ends: now, job, work: *work }
            }
            Station::Multi { free, heap } => {
                *free += 1;
                heap.pop()
            }
            Station::Ps(sharing) => sharing.end(now),
            Station::Pods(pods) => pods.end(now),
        }
    }

    /// When the next job ends.
    pub(crate) fn next_end(&self, now: f64) -> f64 {
        match self {
            Station::Single { running: NONE, .. } => f64::INFINITY,
            Station::Single { work, .. } => now + work,
            Station::Multi { heap, .. } => heap.next_end(),
            Station::Ps(sharing) => sharing.next_end(),
            Station::Pods(pods) => pods.next_end(),
        }
    }

    /// A job whose service has ended keeps its core until the next region has room. Only for `fcfs` and `hol`.
    pub(crate) fn block(&mut self, job: u32) {
        match self {
            Station::Single { running, work } => (*running, *work) = (job, f64::INFINITY),
            Station::Multi { free, .. } => *free -= 1,
            Station::Ps(_) | Station::Pods(_) => unreachable!("networks that block with shared cores are refused"),
        }
    }

    /// A blocked job leaves its core.
    pub(crate) fn unblock(&mut self) {
        match self {
            Station::Single { running, .. } => *running = NONE,
            Station::Multi { free, .. } => *free += 1,
            Station::Ps(_) | Station::Pods(_) => unreachable!("networks that block with shared cores are refused"),
        }
    }

    /// All jobs lose their cores: the device goes down.
    pub(crate) fn clear(&mut self, discipline: &Discipline, cores: f64) {
        *self = Station::new(discipline, cores);
    }
}

impl Heap {
    #[inline]
    fn next_end(&self) -> f64 {
        self.items.first().map_or(f64::INFINITY, |(running, _)| running.ends)
    }

    fn push(&mut self, running: Running) {
        self.pushed += 1;
        self.items.push((running, self.pushed));
        let mut child = self.items.len() - 1;
        while child > 0 && self.before(child, (child - 1) / 2) {
            self.items.swap(child, (child - 1) / 2);
            child = (child - 1) / 2;
        }
    }

    fn pop(&mut self) -> Running {
        let (top, _) = self.items.swap_remove(0);
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            let mut first = parent;
            if left < self.items.len() && self.before(left, first) {
                first = left;
            }
            if right < self.items.len() && self.before(right, first) {
                first = right;
            }
            if first == parent {
                return top;
            }
            self.items.swap(parent, first);
            parent = first;
        }
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.items[a], &self.items[b]);
        a.0.ends < b.0.ends || (a.0.ends == b.0.ends && a.1 < b.1)
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

impl Sharing {
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

    fn start(&mut self, now: f64, job: u32, work: f64) -> f64 {
        self.advance(now);
        self.heap.push(Running { ends: self.received + work, job, work });
        self.next_end()
    }

    fn end(&mut self, now: f64) -> Running {
        let ended = self.heap.pop();
        // Not by `advance`: what is due has received its work exactly.
        (self.received, self.at) = (ended.ends, now);
        ended
    }

    fn next_end(&self) -> f64 {
        match self.heap.len() {
            0 => f64::INFINITY,
            _ => self.at + ((self.heap.next_end() - self.received) / self.rate()).max(0.0),
        }
    }
}

impl Pods {
    fn new(cores: f64, lanes: &[Lane]) -> Self {
        let lane = |lane: &Lane| LaneState {
            lane: lane.clone(),
            received: 0.0,
            rate: 0.0,
            settled: true,
            heap: Heap::default(),
        };
        Self { cores, at: 0.0, lanes: lanes.iter().map(lane).collect() }
    }

    fn has_room(&self, lane: u32) -> bool {
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

    fn start(&mut self, now: f64, job: u32, lane: u32, work: f64) -> f64 {
        self.advance(now);
        let lane = &mut self.lanes[lane as usize];
        lane.heap.push(Running { ends: lane.received + work, job, work });
        self.fill();
        self.next_end()
    }

    fn end(&mut self, now: f64) -> Running {
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

    fn next_end(&self) -> f64 {
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
