//! How fast a device really is, from the core-seconds it took for the jobs it served.
//!
//! # Formula
//! Work is the time that the segments and heads of the served jobs take on the machine of the profile. Over a window of at
//! least [`JOBS`] jobs, speed = work ÷ busy core-seconds. It is off when it differs from the speed assumed by more than the hysteresis
//! and 3 ÷ √jobs together; two windows in a row that are off and differ by no more from each other correct it to that of the second.
//!
//! # Assumptions
//! Fragments do not count at which of their exits jobs leave. Work is expected under the plan's thresholds: per job answered at
//! the fragment, and per job passed on, as the exit table has it. Jobs differ by at most about the mean of their work, so that
//! windows have a relative deviation of at most 1 ÷ √jobs.
//!
//! # Cost
//! O(fragments) per reading; expected work is computed when a plan is accepted.

use crate::DeviceReading;
use domain::problem::{Hop, Model, Problem};
use domain::{Plan, Thresholds};
use std::collections::BTreeMap;

/// Jobs of a window.
pub(crate) const JOBS: f64 = 200.0;

/// Expected work per job at a fragment, in seconds on the machine of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Work {
    /// Of jobs answered there.
    pub(crate) answered: f64,
    /// Of jobs passed on.
    pub(crate) forwarded: f64,
}

/// Follows the speed of one device.
#[derive(Debug, Clone, Default)]
pub struct SpeedTracker {
    before: Option<DeviceReading>,
    work: f64,
    busy: f64,
    jobs: f64,
    /// Speed of the last window, if it was off.
    off: Option<f64>,
}

impl SpeedTracker {
    /// Takes the counters of the device. Its speed, when that has been found to be another one than `assumed`.
    pub(crate) fn observe(
        &mut self,
        reading: &DeviceReading,
        work: &BTreeMap<String, Work>,
        assumed: f64,
        hysteresis: f64,
    ) -> Option<f64> {
        let before = self.before.replace(reading.clone())?;
        let busy = reading.busy - before.busy;
        let mut served = vec![];
        for (name, now) in &reading.fragments {
            let was = before.fragments.get(name).copied().unwrap_or_default();
            let pair = (now.0.checked_sub(was.0), now.1.checked_sub(was.1));
            // A process that restarted says nothing about the time since the last reading.
            let (Some(answered), Some(forwarded)) = pair else { return None };
            served.push((name, answered as f64, forwarded as f64));
        }
        // Jobs without known work make busy time that cannot be explained.
        let known =
            served.iter().all(|(name, answered, forwarded)| answered + forwarded == 0.0 || work.contains_key(*name));
        if busy < 0.0 || !known {
            return None;
        }
        self.busy += busy;
        for (name, answered, forwarded) in served {
            let Some(work) = work.get(name) else { continue };
            self.work += answered * work.answered + forwarded * work.forwarded;
            self.jobs += answered + forwarded;
        }
        self.close(assumed, hysteresis)
    }

    fn close(&mut self, assumed: f64, hysteresis: f64) -> Option<f64> {
        if self.jobs < JOBS {
            return None;
        }
        let (speed, tolerance) = (self.work / self.busy, hysteresis + 3.0 / self.jobs.sqrt());
        (self.work, self.busy, self.jobs) = (0.0, 0.0, 0.0);
        let is_off = |speed: f64| (speed / assumed).ln().abs() > (1.0 + tolerance).ln();
        if !(speed > 0.0 && speed.is_finite() && is_off(speed)) {
            self.off = None;
            return None;
        }
        let first = self.off.replace(speed)?;
        // Within the first window the speed may still have changed; then the two differ, and the next one decides.
        if (first / speed).ln().abs() > (1.0 + tolerance).ln() {
            return None;
        }
        self.off = None;
        Some(speed)
    }

    /// Begins a window anew: expected work has changed.
    pub(crate) fn restart(&mut self) {
        (self.work, self.busy, self.jobs, self.off) = (0.0, 0.0, 0.0, None);
    }
}

/// Expected work per device and fragment under a plan.
pub(crate) fn expected_work(problem: &Problem, plan: &Plan) -> Vec<BTreeMap<String, Work>> {
    // Per device and fragment: share of jobs and their work, of those answered and of those passed on.
    let mut sums: Vec<Vec<[f64; 4]>> =
        problem.devices.iter().map(|device| vec![[0.0; 4]; device.fragments.len()]).collect();
    for (service, policy) in problem.services.iter().zip(&plan.policies) {
        for source in &service.sources {
            for choice in policy.mixture(&source.name).choices() {
                let Some(chain) = service.chains.get(choice.chain) else { continue };
                let weight = source.rate.get().max(1e-9) * choice.probability.get();
                for hop in &chain.hops {
                    let parts = at_hop(problem, &service.model, *hop, &choice.thresholds, service.audit.get());
                    let sum = &mut sums[hop.device][hop.fragment];
                    sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += weight * part);
                }
            }
        }
    }
    let work = |[answers, answer_work, passes, pass_work]: [f64; 4]| Work {
        answered: if answers > 0.0 { answer_work / answers } else { 0.0 },
        forwarded: if passes > 0.0 { pass_work / passes } else { 0.0 },
    };
    let of_device = |(device, sums): (&domain::problem::Device, Vec<[f64; 4]>)| {
        device.fragments.iter().map(|fragment| fragment.name.clone()).zip(sums.into_iter().map(work)).collect()
    };
    problem.devices.iter().zip(sums).map(of_device).collect()
}

/// Shares of all jobs of a choice, and their work, at a fragment: answered there, passed on.
fn at_hop(problem: &Problem, model: &Model, hop: Hop, thresholds: &Thresholds, audit: f64) -> [f64; 4] {
    let range = problem.fragment(hop).range;
    if thresholds.exits() != model.exits() {
        return [0.0; 4];
    }
    let behaviour = model.choose.exits.evaluate(thresholds);
    let inside = |exit: &usize| (range.first..=range.last).contains(&model.exit_segments[*exit]);
    let until = |exit: usize, all: bool| {
        let heads = (0..=exit).filter(inside).filter(|&head| all || thresholds.is_open(head));
        model.times.service(range, model.exit_segments[exit] - range.first + 1, heads).get()
    };
    let through = |all: bool| {
        let heads = (0..model.exits()).filter(inside).filter(|&head| all || thresholds.is_open(head));
        model.times.service(range, range.last - range.first + 1, heads).get()
    };
    let (mut answers, mut answer_work) = (0.0, 0.0);
    for exit in (0..model.exits()).filter(inside) {
        answers += behaviour.share[exit];
        answer_work += behaviour.share[exit] * until(exit, false);
    }
    let passes: f64 = (0..model.exits())
        .filter(|&exit| model.exit_segments[exit] > range.last)
        .map(|exit| behaviour.share[exit])
        .sum();
    let plain = 1.0 - audit;
    let audited = (audit, audit * through(true));
    // Audit jobs run through all fragments, and end as answered in the last one only.
    if range.last + 1 == model.segments() {
        [plain * answers + audited.0, plain * answer_work + audited.1, 0.0, 0.0]
    } else {
        let pass_work = plain * passes * through(false) + audited.1;
        [plain * answers, plain * answer_work, plain * passes + audited.0, pass_work]
    }
}
