//! Jobs, and the lists they wait in. A list is threaded through the jobs, so that nothing is allocated once there have
//! been as many jobs at a time as there ever will be.

use crate::random::{Draws, Key, Purpose};

/// No job.
pub(crate) const NONE: u32 = u32::MAX;

/// Jobs in one replication at a time; a run with more is ended. They would take 100 MB.
const MOST_JOBS: usize = 1_000_000;

/// What every event touches of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// When it was admitted to its present step, in ticks; on a link: when the service before ended.
    pub(crate) entered: f64,
    /// When it first arrived, in ticks.
    pub(crate) arrived: f64,
    /// Its random numbers.
    pub(crate) key: Key,
    /// Its step, counted over all chains.
    pub(crate) step: u32,
    /// Where the cell of (batch, stream, step) is.
    pub(crate) cell: u32,
    /// Where the head of (batch, stream) is.
    pub(crate) head: u32,
    /// The slot of its batch.
    pub(crate) batch: u32,
    /// The next one in its list.
    pub(crate) next: u32,
    /// Its stream: source and chain.
    pub(crate) stream: u32,
    /// Attempts before this one.
    pub(crate) attempt: u32,
    pub(crate) state: State,
    /// Its latency counts: it did not arrive during the warm-up.
    pub(crate) measured: bool,
    /// Holds a turn at the gate of its chain.
    pub(crate) turn: bool,
    /// Is at, or on its way from, its gateway.
    pub(crate) at_gateway: bool,
    /// Holds memory of its gateway.
    pub(crate) gated: bool,
    /// It is an audit that has been answered: only its way on is left.
    pub(crate) ghost: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not in use.
    Free,
    /// In the queue of a gateway.
    AtGate,
    /// At a device, waiting.
    Waiting,
    /// At a device, in service.
    Served,
    /// At a device whose service has ended, waiting for memory at the next.
    Blocked,
    /// In the queue of a link.
    Queued,
    /// On its way over a link; its step is already the next one.
    Transit,
    /// Lost, and about to try again.
    Retrying,
}

/// What is decided about a job that serves a model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decision {
    /// The exit it takes.
    pub(crate) exit: u32,
    /// Its row of the exit table.
    pub(crate) sample: u32,
    /// Exits whose heads are computed on the way, as bits.
    pub(crate) open: u64,
    /// What the scheduler calls it.
    pub(crate) tag: u32,
    /// Runs on to the last exit.
    pub(crate) audit: bool,
}

/// All jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// As long as `jobs` where schedulers decide, else empty.
    pub(crate) decisions: Vec<Decision>,
    decide: bool,
    free: u32,
}

/// First come, first served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    pub(crate) len: u32,
}

impl Job {
    /// The random numbers of a purpose at a step, other ones at each attempt.
    #[inline(always)]
    pub(crate) fn draws(&self, step: u32, purpose: Purpose) -> Draws {
        self.key.draws(u64::from(step) | u64::from(self.attempt) << 32, purpose)
    }
}

impl Jobs {
    pub(crate) fn new(decide: bool) -> Self {
        Self { decide, free: NONE, ..Self::default() }
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, job: Job) -> u32 {
        let id = self.free;
        if id != NONE {
            let place = &mut self.jobs[id as usize];
            self.free = place.next;
            *place = job;
            return id;
        }
        self.grow(job)
    }

    #[cold]
    fn grow(&mut self, job: Job) -> u32 {
        self.jobs.push(job);
        if self.decide {
            self.decisions.push(Decision::default());
        }
        (self.jobs.len() - 1) as u32
    }

    #[inline(always)]
    pub(crate) fn remove(&mut self, id: u32) {
        let job = &mut self.jobs[id as usize];
        job.next = self.free;
        job.state = State::Free;
        self.free = id;
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> &Job {
        &self.jobs[id as usize]
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, id: u32) -> &mut Job {
        &mut self.jobs[id as usize]
    }

    pub(crate) fn decisions_mut(&mut self, id: u32) -> &mut Decision {
        &mut self.decisions[id as usize]
    }

    /// Whether there are more jobs at a time than are simulated.
    pub(crate) fn is_too_many(&self) -> bool {
        self.jobs.len() > MOST_JOBS
    }

    /// Ids of all jobs in use that fit.
    pub(crate) fn find(&self, fits: impl Fn(&Job) -> bool) -> Vec<u32> {
        let in_use = |id: &u32| self.get(*id).state != State::Free && fits(self.get(*id));
        (0..self.jobs.len() as u32).filter(in_use).collect()
    }
}

impl List {
    pub(crate) const EMPTY: List = List { head: NONE, tail: NONE, len: 0 };

    #[inline(always)]
    pub(crate) fn push(&mut self, jobs: &mut Jobs, id: u32) {
        jobs.get_mut(id).next = NONE;
        if self.tail == NONE {
            self.head = id;
        } else {
            jobs.get_mut(self.tail).next = id;
        }
        self.tail = id;
        self.len += 1;
    }

    #[inline(always)]
    pub(crate) fn first(&self) -> u32 {
        self.head
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self, jobs: &Jobs) -> u32 {
        let id = self.head;
        if id != NONE {
            self.head = jobs.get(id).next;
            if self.head == NONE {
                self.tail = NONE;
            }
            self.len -= 1;
        }
        id
    }

    /// Takes out what does not fit, and keeps the order of the others.
    pub(crate) fn retain(&mut self, jobs: &mut Jobs, fits: impl Fn(&Job) -> bool) {
        let mut kept = List::EMPTY;
        let mut id = self.head;
        while id != NONE {
            let next = jobs.get(id).next;
            if fits(jobs.get(id)) {
                kept.push(jobs, id);
            }
            id = next;
        }
        *self = kept;
    }
}
