//! A network as the engine reads it: flat, in ticks, with everything looked up beforehand.

use super::record::{cell, head};
use super::ticks::{horizon, in_ticks, resolution, whole};
use crate::network::{Arrivals, Discipline, Network, Outages, Overflow, Routing, Work};
use crate::{Handover, Law, Model};
use domain::FragmentRange;
use std::collections::BTreeMap;

/// No region, link, gate.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Plan {
    /// Seconds of a tick. All times that are drawn or given are rounded to whole ticks, so that what coincides on paper
    /// coincides here.
    pub(crate) tick: f64,
    pub(crate) stations: Vec<StationPlan>,
    /// Queues of all stations, one per priority or lane.
    pub(crate) queues: usize,
    /// Steps of all chains, one chain after the other.
    pub(crate) steps: Vec<StepPlan>,
    pub(crate) chains: Vec<ChainPlan>,
    pub(crate) links: Vec<LinkPlan>,
    pub(crate) models: Vec<ModelPlan>,
    pub(crate) sources: Vec<SourcePlan>,
    pub(crate) streams: Vec<StreamPlan>,
    /// Streams of each source and of each chain.
    pub(crate) of_source: Vec<Vec<u32>>,
    pub(crate) of_chain: Vec<Vec<u32>>,
    pub(crate) gates: Vec<GatePlan>,
    pub(crate) budgets: Vec<u64>,
    pub(crate) handover: Handover,
    /// Length of the sums of a batch.
    pub(crate) stride: usize,
    /// Whether any source has a deadline.
    pub(crate) has_deadlines: bool,
    /// When arrivals end, in ticks; infinite for a run without an end of its own.
    pub(crate) horizon: f64,
}

#[derive(Debug)]
pub(crate) struct StationPlan {
    pub(crate) cores: f64,
    pub(crate) discipline: Discipline,
    pub(crate) first_queue: u32,
    pub(crate) queues: u32,
    pub(crate) outages: Outages,
}

#[derive(Debug)]
pub(crate) struct StepPlan {
    pub(crate) station: u32,
    /// Where it waits, counted over all stations.
    pub(crate) queue: u32,
    pub(crate) lane: u32,
    /// The first region; mostly the only one.
    pub(crate) region: u32,
    pub(crate) more_regions: Box<[u32]>,
    pub(crate) memory: u64,
    pub(crate) memory_after: u64,
    pub(crate) work: WorkPlan,
    pub(crate) exit: f64,
    pub(crate) last: bool,
    pub(crate) link: u32,
    pub(crate) transmission: f64,
    /// Place in its chain.
    pub(crate) index: u32,
    pub(crate) chain: u32,
}

impl StepPlan {
    pub(crate) fn regions(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.region).filter(|&region| region != NONE).chain(self.more_regions.iter().copied())
    }
}

#[derive(Debug)]
pub(crate) enum WorkPlan {
    /// Ticks.
    Constant(f64),
    /// In ticks.
    Law(Law),
    /// Segments of the chain's model at this many ticks per second of work.
    Segments { range: FragmentRange, ticks: f64 },
}

#[derive(Debug)]
pub(crate) struct ChainPlan {
    pub(crate) first: u32,
    pub(crate) len: u32,
    pub(crate) overflow: Overflow,
    pub(crate) model: Option<u32>,
    pub(crate) gate: u32,
}

#[derive(Debug)]
pub(crate) struct LinkPlan {
    pub(crate) latency: f64,
    pub(crate) return_latency: f64,
}

#[derive(Debug)]
pub(crate) struct ModelPlan {
    pub(crate) model: Model,
    pub(crate) exits: usize,
}

#[derive(Debug)]
pub(crate) struct SourcePlan {
    pub(crate) name: String,
    pub(crate) arrivals: Arrivals,
    pub(crate) routing: Routing,
    /// Ticks; infinite for none.
    pub(crate) deadline: f64,
    pub(crate) attempts: u32,
    pub(crate) retry_delay: f64,
    /// The stream of each chain it may take; of the only one first.
    pub(crate) streams: Vec<(u32, u32)>,
    /// Arrivals per tick where that is known.
    pub(crate) rate: Option<f64>,
}

/// A source and a chain that it may take.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    pub(crate) source: u32,
    pub(crate) chain: u32,
    /// Where its head is in the sums of a batch; cells of its steps, then answers by exit, follow.
    pub(crate) head: u32,
}

/// The queue of a gateway for one first fragment.
#[derive(Debug)]
pub(crate) struct GatePlan {
    pub(crate) scheduler: u32,
    pub(crate) workers: u32,
    pub(crate) region: u32,
    pub(crate) memory: u64,
    /// Ticks from the word that a job is done to the next one.
    pub(crate) turnaround: f64,
}

impl Plan {
    /// Reads a network that has been checked.
    pub(crate) fn new(network: &Network) -> Self {
        let tick = resolution(network);
        let ticks = |seconds: f64| whole(seconds / tick);
        let priorities = Priorities::new(network);
        let (stations, queues) = stations(network, &priorities);
        let mut plan = Self {
            tick,
            stations,
            queues,
            steps: vec![],
            chains: vec![],
            links: network
                .links
                .iter()
                .map(|link| LinkPlan { latency: ticks(link.latency), return_latency: ticks(link.return_latency) })
                .collect(),
            models: network
                .models
                .iter()
                .map(|model| ModelPlan { model: model.clone(), exits: model.table.exits() })
                .collect(),
            sources: vec![],
            streams: vec![],
            of_source: vec![vec![]; network.sources.len()],
            of_chain: vec![vec![]; network.chains.len()],
            gates: vec![],
            budgets: network.regions.iter().map(|region| region.budget).collect(),
            handover: network.handover,
            stride: network.sources.len(),
            has_deadlines: network.sources.iter().any(|source| source.deadline.is_some()),
            horizon: horizon(network).map_or(f64::INFINITY, ticks),
        };
        plan.add_chains(network, &priorities);
        plan.add_gates(network, ticks);
        plan.add_sources(network);
        plan
    }

    /// Answers by exit of a stream begin here, relative to its head.
    pub(crate) fn exits_at(&self, chain: u32) -> usize {
        head::LEN + self.chains[chain as usize].len as usize * cell::LEN
    }

    fn add_chains(&mut self, network: &Network, priorities: &Priorities) {
        for (number, chain) in network.chains.iter().enumerate() {
            let first = self.steps.len() as u32;
            for (index, step) in chain.steps.iter().enumerate() {
                let station = &self.stations[step.device];
                let queue = match station.discipline {
                    Discipline::Hol => priorities.rank(step.device, chain.priority),
                    Discipline::Pods(_) => step.lane as u32,
                    Discipline::Fcfs | Discipline::Ps => 0,
                };
                let mut regions = step.regions.iter().map(|&region| region as u32);
                let scale = 1.0 / (network.devices[step.device].speed * self.tick);
                let work = match &step.work {
                    Work::Law(Law::Deterministic(seconds)) => WorkPlan::Constant(whole(seconds * scale)),
                    Work::Law(law) => WorkPlan::Law(law.scaled(scale)),
                    Work::Segments(range) => WorkPlan::Segments { range: *range, ticks: scale },
                };
                let transmission =
                    step.link.map_or(0.0, |link| step.transfer as f64 / network.links[link].bytes_per_second);
                self.steps.push(StepPlan {
                    station: step.device as u32,
                    queue: station.first_queue + queue,
                    lane: if matches!(station.discipline, Discipline::Pods(_)) { step.lane as u32 } else { 0 },
                    region: regions.next().unwrap_or(NONE),
                    more_regions: regions.collect(),
                    memory: step.memory,
                    memory_after: step.memory_after,
                    work,
                    exit: step.exit_probability,
                    last: index + 1 == chain.steps.len(),
                    link: step.link.map_or(NONE, |link| link as u32),
                    transmission: whole(transmission / self.tick),
                    index: index as u32,
                    chain: number as u32,
                });
            }
            self.chains.push(ChainPlan {
                first,
                len: chain.steps.len() as u32,
                overflow: chain.overflow,
                model: chain.model.map(|model| model as u32),
                gate: NONE,
            });
        }
    }

    /// One gate per scheduler and first fragment.
    fn add_gates(&mut self, network: &Network, ticks: impl Fn(f64) -> f64) {
        for (scheduler, scheduling) in network.schedulers.iter().enumerate() {
            let mut gates = BTreeMap::new();
            for &chain in &scheduling.chains {
                let first = &self.steps[self.chains[chain].first as usize];
                let station = &self.stations[first.station as usize];
                let workers = match &station.discipline {
                    Discipline::Pods(lanes) => lanes[first.lane as usize].workers,
                    // All jobs that are there are served.
                    Discipline::Ps => u32::MAX,
                    Discipline::Fcfs | Discipline::Hol => station.cores as u32,
                };
                let gate = *gates.entry((first.station, first.lane)).or_insert_with(|| {
                    let (region, memory) = scheduling.gateway.map_or((NONE, 0), |(region, size)| (region as u32, size));
                    let turnaround = ticks(scheduling.turnaround);
                    self.gates.push(GatePlan { scheduler: scheduler as u32, workers, region, memory, turnaround });
                    self.gates.len() as u32 - 1
                });
                self.chains[chain].gate = gate;
            }
        }
    }

    fn add_sources(&mut self, network: &Network) {
        for (number, source) in network.sources.iter().enumerate() {
            let chains: Vec<usize> = match &source.routing {
                Routing::Mixture(shares) => shares.iter().map(|share| share.0).collect(),
                Routing::Scheduled(scheduler) => network.schedulers[*scheduler].chains.clone(),
            };
            let mut streams: Vec<(u32, u32)> = vec![];
            for chain in chains {
                let known = streams.iter().find(|(known, _)| *known == chain as u32).copied();
                let stream = known.map_or_else(|| self.add_stream(number as u32, chain as u32), |(_, stream)| stream);
                streams.push((chain as u32, stream));
            }
            self.sources.push(SourcePlan {
                name: source.name.clone(),
                arrivals: in_ticks(&source.arrivals, self.tick),
                routing: source.routing.clone(),
                deadline: source.deadline.map_or(f64::INFINITY, |seconds| whole(seconds / self.tick)),
                attempts: source.retry.map_or(0, |retry| retry.attempts),
                retry_delay: source.retry.map_or(0.0, |retry| whole(retry.delay / self.tick)),
                streams,
                rate: source.arrivals.rate().map(|rate| rate * self.tick),
            });
        }
    }

    fn add_stream(&mut self, source: u32, chain: u32) -> u32 {
        self.streams.push(StreamPlan { source, chain, head: self.stride as u32 });
        let exits = self.chains[chain as usize].model.map_or(0, |model| self.models[model as usize].exits);
        self.stride += self.exits_at(chain) + exits;
        let stream = self.streams.len() as u32 - 1;
        self.of_source[source as usize].push(stream);
        self.of_chain[chain as usize].push(stream);
        stream
    }

    /// The streams of a source.
    pub(crate) fn streams_of_source(&self, source: usize) -> impl Iterator<Item = &StreamPlan> + Clone {
        self.of_source[source].iter().map(|&stream| &self.streams[stream as usize])
    }

    /// The streams of a chain.
    pub(crate) fn streams_of_chain(&self, chain: usize) -> impl Iterator<Item = &StreamPlan> + Clone {
        self.of_chain[chain].iter().map(|&stream| &self.streams[stream as usize])
    }
}

/// Priorities in use at each device with head-of-line priority, most urgent first.
struct Priorities(Vec<Vec<u32>>);

impl Priorities {
    fn new(network: &Network) -> Self {
        let mut used = vec![vec![]; network.devices.len()];
        for chain in &network.chains {
            chain.steps.iter().for_each(|step| used[step.device].push(chain.priority));
        }
        used.iter_mut().for_each(|priorities| {
            priorities.sort_unstable();
            priorities.dedup();
        });
        Self(used)
    }

    fn rank(&self, device: usize, priority: u32) -> u32 {
        self.0[device].partition_point(|&other| other < priority) as u32
    }
}

fn stations(network: &Network, priorities: &Priorities) -> (Vec<StationPlan>, usize) {
    let mut first_queue = 0;
    let stations = network.devices.iter().enumerate().map(|(number, device)| {
        let queues = match &device.discipline {
            Discipline::Fcfs | Discipline::Ps => 1,
            Discipline::Hol => priorities.0[number].len().max(1) as u32,
            Discipline::Pods(lanes) => lanes.len() as u32,
        };
        first_queue += queues;
        StationPlan {
            cores: device.cores,
            discipline: device.discipline.clone(),
            first_queue: first_queue - queues,
            queues,
            outages: device.outages.clone(),
        }
    });
    let stations: Vec<StationPlan> = stations.collect();
    (stations, first_queue as usize)
}
