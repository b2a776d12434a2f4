//! Schedulers: what they are told and when, and what comes of what they decide.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod common;

use common::{
    PLENTY, assert_close, assert_jobs, assert_within, at, chain, core, model, model_chain, ok, policy, region, run,
};
use common::{keeping, scheduled, scheduling, segments, step, thresholds, trace};
use domain::{Epoch, Probability, Thresholds};
use policy::{Arriving, Dispatching, End, Gatekeeper, Outcome, RateEstimator, Scheduler, Selected};
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
        served_by(core(), keeping(&[0, 1], mixture), scheduled(Arrivals::Renewal(Law::Deterministic(2.0))));
    network.devices.push(core());
    network.chains.push(model_chain(vec![segments(1, 1, 0, 1)]));
    for epoch in [Epoch::Arrival, Epoch::Dispatch] {
        let mut of_epoch = policy(epoch, &[(0.25, 0, &[1.0]), (0.15, 1, &[0.0]), (0.6, 1, &[1.0])]);
        of_epoch.audit = Probability::new(0.0).expect("it is a probability");
        network.schedulers[0] = keeping(&[0, 1], of_epoch);
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
    let mut network = served_by(core(), keeping(&[0], by_name), scheduled(trace(&[0.0, 5.0])));
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
fn the_next_job_is_sent_a_turnaround_after_the_answer() {
    let scheduler = Logging::new(true, &[1.0]);
    let mut network = gateway(scheduler, &[0.0, 0.5, 1.0, 9.0]);
    network.schedulers[0].turnaround = 0.25;
    let answered = Fate::Answered { exit: 1, on_overflow: false, correct: Some(true) };
    // Busy for 2 of each 2.25 s while jobs wait; the last one finds nobody.
    let rows = [(0, 0.0, 2.0, answered), (0, 0.5, 4.25, answered), (0, 1.0, 6.5, answered), (0, 9.0, 11.0, answered)];
    assert_jobs(&network, &rows);
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
        Box::new(Gatekeeper::new(policy(Epoch::Arrival, &[(1.0, 0, &[1.0])]), 0.0))
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
        schedulers: vec![keeping(&[0], {
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
    plain.schedulers = vec![keeping(&[0], policy(Epoch::Arrival, &[(1.0, 0, &[0.0, 1.0])]))];
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

#[test]
fn a_table_over_jobs_present_gives_what_it_says() {
    // The last exit takes 1 s, the first 0.2 s: with three and more present jobs leave at the first, with two half of them.
    let mut table = policy(Epoch::Dispatch, &[(1.0, 0, &[1.0])]);
    let draw = |share: f64, value: f32| (Probability::new(share).expect("it is a probability"), thresholds(&[value]));
    let lottery = |draws| domain::Lottery::new(draws, "a test").expect("it sums to one");
    let mut choice = table.default.choices()[0].clone();
    choice.by_present = vec![
        lottery(vec![draw(1.0, 1.0)]),
        lottery(vec![draw(0.5, 0.0), draw(0.5, 1.0)]),
        lottery(vec![draw(1.0, 0.0)]),
    ];
    table.default = domain::Mixture::new(vec![choice], "a test").expect("it sums to one");
    // Looks over the shoulder of the gatekeeper.
    #[derive(Clone)]
    struct Watched(Gatekeeper, Arc<Mutex<Vec<(usize, bool)>>>);
    impl Scheduler for Watched {
        fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
            self.0.arrive(arriving, rng)
        }
        fn dispatch(&mut self, job: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
            let decided = self.0.dispatch(job, rng)?;
            self.1.lock().expect("nobody panics").push((job.present, decided.0.leaves(0, 0.0)));
            Some(decided)
        }
    }
    let log = Arc::default();
    let watched = Watched(Gatekeeper::new(table, 0.0), Arc::clone(&log));
    let source = scheduled(Arrivals::Renewal(Law::Exponential { mean: 1.0 / 1.5 }));
    let report = common::run_for(&served_by(core(), scheduling(&[0], watched), source), 20_000);
    let log = log.lock().expect("nobody panics").clone();
    let early = |present: fn(usize) -> bool| {
        let there = log.iter().filter(|entry| present(entry.0));
        there.clone().filter(|entry| entry.1).count() as f64 / there.count() as f64
    };
    assert_eq!((early(|present| present == 1), early(|present| present > 2)), (0.0, 1.0));
    let half = early(|present| present == 2);
    assert!((half - 0.5).abs() < 0.03, "{half}");
    let first = log.iter().filter(|entry| entry.1).count() as f64 / log.len() as f64;
    assert!((report.sources[0].fates.exits[0].value - first).abs() < 0.02, "jobs leave where they were told to");
}

#[test]
fn a_rate_table_follows_steps_of_the_rate() {
    let mut by_rate = policy(Epoch::Arrival, &[(1.0, 0, &[1.0])]);
    let row = |up_to: f64, value: f32| domain::RateRow {
        up_to,
        default: policy(Epoch::Arrival, &[(1.0, 0, &[value])]).default,
        sources: vec![],
    };
    by_rate.rates = Some(domain::RateTable {
        forecast: domain::PerSecond::new(1.0).expect("it is a rate"),
        measured: domain::Measured::Window(domain::Seconds::new(10.0).expect("it is a time")),
        rows: vec![row(1.5, 1.0), row(9.0, 0.0)],
    });
    // One job per second for 100 s, then three.
    let times: Vec<f64> =
        (0..100).map(|job| f64::from(job) + 0.01).chain((0..300).map(|job| 100.0 + f64::from(job) / 3.0)).collect();
    let jobs =
        common::jobs(&served_by(Device { cores: 9.0, ..core() }, keeping(&[0], by_rate), scheduled(trace(&times))));
    let exits: Vec<usize> = jobs.iter().map(|job| if job.ended - job.arrived < 0.5 { 0 } else { 1 }).collect();
    assert!(exits[..100].iter().all(|&exit| exit == 1));
    let change = exits.iter().position(|&exit| exit == 0).expect("it changes");
    // 1.5 of the forecast is measured when a quarter of the window has seen three per second.
    assert!((105..115).contains(&change) && exits[change..].iter().all(|&exit| exit == 0), "{change}");
}

#[test]
fn outcomes_say_what_the_exits_on_the_way_were_confident_of() {
    type Heard = Arc<Mutex<Vec<Vec<(usize, f32)>>>>;
    #[derive(Clone)]
    struct Hears(Thresholds, Heard, bool);
    impl Scheduler for Hears {
        fn arrive(&mut self, _: &Arriving<'_>, _: &mut dyn Rng) -> Option<Selected<'_>> {
            Some(Selected { chain: 0, thresholds: Some(&self.0), audit: self.2, tag: 1 })
        }
        fn dispatch(&mut self, _: &Dispatching<'_>, _: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
            None
        }
        fn ended(&mut self, outcome: &Outcome<'_>) {
            self.1.lock().expect("nobody panics").push(outcome.evaluated.to_vec());
        }
    }
    type Row = (&'static [f32], &'static [(usize, f32)]);
    let rows: [Row; 4] = [
        (&[0.0, 1.0, 1.0], &[(0, 0.3)]),
        (&[0.5, 0.5, 1.0], &[(0, 0.3), (1, 0.6)]),
        (&[0.9, 1.0, 0.9], &[(0, 0.3), (2, 0.7), (3, 0.9)]),
        (&[1.0, 1.0, 1.0], &[(3, 0.9)]),
    ];
    for (values, wanted) in rows {
        for audit in [false, true] {
            let hears = Hears(thresholds(values), Arc::default(), audit);
            let mut network = served_by(core(), scheduling(&[0], hears.clone()), scheduled(trace(&[1.0])));
            network.models = vec![model(
                &[0, 0, 1, 1],
                &[0.2, 0.8],
                &[0.0; 4],
                &[&[(0.3, false), (0.6, true), (0.7, true), (0.9, true)]],
            )];
            common::jobs(&network);
            let heard = hears.1.lock().expect("nobody panics").clone();
            assert_eq!(heard, [wanted.to_vec()], "{values:?}, audit {audit}");
        }
    }
}

#[test]
fn learners_find_their_way_in_a_simulation() {
    // The last exit takes 1 s and there is one place: at two jobs per second many are lost until Reactive leaves at the first.
    let learn = |learning: domain::Learning| {
        let epoch = Epoch::Dispatch;
        domain::Policy { learning: Some(learning), ..policy(epoch, &[(1.0, 0, &[1.0])]) }
    };
    let run_at = |rate: f64, policy: domain::Policy| {
        let scheduling = Scheduling { gateway: Some((1, 1)), ..keeping(&[0], policy) };
        let mut network =
            served_by(core(), scheduling, scheduled(Arrivals::Renewal(Law::Exponential { mean: 1.0 / rate })));
        network.regions = regions(&[PLENTY, 3]);
        common::run_for(&network, 50_000).sources.remove(0).fates
    };
    let fixed = run_at(2.0, policy(Epoch::Dispatch, &[(1.0, 0, &[1.0])]));
    let reactive = run_at(2.0, learn(domain::Learning::Reactive));
    assert!(reactive.loss.value < fixed.loss.value / 2.0, "{} for {}", reactive.loss.value, fixed.loss.value);
    assert!(reactive.exits[0].value > 0.1 && reactive.exits[1].value > 0.1);
    // Confidence 0.1 at the first exit and 1 at the last: going on is worth 0.9 − cost, more with fewer jobs present.
    let bandit = |cost: f64, room: Option<u32>| {
        let arms = vec![thresholds(&[0.0]), thresholds(&[0.5])];
        learn(domain::Learning::AdaEE(domain::AdaEE { arms, exploration: 0.3, costs: vec![0.0, cost], room }))
    };
    let shares = [(0.2, None), (2.0, None), (0.5, Some(4))].map(|(cost, room)| {
        let fates = run_at(0.8, bandit(cost, room));
        fates.exits[1].value
    });
    assert!(shares[0] > 0.99 && shares[1] < 0.01, "{shares:?}");
    assert!((0.3..0.97).contains(&shares[2]), "with two present 0.5 becomes 0.67, with three 1: {shares:?}");
}

/// Remembers what audits have found at the last look.
struct Listens(Arc<Mutex<Vec<simulator::Agreement>>>);

impl simulator::Controller for Listens {
    fn look(&mut self, view: &mut simulator::View<'_>) {
        self.0.lock().expect("nobody panics").clone_from(&view.audits()[0]);
    }
}

#[test]
fn a_controller_hears_how_often_exits_agree_with_the_last_one() {
    let heard: Arc<Mutex<Vec<simulator::Agreement>>> = Arc::default();
    let log = Arc::clone(&heard);
    // The second of these finds the second device full: it compares nothing.
    let mut network = audited(&[0.0, 0.1, 5.0]);
    network.sources.pop();
    let make: simulator::MakeController = Arc::new(move |_| Box::new(Listens(Arc::clone(&log))));
    network.control = Some(simulator::Control { every: 1.0, make });
    // A trace ends with its last job; a job of another source keeps the run going until its audit has come through.
    network.sources.push(at(1, &[9.0, 9.9]));
    run(&network);
    let found: Vec<(u64, u64)> =
        heard.lock().expect("nobody panics").iter().map(|exit| (exit.compared, exit.agreed)).collect();
    // By the table: the first exit is right, the others are wrong and so of one opinion.
    assert_eq!(found, [(2, 0), (2, 2), (2, 2)]);
}
