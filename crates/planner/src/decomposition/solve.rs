//! The fixed point: capacities and speeds of stations follow from flows, and flows from them.

use super::layout::{Flow, Layout, PER_HOP};
use super::sharing::{Sharer, mean_cores};
use queueing::decomposition::{Chain, Discipline, Network, Station, Step, Workspace};

/// Rounds at most.
const ROUNDS: usize = 4;
/// Changes of a speed below this are not followed.
const SETTLED: f64 = 0.01;
/// How much the variation of a fragment's cores adds to the c² of its services, and the busiest that a neighbour counts
/// as. Cores stay away for as long as the neighbour is busy, in the mean 1 ÷ (1 − its load) services and again as long
/// to recover, hence the square. Fitted on 50 generated systems (5 devices, up to 4 fragments each, loads 0.5–1.4):
/// without it the mean latency is wrong by 43 %, with it by 26 %; loss by 1.7 and 1.2 points.
const UNSTEADY: f64 = 6.0;
const MOST_BUSY: f64 = 0.75;
/// Places of a station that nothing limits.
const UNLIMITED: usize = 2_000;
/// Links that transmit for less of the time than this are no stations: jobs are delayed by the mean wait of M/D/1. So
/// most chains do not meet, and are solved in one sweep.
const LIGHT: f64 = 0.2;
/// Flows of a smaller share of their source than this do not exist.
const NOBODY: f64 = 1e-9;

/// Solves layouts; keeps its memory between them.
#[derive(Debug, Default)]
pub(crate) struct Solver {
    /// One per round: what a change does not touch is the same as in the same round before, and is not solved again.
    workspaces: [Workspace; ROUNDS],
    speeds: [Speeds; ROUNDS],
    round: usize,
    stations: Vec<Station>,
    chains: Vec<Chain>,
    /// Flows with jobs, and the first of their steps.
    active: Vec<(usize, usize)>,
    spare: Vec<Vec<Step>>,
    /// Per lane.
    pub(crate) lanes: Vec<LaneState>,
    /// Per link the seconds from asking for it to the last byte sent, and the share of time it is busy.
    pub(crate) links: Vec<(f64, f64)>,
    /// Per link whether it is a station.
    heavy: Vec<bool>,
    /// Per flow what becomes of its jobs.
    pub(crate) fates: Vec<Fate>,
    sharers: Vec<Sharer>,
    /// Whether capacities stay as they are: steps of whole jobs would hide small differences.
    pub(crate) keeps_capacities: bool,
    /// Factors on lengths of service, to ask what they are worth: per lane, then per link; empty for none.
    pub(crate) factors: Vec<f64>,
    /// Systems solved since it was made.
    pub(crate) solved: u64,
}

/// What speeds came to the last time, and from what.
#[derive(Debug, Default)]
struct Speeds {
    /// Per lane: core-seconds used, and cores before.
    from: Vec<(f64, f64)>,
    /// Per lane: cores, and what their variation adds.
    to: Vec<(f64, f64)>,
    /// Per device.
    moved: Vec<bool>,
}

/// A fragment while it is solved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LaneState {
    /// Mean cores while it is busy.
    pub(crate) cores: f64,
    /// What the variation of these adds to the c² of services.
    unsteady: f64,
    /// Jobs that fit.
    pub(crate) capacity: usize,
    /// Core-seconds per second that are used.
    pub(crate) busy_cores: f64,
    /// Jobs per second that ask, and that are lost.
    pub(crate) offered: f64,
    pub(crate) lost: f64,
    mean_jobs: f64,
    /// Bytes of jobs on their way here or from here.
    in_transit: f64,
}

/// What becomes of the jobs of a flow, per arrival of its source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fate {
    pub(crate) answered: f64,
    pub(crate) lost: f64,
    pub(crate) correct: f64,
    /// Sums of latency and of its square over answered jobs.
    pub(crate) latency: f64,
    pub(crate) latency2: f64,
}

impl Solver {
    /// Solves for `loads` (see [`Layout::add`]); `waiting` are places at gateways, per lane, for jobs that wait there
    /// instead (empty for none).
    pub(crate) fn solve(&mut self, layout: &Layout<'_>, loads: &[f64], waiting: &[f64]) {
        self.start(layout, loads);
        for round in 0..ROUNDS {
            let moved = self.set_speeds(layout, round) | self.set_capacities(layout, waiting, round);
            if round > 0 && !moved {
                break;
            }
            self.round = round;
            self.evaluate(layout, loads);
        }
        self.solved += 1;
        self.find_fates(layout, loads);
    }

    fn start(&mut self, layout: &Layout<'_>, loads: &[f64]) {
        let keep = self.keeps_capacities && self.lanes.len() == layout.lanes.len();
        let lanes = layout.lanes.len();
        self.lanes.resize(lanes, LaneState::default());
        for (state, lane) in self.lanes.iter_mut().zip(&layout.lanes) {
            let capacity = if keep { state.capacity } else { 0 };
            *state = LaneState { cores: lane.most, capacity, ..LaneState::default() };
        }
        self.links.clear();
        self.links.resize(layout.links.len(), (0.0, 0.0));
        self.active.clear();
        for (index, flow) in layout.flows.iter().enumerate() {
            let (share, rate) = (loads[flow.at], layout.sources[flow.source].rate);
            if share <= NOBODY || rate <= 0.0 {
                continue;
            }
            self.active.push((index, 0));
            let (mut reach, audit) = (share, layout.problem.services[flow.service].audit.get());
            for (position, hop) in flow.hops.iter().enumerate() {
                let load = flow.load(position, loads);
                let asks = rate * ((1.0 - audit) * reach + audit * share);
                let device = layout.lanes[hop.lane].device;
                self.lanes[hop.lane].busy_cores += rate * load.work / layout.problem.devices[device].speed;
                self.lanes[hop.lane].offered += asks;
                if let Some(link) = hop.link {
                    self.links[link].1 += asks * hop.transmission;
                    // Weighed by the jobs it carries: they may differ in size.
                    self.links[link].0 += asks * hop.transmission * hop.transmission;
                }
                self.add_transit(layout, flow, position, asks, hop.transmission);
                reach = (reach - load.leave).max(0.0);
            }
        }
        self.set_links();
    }

    /// Tells heavy links from light ones, and how long jobs wait for these.
    fn set_links(&mut self) {
        self.heavy.clear();
        let lanes = self.lanes.len();
        for (index, link) in self.links.iter_mut().enumerate() {
            let factor = self.factors.get(lanes + index).copied().unwrap_or(1.0);
            let busy = link.1 * factor;
            self.heavy.push(busy > LIGHT);
            *link = (link.0 * factor * factor / (2.0 * (1.0 - busy.min(LIGHT))), busy);
        }
    }

    /// Bytes held on both sides while jobs are on a link.
    fn add_transit(&mut self, layout: &Layout<'_>, flow: &Flow, position: usize, rate: f64, on_link: f64) {
        let hop = &flow.hops[position];
        let _ = layout;
        self.lanes[hop.lane].in_transit += rate * (hop.transmission + hop.latency) * hop.held;
        if let Some(before) = position.checked_sub(1) {
            let sender = &flow.hops[before];
            self.lanes[sender.lane].in_transit += rate * (on_link + hop.latency) * sender.after;
        }
    }

    /// Whether any speed has moved.
    fn set_speeds(&mut self, layout: &Layout<'_>, round: usize) -> bool {
        let mut speeds = std::mem::take(&mut self.speeds[round]);
        speeds.from.resize(layout.lanes.len(), (f64::NAN, f64::NAN));
        speeds.to.resize(layout.lanes.len(), (f64::NAN, f64::NAN));
        speeds.moved.resize(layout.problem.devices.len(), false);
        let mut moved = false;
        for (device, place) in layout.problem.devices.iter().enumerate() {
            let lanes = layout.first_lane[device]..layout.first_lane[device + 1];
            if lanes.len() < 2 {
                continue;
            }
            let (from, to) = (&mut speeds.from[lanes.clone()], &mut speeds.to[lanes.clone()]);
            let states = &mut self.lanes[lanes.clone()];
            if states.iter().zip(&*from).all(|(state, from)| (state.busy_cores, state.cores) == *from) {
                states.iter_mut().zip(&*to).for_each(|(state, to)| (state.cores, state.unsteady) = *to);
                moved |= speeds.moved[device];
                continue;
            }
            states.iter().zip(from).for_each(|(state, from)| *from = (state.busy_cores, state.cores));
            let mut moves = false;
            // At first nothing but demands are known: what they settle to is cheap to find.
            for _ in 0..if round == 0 { 5 } else { 1 } {
                self.sharers.clear();
                self.sharers.extend(lanes.clone().map(|lane| {
                    let (lane, state) = (&layout.lanes[lane], &self.lanes[lane]);
                    let busy = (state.busy_cores / state.cores).clamp(0.0, 1.0);
                    Sharer { request: lane.request, most: lane.most, busy }
                }));
                for (index, lane) in lanes.clone().enumerate() {
                    let (found, scv) = mean_cores(place.cores, &self.sharers, index);
                    let others = self.sharers.iter().enumerate().filter(|(other, _)| *other != index);
                    let busiest = others.map(|(_, other)| other.busy).fold(0.0, f64::max).min(MOST_BUSY);
                    let state = &mut self.lanes[lane];
                    let next = 0.5 * (found + state.cores);
                    moves |= (next - state.cores).abs() > SETTLED * state.cores;
                    state.cores = next;
                    state.unsteady = UNSTEADY * scv / (1.0 - busiest).powi(2);
                }
            }
            self.lanes[lanes].iter().zip(to).for_each(|(state, to)| *to = (state.cores, state.unsteady));
            speeds.moved[device] = moves;
            moved |= moves;
        }
        self.speeds[round] = speeds;
        moved
    }

    /// Whether any capacity has moved.
    fn set_capacities(&mut self, layout: &Layout<'_>, waiting: &[f64], round: usize) -> bool {
        let mut moved = false;
        if self.keeps_capacities && self.lanes.iter().all(|state| state.capacity > 0) {
            return false;
        }
        for index in 0..layout.lanes.len() {
            let lane = &layout.lanes[index];
            let mut room = lane.budget;
            if let Some(budget) = layout.problem.devices[lane.device].memory_budget {
                let neighbours = layout.first_lane[lane.device]..layout.first_lane[lane.device + 1];
                let taken = |other: usize| {
                    self.lanes[other].mean_jobs * layout.lanes[other].held + self.lanes[other].in_transit
                };
                let others: f64 = neighbours.filter(|&other| other != index).map(taken).sum();
                room = room.min(budget.0 as f64 - others);
            }
            let in_transit = self.lanes[index].in_transit.min((room - lane.held).max(0.0) / 2.0);
            let places = ((room - in_transit) / lane.held + 1e-9).floor().max(1.0);
            let places = (places + waiting.get(index).copied().unwrap_or(0.0)).min(UNLIMITED as f64) as usize;
            let before = std::mem::replace(&mut self.lanes[index].capacity, places);
            // A place more or less in many is no reason for another round.
            moved |= round == 0 || before.abs_diff(places) * 20 > before;
        }
        moved
    }

    fn evaluate(&mut self, layout: &Layout<'_>, loads: &[f64]) {
        self.stations.clear();
        for (state, lane) in self.lanes.iter().zip(&layout.lanes) {
            let cores = cores_of(state, lane.workers);
            self.stations.push(Station { capacity: state.capacity, cores, discipline: Discipline::FirstCome });
        }
        for link in &layout.links {
            let capacity = if link.from_gateway { UNLIMITED } else { (link.room as usize).clamp(1, UNLIMITED) };
            self.stations.push(Station { capacity, cores: 1, discipline: Discipline::FirstCome });
        }
        self.build_chains(layout, loads);
        if self.chains.is_empty() {
            return;
        }
        let network = Network::new(&self.stations, &self.chains).expect("a checked problem gives a network");
        self.workspaces[self.round].evaluate(&network);
        self.read(layout);
    }

    fn build_chains(&mut self, layout: &Layout<'_>, loads: &[f64]) {
        self.spare.extend(self.chains.drain(..).map(|chain| chain.steps));
        let mut first_step = 0;
        for (index, first) in &mut self.active {
            let flow = &layout.flows[*index];
            let mut steps = self.spare.pop().unwrap_or_default();
            steps.clear();
            *first = first_step;
            let mut memory: f64 = 0.0;
            for (mut step, seconds) in steps_of(layout, flow, loads, &self.lanes, &self.heavy) {
                step.mean_service *= self.factors.get(step.station).copied().unwrap_or(1.0);
                memory = memory.max(seconds);
                steps.push(step);
            }
            first_step += steps.len();
            let (share, source) = (loads[flow.at].min(1.0), &layout.sources[flow.source]);
            let scv = source.burst.map_or(1.0, |burst| share * burst.scv(memory) + 1.0 - share);
            self.chains.push(Chain { rate: share * source.rate, arrival_scv: scv, steps });
        }
    }

    /// Takes over what lanes and links do.
    fn read(&mut self, layout: &Layout<'_>) {
        for state in &mut self.lanes {
            let LaneState { cores, capacity, unsteady, .. } = *state;
            *state = LaneState { cores, capacity, unsteady, ..LaneState::default() };
        }
        for (index, link) in self.links.iter_mut().enumerate().filter(|(index, _)| self.heavy[*index]) {
            link.1 = self.workspaces[self.round].stations()[layout.lanes.len() + index].utilization;
        }
        for place in 0..self.active.len() {
            let (index, first) = self.active[place];
            let flow = &layout.flows[index];
            let (mut at, last) = (first, first + self.chains[place].steps.len());
            for (position, hop) in flow.hops.iter().enumerate() {
                if at >= last {
                    break;
                }
                let mut on_link = 0.0;
                if let Some(link) = hop.link {
                    on_link = hop.transmission + self.links[link].0;
                    if self.heavy[link] {
                        on_link = self.workspaces[self.round].steps()[at].residence;
                        at += 1;
                    }
                }
                let (step, plan) = (self.workspaces[self.round].steps()[at], self.chains[place].steps[at - first]);
                let cores = cores_of(&self.lanes[hop.lane], layout.lanes[hop.lane].workers) as f64;
                let state = &mut self.lanes[hop.lane];
                state.offered += step.offered;
                state.lost += step.offered * step.loss;
                // Seconds of service at the speed of the station, in core-seconds.
                state.busy_cores += step.served * plan.mean_service * state.cores / cores;
                state.mean_jobs += step.served * step.residence;
                self.add_transit(layout, flow, position, step.served, on_link);
                at += 1;
            }
        }
    }

    fn find_fates(&mut self, layout: &Layout<'_>, loads: &[f64]) {
        self.fates.clear();
        self.fates.resize(layout.flows.len(), Fate::default());
        for place in 0..self.active.len() {
            let (index, first) = self.active[place];
            let mut hops = Journey { fate: Fate::default(), survive: 1.0, time: 0.0, variance: 0.0, back: 0.0 };
            self.follow(layout, loads, place, first, &mut hops, |_, _| {});
            self.fates[index] = hops.fate;
        }
    }

    /// Per hop of a flow the share of jobs that memory has let through until its end; `None` for flows without jobs.
    pub(crate) fn survivors(&self, layout: &Layout<'_>, loads: &[f64], flow: usize) -> Option<Vec<f64>> {
        let place = self.active.iter().position(|(index, _)| *index == flow)?;
        let mut survive = vec![0.0; layout.flows[flow].hops.len()];
        let mut hops = Journey { fate: Fate::default(), survive: 1.0, time: 0.0, variance: 0.0, back: 0.0 };
        self.follow(layout, loads, place, self.active[place].1, &mut hops, |hop, share| survive[hop] = share);
        Some(survive)
    }

    fn follow(
        &self,
        layout: &Layout<'_>,
        loads: &[f64],
        place: usize,
        first: usize,
        journey: &mut Journey,
        mut tell: impl FnMut(usize, f64),
    ) {
        let (flow, workspace) = (&layout.flows[self.active[place].0], &self.workspaces[self.round]);
        let steps = &self.chains[place].steps;
        let (mut at, mut reach) = (0, loads[flow.at]);
        for (position, hop) in flow.hops.iter().enumerate() {
            if at >= steps.len() {
                break;
            }
            let load = flow.load(position, loads);
            let before = (journey.time, journey.variance, journey.back);
            match hop.link {
                Some(link) if self.heavy[link] => {
                    journey.pass(workspace, first + at, &steps[at], self.stations[steps[at].station], reach);
                    at += 1;
                }
                Some(link) => journey.time += hop.transmission + self.links[link].0,
                None => {}
            }
            journey.time += hop.latency;
            journey.back += hop.latency;
            let lost_before = journey.fate.lost;
            journey.pass(workspace, first + at, &steps[at], self.stations[steps[at].station], reach);
            at += 1;
            if load.answerable > 0.0 && reach > 0.0 {
                journey.answer_on_overflow(lost_before, before, load.answerable / reach, load.answerable_right / reach);
            }
            journey.leave(load.leave, load.correct);
            tell(position, journey.survive);
            reach = (reach - load.leave).max(0.0);
        }
    }
}

/// Steps of a flow on links and lanes, each with the seconds that a full station needs to serve all it holds.
fn steps_of<'a>(
    layout: &'a Layout<'_>,
    flow: &'a Flow,
    loads: &'a [f64],
    lanes: &'a [LaneState],
    heavy: &'a [bool],
) -> impl Iterator<Item = (Step, f64)> + 'a {
    let audit = layout.problem.services[flow.service].audit.get();
    let share = loads[flow.at];
    let (mut reach, mut over) = (share, false);
    let steps = flow.hops.iter().enumerate().map(move |(position, hop)| {
        if over {
            return [None, None];
        }
        let (lane, state, load) = (&layout.lanes[hop.lane], &lanes[hop.lane], flow.load(position, loads));
        let here = (1.0 - audit) * reach + audit * share;
        reach = (reach - load.leave).max(0.0);
        let next = (1.0 - audit) * reach + audit * share;
        over = position + 1 == flow.hops.len() || next <= 1e-9 * share;
        let cores = cores_of(state, lane.workers);
        let speed = layout.problem.devices[lane.device].speed * state.cores / cores as f64;
        let mean = (load.work / here / speed).max(1e-12);
        let second = load.work2 / here / (speed * speed);
        let step = Step {
            station: hop.lane,
            mean_service: mean,
            service_scv: (second / (mean * mean) - 1.0).max(0.0) + state.unsteady,
            exit_probability: if over { 1.0 } else { (1.0 - next / here).clamp(0.0, 1.0) },
        };
        let carry = hop.link.filter(|link| heavy[*link]).map(|link| Step {
            station: layout.lanes.len() + link,
            mean_service: hop.transmission,
            service_scv: 0.0,
            exit_probability: 0.0,
        });
        [carry.map(|carry| (carry, 0.0)), Some((step, mean * state.capacity as f64 / cores as f64))]
    });
    steps.flatten().flatten()
}

/// Whole cores of the station that stands for a lane; their speed makes up for the rest.
fn cores_of(state: &LaneState, workers: f64) -> usize {
    (state.cores - 1e-9).ceil().clamp(1.0, workers.max(1.0)) as usize
}

/// A job on its way through its chain.
struct Journey {
    fate: Fate,
    survive: f64,
    time: f64,
    variance: f64,
    /// Seconds that an answer takes on its way back.
    back: f64,
}

impl Journey {
    /// Passes a station. The wait is taken as exponential for those who wait, who are as many as the station is busy;
    /// no distribution between 0 and the longest wait varies more than the second bound says.
    fn pass(&mut self, workspace: &Workspace, at: usize, step: &Step, station: Station, reach: f64) {
        let (found, busy) = (workspace.steps()[at], workspace.stations()[step.station].utilization);
        let wait = (found.residence - step.mean_service).max(0.0);
        let longest = step.mean_service * station.capacity as f64 / station.cores as f64;
        let varies = (wait * wait * (2.0 / busy.clamp(0.02, 1.0) - 1.0)).min(wait * (longest - wait).max(0.0));
        self.fate.lost += reach * self.survive * found.loss;
        self.survive *= 1.0 - found.loss;
        self.time += found.residence;
        self.variance += varies + step.service_scv * step.mean_service * step.mean_service;
    }

    fn leave(&mut self, leave: f64, correct: f64) {
        self.fate.correct += correct * self.survive;
        self.answer(leave * self.survive, (self.time, self.variance, self.back));
    }

    /// Of what has been lost since `lost_before`, those who had evaluated an exit are answered instead.
    fn answer_on_overflow(&mut self, lost_before: f64, from: (f64, f64, f64), share: f64, right: f64) {
        let lost = self.fate.lost - lost_before;
        self.fate.lost -= lost * share;
        self.fate.correct += lost * right;
        self.answer(lost * share, from);
    }

    fn answer(&mut self, answered: f64, (time, variance, back): (f64, f64, f64)) {
        let latency = time + back;
        self.fate.answered += answered;
        self.fate.latency += answered * latency;
        self.fate.latency2 += answered * (latency * latency + variance);
    }
}

const _: () = assert!(PER_HOP == 6, "a hop has as many numbers as it has fields");
