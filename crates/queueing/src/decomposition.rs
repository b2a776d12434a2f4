//! Networks of chains with loss, station by station: approximate, in microseconds.
//!
//! # Problem
//! Jobs of each chain visit stations of finite capacity in a given order, may leave answered after each, and are lost
//! where they find a station full. Wanted: throughput, loss and response time of each chain, for a search that tries
//! ten thousands of placements.
//!
//! # Formula
//! Each station is solved alone for the flows that reach it; its departures, thinned by loss and exits, are the flows
//! into the next ones. A flow has a rate and a squared coefficient of variation c² (1 for Poisson). Stations are taken
//! in the order of the flow, and again while what enters them still changes, where chains lead in circles (damped after
//! some sweeps, of which there are at most [`MOST_SWEEPS`]).
//!
//! * *One core, first come first served:* the embedded chain of [M/G/1/K](crate::mg1k), services gamma with the given
//!   two moments per class, evaluated at the capacity 1 + (K − 1)(1 + s²)/(c² + s²), and the jobs that wait scaled back
//!   by it: exact for Poisson arrivals and constant, exponential or Erlang service; Allen–Cunneen for K → ∞; no loss
//!   below load one for evenly spaced arrivals. The wait is then corrected by the factor of Kraemer and
//!   Langenbach-Belz where c² < 1, and shifted from evenly spaced flows, which do not meet their own jobs, to others.
//! * *Several cores, or processor sharing:* [M/M/c/K](crate::mmck) with the waiting room scaled alike; exact for
//!   exponential service, and for processor sharing of any, while arrivals are Poisson.
//! * *Departures* from one core: c² = u²s² + (1 − B)²(1 − (1 − π₀)²)c², u the utilization, B the loss, π₀ the share of
//!   jobs that leave the station empty: exact for M/G/1/K, and (1 − u²)c² + u²s² without loss. Otherwise the formula of
//!   QNA. A chain's share q of them has qc² + (1 − q)(1 − ½(1 − q)(1 − c²_own)).
//! * *Bottlenecks upstream:* what a faster station smoothed at short range comes apart again in a queue that remembers
//!   longer. For constant services in tandem the total wait is that of the slowest station, which fixes the c² that
//!   gives the right wait. Of the way from the short-range c² to this, [`MEMORY`] is gone.
//! * *Who is lost:* in a full station every departure opens one place, and the next arrival takes it. Classes win it in
//!   proportion to their rate, to the mean gap before their jobs where they come from the same station, and to (2/(1 +
//!   c²))^[`SPACING`]: evenly spaced arrivals come sooner than Poisson ones. Work is conserved: the station as a whole
//!   serves as much as the first point says.
//! * *Constant services behind constant services:* where all arrivals come from one station and no nearer to each other
//!   than a service takes, nobody waits and nobody is lost.
//!
//! # Assumptions
//! Flows are described by rate and c² only: no dependence between flows, between service times, or on what happened
//! upstream. Chains that meet again after different ways, and stations of one or two places in step with constant
//! services, can be far off: one chain in twenty by more than an eighth of its throughput, single ones by factors.
//! Every job takes one place, wherever it is. Losses below 1e-9 are orders of magnitude.
//!
//! # Accuracy
//! Against simulated throughput and response time of 2,000 networks published with ChainNet (1–3 chains, 2–6 constant
//! services each, up to 10 stations, K ≤ 50; the labels are noisy by 0.4 %). The two constants were fitted on the first
//! half; the rules were chosen with an eye on all of them. So the last rows are about 300 networks each that were drawn
//! afterwards from the same ranges and simulated by ourselves, with constant and with more variable services.
//!
//! | mean absolute error | throughput | median | 95 % | response | median | 95 % |
//! |---|---|---|---|---|---|---|
//! | first 1,000 networks | 2.64 % | 0.33 % | 13.5 % | 2.46 % | 1.07 % | 8.5 % |
//! | other 1,000 networks | 2.07 % | 0.31 % | 12.2 % | 2.54 % | 0.87 % | 9.1 % |
//! | all 2,000 | 2.36 % | 0.32 % | 12.7 % | 2.50 % | 0.97 % | 9.0 % |
//! | all, had every flow c² = 1 and every class the same loss | 4.40 % | 0.39 % | 20.6 % | 8.75 % | 5.31 % | 26.8 % |
//! | drawn afterwards | 2.34 % | 0.01 % | 14.7 % | 2.43 % | 0.90 % | 8.2 % |
//! | drawn afterwards, Erlang-4 service | 1.48 % | 0.02 % | 8.0 % | 1.87 % | 1.26 % | 5.7 % |
//! | drawn afterwards, exponential service | 0.77 % | 0.03 % | 3.7 % | 1.20 % | 0.60 % | 4.2 % |
//!
//! It is meant for screening; what it finds has to be simulated.
//!
//! # Cost
//! A station whose inflows are the same as in the last evaluation of a [`Workspace`] costs a comparison. Otherwise, per
//! visit to a station O(n²) for the n classes there and 20 to 40 levels of the embedded chain, independent of K;
//! without allocation once the [`Workspace`] has grown. One core of a server took 8 µs for three chains of six steps on
//! 18 stations, 9 µs on 10 stations in circles, 3 µs for the average network above. Circles near load one settle
//! slowly: the worst cases, one network in a thousand, need all sweeps and some 150 µs.
//!
//! # Reference
//! W. Whitt, "The queueing network analyzer", Bell System Technical Journal 62 (1983), pp. 2779–2815; G. R. Bitran and
//! D. Tirupati, "Multiproduct queueing networks with deterministic routing", Management Science 34 (1988), pp. 75–100
//! (shares of a chain); W. Kraemer and M. Langenbach-Belz, "Approximate formulae for the delay in the queueing system
//! GI/G/1", ITC 8 (1976); H. D. Friedman, "Reduction methods for tandem queuing systems", Operations Research 13
//! (1965), pp. 121–131 (constant services). The scaled capacity, the competition for places and the correction for
//! upstream bottlenecks are ours.

mod network;
mod room;
mod station;

pub use network::{Chain, Discipline, Network, Station, Step};
pub use station::{MEMORY, SPACING};

use network::{NO_STATION, StepPlan};
use station::{Flow, StationSolver, StepResult};

/// Sweeps over the stations at most; acyclic networks need one.
pub const MOST_SWEEPS: usize = 40;

/// Sweeps after which flows move only halfway to what leaves the station before, so that circles that swing come to
/// rest.
const FREE_SWEEPS: usize = 8;

/// Changes of a flow below this are not passed on.
const SETTLED: f64 = 1e-4;

/// What one chain achieves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainMetrics {
    /// Rate of jobs that leave answered.
    pub throughput: f64,
    /// Share of the jobs that are lost on their way.
    pub loss: f64,
    /// Mean time from arrival to answer, over answered jobs.
    pub mean_response: f64,
    /// Sum over all steps of the mean time of the jobs served there, whoever comes that far.
    pub sum_of_residences: f64,
}

/// What happens to a chain at one of its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepMetrics {
    /// Rate of jobs that ask to be admitted.
    pub offered: f64,
    /// Rate of jobs that are served.
    pub served: f64,
    /// Share of the offered jobs that is lost.
    pub loss: f64,
    /// Mean time from admission to end of service.
    pub residence: f64,
}

/// What happens at a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StationMetrics {
    /// Busy cores over cores.
    pub utilization: f64,
    /// Time average of the jobs present.
    pub mean_jobs: f64,
}

/// Results of the last evaluation, and the memory for the next one.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    chains: Vec<ChainMetrics>,
    steps: Vec<StepMetrics>,
    stations: Vec<StationMetrics>,
    sweeps: usize,
    settled: bool,
    inflows: Vec<Flow>,
    /// What the stations before send; the inflows follow it.
    sent: Vec<Flow>,
    changed: Vec<bool>,
    solver: StationSolver,
    /// Per station what came of it when it was solved last: a search changes few stations at a time.
    known: Vec<Known>,
}

/// A station as it was solved last, and what came of it.
#[derive(Debug, Clone, Default)]
struct Known {
    station: Option<Station>,
    steps: Vec<StepPlan>,
    inflows: Vec<Flow>,
    results: Vec<StepResult>,
}

impl Known {
    fn is_for(&self, network: &Network, station: usize, visitors: &[usize], inflows: &[Flow]) -> bool {
        self.station == Some(network.stations[station])
            && self.steps.len() == visitors.len()
            && visitors.iter().zip(&self.steps).all(|(&index, step)| network.steps[index] == *step)
            && visitors.iter().zip(&self.inflows).all(|(&index, inflow)| inflows[index] == *inflow)
    }

    fn learn(
        &mut self,
        network: &Network,
        station: usize,
        visitors: &[usize],
        inflows: &[Flow],
        results: &[StepResult],
    ) {
        self.station = Some(network.stations[station]);
        self.steps.clear();
        self.steps.extend(visitors.iter().map(|&index| network.steps[index]));
        self.inflows.clear();
        self.inflows.extend(visitors.iter().map(|&index| inflows[index]));
        self.results.clear();
        self.results.extend_from_slice(results);
    }
}

impl Workspace {
    /// An empty one; it grows with the networks it sees.
    pub fn new() -> Self {
        Self::default()
    }

    /// Per chain, in the order of the network.
    pub fn chains(&self) -> &[ChainMetrics] {
        &self.chains
    }

    /// Per step, those of the first chain first.
    pub fn steps(&self) -> &[StepMetrics] {
        &self.steps
    }

    /// Per station, in the order of the network.
    pub fn stations(&self) -> &[StationMetrics] {
        &self.stations
    }

    /// Sweeps over the stations that it took.
    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    /// Whether the flows came to rest within [`MOST_SWEEPS`]; otherwise the results are those of the last sweep.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Evaluates `network`; the results are in this workspace until the next call.
    pub fn evaluate(&mut self, network: &Network) {
        self.start(network);
        self.sweeps = 0;
        self.settled = false;
        while !self.settled && self.sweeps < MOST_SWEEPS {
            self.sweeps += 1;
            self.settled = true;
            for &station in &network.order {
                if std::mem::take(&mut self.changed[station]) {
                    self.visit(network, station);
                }
            }
        }
        self.sum_up(network);
    }

    fn start(&mut self, network: &Network) {
        let nothing = StepMetrics { offered: 0.0, served: 0.0, loss: 0.0, residence: 0.0 };
        self.steps.clear();
        self.steps.resize(network.steps.len(), nothing);
        self.stations.clear();
        self.stations.resize(network.stations.len(), StationMetrics { utilization: 0.0, mean_jobs: 0.0 });
        self.changed.clear();
        self.changed.resize(network.stations.len(), true);
        self.known.resize_with(network.stations.len(), Known::default);
        self.inflows.clear();
        for chain in &network.chains {
            let mut reach = 1.0;
            for step in &network.steps[chain.steps.clone()] {
                self.inflows.push(Flow::external(chain.arrival_scv, reach));
                reach *= 1.0 - step.exit_probability;
            }
        }
        self.sent.clone_from(&self.inflows);
    }

    fn visit(&mut self, network: &Network, station: usize) {
        let visitors = network.visitors(station);
        self.follow(visitors, station);
        let known = &mut self.known[station];
        if !known.is_for(network, station, visitors, &self.inflows) {
            self.solver.solve(network, station, visitors, &self.inflows);
            known.learn(network, station, visitors, &self.inflows, &self.solver.results);
        }
        let mut found = StationMetrics { utilization: 0.0, mean_jobs: 0.0 };
        for (&index, result) in visitors.iter().zip(&self.known[station].results) {
            let step = &network.steps[index];
            let StepResult { offered, loss, residence, outflow } = *result;
            let served = offered * (1.0 - loss);
            self.steps[index] = StepMetrics { offered, served, loss, residence };
            found.utilization += served * step.mean_service / network.stations[station].cores as f64;
            found.mean_jobs += served * residence;
            if step.next_station != NO_STATION {
                self.sent[index + 1] = outflow;
                if self.inflows[index + 1].distance(&outflow) > SETTLED {
                    self.changed[step.next_station] = true;
                    self.settled &= network.is_later(step.next_station, station);
                }
            }
        }
        self.stations[station] = found;
    }

    /// Moves the inflows of a station to what is sent; it has to be visited again where they are not there yet.
    fn follow(&mut self, visitors: &[usize], station: usize) {
        let weight = if self.sweeps > FREE_SWEEPS { 0.5 } else { 1.0 };
        for &index in visitors {
            let (inflow, sent) = (&mut self.inflows[index], &self.sent[index]);
            *inflow = inflow.towards(sent, weight);
            if inflow.distance(sent) > SETTLED {
                self.changed[station] = true;
                self.settled = false;
            }
        }
    }

    fn sum_up(&mut self, network: &Network) {
        self.chains.clear();
        for chain in &network.chains {
            let (mut loss, mut so_far, mut answered, mut response) = (0.0, 0.0, 0.0, 0.0);
            // Followed again from the start, so that no job is missing where flows have not come to rest.
            let mut reach = 1.0;
            for (step, plan) in self.steps[chain.steps.clone()].iter().zip(&network.steps[chain.steps.clone()]) {
                so_far += step.residence;
                loss += reach * step.loss;
                reach *= 1.0 - step.loss;
                let leaving = reach * plan.exit_probability;
                reach -= leaving;
                answered += leaving;
                response += leaving * so_far;
            }
            self.chains.push(ChainMetrics {
                throughput: chain.rate * answered,
                loss,
                mean_response: if answered > 0.0 { response / answered } else { so_far },
                sum_of_residences: so_far,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, Service, mg1k, mmck};
    use proptest::prelude::*;

    fn station(capacity: usize) -> Station {
        Station { capacity, cores: 1, discipline: Discipline::FirstCome }
    }

    fn chain(rate: f64, visits: &[(usize, f64, f64)]) -> Chain {
        let step = |&(station, mean_service, service_scv): &(usize, f64, f64)| Step {
            station,
            mean_service,
            service_scv,
            exit_probability: 0.0,
        };
        let mut steps: Vec<Step> = visits.iter().map(step).collect();
        if let Some(last) = steps.last_mut() {
            last.exit_probability = 1.0;
        }
        Chain { rate, arrival_scv: 1.0, steps }
    }

    fn evaluate(stations: &[Station], chains: &[Chain]) -> Workspace {
        let mut workspace = Workspace::new();
        workspace.evaluate(&Network::new(stations, chains).unwrap());
        workspace
    }

    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance * expected.abs(), "{value} instead of {expected}");
    }

    #[test]
    fn poisson_arrivals_at_one_station_are_exact() {
        let chains = [chain(0.5, &[(0, 0.3, 0.0)]), chain(0.4, &[(0, 2.0, 0.5)])];
        let service =
            Service::new([(5.0 / 9.0, Law::deterministic(0.3).unwrap()), (4.0 / 9.0, Law::gamma(2.0, 0.5).unwrap())]);
        let exact = mg1k::solve(0.9, &service.unwrap(), 8).unwrap().metrics;
        let found = evaluate(&[station(8)], &chains);
        for (index, mean) in [(0, 0.3), (1, 2.0)] {
            close(found.chains()[index].loss, exact.loss, 1e-6);
            close(found.chains()[index].mean_response, exact.mean_wait + mean, 1e-6);
        }
        close(found.stations()[0].utilization, exact.utilization, 1e-6);
        close(found.stations()[0].mean_jobs, exact.mean_jobs, 1e-6);
    }

    #[test]
    fn poisson_arrivals_at_several_cores_and_shared_processors_are_exact() {
        let exact = mmck::solve(0.9, 2.0, 3, 7).unwrap().metrics;
        for (discipline, scv) in [(Discipline::FirstCome, 1.0), (Discipline::ProcessorSharing, 5.0)] {
            let station = Station { capacity: 7, cores: 3, discipline };
            let found = evaluate(&[station], &[chain(0.9, &[(0, 2.0, scv)])]);
            close(found.chains()[0].loss, exact.loss, 1e-9);
            close(found.chains()[0].mean_response, exact.mean_residence, 1e-9);
        }
    }

    #[test]
    fn a_tandem_of_exponential_services_that_loses_little_stays_poisson() {
        let visits = [(0, 1.0, 1.0), (1, 1.0, 1.0), (2, 1.0, 1.0)];
        let found = evaluate(&[station(300); 3], &[chain(0.7, &visits)]);
        close(found.chains()[0].mean_response, 3.0 / 0.3, 1e-6);
        assert!(found.chains()[0].loss < 1e-12);
    }

    #[test]
    fn nobody_waits_for_a_shorter_constant_service() {
        let visits = [(0, 1.0, 0.0), (1, 0.9, 0.0), (2, 1.0, 0.0)];
        let found = evaluate(&[station(5), station(1), station(1)], &[chain(0.8, &visits)]);
        let exact = mg1k::solve(0.8, &Law::deterministic(1.0).unwrap().into(), 5).unwrap().metrics;
        close(found.chains()[0].throughput, exact.throughput, 1e-9);
        close(found.chains()[0].sum_of_residences, exact.mean_residence + 1.9, 1e-6);
    }

    #[test]
    fn evenly_spaced_arrivals_win_places_from_random_ones() {
        // A saturated station feeds 0.99 jobs per second, evenly, into one that can serve one.
        let chains = [chain(5.0, &[(0, 1.01, 0.0), (1, 1.0, 0.0)]), chain(0.5, &[(1, 1.0, 0.0)])];
        let found = evaluate(&[station(10), station(10)], &chains);
        let [even, random] = [1, 2].map(|step: usize| found.steps()[step].loss);
        assert!(even < 0.75 * random, "{even} {random}");
        close(found.stations()[1].utilization, 1.0, 1e-3);
    }

    #[test]
    fn early_exits_thin_the_flow_and_end_the_response() {
        let mut with_exit = chain(0.1, &[(0, 1.0, 1.0), (1, 1.0, 1.0)]);
        with_exit.steps[0].exit_probability = 0.25;
        let found = evaluate(&[station(50), station(50)], &[with_exit]);
        let metrics = found.chains()[0];
        close(metrics.throughput, 0.1, 1e-9);
        close(found.steps()[1].offered, 0.075, 1e-9);
        close(metrics.mean_response, 1.0 / 0.9 + 0.75 / 0.925, 1e-6);
    }

    #[test]
    fn exponential_services_with_early_exits_are_close_to_exact() {
        // From the Markov chain of the whole network.
        let mut chain = chain(1.2, &[(0, 0.7, 1.0), (1, 1.0, 1.0), (2, 2.0, 1.0)]);
        chain.steps[0].exit_probability = 0.3;
        chain.steps[1].exit_probability = 0.5;
        let found = evaluate(&[station(4), station(4), station(3)], &[chain]);
        close(found.chains()[0].throughput, 0.940_274_8, 0.015);
        for (step, residence) in [1.598_74, 2.091_569, 3.450_913].into_iter().enumerate() {
            close(found.steps()[step].residence, residence, 0.03);
        }
    }

    #[test]
    fn chains_that_lead_in_circles_settle() {
        let chains = [
            chain(1.2, &[(0, 0.5, 0.0), (1, 0.7, 0.3), (2, 0.4, 0.0)]),
            chain(0.8, &[(2, 0.9, 0.0), (0, 0.6, 0.0), (1, 0.2, 2.0)]),
            chain(0.7, &[(1, 0.3, 0.0), (2, 0.8, 1.0), (0, 0.1, 0.0)]),
        ];
        let found = evaluate(&[station(4), station(9), station(2)], &chains);
        assert!(found.settled(), "{} sweeps", found.sweeps());
    }

    #[test]
    fn a_chain_without_jobs_sees_what_others_leave() {
        let chains = [chain(0.0, &[(0, 1.0, 0.0)]), chain(2.0, &[(0, 1.0, 0.0)])];
        let found = evaluate(&[station(3)], &chains);
        assert_eq!(found.chains()[0].throughput, 0.0);
        close(found.chains()[0].loss, found.chains()[1].loss, 1e-12);
        let idle = evaluate(&[station(3)], &chains[..1]);
        assert_eq!((idle.chains()[0].loss, idle.chains()[0].mean_response), (0.0, 1.0));
    }

    #[test]
    fn bad_arguments_are_named() {
        let good = chain(1.0, &[(0, 1.0, 0.0)]);
        let refusal = |stations: &[Station], chains: &[Chain]| Network::new(stations, chains).unwrap_err().to_string();
        assert!(refusal(&[station(1)], &[]).starts_with("number of chains"));
        assert!(refusal(&[station(0)], std::slice::from_ref(&good)).starts_with("capacity of station 0"));
        assert!(refusal(&[], std::slice::from_ref(&good)).starts_with("station of step 0 of chain 0"));
        assert!(refusal(&[station(1)], &[chain(1.0, &[])]).starts_with("number of steps of chain 0"));
        assert!(refusal(&[station(1)], &[chain(f64::NAN, &[(0, 1.0, 0.0)])]).starts_with("arrival rate of chain 0"));
        let bad = [good.clone(), chain(1.0, &[(0, -1.0, 0.0)])];
        assert!(refusal(&[station(1)], &bad).starts_with("mean of service of step 0 of chain 1"));
        let bad = [chain(1.0, &[(0, 1.0, f64::INFINITY)])];
        assert!(refusal(&[station(1)], &bad).starts_with("scv of service of step 0"));
        let mut bad = good;
        bad.steps[0].exit_probability = 0.5;
        assert!(refusal(&[station(1)], &[bad]).starts_with("exit probability of the last step of chain 0"));
    }

    fn any_network() -> impl Strategy<Value = (Vec<Station>, Vec<Chain>)> {
        let stations = proptest::collection::vec((1usize..60, 1usize..4, any::<bool>()), 5).prop_map(|stations| {
            let discipline = |shared| if shared { Discipline::ProcessorSharing } else { Discipline::FirstCome };
            let station = |(capacity, cores, shared)| Station { capacity, cores, discipline: discipline(shared) };
            stations.into_iter().map(station).collect()
        });
        let visit = (0usize..5, 0.01..3.0f64, prop_oneof![Just(0.0), 0.0..4.0f64]);
        let chain = (0.0..5.0f64, 0.0..4.0f64, proptest::collection::vec(visit, 1..7), 0.0..1.0f64).prop_map(
            |(rate, arrival_scv, visits, exit)| {
                let mut chain = Chain { arrival_scv, ..chain(rate, &visits) };
                let last = chain.steps.len() - 1;
                for step in &mut chain.steps[..last] {
                    step.exit_probability = exit;
                }
                chain
            },
        );
        (stations, proptest::collection::vec(chain, 1..5))
    }

    proptest! {
        #[test]
        fn jobs_are_conserved_and_metrics_are_possible((stations, chains) in any_network()) {
            let mut found = evaluate(&stations, &chains);
            for (chain, metrics) in chains.iter().zip(found.chains()) {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&metrics.loss), "{:?}", metrics);
                let accounted = metrics.throughput + chain.rate * metrics.loss;
                prop_assert!((accounted - chain.rate).abs() <= 1e-12 * chain.rate, "{:?}", metrics);
                prop_assert!(metrics.mean_response > 0.0 && metrics.mean_response.is_finite());
            }
            for (station, metrics) in stations.iter().zip(found.stations()) {
                prop_assert!((0.0..=1.0 + 1e-6).contains(&metrics.utilization), "{:?}", metrics);
                prop_assert!(metrics.mean_jobs.is_finite());
                prop_assert!(metrics.mean_jobs <= station.capacity as f64 * 1.01 + 0.5, "{:?} {:?}", station, metrics);
            }
            let before = found.chains().to_vec();
            found.evaluate(&Network::new(&stations, &chains).unwrap());
            prop_assert_eq!(before, found.chains());
        }
    }
}
