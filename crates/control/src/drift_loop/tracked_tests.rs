//! Schedulers that track confidence: what they observe takes the place of the exit table.

use super::tests::{HOUR, READING, effort, problem};
use super::*;
use crate::{GatewayReading, Observation};
use domain::{Choice, Evaluation, EvaluationEffort, Evaluator, ServiceMetrics, Thresholds, Unsupported};
use planner::Scheduler;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Poisson};

/// A gateway whose service tracks confidence, at a rate for which the first two exits are mixed.
struct Tracked {
    drift: DriftLoop,
    scheduler: Scheduler,
    random: ChaCha8Rng,
    now: f64,
    arrived: u64,
    /// Per exit: sum and number of confidences.
    answers: Vec<(f64, u64)>,
    /// Times at which policies were asked for.
    asked: Vec<f64>,
}

/// Fits no service, so that nothing but the tracked confidence is a reason: there is no loss, and no other plan.
const TRACKED_RATE: f64 = 120.0;

impl Tracked {
    fn new(scheduler: Scheduler, seed: u64) -> Self {
        let problem = problem(TRACKED_RATE, 0.01);
        let plan = Plan { policies: vec![planner::schedule(&scheduler, &problem, 0).unwrap()] };
        let drift = DriftLoop::new(problem, plan, PolicyVersion::default(), LoopOptions::default()).tracking([0]);
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { drift, scheduler, random, now: 0.0, arrived: 0, answers: vec![(0.0, 0); 3], asked: vec![] }
    }

    /// Answers at the exits of the policy in force, each 0.9 or 0.4 sure, so that they are `means` sure in the mean.
    fn run(&mut self, seconds: f64, means: [f64; 3]) {
        let end = self.now + seconds;
        while self.now < end {
            self.now += READING;
            let jobs = Poisson::new(TRACKED_RATE * READING).unwrap().sample(&mut self.random) as u64;
            self.arrived += jobs;
            let taken = self.taken();
            for &exit in &taken {
                let count = jobs / taken.len() as u64;
                let sure = Binomial::new(count, (means[exit] - 0.4) / 0.5).unwrap().sample(&mut self.random);
                self.answers[exit].0 += 0.9 * sure as f64 + 0.4 * (count - sure) as f64;
                self.answers[exit].1 += count;
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let door = crate::SourceReading { arrived: self.arrived, unanswered: 0 };
        let gateway = GatewayReading {
            replica: "gateway".into(),
            service: "camera".into(),
            sources: [("door".to_owned(), door)].into(),
            confidences: self.answers.clone(),
            ..GatewayReading::default()
        };
        self.drift.observe(self.now, &Observation { gateways: vec![gateway], devices: vec![] });
        if let Decision::Retune { problem, confidences, reasons } = self.drift.decide(self.now, &Blind, &effort()) {
            assert!(matches!(&reasons[..], [Reason::TrackedConfidence { .. }]), "{reasons:?}");
            let policy = |(index, values): (usize, Vec<f64>)| {
                (index, planner::retuned(&self.scheduler, &problem, index, &values).unwrap())
            };
            let policies = confidences.into_iter().map(policy).collect();
            self.asked.push(self.now);
            self.drift.retuned(self.now, policies);
        }
    }

    /// Exits that the policy in force uses at its forecast.
    fn taken(&self) -> Vec<usize> {
        let policy = &self.drift.plan().policies[0];
        let forecast = policy.rates.as_ref().unwrap().rows.iter().find(|row| row.up_to >= 1.0).unwrap();
        let exit = |thresholds: &Thresholds| (0..3).find(|&exit| *thresholds == Thresholds::exit_at(3, exit)).unwrap();
        let choice = |choice: &Choice| match &choice.by_present[..] {
            [] => vec![exit(&choice.thresholds)],
            all => all.iter().flat_map(domain::Lottery::draws).map(|(_, thresholds)| exit(thresholds)).collect(),
        };
        let all: std::collections::BTreeSet<usize> = forecast.default.choices().iter().flat_map(choice).collect();
        all.into_iter().collect()
    }
}

/// Predicts nothing, as nobody can who knows the exit table only.
struct Blind;

impl Evaluator for Blind {
    fn name(&self) -> &'static str {
        "blind"
    }

    fn evaluate(&self, _: &Problem, _: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        Ok(Evaluation {
            replications: vec![vec![ServiceMetrics { accuracy: 1.0, ..ServiceMetrics::default() }]],
            ..Evaluation::default()
        })
    }
}

fn tracking_schedulers() -> [Scheduler; 2] {
    [
        Scheduler::QueueingLP { approximate: false, tracks_confidence: true },
        Scheduler::Knapsack { tracks_confidence: true },
    ]
}

/// Mean confidences of the exit table.
const SURE: [f64; 3] = [0.7, 0.8, 0.875];

#[test]
fn tracked_confidences_that_stay_change_nothing_in_a_day() {
    for scheduler in tracking_schedulers() {
        let mut world = Tracked::new(scheduler, 1);
        world.run(24.0 * HOUR, SURE);
        assert_eq!((world.asked.as_slice(), world.drift.version()), ([].as_slice(), PolicyVersion::default()));
    }
}

#[test]
fn tracked_confidences_that_shift_make_a_policy_of_what_is_observed() {
    for scheduler in tracking_schedulers() {
        for exit in [0, 1] {
            let mut world = Tracked::new(scheduler.clone(), 2);
            let before = world.drift.plan().clone();
            assert!(world.taken().contains(&exit), "{scheduler:?}: {:?}", world.taken());
            world.run(HOUR, SURE);
            let mut means = SURE;
            means[exit] -= 0.2;
            world.run(120.0, means);
            let first = *world.asked.first().unwrap_or_else(|| panic!("{scheduler:?}, exit {exit}"));
            assert!(first - HOUR < 30.0, "{scheduler:?}, exit {exit}: {first}");
            // 0.1 is left of the way when a policy is due: another one follows, and that is all.
            world.run(HOUR, means);
            assert!(world.asked.len() <= 2, "{scheduler:?}, exit {exit}: {:?}", world.asked);
            let values = world.drift.confidences(0).unwrap();
            assert!((values[exit] - means[exit]).abs() < 0.06 || !world.taken().contains(&exit), "{values:?}");
            assert_ne!(world.drift.plan(), &before);
        }
    }
}

#[test]
fn a_retuned_policy_is_that_of_the_observed_confidences_and_leaves_what_is_no_longer_worth_it() {
    for scheduler in tracking_schedulers() {
        let mut world = Tracked::new(scheduler.clone(), 3);
        world.run(HOUR, SURE);
        world.run(HOUR, [0.7, 0.5, 0.875]);
        let values = world.drift.confidences(0).unwrap().to_vec();
        if !world.taken().contains(&2) {
            assert_eq!(values[2], SURE[2], "not taken, not observed");
        }
        let policy = &world.drift.plan().policies[0];
        let mut wanted = planner::retuned(&scheduler, &world.drift.current(), 0, &values).unwrap();
        // The rate is known better by now than when the policy was made.
        if let (Some(wanted), Some(made)) = (&mut wanted.rates, &policy.rates) {
            assert!((wanted.forecast.get() / made.forecast.get() - 1.0).abs() < 0.05);
        }
        let from_table = planner::schedule(&scheduler, &world.drift.current(), 0).unwrap();
        let exits = |policy: &Policy| {
            format!("{:?}", policy.default.choices().iter().map(|one| &one.thresholds).collect::<Vec<_>>())
        };
        if policy.default.choices()[0].by_present.is_empty() {
            assert_eq!(exits(policy), exits(&wanted));
            assert_ne!(exits(policy), exits(&from_table), "{scheduler:?}");
            assert!(!world.taken().contains(&1), "{scheduler:?}: {:?}", world.taken());
        } else {
            assert_ne!(policy.default, from_table.default);
        }
    }
}

#[test]
fn retuning_waits_for_its_turn_and_a_policy_like_before_is_not_published() {
    let [scheduler, _] = tracking_schedulers();
    let mut world = Tracked::new(scheduler, 4);
    world.run(600.0, SURE);
    let same = world.drift.plan().policies[0].clone();
    assert_eq!(world.drift.retuned(world.now, vec![(0, same.clone()), (7, same.clone())]), None);
    let other = Policy { rates: None, ..same };
    let (as_it_was, rate) = (world.drift.planned.clone(), domain::PerSecond::new(123.0).unwrap());
    world.drift.planned.services[0].sources[0].rate = rate;
    let version = world.drift.retuned(world.now, vec![(0, other)]);
    assert_eq!(world.drift.planned.services[0].sources[0].rate, rate, "another rate remains a reason");
    world.drift.planned = as_it_was;
    assert_eq!(version, Some(PolicyVersion { transitions: 0, generation: 1 }));
    let at = world.now;
    world.drift.services[0].running = Some(crate::running::RunningConfidences::new(vec![0.7, 0.95, 0.875]));
    for _ in 0..80 {
        world.now += READING;
        world.answers[1].0 += 40.0;
        world.answers[1].1 += 50;
        world.look();
    }
    assert!(world.asked.iter().all(|asked| asked - at >= LoopOptions::default().min_interval), "{:?}", world.asked);
    assert!(!world.asked.is_empty());
}
