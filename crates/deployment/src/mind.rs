//! The drift loop with the planner behind it: what local mode and operators drive while gateways serve.
//!
//! Pure: what processes say, and the time, come in; what is new about policies goes out. Whoever drives it reads, stores and sends.

use crate::{Ask, Clock, Deployment, Replanned, replan, retune, tracks_confidence};
use control::{Accepted, Decision, DriftLoop, Held, LoopOptions, Observation, Reason};
use domain::{EvaluationEffort, Plan, Problem};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::time::Duration;
use wire::document::PolicyVersion;

/// Time for a plan with its table over rates for up to [`FEW`] services. Together with what is simulated before: under a second.
const BUDGET: Duration = Duration::from_millis(500);
/// More services have as much more time as there are more of them, up to so many times: a look at a plan is about more jobs.
const FEW: f64 = 4.0;
const MOST_BUDGETS: f64 = 6.0;
/// How much is simulated to see what the plan in force would do, where jobs do not come in bursts.
const ARRIVALS: u64 = 20_000;
const REPLICATIONS: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");

/// What decides while gateways serve, and what it decides about.
#[derive(Debug)]
pub struct Mind {
    drift: DriftLoop,
    deployment: Deployment,
    seed: u64,
    /// Plans asked for so far: another attempt is to look elsewhere.
    attempts: u64,
}

/// What came of an observation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conclusion {
    /// For people, in order.
    pub messages: Vec<String>,
    /// A new plan.
    pub change: Option<Change>,
}

/// A change of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The version of its policies.
    pub version: PolicyVersion,
    /// What it was made for.
    pub problem: Problem,
    /// Services (by index) whose policies are other ones now.
    pub services: Vec<usize>,
    /// Why there is a new plan, in words.
    pub reasons: Vec<String>,
    /// What it gains, in words.
    pub gain: String,
}

impl Mind {
    /// Starts from the plan in force, which was made for `problem`, with the version of its policies. `None` where no service
    /// wants new plans.
    pub fn new(
        problem: Problem,
        plan: Plan,
        deployment: Deployment,
        version: PolicyVersion,
        seed: u64,
    ) -> Option<Self> {
        let options = pace(&deployment)?;
        let services = deployment.services.iter().enumerate();
        let tracking = services.filter(|(_, one)| one.resolved.reoptimization.is_some() && tracks_confidence(one));
        let tracking: Vec<usize> = tracking.map(|(index, _)| index).collect();
        let drift = DriftLoop::new(problem, plan, version, options).tracking(tracking);
        Some(Self { drift, deployment, seed, attempts: 0 })
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        self.drift.plan()
    }

    /// The version of its policies.
    pub fn version(&self) -> PolicyVersion {
        self.drift.version()
    }

    /// What gateways are to be told now.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What is observed at `now`, and what follows from it. `clock`: time since this was called.
    pub fn think(&mut self, now: f64, observation: &Observation, clock: Clock<'_>) -> Conclusion {
        self.drift.observe(now, observation);
        let arrivals = planner::enough(&self.drift.current(), ARRIVALS);
        let effort = EvaluationEffort { seed: self.seed, replications: REPLICATIONS, arrivals, stop: None };
        let change = match self.drift.decide(now, &Simulation { threads: 1 }, &effort) {
            Decision::Keep => None,
            Decision::Replan { problem, reasons } => self.replan(now, *problem, &reasons, clock),
            Decision::Retune { problem, confidences, reasons } => self.retune(now, *problem, &confidences, &reasons),
        };
        Conclusion { messages: self.told(), change }
    }

    /// Thinking panicked: the plan in force stays, and the next attempt has to wait.
    pub fn stumbled(&mut self, now: f64) -> Conclusion {
        self.drift.reject(now, Held::Failed("planning panicked".to_owned()));
        Conclusion { messages: self.told(), change: None }
    }

    fn told(&mut self) -> Vec<String> {
        self.drift.take_events().iter().map(ToString::to_string).collect()
    }

    fn replan(&mut self, now: f64, problem: Problem, reasons: &[Reason], clock: Clock<'_>) -> Option<Change> {
        let services = 0..self.deployment.services.len();
        let seed = self.seed.wrapping_add(self.attempts);
        self.attempts += 1;
        let ask = Ask { budget: budget(services.len()), seed, threads: 1 };
        let confidences: Vec<_> = services.map(|index| self.drift.confidences(index).map(<[f64]>::to_vec)).collect();
        let before = self.drift.plan().clone();
        match replan(&problem, &self.deployment, &before, &confidences, &ask, clock) {
            Ok(Replanned::Better { plan, gain }) => {
                self.drift.accept(now, Accepted { problem: problem.clone(), plan, gain: gain.clone() });
                Some(self.changed(problem, &before, reasons, gain))
            }
            Ok(Replanned::Kept(why)) => {
                self.drift.reject(now, Held::DidNotBeat(why));
                None
            }
            Err(error) => {
                self.drift.reject(now, Held::Failed(error.to_string()));
                None
            }
        }
    }

    fn retune(
        &mut self,
        now: f64,
        problem: Problem,
        confidences: &[(usize, Vec<f64>)],
        reasons: &[Reason],
    ) -> Option<Change> {
        let before = self.drift.plan().clone();
        match retune(&problem, &self.deployment, &before, confidences) {
            Ok(policies) => {
                self.drift.retuned(now, policies)?;
                Some(self.changed(problem, &before, reasons, "confidences as observed".to_owned()))
            }
            Err(error) => {
                self.drift.reject(now, Held::Failed(error.to_string()));
                None
            }
        }
    }

    /// The loop has a new plan: gateways are to have it, too.
    fn changed(&mut self, problem: Problem, before: &Plan, reasons: &[Reason], gain: String) -> Change {
        self.deployment.with_new_plan(self.drift.plan());
        self.deployment.with_version(self.drift.version());
        let policies = before.policies.iter().zip(&self.drift.plan().policies).enumerate();
        Change {
            version: self.drift.version(),
            problem,
            services: policies.filter(|(_, (old, new))| old != new).map(|(index, _)| index).collect(),
            reasons: reasons.iter().map(ToString::to_string).collect(),
            gain,
        }
    }
}

fn budget(services: usize) -> Duration {
    BUDGET.mul_f64((services as f64 / FEW).clamp(1.0, MOST_BUDGETS))
}

/// How often there may be new plans: they are made together, so the most patient service sets the pace. `None` where no
/// service wants any.
fn pace(deployment: &Deployment) -> Option<LoopOptions> {
    let wanted = deployment.services.iter().filter_map(|service| service.resolved.reoptimization);
    wanted.fold(None, |options: Option<LoopOptions>, limits| {
        let most = limits.maximum_per_hour as usize;
        let options =
            options.unwrap_or(LoopOptions { min_interval: 0.0, max_changes_per_hour: most, ..LoopOptions::default() });
        Some(LoopOptions {
            min_interval: options.min_interval.max(limits.minimum_interval.get()),
            max_changes_per_hour: options.max_changes_per_hour.min(most),
            ..options
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_services_have_more_time_for_a_plan_up_to_some() {
        let of = [1, 4, 8, 20, 1000].map(|services| budget(services).as_millis());
        assert_eq!(of, [500, 500, 1000, 2500, 3000]);
    }
}
