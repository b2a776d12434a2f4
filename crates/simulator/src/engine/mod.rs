//! One replication: a discrete-event simulation that can be run on, batch by batch.
//!
//! Events are at fixed slots of a [`Calendar`]: one per device, two per link, one for all timers, one per source. Ties
//! are broken in that order, so departures come before arrivals.

mod arrivals;
mod calendar;
mod control;
mod decide;
mod ends;
mod flow;
mod gate;
mod heap;
mod job;
mod link;
mod memory;
mod outage;
pub(crate) mod plan;
mod pods;
pub(crate) mod record;
mod sharing;
mod station;
pub(crate) mod ticks;
mod timers;

use crate::histogram::Histogram;
use crate::network::{Network, Routing};
use crate::random::{Key, Purpose};
use crate::report::{Fate, JobRecord};
use arrivals::Stream;
use calendar::Calendar;
use gate::Gate;
use job::{Job, Jobs, List, NONE, State};
use link::LinkState;
use plan::Plan;
use record::{Record, head};
use station::Station;
use timers::{Timer, Timers};

pub(crate) use control::Watch;
pub(crate) use decide::MOST_EXITS;

/// One replication.
pub(crate) struct Engine<'a> {
    plan: &'a Plan,
    network: &'a Network,
    now: f64,
    pub(crate) events: u64,
    /// Events at the next look at limits.
    look: u64,
    calendar: Calendar,
    slots: Slots,
    stations: Vec<Station>,
    queues: Vec<List>,
    up: Vec<bool>,
    /// How often each device has gone down or come back.
    changes: Vec<u32>,
    regions: Vec<Region>,
    links: Vec<LinkState>,
    gates: Vec<Gate>,
    schedulers: Vec<Box<dyn policy::Scheduler>>,
    /// Kept from outcome to outcome, so that none allocates.
    evaluated: Vec<(usize, f32)>,
    jobs: Jobs,
    streams: Vec<Stream>,
    /// The key of the job that arrives next, per source.
    next_keys: Vec<Key>,
    timers: Timers,
    key: Key,
    pub(crate) record: Record,
    /// Latencies per stream, of the jobs of all but the first batches.
    pub(crate) latencies: Vec<Histogram>,
    /// Batches whose latencies do not count.
    unmeasured: u32,
    /// Regions with blocked jobs in which memory became free.
    freed: Vec<u32>,
    /// Gates at which a turn became free.
    turns: Vec<u32>,
    pub(crate) watch: Watch,
    /// The first jobs, if they are wanted.
    pub(crate) trace: Vec<JobRecord>,
    trace_len: usize,
}

/// A budget of memory and who waits for it.
#[derive(Debug)]
struct Region {
    used: u64,
    budget: u64,
    /// Jobs that keep their core until there is room, in the order in which they were blocked.
    blocked: List,
}

/// Where slots begin.
#[derive(Debug, Clone, Copy)]
struct Slots {
    links: u32,
    arrivals: u32,
    timers: u32,
    sources: u32,
    end: u32,
}

/// How far to run.
#[derive(Clone, Copy)]
pub(crate) struct Until<'a> {
    /// Batches closed.
    pub(crate) batches: u32,
    /// Events in this replication.
    pub(crate) events: u64,
    pub(crate) stop: &'a (dyn Fn() -> bool + Sync),
}

/// Events between two looks at the stop callback.
const LOOK: u64 = 1 << 16;

impl<'a> Engine<'a> {
    pub(crate) fn new(network: &'a Network, plan: &'a Plan, setup: &Setup, replication: u32) -> Self {
        let slots = Slots::new(plan);
        let key = Key::new(setup.seed, replication);
        let mut engine = Self {
            plan,
            network,
            now: 0.0,
            events: 0,
            look: LOOK,
            calendar: Calendar::new(slots.end as usize),
            slots,
            stations: plan.stations.iter().map(|station| Station::new(&station.discipline, station.cores)).collect(),
            queues: vec![List::EMPTY; plan.queues],
            up: vec![true; plan.stations.len()],
            changes: vec![0; plan.stations.len()],
            regions: plan.budgets.iter().map(|&budget| Region { used: 0, budget, blocked: List::EMPTY }).collect(),
            links: plan.links.iter().map(|_| LinkState::default()).collect(),
            gates: plan.gates.iter().map(|_| Gate::default()).collect(),
            schedulers: network.schedulers.iter().map(|scheduling| (scheduling.make)(replication)).collect(),
            evaluated: Vec::with_capacity(MOST_EXITS),
            jobs: Jobs::new(!network.schedulers.is_empty()),
            streams: vec![],
            next_keys: vec![Key::default(); plan.sources.len()],
            timers: Timers::default(),
            key,
            record: Record::new(plan, setup.batch_len, setup.warmup),
            latencies: vec![Histogram::default(); plan.streams.len()],
            unmeasured: u32::from(setup.warmup > 0),
            freed: vec![],
            turns: vec![],
            watch: Watch::new(network, plan, setup.series, replication),
            trace: vec![],
            trace_len: if replication == 0 { setup.trace } else { 0 },
        };
        engine.start();
        engine
    }

    /// Groups of jobs that count.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &record::Group> {
        self.record.measured()
    }

    fn start(&mut self) {
        for (number, source) in self.plan.sources.iter().enumerate() {
            self.streams.push(Stream::new(&source.arrivals, self.key.child(number as u64)));
            self.schedule_arrival(number);
        }
        for device in 0..self.plan.stations.len() {
            self.schedule_outage(device as u32);
        }
        self.watch.schedule(&mut self.timers);
        self.calendar.set(self.slots.timers, self.timers.due());
    }

    /// Runs on until as many batches are closed, and says whether that was reached.
    pub(crate) fn run(&mut self, until: Until<'_>) -> bool {
        while self.record.closed() < until.batches {
            let (slot, time) = self.calendar.first();
            if time == f64::INFINITY || self.is_over() {
                self.record.finish(self.now);
                return self.record.closed() >= until.batches;
            }
            self.now = time;
            self.events += 1;
            self.handle(slot);
            if self.events >= self.look {
                self.look = self.events + LOOK;
                if self.events >= until.events || self.is_unstable() || (until.stop)() {
                    return false;
                }
            }
        }
        true
    }

    /// A run with an end of its own is over when all sources are silent and all jobs have ended; outages may go on.
    fn is_over(&self) -> bool {
        self.plan.horizon.is_finite()
            && self.record.outstanding() == 0
            && (self.slots.sources..self.slots.end).all(|slot| self.calendar.due(slot) == f64::INFINITY)
    }

    #[inline(always)]
    fn handle(&mut self, slot: u32) {
        if slot < self.slots.links {
            self.service_ends(slot);
        } else if slot >= self.slots.sources {
            self.source_fires(slot - self.slots.sources);
        } else {
            self.handle_rarer(slot);
        }
        if !self.freed.is_empty() || !self.turns.is_empty() {
            self.settle();
        }
    }

    #[inline(never)]
    fn handle_rarer(&mut self, slot: u32) {
        if slot < self.slots.arrivals {
            self.transmission_ends(slot - self.slots.links);
        } else if slot < self.slots.timers {
            self.transit_ends(slot - self.slots.arrivals);
        } else {
            let timer = self.timers.pop();
            match timer {
                Timer::Retry { job } => self.retry(job),
                Timer::Turn { gate } => self.free_turn(gate),
                Timer::Outage { device } => self.outage(device),
                Timer::Control => self.control(),
            }
            self.calendar.set(self.slots.timers, self.timers.due());
        }
    }

    /// Gives what became free to those who wait for it, until nothing changes.
    #[inline(never)]
    fn settle(&mut self) {
        loop {
            if let Some(region) = self.freed.pop() {
                self.unblock(region);
            } else if let Some(gate) = self.turns.pop() {
                self.dispatch(gate);
            } else {
                return;
            }
        }
    }

    /// Whether it has to be ended: jobs outgrow all bounds, or some wait for ever.
    pub(crate) fn is_unstable(&self) -> bool {
        self.jobs.is_too_many() || self.record.is_stuck()
    }

    fn schedule_arrival(&mut self, source: usize) {
        let (key, time) = self.streams[source].next(&self.plan.sources[source].arrivals);
        self.next_keys[source] = key;
        let time = if time > self.plan.horizon { f64::INFINITY } else { time };
        self.calendar.set(self.slots.sources + source as u32, time);
    }

    #[inline(always)]
    fn source_fires(&mut self, source: u32) {
        let key = self.next_keys[source as usize];
        self.schedule_arrival(source as usize);
        let (batch, number, sums) = self.record.arrive(self.now);
        let job = Job {
            entered: self.now,
            arrived: self.now,
            key,
            step: 0,
            cell: 0,
            head: sums,
            batch,
            measured: number >= self.unmeasured,
            next: NONE,
            stream: source,
            attempt: 0,
            state: State::Waiting,
            turn: false,
            at_gateway: true,
            gated: false,
            ghost: false,
        };
        let id = self.jobs.insert(job);
        if self.watch.on {
            self.watch.arrived(source, self.now);
        }
        self.route(id, source, sums);
    }

    /// Decides where a job of `source` goes, and sends it there. `sums` is where the sums of its batch begin.
    #[inline(always)]
    fn route(&mut self, id: u32, source: u32, sums: u32) {
        let plan = &self.plan.sources[source as usize];
        match &plan.routing {
            Routing::Mixture(shares) => {
                let mut index = 0;
                if shares.len() > 1 {
                    let uniform = self.jobs.get(id).draws(0, Purpose::Route).uniform();
                    index = crate::law::pick(shares.iter().map(|share| share.1), uniform);
                }
                let (chain, stream) = plan.streams[index];
                self.take(id, stream, chain, sums);
                self.send(id);
            }
            Routing::Scheduled(scheduler) => self.schedule(id, source, *scheduler as u32, sums),
        }
    }

    /// A job takes a chain.
    #[inline(always)]
    fn take(&mut self, id: u32, stream: u32, chain: u32, sums: u32) {
        let at = sums + self.plan.streams[stream as usize].head;
        let job = self.jobs.get_mut(id);
        job.stream = stream;
        job.head = at;
        job.step = self.plan.chains[chain as usize].first;
        job.cell = at + head::LEN as u32;
        self.record.sums[at as usize + head::ARRIVED] += 1.0;
    }

    #[inline]
    fn count(&mut self, id: u32, what: usize, amount: f64) {
        self.record.sums[self.jobs.get(id).head as usize + what] += amount;
    }

    #[inline(always)]
    fn count_at_step(&mut self, id: u32, what: usize, amount: f64) {
        self.record.sums[self.jobs.get(id).cell as usize + what] += amount;
    }

    /// A job has ended: gives up what it may still have at its gateway, writes down what became of it and forgets it.
    #[inline(always)]
    fn forget(&mut self, id: u32, ended: f64, fate: impl FnOnce() -> Fate) {
        self.end_turn(id, ended);
        self.leave_gate(id);
        if self.watch.on || self.trace.len() < self.trace_len {
            self.note(id, ended, fate());
        }
        self.record.leave(self.jobs.get(id).batch);
        self.jobs.remove(id);
    }

    #[inline(never)]
    fn note(&mut self, id: u32, ended: f64, fate: Fate) {
        let job = *self.jobs.get(id);
        let stream = &self.plan.streams[job.stream as usize];
        if self.watch.on {
            self.watch.ended(stream.source, job.arrived, ended, fate);
        }
        if self.trace.len() < self.trace_len {
            self.trace.push(JobRecord {
                source: stream.source as usize,
                chain: Some(stream.chain as usize),
                arrived: job.arrived * self.plan.tick,
                ended: ended * self.plan.tick,
                fate,
            });
        }
    }
}

/// What all replications of a run have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) batch_len: u64,
    /// Arrivals before the first batch.
    pub(crate) warmup: u64,
    pub(crate) series: Option<f64>,
    pub(crate) trace: usize,
}

impl Slots {
    fn new(plan: &Plan) -> Self {
        let links = plan.stations.len() as u32;
        let arrivals = links + plan.links.len() as u32;
        let timers = arrivals + plan.links.len() as u32;
        let sources = timers + 1;
        Self { links, arrivals, timers, sources, end: sources + plan.sources.len() as u32 }
    }
}
