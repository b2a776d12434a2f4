//! The drift loop in a simulation: what local mode and the operator do, with counters that are read without delay.

use crate::joint;
use crate::run::Size;
use control::{Accepted, Decision, DriftLoop, Event, GatewayReading, Held, LoopOptions, Observation, SourceReading};
use domain::{EvaluationEffort, Plan, Policy, Problem, Thresholds};
use planner::Decomposition;
use policy::{Arriving, Dispatching, End, Gatekeeper, Outcome, Scheduler, Selected};
use rand::Rng;
use simulator::{Control, Controller, Network, View};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wire::document::{AuditTelemetry, PolicyVersion};

/// Readings per length of a part of the run.
const READINGS: f64 = 600.0;
/// Seconds from a reason for a plan until gateways have the plan: what products give the search.
pub(crate) const PLANNING: f64 = 0.5;

/// Puts something around a new scheduler.
pub(crate) type Wrap = Arc<dyn Fn(Box<dyn Scheduler>) -> Box<dyn Scheduler> + Send + Sync>;

/// What the loop is told about time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Seconds between changes of the world.
    pub(crate) part: f64,
    /// Seconds that count as one: networks of slow devices are followed as closely as those of fast ones.
    pub(crate) unit: f64,
    /// Whether it looks at where jobs leave.
    pub(crate) sees_exits: bool,
}

/// How often what happened, of all replications together.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// New plans.
    pub(crate) plans: AtomicUsize,
    /// Exit tables re-weighted since audits agreed more or less than before.
    pub(crate) by_audits: AtomicUsize,
    /// Exit tables re-weighted since jobs left elsewhere.
    pub(crate) by_exits: AtomicUsize,
}

/// Lets the drift loop follow what happens in a network of one service, made from `problem` and `policy`.
pub(crate) fn follow(
    network: &mut Network,
    problem: &Problem,
    policy: &Policy,
    pace: Pace,
    wrap: &Wrap,
    size: Size,
) -> Arc<Followed> {
    let followed = Arc::<Followed>::default();
    let counted = followed.clone();
    let (Pace { part, unit, sees_exits }, wrap) = (pace, wrap.clone());
    let (problem, policy) = (joint::unscored(problem), policy.clone());
    let known: Arc<Mutex<BTreeMap<u32, Told>>> = Arc::default();
    let told_of = move |replication: u32| known.lock().expect("nobody panics").entry(replication).or_default().clone();
    let (told, own, around) = (told_of.clone(), policy.clone(), wrap.clone());
    network.schedulers[0].make = Arc::new(move |replication| around(Telling::boxed(&own, 0.0, &told(replication))));
    let make = move |replication| {
        let defaults = LoopOptions::default();
        let options = LoopOptions {
            min_interval: defaults.min_interval * unit,
            backoff: defaults.backoff * unit,
            longest_backoff: part,
            violation_seconds: defaults.violation_seconds * unit,
            weigh_again: defaults.weigh_again * unit,
            stale: part,
            max_changes_per_hour: 1_000,
            exit_share_shift: if sees_exits { defaults.exit_share_shift } else { 1.0 },
            ..defaults
        };
        let plan = Plan { policies: vec![policy.clone()] };
        let drift = DriftLoop::new(problem.clone(), plan, PolicyVersion::default(), options);
        let (wrap, told, followed) = (wrap.clone(), told_of(replication), counted.clone());
        Box::new(Shell { drift, size, wrap, told, coming: None, followed }) as Box<dyn Controller>
    };
    network.control = Some(Control { every: part / READINGS, make: Arc::new(make) });
    followed
}

struct Shell {
    drift: DriftLoop,
    size: Size,
    wrap: Wrap,
    told: Told,
    /// A plan that is being made: when it is there, and what it is for.
    coming: Option<(f64, Policy, Box<Problem>)>,
    followed: Arc<Followed>,
}

/// What a gateway tells of its answers.
#[derive(Debug, Clone, Default)]
struct Answers {
    /// Per exit the sum of confidences, and their number.
    exits: Vec<(f64, u64)>,
    /// Row of the rate table that was in force last.
    row: Option<usize>,
}

type Told = Arc<Mutex<Answers>>;

/// A gatekeeper that tells what it sees.
struct Telling {
    inner: Gatekeeper,
    told: Told,
}

impl Telling {
    fn boxed(policy: &Policy, now: f64, told: &Told) -> Box<dyn Scheduler> {
        let mut answers = told.lock().expect("nobody panics");
        answers.exits.resize(policy_exits(policy), (0.0, 0));
        Box::new(Self { inner: Gatekeeper::new(policy.clone(), now), told: told.clone() })
    }
}

fn policy_exits(policy: &Policy) -> usize {
    policy.default.choices().iter().map(|choice| choice.thresholds.exits()).max().unwrap_or(0)
}

impl Scheduler for Telling {
    fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
        self.told.lock().expect("nobody panics").row = self.inner.row(arriving.now).map(|row| row.row);
        self.inner.arrive(arriving, rng)
    }

    fn dispatch(&mut self, dispatching: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        self.inner.dispatch(dispatching, rng)
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        if let End::Answered { exit, confidence, .. } = outcome.end
            && let Some(sum) = self.told.lock().expect("nobody panics").exits.get_mut(exit)
        {
            *sum = (sum.0 + f64::from(confidence), sum.1 + 1);
        }
        self.inner.ended(outcome);
    }
}

impl Controller for Shell {
    fn look(&mut self, view: &mut View<'_>) {
        let now = view.now();
        let answers = self.told.lock().expect("nobody panics").clone();
        self.drift.observe(now, &observation(self.drift.current(), view, answers));
        self.count();
        match self.coming.take() {
            Some((due, policy, problem)) if now >= due => self.follow(now, policy, *problem, view),
            Some(later) => self.coming = Some(later),
            None => self.decide(now),
        }
    }
}

impl Shell {
    fn decide(&mut self, now: f64) {
        let effort =
            EvaluationEffort { seed: self.size.seed, replications: NonZeroU32::MIN, arrivals: 10_000, stop: None };
        let Decision::Replan { problem, .. } = self.drift.decide(now, &Decomposition::default(), &effort) else {
            return;
        };
        let size = Size { evaluations: self.size.evaluations / 4, ..self.size };
        match joint::plan_again(&problem, &self.drift.plan().policies[0], size) {
            Ok(policy) => self.coming = Some((now + PLANNING, policy, problem)),
            Err(why) => self.drift.reject(now, Held::DidNotBeat(why)),
        }
    }

    fn follow(&mut self, now: f64, policy: Policy, problem: Problem, view: &mut View<'_>) {
        self.followed.plans.fetch_add(1, Ordering::Relaxed);
        view.replace(0, (self.wrap)(Telling::boxed(&policy, now, &self.told)));
        let plan = Plan { policies: vec![policy] };
        self.drift.accept(now, Accepted { problem, plan, gain: String::new() });
    }

    fn count(&mut self) {
        for event in self.drift.take_events() {
            let counter = match event {
                Event::AccuracyDrift { .. } => &self.followed.by_audits,
                Event::ExitSharesDrift { .. } => &self.followed.by_exits,
                _ => continue,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a gateway would tell. Sources that stand for one (distorted jobs) are counted together.
fn observation(problem: Problem, view: &View<'_>, answers: Answers) -> Observation {
    let service = &problem.services[0];
    let sum = |of: &dyn Fn(&simulator::Counts) -> u64| view.counts().iter().map(of).sum();
    let unanswered = sum(&|counts| counts.lost + counts.failed);
    let source = SourceReading { arrived: sum(&|counts| counts.arrived), unanswered };
    let mut audits: Vec<AuditTelemetry> = vec![];
    for agreements in view.audits() {
        audits.resize(audits.len().max(agreements.len()), AuditTelemetry::default());
        for (sum, one) in audits.iter_mut().zip(agreements) {
            sum.compared += one.compared;
            sum.agreed += one.agreed;
        }
    }
    let gateway = GatewayReading {
        replica: "gateway".to_owned(),
        service: service.name.clone(),
        sources: BTreeMap::from([(service.sources[0].name.clone(), source)]),
        audits,
        exits: [(service.sources[0].name.clone(), answers.exits.iter().map(|one| one.1).collect())].into(),
        version: None,
        confidences: answers.exits,
        row: answers.row,
    };
    Observation { gateways: vec![gateway], devices: vec![] }
}
