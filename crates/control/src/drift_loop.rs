//! The loop itself: what is known, what follows from it, and what was done about it.

mod observe;
mod reasons;

use crate::confidence::{AnswerMeter, ConfidenceTracker};
use crate::running::RunningConfidences;
use crate::shares::ShareTracker;
use crate::tilt::{Wanted, table_agreement};
use crate::{AccuracyTracker, Event, Gate, Held, LoopOptions, LossTracker, Reason, SpeedTracker};
use arrivals::{Detector, Meter, RateEstimate};
use domain::plan::{Plan, Score};
use domain::problem::{Problem, Samples};
use domain::{Evaluation, EvaluationEffort, Evaluator, PerSecond, Policy};
use planner::single::tracking::confidences;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::document::PolicyVersion;

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The plan in force stays.
    Keep,
    /// A plan for another problem is wanted.
    Replan {
        /// The problem as it is now: rates, bursts, speeds and exit tables corrected.
        problem: Box<Problem>,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// Policies of schedulers that track confidence are wanted, nothing else: no evaluator can say what they gain, because exit
    /// tables are what they do not trust.
    Retune {
        /// The problem as it is now.
        problem: Box<Problem>,
        /// Services (by index) with the confidences of their exits.
        confidences: Vec<(usize, Vec<f64>)>,
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// A plan that is going to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The problem it was made for, as [`Decision::Replan`] gave it.
    pub problem: Problem,
    /// The plan.
    pub plan: Plan,
    /// In words, what it beat and by how much.
    pub gain: String,
}

/// Telemetry in, decisions out. Times are seconds since any fixed start.
#[derive(Debug)]
pub struct DriftLoop {
    options: LoopOptions,
    /// As first described: rates, speeds and exit tables before any correction.
    base: Problem,
    /// What the plan in force was made for.
    planned: Problem,
    plan: Plan,
    version: PolicyVersion,
    services: Vec<ServiceTrack>,
    devices: Vec<DeviceTrack>,
    gate: Gate,
    events: Vec<Event>,
    /// Reasons of the problem that was handed out last.
    offered: Vec<Reason>,
    /// Last telemetry of any gateway.
    heard: Option<f64>,
    silent: bool,
    /// When the plan was found good enough, and at which rates.
    weighed: Option<(f64, Vec<f64>)>,
    /// When a new plan was tried for in vain last, and at which rates.
    vain: Option<(f64, Vec<f64>)>,
    held: Option<Held>,
}

#[derive(Debug)]
struct ServiceTrack {
    sources: BTreeMap<String, SourceTrack>,
    loss: LossTracker,
    lost: Meter,
    /// Arrivals beside these losses.
    arrived: Meter,
    accuracy: AccuracyTracker,
    answers: AnswerMeter,
    leaving: ShareTracker,
    /// What was found of inputs that are not those of the exit table.
    found: Wanted,
    /// Re-weighted samples, where inputs are not those of the exit table.
    samples: Option<(Arc<Samples>, Arc<Samples>)>,
    tables_changed: bool,
    confidence: ConfidenceTracker,
    /// Where the scheduler tracks confidence.
    running: Option<RunningConfidences>,
}

#[derive(Debug, Default)]
struct SourceTrack {
    meter: Meter,
    detector: Option<Detector>,
}

#[derive(Debug)]
struct DeviceTrack {
    tracker: SpeedTracker,
    speed: f64,
}

/// Seconds after an attempt in vain before other rates are a reason for the next one.
const TRY_AGAIN: f64 = 2.0;

impl DriftLoop {
    /// Starts with the plan in force (made for `problem`, which has passed its check) and its version.
    pub fn new(problem: Problem, plan: Plan, version: PolicyVersion, options: LoopOptions) -> Self {
        let service = |service: &domain::problem::Service| ServiceTrack {
            sources: service.sources.iter().map(|source| (source.name.clone(), SourceTrack::default())).collect(),
            loss: LossTracker::default(),
            lost: Meter::default(),
            arrived: Meter::default(),
            accuracy: AccuracyTracker::new(table_agreement(&service.model.choose.table), options.false_accuracy_alarms),
            answers: AnswerMeter::default(),
            leaving: ShareTracker::default(),
            found: Wanted::default(),
            samples: None,
            tables_changed: false,
            confidence: ConfidenceTracker::default(),
            running: None,
        };
        let devices = problem.devices.iter();
        let devices = devices.map(|device| DeviceTrack { tracker: SpeedTracker::default(), speed: device.speed });
        Self {
            services: problem.services.iter().map(service).collect(),
            devices: devices.collect(),
            options,
            base: problem.clone(),
            planned: problem,
            plan,
            version,
            gate: Gate::default(),
            events: vec![],
            offered: vec![],
            heard: None,
            silent: false,
            weighed: None,
            vain: None,
            held: None,
        }
    }

    /// Follows the confidences of services (by index) whose schedulers track them; their policies in force were made with those
    /// of their exit tables.
    #[must_use]
    pub fn tracking(mut self, services: impl IntoIterator<Item = usize>) -> Self {
        for index in services {
            if let (Some(track), Some(service)) = (self.services.get_mut(index), self.base.services.get(index)) {
                track.running = Some(RunningConfidences::new(confidences(&service.model)));
            }
        }
        self
    }

    /// Confidences of the exits of a service as they are observed, where its scheduler tracks them.
    pub fn confidences(&self, service: usize) -> Option<&[f64]> {
        Some(self.services.get(service)?.running.as_ref()?.now())
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its version.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }

    /// Takes over as leader: versions from now on are above `seen` and all before.
    pub fn lead(&mut self, seen: PolicyVersion) {
        let highest = self.version.max(seen);
        self.version = PolicyVersion { transitions: highest.transitions + 1, generation: highest.generation };
    }

    /// What happened since this was last called.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Rate of a source as far as it is known.
    pub fn estimate(&self, service: usize, source: &str) -> Option<RateEstimate> {
        self.services.get(service)?.sources.get(source)?.detector.as_ref()?.estimate()
    }

    /// Whether a new plan is wanted. `evaluator` predicts what the plan in force does now; where it cannot say, a reason is
    /// enough. After [`Decision::Replan`] comes [`DriftLoop::accept`] or [`DriftLoop::reject`], after [`Decision::Retune`]
    /// [`DriftLoop::retuned`] or [`DriftLoop::reject`]. Plans of the former are to be made with [`DriftLoop::confidences`], too.
    pub fn decide(&mut self, now: f64, evaluator: &dyn Evaluator, effort: &EvaluationEffort<'_>) -> Decision {
        if self.silent || !now.is_finite() {
            return Decision::Keep;
        }
        let reasons = self.reasons(now);
        if reasons.is_empty() {
            self.held = None;
            return Decision::Keep;
        }
        if self.has_moved_on(now) {
            self.gate.news();
        }
        if let Some(held) = self.gate.held(now, &self.options) {
            return self.hold(held);
        }
        let is_due = |running: &RunningConfidences| running.moved().is_some();
        if self.services.iter().any(|track| track.running.as_ref().is_some_and(is_due)) {
            return self.retune(reasons);
        }
        let violated = reasons.iter().any(|reason| matches!(reason, Reason::Violation { .. }));
        if !violated && self.was_weighed(now) {
            return Decision::Keep;
        }
        let problem = self.current();
        if !violated && !self.is_worth_it(&problem, evaluator, effort) {
            self.weighed = Some((now, rates(&problem)));
            return self.hold(Held::GoodEnough);
        }
        self.offered.clone_from(&reasons);
        self.services.iter_mut().filter_map(|track| track.running.as_mut()).for_each(|running| _ = running.offer());
        Decision::Replan { problem: Box::new(problem), reasons }
    }

    fn retune(&mut self, mut reasons: Vec<Reason>) -> Decision {
        // What else there is remains a reason afterwards.
        reasons.retain(|reason| matches!(reason, Reason::TrackedConfidence { .. }));
        self.offered.clone_from(&reasons);
        let due = self.services.iter_mut().enumerate().filter_map(|(index, track)| {
            let running = track.running.as_mut().filter(|running| running.moved().is_some())?;
            Some((index, running.offer()))
        });
        let confidences = due.collect();
        Decision::Retune { problem: Box::new(self.current()), confidences, reasons }
    }

    /// Whether rates are no longer those of the last attempt in vain. Right after a change an estimate is rough, and a plan for
    /// it may be in vain while a plan for the next one is not.
    fn has_moved_on(&mut self, now: f64) -> bool {
        let Some((at, before)) = &self.vain else { return false };
        let far = |(before, now): (&f64, f64)| (now - before).abs() > self.options.rate_hysteresis * before.abs();
        let moved = now - at >= TRY_AGAIN && before.iter().zip(rates(&self.current())).any(far);
        if moved {
            self.vain = None;
        }
        moved
    }

    fn hold(&mut self, held: Held) -> Decision {
        // The same cause is told once.
        let told = |before: &Held| std::mem::discriminant(before) == std::mem::discriminant(&held);
        if !self.held.as_ref().is_some_and(told) {
            self.held = Some(held.clone());
            self.events.push(Event::HeldBack { why: held });
        }
        Decision::Keep
    }

    /// The new plan is going to be published. Returns its version.
    pub fn accept(&mut self, now: f64, accepted: Accepted) -> PolicyVersion {
        self.gate.change(now);
        self.version.generation += 1;
        for (track, made_for) in self.services.iter_mut().zip(&accepted.problem.services) {
            track.loss.restart();
            // What audits have told while the plan was made is still to be planned for.
            track.tables_changed &= track.is_newer_than(&made_for.model);
            track.confidence.restart();
            track.leaving.restart();
            if let Some(running) = &mut track.running {
                running.taken();
            }
        }
        self.planned = accepted.problem;
        self.plan = accepted.plan;
        self.replanned(accepted.gain)
    }

    /// Policies were made anew for the problem and the confidences that [`Decision::Retune`] gave, and are going to be published.
    /// Returns the version; `None` if they are what they were, so that there is nothing to publish.
    pub fn retuned(&mut self, now: f64, policies: Vec<(usize, Policy)>) -> Option<PolicyVersion> {
        let problem = self.current();
        let mut is_new = false;
        for (index, policy) in policies {
            let (Some(track), Some(place)) = (self.services.get_mut(index), self.plan.policies.get_mut(index)) else {
                continue;
            };
            if let Some(running) = &mut track.running {
                running.taken();
            }
            if *place != policy {
                *place = policy;
                // Others that share its devices are still planned for the rates of before.
                let sources = std::mem::take(&mut self.planned.services[index].sources);
                self.planned.services[index] = domain::problem::Service { sources, ..problem.services[index].clone() };
                track.loss.restart();
                track.tables_changed = false;
                is_new = true;
            }
        }
        if !is_new {
            return None;
        }
        self.gate.change(now);
        self.version.generation += 1;
        Some(self.replanned("confidences as they are observed".to_owned()))
    }

    fn replanned(&mut self, gain: String) -> PolicyVersion {
        self.weighed = None;
        self.held = None;
        let reasons = std::mem::take(&mut self.offered);
        self.events.push(Event::Replanned { version: self.version, reasons, gain });
        self.version
    }

    /// There is no better plan, or none at all: the plan in force stays, and the next attempt has to wait.
    pub fn reject(&mut self, now: f64, why: Held) {
        self.gate.fail(now, &self.options);
        self.vain = Some((now, rates(&self.current())));
        self.weighed = None;
        self.held = None;
        self.hold(why);
    }

    /// The problem as it is now.
    pub fn current(&self) -> Problem {
        let mut problem = self.base.clone();
        for (index, service) in problem.services.iter_mut().enumerate() {
            let (planned, track) = (&self.planned.services[index], &self.services[index]);
            for (source, planned) in service.sources.iter_mut().zip(&planned.sources) {
                (source.rate, source.burstiness) = (planned.rate, planned.burstiness);
                let Some(detector) = track.detector(&source.name) else { continue };
                let Some(estimate) = detector.estimate() else { continue };
                let share = share_of(&self.base.services[index], &source.name, index_rate(&self.base, index, source));
                source.rate = PerSecond::new(estimate.rate * share).unwrap_or(planned.rate);
                source.burstiness = detector.burstiness();
            }
            if let Some((choose, judge)) = &track.samples {
                let mut model = domain::problem::Model::clone(&service.model);
                (model.choose, model.judge) = (Arc::clone(choose), Arc::clone(judge));
                service.model = Arc::new(model);
            }
        }
        for (device, track) in problem.devices.iter_mut().zip(&self.devices) {
            device.speed = track.speed;
        }
        problem
    }

    fn was_weighed(&self, now: f64) -> bool {
        let Some((at, before)) = &self.weighed else { return false };
        let near = |(before, now): (&f64, f64)| (now - before).abs() <= self.options.rate_hysteresis * before.abs();
        now - at < self.options.weigh_again && before.iter().zip(rates(&self.current())).all(near)
    }

    /// Whether a new plan could be better: targets are going to be missed, or accuracy can be gained.
    fn is_worth_it(&self, now: &Problem, evaluator: &dyn Evaluator, effort: &EvaluationEffort<'_>) -> bool {
        let Ok(evaluation) = evaluator.evaluate(now, &self.plan, effort) else { return true };
        // By what is expected, not by its upper limit: so short a look cannot prove that a plan keeps targets which it is to use up.
        let score = Score::of(now, &Evaluation { is_sampled: false, ..evaluation });
        // What cannot be predicted is a reason to look further.
        if score.violation.is_nan() || score.violation > domain::plan::WITHIN_VIOLATION {
            return true;
        }
        // Also where more jobs arrive: a row of the table that keeps targets need not be the best that can be done.
        let has_room = rates(now).iter().zip(rates(&self.planned)).any(|(now, planned)| *now != planned)
            || now.devices.iter().zip(&self.planned.devices).any(|(now, planned)| now.speed > planned.speed)
            || self.services.iter().any(|track| track.tables_changed || track.confidence.has_shifted());
        has_room && best_accuracy(now) - score.accuracy > self.options.cost_of_change
    }
}

impl ServiceTrack {
    /// Whether the samples of audits are other ones than those of this model.
    fn is_newer_than(&self, model: &domain::problem::Model) -> bool {
        self.samples.as_ref().is_some_and(|(choose, _)| !Arc::ptr_eq(choose, &model.choose))
    }

    fn detector(&self, source: &str) -> Option<&Detector> {
        self.sources.get(source)?.learned().map(|(detector, _)| detector)
    }
}

impl SourceTrack {
    fn learned(&self) -> Option<(&Detector, RateEstimate)> {
        let detector = self.detector.as_ref().filter(|detector| detector.has_learned())?;
        Some((detector, detector.estimate()?))
    }
}

fn index_rate(problem: &Problem, service: usize, source: &domain::problem::Source) -> f64 {
    let same = |one: &&domain::problem::Source| one.name == source.name && one.gateway == source.gateway;
    problem.services[service].sources.iter().find(same).map_or(0.0, |one| one.rate.get())
}

/// Share of a source in the rate of all of its name, as first described: sources of one name at several gateways are
/// counted together.
fn share_of(service: &domain::problem::Service, name: &str, rate: f64) -> f64 {
    let all: Vec<f64> = service.sources.iter().filter(|one| one.name == name).map(|one| one.rate.get()).collect();
    let sum: f64 = all.iter().sum();
    if sum > 0.0 { rate / sum } else { 1.0 / all.len().max(1) as f64 }
}

fn rates(problem: &Problem) -> Vec<f64> {
    problem.services.iter().flat_map(|service| &service.sources).map(|source| source.rate.get()).collect()
}

/// What no plan exceeds by much: each job at the best exit.
fn best_accuracy(problem: &Problem) -> f64 {
    let best = |service: &domain::problem::Service| {
        let table = &service.model.judge.table;
        (0..table.exits()).map(|exit| table.accuracy(exit)).fold(0.0, f64::max)
    };
    let weight: f64 = problem.services.iter().map(|service| service.targets.priority).sum();
    problem.services.iter().map(|service| service.targets.priority * best(service)).sum::<f64>() / weight
}

#[cfg(test)]
mod exit_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tracked_tests;
