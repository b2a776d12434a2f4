//! Schedulers: what they are told and when, and what comes of what they decide.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{
    PLENTY, assert_close, assert_jobs, assert_within, at, chain, core, model, model_chain, ok, policy, region, run,
};
use common::{scheduled, scheduling, segments, step, thresholds, trace};
use domain::{Epoch, Probability, Thresholds};
use policy::{Arriving, Dispatching, End, Outcome, RateEstimator, Scheduler, Selected};
use rand::{Rng, RngExt};
use simulator::{
    Arrivals, Chain, Device, Discipline, Effort, Fate, Lane, Law, Network, Outages, Overflow, Region, Retry,
    Scheduling, Source, simulate,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn regions(budgets: &[u64]) -> Vec<Region> {
    budgets.iter().enumerate().map(|(number, &budget)| region(&format!("region {number}"), budget)).collect()
}

/// A fast exit behind the first segment and a slow one behind the second; always or never surer than 0.5.
fn two_exits(sure: bool) -> simulator::Model {
    let confidence = if sure { 0.9 } else { 0.1 };
    model(&[0, 1], &[0.2, 0.8], &[0.0, 0.0], &[&[(confidence, false), (1.0, true)]])
}

fn served_by(device: Device, scheduling: Scheduling, source: Source) -> Network {
    Network {
        devices: vec![device],
        regions: regions(&[PLENTY, PLENTY]),
        models: vec![two_exits(false)],
        chains: vec![model_chain(vec![segments(0, 0, 0, 1)])],
        schedulers: vec![scheduling],
        sources: vec![source],
        ..Network::default()
    }
}

#[test]
fn a_mixture_gives_chains_and_exits_their_shares() {
    // Chain 1 with two threshold vectors, of which one leaves at once.
    let mixture = policy(Epoch::Arrival, &[(0.25, 0, &[1.0]), (0.15, 1, &[0.0]), (0.6, 1, &[1.0])]);
    let mut network =
        served_by(core(), scheduling(&[0, 1], mixture), scheduled(Arrivals::Renewal(Law::Deterministic(2.0))));
    network.devices.push(core());
    network.chains.push(model_chain(vec![segments(1, 1, 0, 1)]));
    for epoch in [Epoch::Arrival, Epoch::Dispatch] {
        let mut of_epoch = policy(epoch, &[(0.25, 0, &[1.0]), (0.15, 1, &[0.0]), (0.6, 1, &[1.0])]);
        of_epoch.audit = Probability::new(0.0).expect("it is a probability");
        network.schedulers[0] = scheduling(&[0, 1], of_epoch);
        let report = common::run_for(&network, 100_000);
        assert_within("first chain", report.chains[0].fates.throughput, 0.25 / 2.0);
        assert_within("first exit of the second chain", report.chains[1].fates.exits[0], 0.15 / 0.75);
        assert_within("last exit of the second chain", report.chains[1].fates.exits[1], 0.6 / 0.75);
        assert_within("last exit of both", report.sources[0].fates.exits[1], 0.85);
        assert_within("accuracy", report.sources[0].fates.accuracy, 0.85);
        assert!(report.sources[0].fates.accuracy.ci99 < 0.01);
    }
}

#[test]
fn a_policy_knows_sources_by_name() {
    let mut by_name = policy(Epoch::Arrival, &[(1.0, 0, &[1.0])]);
    let other = policy(Epoch::Arrival, &[(1.0, 0, &[0.0])]);
    by_name.sources = vec![("camera".to_owned(), other.default)];
    let mut network = served_by(core(), scheduling(&[0], by_name), scheduled(trace(&[0.0, 5.0])));
    network.sources.push(Source { name: "camera".to_owned(), ..scheduled(trace(&[2.0, 7.0])) });
    let ends: Vec<f64> = common::jobs(&network).iter().map(|job| job.ended - job.arrived).collect();
    ends.iter().zip([1.0, 0.2, 1.0, 0.2]).for_each(|(found, wanted)| assert_close("latency", *found, wanted));
}

/// What a scheduler was asked and told.
#[derive(Debug, Clone, Default)]
struct Log {
    /// When jobs were sent, and how many were present.
    dispatches: Vec<(f64, usize)>,
    /// Decisions by tag: how often each was made, and how often its end was told.
    decided: BTreeMap<u32, u32>,
    ended: BTreeMap<u32, u32>,
    ends: [u32; 3],
}

/// Gives every decision a tag of its own. Logs.
#[derive(Clone)]
struct Logging {
    log: Arc<Mutex<Log>>,
    at_dispatch: bool,
    thresholds: Thresholds,
    next: u32,
}

impl Logging {
    fn new(at_dispatch: bool, values: &[f32]) -> Self {
        Self { log: Arc::default(), at_dispatch, thresholds: thresholds(values), next: 1 }
    }

    fn decide(&mut self) -> u32 {
        self.next += 1;
        *self.log.lock().expect("nobody panics").decided.entry(self.next).or_default() += 1;
        self.next
    }

    fn log(&self) -> Log {
        self.log.lock().expect("nobody panics").clone()
    }
}

impl Scheduler for Logging {
    fn arrive(&mut self, arriving: &Arriving<'_>, _: &mut dyn Rng) -> Option<Selected<'_>> {
        let chain = [0, 1].into_iter().find(|&chain| (arriving.usable)(chain))?;
        let tag = self.decide();
        let thresholds = if self.at_dispatch { None } else { Some(&self.thresholds) };
        Some(Selected { chain, thresholds, audit: false, tag })
    }

    fn dispatch(&mut self, job: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        self.log.lock().expect("nobody panics").dispatches.push((job.now, job.present));
        let tag = self.decide();
        Some((&self.thresholds, tag))
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        let mut log = self.log.lock().expect("nobody panics");
        *log.ended.entry(outcome.tag).or_default() += 1;
        let kind = match outcome.end {
            End::Answered { .. } => 0,
            End::Lost => 1,
            End::Failed => 2,
        };
        log.ends[kind] += 1;
    }
}

#[test]
fn a_gateway_sends_as_many_jobs_as_there_are_workers() {
    let lane = |workers: u32| Lane { name: "lane".to_owned(), workers, request: 1.0, limit: f64::INFINITY };
    let arrivals = [0.0, 0.5, 1.1, 2.5];
    let rows = [
        // The service takes 1 s.
        (core(), vec![(0.0, 1), (1.0, 1), (2.0, 1), (3.0, 1)], [1.0, 2.0, 3.0, 4.0]),
        (Device { speed: 0.5, ..core() }, vec![(0.0, 1), (2.0, 2), (4.0, 2), (6.0, 1)], [2.0, 4.0, 6.0, 8.0]),
        (
            Device { cores: 2.0, speed: 0.5, ..core() },
            vec![(0.0, 1), (0.5, 2), (2.0, 2), (2.5, 2)],
            [2.0, 2.5, 4.0, 4.5],
        ),
        (
            Device { cores: 2.0, speed: 0.5, ..common::device(2.0, Discipline::Pods(vec![lane(1)])) },
            vec![(0.0, 1), (2.0, 2), (4.0, 2), (6.0, 1)],
            [2.0, 4.0, 6.0, 8.0],
        ),
        // Where all are served at once nobody waits.
        (
            Device { speed: 0.1, ..common::device(9.0, Discipline::Ps) },
            vec![(0.0, 1), (0.5, 2), (1.1, 3), (2.5, 4)],
            [10.0, 10.5, 11.1, 12.5],
        ),
    ];
    for (device, dispatches, ends) in rows {
        let scheduler = Logging::new(true, &[1.0]);
        let network = served_by(device.clone(), scheduling(&[0], scheduler.clone()), scheduled(trace(&arrivals)));
        let found = common::jobs(&network);
        let log = scheduler.log();
        assert_eq!(log.dispatches.len(), 4);
        for ((found, wanted), device) in log.dispatches.iter().zip(&dispatches).zip([&device; 4]) {
            assert_close("time of dispatch", found.0, wanted.0);
            assert_eq!(found.1, wanted.1, "present at {} with {device:?}", found.0);
        }
        found.iter().zip(ends).for_each(|(job, end)| assert_close("end", job.ended, end));
    }
}

/// A gateway with room for two jobs of 5 bytes each, before a device that serves one job in 2 s.
fn gateway(scheduler: Logging, times: &[f64]) -> Network {
    let scheduling = Scheduling { gateway: Some((1, 5)), ..scheduling(&[0], scheduler) };
    let mut network = served_by(Device { speed: 0.5, ..core() }, scheduling, scheduled(trace(times)));
    network.regions = regions(&[1, 10]);
    network
}

#[test]
fn the_queue_of_a_gateway_is_bounded_by_its_memory() {
    let scheduler = Logging::new(true, &[1.0]);
    let network = gateway(scheduler.clone(), &[0.0, 0.5, 1.0, 1.5, 2.5, 2.6]);
    let answered = Fate::Answered { exit: 1, on_overflow: false, correct: Some(true) };
    let rows = [
        (0, 0.0, 2.0, answered),
        (0, 0.5, 4.0, answered),
        (0, 1.0, 6.0, answered),
        // Two wait; the one in service has been taken over.
        (0, 1.5, 1.5, Fate::Lost { step: None }),
        (0, 2.5, 8.0, answered),
        (0, 2.6, 2.6, Fate::Lost { step: None }),
    ];
    assert_jobs(&network, &rows);
    let report = run(&network);
    let places: Vec<_> = report.sources[0].lost_at.iter().map(|(place, share)| (place.as_str(), share.value)).collect();
    assert_eq!(places.len(), 1);
    assert_eq!(places[0].0, "gateway");
    assert_close("share", places[0].1, 1.0 / 3.0);
}

#[test]
fn outcomes_of_jobs_that_were_never_sent_carry_the_tag_of_their_arrival() {
    let scheduler = Logging::new(true, &[1.0]);
    let mut network = gateway(scheduler.clone(), &[0.0, 0.5, 1.0, 1.5, 2.5, 2.6]);
    // Dropped in the queue of the gateway when its turn comes at 4.
    network.sources[0].deadline = Some(2.9);
    common::jobs(&network);
    let log = scheduler.log();
    assert_eq!(log.ended.values().sum::<u32>(), 6);
    assert!(log.ended.values().all(|&times| times == 1), "{log:?}");
    assert!(log.ended.keys().all(|tag| log.decided.contains_key(tag)), "{log:?}");
}

#[test]
fn every_outcome_is_told_once_with_its_tag() {
    for at_dispatch in [false, true] {
        for retry in [None, Some(Retry { attempts: 3, delay: 0.4 })] {
            let scheduler = Logging::new(at_dispatch, &[0.5]);
            let times: Vec<f64> =
                (0..5000).map(|job| f64::from(job) * 0.37 + f64::from(job * job % 101) / 500.0).collect();
            let source = Source { deadline: Some(3.0), retry, ..scheduled(trace(&times)) };
            let mut network = served_by(core(), scheduling(&[0, 1], scheduler.clone()), source);
            network.devices = vec![
                Device { outages: Outages::Random { mean_up: 40.0, mean_down: 4.0 }, ..core() },
                Device { outages: Outages::Random { mean_up: 30.0, mean_down: 6.0 }, ..core() },
            ];
            network.regions = regions(&[8, 3]);
            network.chains = vec![
                Chain {
                    overflow: Overflow::AnswerWithLastExit,
                    ..model_chain(vec![segments(0, 0, 0, 0), segments(1, 1, 1, 1)])
                },
                model_chain(vec![segments(1, 1, 0, 1)]),
            ];
            let jobs = common::jobs(&network);
            let log = scheduler.log();
            assert!(log.ended.values().all(|&times| times == 1), "at most once each");
            assert!(log.ended.keys().all(|tag| log.decided.contains_key(tag)), "only what was decided");
            let count = |fits: fn(&Fate) -> bool| jobs.iter().filter(|job| fits(&job.fate)).count() as u32;
            let ends = [
                count(|fate| matches!(fate, Fate::Answered { .. })),
                count(|fate| matches!(fate, Fate::Lost { .. })),
                count(|fate| matches!(fate, Fate::Failed(_)))
                    - jobs.iter().filter(|job| job.chain.is_none()).count() as u32,
            ];
            assert_eq!(log.ends, ends, "jobs that no scheduler took are not told of");
            assert_eq!(jobs.len(), 5000);
            assert!(ends[0] > 500 && ends[2] > 20, "a test of all ends: {ends:?}");
        }
    }
}

#[test]
fn an_outcome_says_what_became_of_the_job() {
    #[derive(Clone, Default)]
    struct Hears(Arc<Mutex<Vec<(f64, u32, End)>>>);
    impl Scheduler for Hears {
        fn arrive(&mut self, arriving: &Arriving<'_>, _: &mut dyn Rng) -> Option<Selected<'_>> {
            static ALWAYS: std::sync::LazyLock<Thresholds> = std::sync::LazyLock::new(|| Thresholds::exit_first(2));
            Some(Selected { chain: 0, thresholds: Some(&ALWAYS), audit: false, tag: arriving.now as u32 })
        }
        fn dispatch(&mut self, _: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
            None
        }
        fn ended(&mut self, outcome: &Outcome<'_>) {
            self.0.lock().expect("nobody panics").push((outcome.now, outcome.tag, outcome.end));
        }
    }
    let hears = Hears::default();
    let mut network = served_by(core(), scheduling(&[0], hears.clone()), scheduled(trace(&[1.0, 2.0, 2.1])));
    network.regions[0].budget = 1;
    common::jobs(&network);
    let heard = hears.0.lock().expect("nobody panics").clone();
    let [first, lost, second] = heard[..] else { panic!("{heard:?}") };
    assert_eq!((lost.1, lost.2), (2, End::Lost));
    assert_eq!((first.1, second.1), (1, 2));
    let End::Answered { exit: 0, confidence, latency } = first.2 else { panic!("{first:?}") };
    assert_eq!(confidence, 0.1);
    assert_close("latency", latency, 0.2);
    assert_close("time", first.0, 1.2);
}

/// When a job was sent, in which row, how many were present, and the exit chosen.
type Looked = (f64, usize, usize, usize);

/// Leaves early where the estimated rate, or the queue, says so.
#[derive(Clone)]
struct Table {
    rate: RateEstimator,
    /// Per row of the rate: jobs present from which on all leave early.
    rows: [usize; 2],
    choices: [Thresholds; 2],
    log: Arc<Mutex<Vec<Looked>>>,
}

impl Scheduler for Table {
    fn arrive(&mut self, arriving: &Arriving<'_>, _: &mut dyn Rng) -> Option<Selected<'_>> {
        self.rate.arrive(1, Duration::from_secs_f64(arriving.now));
        Some(Selected { chain: 0, thresholds: None, audit: false, tag: 0 })
    }

    fn dispatch(&mut self, job: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        let row = usize::from(self.rate.rate(Duration::from_secs_f64(job.now)) > 2.0);
        let exit = usize::from(job.present < self.rows[row]);
        self.log.lock().expect("nobody panics").push((job.now, row, job.present, exit));
        Some((&self.choices[exit], 0))
    }
}

#[test]
fn a_table_of_rate_and_queue_is_looked_up_when_a_job_is_sent() {
    let table = Table {
        rate: RateEstimator::new(Duration::from_secs(10), Duration::ZERO),
        rows: [99, 3],
        choices: [Thresholds::exit_first(2), Thresholds::exit_last(2)],
        log: Arc::default(),
    };
    // One job in 1.7 s for 170 s, then four per second.
    let slow = (0..100).map(|job| f64::from(job) * 1.7 + 0.013);
    let fast = (0..400).map(|job| 170.0 + f64::from(job) * 0.2503 + 0.0071);
    let times: Vec<f64> = slow.chain(fast).collect();
    let network = served_by(core(), scheduling(&[0], table.clone()), scheduled(trace(&times)));
    let jobs = common::jobs(&network);
    let log = table.log.lock().expect("nobody panics").clone();
    assert_eq!((jobs.len(), log.len()), (500, 500));
    let exits = |row: usize| {
        let of_row = |exit: usize| log.iter().filter(|entry| entry.1 == row && entry.3 == exit).count();
        [of_row(0), of_row(1)]
    };
    assert!(exits(0)[0] == 0 && exits(0)[1] >= 100, "{:?}", exits(0));
    assert!(exits(1)[0] > 100 && exits(1)[1] > 20, "{:?}", exits(1));
    // Jobs are sent in the order of arrival.
    for (job, &(sent, _, present, exit)) in jobs.iter().zip(&log) {
        let there = jobs.iter().filter(|other| other.arrived <= sent && other.ended > sent).count();
        assert_eq!(present, there, "at {sent}");
        assert_eq!(job.fate, Fate::Answered { exit, on_overflow: false, correct: Some(exit == 1) });
        assert_close("time of service", job.ended - sent, [0.2, 1.0][exit]);
    }
}

/// Tries one of two threshold vectors, mostly that with the better mean reward so far.
#[derive(Clone)]
struct Bandit {
    arms: [Thresholds; 2],
    pulls: [f64; 2],
    reward: [f64; 2],
    /// What a second costs.
    price: f64,
}

impl Scheduler for Bandit {
    fn arrive(&mut self, _: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
        let mean = |arm: usize| if self.pulls[arm] > 0.0 { self.reward[arm] / self.pulls[arm] } else { f64::INFINITY };
        let best = usize::from(mean(1) > mean(0));
        let arm = if rng.random_bool(0.1) { usize::from(rng.random_bool(0.5)) } else { best };
        Some(Selected { chain: 0, thresholds: Some(&self.arms[arm]), audit: false, tag: arm as u32 })
    }

    fn dispatch(&mut self, _: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        None
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        let reward = match outcome.end {
            End::Answered { confidence, latency, .. } => f64::from(confidence) - self.price * latency,
            End::Lost | End::Failed => -1.0,
        };
        self.pulls[outcome.tag as usize] += 1.0;
        self.reward[outcome.tag as usize] += reward;
    }
}

#[test]
fn a_bandit_learns_which_exit_pays() {
    // Confidence 0.1 at once or 1 later: where time costs nothing the last exit is better, where it is dear the first.
    for (price, best) in [(0.0, 1), (10.0, 0)] {
        let bandit = Bandit {
            arms: [Thresholds::exit_first(2), Thresholds::exit_last(2)],
            pulls: [0.0; 2],
            reward: [0.0; 2],
            price,
        };
        let source = scheduled(Arrivals::Renewal(Law::Deterministic(5.0)));
        let report = common::run_for(&served_by(core(), scheduling(&[0], bandit), source), 50_000);
        assert_within("share of the better exit", report.sources[0].fates.exits[best], 0.95);
    }
}

#[test]
fn schedulers_are_made_for_each_replication() {
    let made = Arc::new(Mutex::new(vec![]));
    let log = Arc::clone(&made);
    let make: simulator::MakeScheduler = Arc::new(move |replication| {
        log.lock().expect("nobody panics").push(replication);
        Box::new(policy(Epoch::Arrival, &[(1.0, 0, &[1.0])]))
    });
    let network = served_by(
        core(),
        Scheduling { make, ..scheduling(&[0], Logging::new(false, &[1.0])) },
        scheduled(trace(&[0.0])),
    );
    let effort = Effort { replications: std::num::NonZeroU32::new(3), ..common::once() };
    assert_eq!(simulate(&network, &effort).expect("it is a network").run.replications, 3);
    let mut made = made.lock().expect("nobody panics").clone();
    made.sort_unstable();
    assert_eq!(made, [0, 1, 2]);
}

/// All jobs are audits. The second device has one place, at which another chain's jobs are served, too.
fn audited(times: &[f64]) -> Network {
    let mut all = policy(Epoch::Arrival, &[(1.0, 0, &[0.0])]);
    all.audit = Probability::new(1.0).expect("it is a probability");
    Network {
        devices: vec![core(), core()],
        regions: regions(&[PLENTY, 1]),
        models: vec![model(
            &[0, 1, 2],
            &[0.2, 0.3, 2.0],
            &[0.01, 0.02, 0.04],
            &[&[(0.5, true), (0.5, false), (0.5, false)]],
        )],
        chains: vec![model_chain(vec![segments(0, 0, 0, 1), segments(1, 1, 2, 2)]), chain(vec![step(1, 1, 0.1)])],
        schedulers: vec![scheduling(&[0], {
            all.default = policy(Epoch::Arrival, &[(1.0, 0, &[0.0, 1.0])]).default;
            all
        })],
        sources: vec![scheduled(trace(times)), at(1, &[0.6, 2.0, 2.6])],
        ..Network::default()
    }
}

#[test]
fn an_audit_is_answered_at_its_exit_and_then_goes_on() {
    let answered = Fate::Answered { exit: 0, on_overflow: false, correct: Some(true) };
    // All heads of the first fragment are computed: answered at 0.53, at the second device until 2.57.
    let rows = [
        (0, 0.0, 0.53, answered),
        (1, 0.6, 0.6, common::lost(0)),
        (1, 2.0, 2.0, common::lost(0)),
        (1, 2.6, 2.7, ok(0)),
    ];
    assert_jobs(&audited(&[0.0]), &rows);
    let report = run(&audited(&[0.0]));
    let fates = &report.sources[0].fates;
    assert_eq!((fates.loss.value, fates.failure.value, fates.exits[0].value), (0.0, 0.0, 1.0));
    assert_eq!(fates.accuracy.value, 1.0);
    assert_eq!(report.run.arrivals, 4);
    // Without the audit the second device is free.
    let mut plain = audited(&[0.0]);
    plain.schedulers = vec![scheduling(&[0], policy(Epoch::Arrival, &[(1.0, 0, &[0.0, 1.0])]))];
    assert_close("end", common::jobs(&plain)[0].ended, 0.21);
    assert!(common::jobs(&plain).iter().all(|job| !matches!(job.fate, Fate::Lost { .. })));
}

#[test]
fn the_loss_of_an_audit_that_has_been_answered_is_no_loss() {
    // The second one finds the second device full, the third one finds it down.
    let mut network = audited(&[0.0, 0.1, 5.0]);
    network.sources.pop();
    network.devices[1].outages = Outages::At(vec![(6.0, 7.0)]);
    let report = run(&network);
    let fates = &report.sources[0].fates;
    assert_eq!((fates.loss.value, fates.failure.value, fates.answered_on_overflow.value), (0.0, 0.0, 0.0));
    assert_eq!(report.jobs.len(), 3);
    assert!(report.jobs.iter().all(|job| matches!(job.fate, Fate::Answered { exit: 0, on_overflow: false, .. })));
    assert!(
        report.sources[0].lost_at.is_empty() && report.chains[0].lost_at.is_empty(),
        "{:?}",
        report.chains[0].lost_at
    );
}
