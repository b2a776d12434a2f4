//! How cores are given to jobs: one state machine per discipline.

use super::heap::{Heap, Running};
use super::job::NONE;
use super::pods::Pods;
use super::sharing::Sharing;
use crate::network::Discipline;

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

impl Station {
    pub(crate) fn new(discipline: &Discipline, cores: f64) -> Self {
        match discipline {
            Discipline::Fcfs | Discipline::Hol if cores == 1.0 => Station::Single { running: NONE, work: 0.0 },
            Discipline::Fcfs | Discipline::Hol => Station::Multi { free: cores as u32, heap: Heap::default() },
            Discipline::Ps => Station::Ps(Sharing::new(cores)),
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
