//! One station under flows that are not Poisson: loss and residence per class, and what leaves.

use super::network::{Discipline, NO_STATION, Network, Station, StepPlan};
use super::room::{Class, Room, SingleCore, several_cores};

/// How much evener arrivals win the places of a full station: exponent of 2/(1 + c²). Between 0 (no matter) and 1 (by
/// the mean time to the next arrival); fitted, see the module text.
pub const SPACING: f64 = 0.65;

/// How far a flow's c² moves from its short-range value to the one that gives the right wait behind an upstream
/// bottleneck; fitted, see the module text.
pub const MEMORY: f64 = 0.6;

/// The largest factor by which capacity is scaled for even arrivals: beyond, nothing is lost below load one anyway.
const MOST_SCALING: f64 = 1e3;

/// A stream of jobs on its way into a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    /// Share of the chain's jobs that come here.
    pub(super) reach: f64,
    /// c² from one job to the next.
    pub(super) scv: f64,
    /// c² over long times: that of the source, thinned.
    long_scv: f64,
    /// ρ²/(1 − ρ) of the slowest station passed, its share in the flow included.
    memory: f64,
    /// s² there.
    memory_scv: f64,
    /// Least time between two jobs.
    gap: f64,
    source: Source,
}

/// What is known of the station that a flow has just left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Source {
    /// c² of all departures.
    scv: f64,
    /// Rate of all departures.
    rate: f64,
    /// Time that a departure of this flow lies at least behind the one before, in the mean.
    service: f64,
}

impl Flow {
    /// A flow from outside; for later steps of a chain, of which a share comes that far, a first guess.
    pub(super) fn external(scv: f64, reach: f64) -> Self {
        let source = Source { scv, rate: 0.0, service: 0.0 };
        Self { reach, scv, long_scv: scv, memory: 0.0, memory_scv: 0.0, gap: 0.0, source }
    }

    /// How different two flows are for the next station.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        (self.reach - other.reach).abs() + 0.1 * (self.scv - other.scv).abs()
    }

    /// Moves by `weight` of the way to another flow.
    pub(super) fn towards(&self, other: &Self, weight: f64) -> Self {
        let mix = |own: f64, other: f64| own + weight * (other - own);
        Self {
            reach: mix(self.reach, other.reach),
            scv: mix(self.scv, other.scv),
            long_scv: mix(self.long_scv, other.long_scv),
            memory: mix(self.memory, other.memory),
            memory_scv: mix(self.memory_scv, other.memory_scv),
            gap: other.gap,
            source: Source {
                scv: mix(self.source.scv, other.source.scv),
                rate: mix(self.source.rate, other.source.rate),
                service: other.source.service,
            },
        }
    }

    /// c² as a queue of this `load` feels it.
    fn felt_scv(&self, load: f64) -> f64 {
        if self.memory == 0.0 {
            return self.scv;
        }
        // At load one and above it remembers everything.
        let own_memory = if load < 0.999 { load * load / (1.0 - load) } else { 1e3 };
        let hidden = (self.memory / own_memory).min(1.0);
        let long = (1.0 - hidden) * self.long_scv + hidden * self.memory_scv;
        self.scv + MEMORY * (long - self.scv)
    }
}

/// What a class experiences.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepResult {
    /// Rate of arrivals.
    pub(super) offered: f64,
    pub(super) loss: f64,
    pub(super) residence: f64,
    pub(super) outflow: Flow,
}

/// A class while its station is solved.
#[derive(Debug, Clone, Copy)]
struct Visitor {
    step: StepPlan,
    flow: Flow,
    rate: f64,
    /// c² of the flow alone as this station feels it.
    own_felt_scv: f64,
    /// c² of all that comes from the same station, from one job to the next.
    scv: f64,
    /// The same as this station feels it.
    felt_scv: f64,
    /// Load of all that comes from the same station.
    load: f64,
    /// Advantage in the competition for places.
    advantage: f64,
    accepted: f64,
}

/// Solves stations; keeps its memory between them.
#[derive(Debug, Clone, Default)]
pub(super) struct StationSolver {
    visitors: Vec<Visitor>,
    single: SingleCore,
    pub(super) results: Vec<StepResult>,
}

/// Sums over the classes.
#[derive(Debug, Clone, Copy)]
struct Offered {
    rate: f64,
    mean_service: f64,
    service_scv: f64,
    /// c² from one arrival to the next, and as felt.
    scv: f64,
    felt_scv: f64,
}

impl StationSolver {
    /// Solves `station` for the inflows of its visitors; the results are in their order.
    pub(super) fn solve(&mut self, network: &Network, station: usize, visitors: &[usize], inflows: &[Flow]) {
        let station = &network.stations[station];
        self.meet(network, visitors, inflows, station.cores);
        let offered = self.offered();
        self.results.clear();
        if offered.rate <= 0.0 {
            let leave = |visitor: &Visitor| StepResult {
                offered: 0.0,
                loss: 0.0,
                residence: visitor.step.mean_service,
                outflow: visitor.outflow(visitor.flow.source, 0.0, 0.0),
            };
            self.results.extend(self.visitors.iter().map(leave));
            return;
        }
        let first_come = station.discipline == Discipline::FirstCome;
        let room = if first_come && station.cores == 1 {
            self.one_core(&offered, station.capacity)
        } else {
            let service_scv = if first_come { offered.service_scv } else { 1.0 };
            several(&offered, service_scv, station)
        };
        self.share_loss(room.loss, &offered, station.cores);
        self.leave(room, &offered, station);
    }

    /// Collects the visitors, with what those from the same station have in common.
    fn meet(&mut self, network: &Network, visitors: &[usize], inflows: &[Flow], cores: usize) {
        self.visitors.clear();
        self.visitors.extend(visitors.iter().map(|&index| {
            let (step, flow) = (network.steps[index], inflows[index]);
            let rate = step.chain_rate * flow.reach;
            let load = rate * step.mean_service / cores as f64;
            let scv = flow.scv;
            Visitor { step, flow, rate, own_felt_scv: scv, scv, felt_scv: scv, load, advantage: 1.0, accepted: 1.0 }
        }));
        let total: f64 = self.visitors.iter().map(|visitor| visitor.load).sum();
        for visitor in &mut self.visitors {
            visitor.own_felt_scv = visitor.flow.felt_scv(total);
            visitor.felt_scv = visitor.own_felt_scv;
        }
        for index in 0..self.visitors.len() {
            self.bundle(index);
        }
    }

    /// Looks at all that comes from the same station as this visitor.
    fn bundle(&mut self, index: usize) {
        let Visitor { step, flow, .. } = self.visitors[index];
        let companions = || self.visitors.iter().filter(|other| other.step.previous_station == step.previous_station);
        let rate: f64 = companions().map(|other| other.rate).sum();
        if step.previous_station == NO_STATION || companions().count() == 1 || rate <= 0.0 || flow.source.rate <= 0.0 {
            return;
        }
        let mean = |value: fn(&Visitor) -> f64| companions().map(|other| other.rate * value(other)).sum::<f64>() / rate;
        let (apart, felt_apart) = (mean(|other| other.flow.scv), mean(|other| other.own_felt_scv));
        let share = (rate / flow.source.rate).min(1.0);
        let scv = share * flow.source.scv + (1.0 - share) * apart;
        let felt_scv = share * (flow.source.scv + (felt_apart - apart).max(0.0)) + (1.0 - share) * felt_apart;
        // Before a job lies its own service upstream; the rest of the gap is alike for all.
        let advantage = 1.0 + rate * (flow.source.service - mean(|other| other.flow.source.service));
        let load = companions().map(|other| other.rate * other.step.mean_service).sum();
        let visitor = &mut self.visitors[index];
        (visitor.scv, visitor.felt_scv, visitor.load) = (scv, felt_scv, load);
        // Jobs that follow at once still find a place now and then.
        visitor.advantage = advantage.max(0.02);
    }

    fn offered(&self) -> Offered {
        let sum = |value: fn(&Visitor) -> f64| self.visitors.iter().map(|each| each.rate * value(each)).sum::<f64>();
        let rate = sum(|_| 1.0);
        let work = sum(|each| each.step.mean_service);
        let square = sum(|each| each.step.mean_service * each.step.mean_service * (1.0 + each.step.service_scv));
        let mean_service = work / rate;
        Offered {
            rate,
            mean_service,
            service_scv: (square / rate / (mean_service * mean_service) - 1.0).max(0.0),
            scv: (sum(|each| each.scv) / rate).max(0.0),
            felt_scv: (sum(|each| each.felt_scv) / rate).max(0.0),
        }
    }

    fn one_core(&mut self, offered: &Offered, capacity: usize) -> Room {
        if self.never_wait() {
            return Room { loss: 0.0, waiting: 0.0 };
        }
        let places = (capacity - 1) as f64;
        let scaling = scaling(1.0 + offered.service_scv, offered.felt_scv + offered.service_scv);
        let classes = self.visitors.iter().map(|visitor| Class {
            share: visitor.rate / offered.rate,
            arrivals: offered.rate * visitor.step.mean_service,
            scv: visitor.step.service_scv,
        });
        let room = self.single.solve(classes, 1.0 + places * scaling);
        Room { loss: room.loss, waiting: room.waiting / scaling * even_arrivals(offered) }
    }

    /// Whether constant services upstream keep arrivals further apart than a service takes.
    fn never_wait(&self) -> bool {
        let source = self.visitors[0].step.previous_station;
        let gap = self.visitors.iter().map(|visitor| visitor.flow.gap).fold(f64::INFINITY, f64::min);
        let fits = |visitor: &Visitor| {
            visitor.step.previous_station == source
                && visitor.step.service_scv == 0.0
                && visitor.step.mean_service <= gap * (1.0 + 1e-12)
        };
        source != NO_STATION && self.visitors.iter().all(fits)
    }

    /// Divides the loss among the classes, conserving work.
    fn share_loss(&mut self, loss: f64, offered: &Offered, cores: usize) {
        let load = offered.load(cores).min(1.0);
        // While the station is nearly full, more is lost than on average. At load one and above that is always.
        let nearly_full = loss.max((1.0 - load).sqrt());
        self.compete(1.0 - nearly_full, offered);
        let weight = if nearly_full > 0.0 { loss / nearly_full } else { 0.0 };
        for visitor in &mut self.visitors {
            visitor.accepted = 1.0 - weight * (1.0 - visitor.accepted);
        }
    }

    /// Accepts a share of the work in proportion to rate and advantage, but no more of a class than there is.
    fn compete(&mut self, accepted: f64, offered: &Offered) {
        let work = offered.rate * offered.mean_service;
        for visitor in &mut self.visitors {
            visitor.advantage *= (2.0 / (1.0 + visitor.scv)).powf(SPACING);
            visitor.accepted = 0.0;
        }
        for _ in 0..self.visitors.len() {
            let (mut given, mut wanted) = (0.0, 0.0);
            for visitor in &self.visitors {
                let share = visitor.rate * visitor.step.mean_service / work;
                if visitor.accepted >= 1.0 { given += share } else { wanted += share * visitor.advantage }
            }
            if wanted <= 0.0 {
                return;
            }
            let factor = (accepted - given).max(0.0) / wanted;
            let mut all_fit = true;
            for visitor in self.visitors.iter_mut().filter(|visitor| visitor.accepted < 1.0) {
                visitor.accepted = (factor * visitor.advantage).min(1.0);
                all_fit &= visitor.accepted < 1.0;
            }
            if all_fit {
                return;
            }
        }
    }

    fn leave(&mut self, room: Room, offered: &Offered, station: &Station) {
        let served: f64 = self.visitors.iter().map(|each| each.rate * each.accepted).sum();
        let work: f64 = self.visitors.iter().map(|each| each.rate * each.accepted * each.step.mean_service).sum();
        let utilization = (work / station.cores as f64).min(1.0);
        let first_come = station.discipline == Discipline::FirstCome;
        let in_order = first_come && station.cores == 1;
        let scv = departure_scv(offered, served, utilization, station);
        let memory = if utilization < 0.999 { utilization * utilization / (1.0 - utilization) } else { 1e3 };
        let wait = room.waiting / served;
        let evenness: f64 =
            self.visitors.iter().map(|visitor| visitor.rate * visitor.accepted * visitor.spared_wait()).sum::<f64>()
                / served;
        let alone = self.visitors.len() == 1;
        for visitor in &self.visitors {
            let residence = if !first_come {
                visitor.step.mean_service * (1.0 + room.waiting / work)
            } else if in_order && wait > 0.0 {
                (wait + evenness - visitor.spared_wait()).max(0.0) + visitor.step.mean_service
            } else {
                wait + visitor.step.mean_service
            };
            let gap = match (in_order && visitor.step.service_scv == 0.0, alone) {
                (true, true) => visitor.step.mean_service.max(visitor.flow.gap),
                (true, false) => visitor.step.mean_service,
                (false, _) => 0.0,
            };
            // Only one after the other do jobs leave a service apart.
            let service = if in_order { visitor.step.mean_service } else { 0.0 };
            let outflow = visitor.outflow(Source { scv, rate: served, service }, memory, gap);
            self.results.push(StepResult { offered: visitor.rate, loss: 1.0 - visitor.accepted, residence, outflow });
        }
    }
}

impl Visitor {
    /// What an evenly spaced flow does not wait for: its own jobs, in a station that holds nothing else.
    fn spared_wait(&self) -> f64 {
        (1.0 - self.felt_scv) * self.load.min(1.0) * self.step.mean_service / 2.0
    }

    fn outflow(&self, source: Source, memory: f64, gap: f64) -> Flow {
        let share = if source.rate > 0.0 { self.rate * self.accepted / source.rate } else { 0.0 };
        let admitted = thin(self.flow.scv, self.accepted);
        let scv = share * source.scv + (1.0 - share) * (1.0 - 0.5 * (1.0 - share) * (1.0 - admitted));
        let stays = 1.0 - self.step.exit_probability;
        let slowest = share * memory > self.flow.memory;
        Flow {
            reach: self.flow.reach * self.accepted * stays,
            scv: thin(scv, stays),
            long_scv: thin(self.flow.long_scv, self.accepted * stays),
            memory: self.flow.memory.max(share * memory),
            memory_scv: if slowest { self.step.service_scv } else { self.flow.memory_scv },
            gap,
            source,
        }
    }
}

impl Offered {
    fn load(&self, cores: usize) -> f64 {
        self.rate * self.mean_service / cores as f64
    }
}

/// c² of a flow of which a random `share` is left.
fn thin(scv: f64, share: f64) -> f64 {
    share * scv + 1.0 - share
}

/// Factor on the places to wait, from the variability that the formula was made for and the one there is.
fn scaling(made_for: f64, there_is: f64) -> f64 {
    (made_for / there_is.max(1e-9)).min(MOST_SCALING)
}

/// Kraemer and Langenbach-Belz: evener arrivals than Poisson wait less than in proportion, most so at low load.
fn even_arrivals(offered: &Offered) -> f64 {
    let evenness = 1.0 - offered.felt_scv;
    if evenness <= 0.0 {
        return 1.0;
    }
    let load = offered.load(1);
    let variability = (offered.felt_scv + offered.service_scv).max(1e-3);
    (-2.0 * (1.0 - load).max(0.0) * evenness * evenness / (3.0 * load * variability)).exp()
}

fn several(offered: &Offered, service_scv: f64, station: &Station) -> Room {
    let cores = station.cores.min(station.capacity);
    let places = (station.capacity - cores) as f64;
    let scaling = scaling(2.0, offered.felt_scv + service_scv);
    let room = several_cores(offered.rate * offered.mean_service, cores, places * scaling);
    Room { loss: room.loss, waiting: room.waiting / scaling }
}

fn departure_scv(offered: &Offered, served: f64, utilization: f64, station: &Station) -> f64 {
    let busy = utilization * utilization;
    if station.discipline == Discipline::ProcessorSharing {
        return (1.0 + (1.0 - busy) * (offered.scv - 1.0)).max(0.0);
    }
    if station.cores > 1 {
        let service = busy * (offered.service_scv - 1.0) / (station.cores as f64).sqrt();
        return (1.0 + (1.0 - busy) * (offered.scv - 1.0) + service).max(0.0);
    }
    let accepted = served / offered.rate;
    let left_empty = ((1.0 - utilization) / accepted).clamp(0.0, 1.0);
    let idle = accepted * accepted * (1.0 - (1.0 - left_empty) * (1.0 - left_empty));
    busy * offered.service_scv + idle * offered.scv
}
