//! Plans of *Auto*, and schedulers that change while they run.

use crate::contenders::Contender;
use crate::run::Size;
use domain::{EvaluationEffort, Policy, Problem};
use planner::single::tracking::{Tracker, Tracking, confidences};
use planner::{
    Budget, Method, Request, Scheduler, plan as plan_jointly, ratios, retuned, settle, window, with_rate_table,
};
use simulator::{Network, Simulation};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Replications by which the referee compares plans.
const REPLICATIONS: u32 = 8;
/// Arrivals that it looks at for the final word.
const ARRIVALS: u64 = 40_000;
/// The policy of Auto with its table over rates.
pub(crate) fn plan_with_table(problem: &Problem, size: Size) -> Policy {
    let plan = with(problem, size, |request| {
        let planned = plan_jointly(request).plan;
        if planned.policies.iter().all(|policy| policy.rates.is_some()) {
            return planned;
        }
        let tabled = with_rate_table(request, &planned, &ratios(), window(problem)).plan;
        settle(request, &tabled).plan
    });
    let mut policies = plan.policies;
    policies.swap_remove(0)
}

fn with<T>(problem: &Problem, size: Size, act: impl FnOnce(&Request<'_>) -> T) -> T {
    let effort = EvaluationEffort {
        seed: size.seed ^ 0x5EED,
        replications: NonZeroU32::new(REPLICATIONS).expect("it is not 0"),
        arrivals: ARRIVALS,
        stop: None,
    };
    let rivals = planner::rivals(problem, &[], true, &|| false);
    act(&Request {
        problem,
        incumbent: None,
        rivals: &rivals,
        fixed: &[],
        referee: &Simulation::default(),
        effort,
        budget: Budget { evaluations: Some(size.evaluations), stop: None },
        method: Method::default(),
    })
}

/// Lets a contender that tracks confidence do so.
pub(crate) fn track(contender: &Contender, problem: &Problem, network: &mut Network) {
    let tracks = match contender.scheduler {
        Scheduler::Knapsack { tracks_confidence } | Scheduler::QueueingLP { tracks_confidence, .. } => {
            tracks_confidence
        }
        _ => false,
    };
    if !tracks {
        return;
    }
    let (scheduler, problem) = (contender.scheduler.clone(), Arc::new(problem.clone()));
    network.schedulers[0].make = Arc::new(move |_| {
        let start = confidences(&problem.services[0].model);
        let (scheduler, problem) = (scheduler.clone(), problem.clone());
        let retune = move |confidences: &[f64]| retuned(&scheduler, &problem, 0, confidences).ok();
        let policy = retune(&start).expect("the policy could be made when the run began");
        Box::new(Tracking::new(policy, Tracker::new(start), Box::new(retune)))
    });
}
