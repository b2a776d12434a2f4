//! Where jobs leave: what is noticed, and what is not mistaken for other inputs.

use super::tests::{effort, plan, problem};
use super::*;
use crate::{GatewayReading, Observation, SourceReading};
use domain::{Choice, Epoch, Evaluation, Mixture, Probability, RateRow, RateTable, Seconds, ServiceMetrics};
use domain::{Thresholds, Unsupported};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};

fn mixture(thresholds: [f32; 2]) -> Mixture {
    let choice = Choice::new(Probability::new(1.0).unwrap(), 0, Thresholds::new(thresholds.to_vec()).unwrap());
    Mixture::new(vec![choice], "a test").unwrap()
}

/// Thresholds by which 60 %, 20 % and 20 % of the table leave.
const OPEN: [f32; 2] = [0.5, 0.5];
/// And those by which all go on.
const CLOSED: [f32; 2] = [1.0, 1.0];

fn policy(thresholds: [f32; 2]) -> Policy {
    Policy { default: mixture(thresholds), ..plan(0).policies.remove(0) }
}

/// A loop with what its gateways have counted.
struct World {
    drift: DriftLoop,
    now: f64,
    gateways: BTreeMap<&'static str, GatewayReading>,
}

/// What a gateway counts in a second: its name, row, source, answers per exit, and losses.
type Second = (&'static str, Option<usize>, &'static str, [u64; 3], u64);

impl World {
    fn new(policy: Policy) -> Self {
        Self::of(problem(100.0, 0.01), policy)
    }

    /// With a second source, `window`, whose jobs all go to the last exit.
    fn of_two_sources(mut policy: Policy) -> Self {
        let mut problem = problem(50.0, 0.01);
        let mut other = problem.services[0].sources[0].clone();
        other.name = "window".into();
        problem.services[0].sources.push(other);
        policy.sources = vec![("window".to_owned(), mixture(CLOSED))];
        Self::of(problem, policy)
    }

    fn of(problem: Problem, policy: Policy) -> Self {
        let plan = Plan { policies: vec![policy] };
        let drift = DriftLoop::new(problem, plan, PolicyVersion::default(), LoopOptions::default());
        Self { drift, now: 0.0, gateways: BTreeMap::new() }
    }

    fn tell(&mut self, seconds: u64, counted: &[Second]) -> Vec<Event> {
        for _ in 0..seconds {
            self.now += 1.0;
            for (replica, row, source, answers, lost) in counted {
                let gateway = self.gateways.entry(replica).or_default();
                (gateway.replica, gateway.service, gateway.row) = ((*replica).into(), "camera".into(), *row);
                gateway.version.get_or_insert(self.drift.version());
                let exits = gateway.exits.entry((*source).to_owned()).or_insert_with(|| vec![0; 3]);
                exits.iter_mut().zip(answers).for_each(|(sum, answers)| *sum += answers);
                let sum: &mut SourceReading = gateway.sources.entry((*source).to_owned()).or_default();
                sum.arrived += answers.iter().sum::<u64>() + lost;
                sum.unanswered += lost;
            }
            let gateways = self.gateways.values().cloned().collect();
            self.drift.observe(self.now, &Observation { gateways, devices: vec![] });
        }
        let mut events = self.drift.take_events();
        events.retain(|event| matches!(event, Event::ExitSharesDrift { .. }));
        events
    }

    /// As many seconds of one gateway and one source.
    fn tell_one(&mut self, seconds: u64, answers: [u64; 3]) -> Vec<Event> {
        self.tell(seconds, &[("gateway", None, "door", answers, 0)])
    }

    fn accept(&mut self, policy: Policy) {
        let plan = Plan { policies: vec![policy] };
        self.drift.accept(self.now, Accepted { problem: self.drift.current(), plan, gain: String::new() });
    }

    /// Share of jobs that leave at the first exit by the samples that are believed.
    fn first_share(&self) -> f64 {
        let thresholds = Thresholds::new(OPEN.to_vec()).unwrap();
        self.drift.current().services[0].model.judge.exits.evaluate(&thresholds).share[0]
    }
}

fn is_recovery(event: &Event) -> bool {
    matches!(event, Event::ExitSharesDrift { recovered: true, .. })
}

#[test]
fn jobs_that_leave_later_re_weight_the_table_until_they_do_not() {
    let mut world = World::new(policy(OPEN));
    assert_eq!(world.tell_one(40, [61, 19, 20]), []);
    assert!((world.first_share() - 0.6).abs() < 0.02);
    let events = world.tell_one(40, [30, 20, 50]);
    // At first the answers of before are among them.
    assert!((1..=3).contains(&events.len()) && !events.iter().any(is_recovery), "{events:?}");
    assert!((world.first_share() - 0.3).abs() < 0.06, "{}", world.first_share());
    assert!(world.drift.reasons(0.0).contains(&Reason::Accuracy { service: "camera".into() }));
    assert_eq!(world.tell_one(40, [30, 20, 50]), []);
    let events = world.tell_one(40, [60, 20, 20]);
    assert!(events.last().is_some_and(is_recovery), "{events:?}");
    assert!((world.first_share() - 0.6).abs() < 0.02);
}

#[test]
fn harder_inputs_are_noticed_within_some_hundred_answers_and_chance_in_a_day_is_not() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut draw = |share: f64| -> [u64; 3] {
        let first = Binomial::new(100, share).unwrap().sample(&mut random);
        let second = Binomial::new(100 - first, 0.5).unwrap().sample(&mut random);
        [first, second, 100 - first - second]
    };
    for _ in 0..10 {
        let mut world = World::new(policy(OPEN));
        for _ in 0..86_400 {
            assert_eq!(world.tell_one(1, draw(0.6)), []);
        }
        let seconds = (1..=100).find(|_| !world.tell_one(1, draw(0.4)).is_empty());
        assert!(seconds.is_some_and(|hundreds| hundreds <= 8), "{seconds:?}");
    }
}

#[test]
fn another_mix_of_sources_is_not_other_inputs() {
    let mut world = World::of_two_sources(policy(OPEN));
    let of =
        |door: [u64; 3], window| [("gateway", None, "door", door, 0), ("gateway", None, "window", [0, 0, window], 0)];
    assert_eq!(world.tell(60, &of([30, 10, 10], 50)), []);
    assert_eq!(world.tell(600, &of([60, 20, 20], 50)), []);
    assert!(!world.tell(60, &of([30, 20, 50], 50)).is_empty());
}

#[test]
fn gateways_in_different_rows_are_compared_each_with_its_own() {
    let mut policy = policy(OPEN);
    let row = |up_to, thresholds| RateRow {
        up_to,
        default: mixture(thresholds),
        sources: vec![("window".to_owned(), mixture(CLOSED))],
    };
    policy.rates = Some(RateTable {
        forecast: PerSecond::new(100.0).unwrap(),
        measured: domain::Measured::Window(Seconds::new(2.0).unwrap()),
        rows: vec![row(1.0, OPEN), row(1.3, [0.0, 1.0])],
    });
    let mut world = World::of_two_sources(policy);
    let told = [
        ("a", Some(0), "door", [30, 10, 10], 0),
        ("b", Some(1), "window", [0, 0, 50], 0),
        ("c", Some(1), "door", [40, 0, 0], 0),
    ];
    assert_eq!(world.tell(200, &told), []);
}

#[test]
fn losses_behind_early_exits_are_not_easier_inputs() {
    let mut world = World::new(policy(OPEN));
    assert_eq!(world.tell_one(60, [60, 20, 20]), []);
    // Half of those that go on are lost.
    assert_eq!(world.tell(300, &[("gateway", None, "door", [60, 10, 10], 20)]), []);
    assert!((world.first_share() - 0.6).abs() < 0.02);
}

#[test]
fn a_gateway_that_follows_another_policy_is_left_out() {
    let mut world = World::new(policy(OPEN));
    assert_eq!(world.tell_one(60, [60, 20, 20]), []);
    world.accept(policy([1.0, 0.5]));
    assert_eq!(world.tell_one(60, [60, 20, 20]), []);
    world.gateways.get_mut("gateway").unwrap().version = Some(world.drift.version());
    assert_eq!(world.tell_one(60, [0, 80, 20]), []);
}

/// Says that the plan in force is good, but could be better.
struct Improvable;

impl Evaluator for Improvable {
    fn name(&self) -> &'static str {
        "improvable"
    }

    fn evaluate(&self, _: &Problem, _: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        let metrics = ServiceMetrics { accuracy: 0.7, ..ServiceMetrics::default() };
        Ok(Evaluation { replications: vec![vec![metrics]], ..Evaluation::default() })
    }
}

#[test]
fn shares_that_no_weights_bring_about_are_told_once() {
    // All rows leave at the first exit.
    let mut world = World::new(policy([0.3, 0.5]));
    let (mut plans, mut events) = (0, 0);
    for _ in 0..3600 {
        events += world.tell_one(1, [80, 10, 10]).len();
        if let Decision::Replan { .. } = world.drift.decide(world.now, &Improvable, &effort()) {
            plans += 1;
            world.drift.reject(world.now, Held::DidNotBeat(String::new()));
        }
    }
    assert!(events == 1 && plans <= 12, "{events} events, {plans} plans");
}

#[test]
fn what_can_be_tested_no_more_is_not_believed_for_ever() {
    let mut world = World::new(policy(OPEN));
    assert!(!world.tell_one(60, [30, 20, 50]).is_empty() && world.first_share() < 0.4);
    let mut later = policy(OPEN);
    later.epoch = Epoch::Dispatch;
    let mut choice = later.default.choices()[0].clone();
    choice.by_present = vec![domain::Lottery::always(Thresholds::new(OPEN.to_vec()).unwrap())];
    later.default = Mixture::new(vec![choice], "a test").unwrap();
    world.accept(later);
    world.gateways.get_mut("gateway").unwrap().version = Some(world.drift.version());
    world.tell_one(300, [60, 20, 20]);
    assert!((world.first_share() - 0.6).abs() < 0.02, "{}", world.first_share());
}
