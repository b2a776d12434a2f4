//! Plans of *Auto*, and schedulers that change while they run.

use crate::contenders::Contender;
use crate::run::Size;
use domain::problem::{Model, Samples};
use domain::{EvaluationEffort, Plan, Policy, Problem};
use planner::single::tracking::{Tracker, Tracking, confidences};
use planner::{
    Budget, Method, Request, Scheduler, Verdict, plan as plan_jointly, ratios, retuned, settle, window, with_rate_table,
};
use simulator::{Network, Simulation};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Replications by which the referee compares plans.
const REPLICATIONS: u32 = 8;
/// Arrivals that it looks at for the final word.
const ARRIVALS: u64 = 40_000;

/// The policy of Auto with its table over rates, for a problem with [`unscored`] samples.
pub(crate) fn plan_with_table(problem: &Problem, size: Size) -> Policy {
    with(problem, None, size, |request| with_table(request, plan_jointly(request).plan))
}

/// As `eenn plan` has it for all schedulers: thresholds are chosen on every other row of the exit table, and the referee looks at the
/// rest. Rows that contenders are scored by stay unseen: whoever picks the best of many plans by them picks the luckiest.
pub(crate) fn unscored(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    for service in &mut problem.services {
        let Some((choose, judge)) = service.model.choose.table.halves() else { continue };
        let [choose, judge] = [choose, judge].map(|table| Arc::new(Samples::new(table)));
        service.model = Arc::new(Model { choose, judge, ..Model::clone(&service.model) });
    }
    problem
}

/// The policy that takes the place of one in force; why there is none where it stays.
pub(crate) fn plan_again(problem: &Problem, in_force: &Policy, size: Size) -> Result<Policy, String> {
    let incumbent = Plan { policies: vec![in_force.clone()] };
    with(problem, Some(&incumbent), size, |request| {
        let planned = plan_jointly(request);
        if let Verdict::Kept(why) = planned.verdict {
            return Err(why);
        }
        let policy = with_table(request, planned.plan);
        if policy == *in_force { Err("with its table over rates it does not beat it".to_owned()) } else { Ok(policy) }
    })
}

fn with_table(request: &Request<'_>, planned: Plan) -> Policy {
    let plan = match planned.policies.iter().all(|policy| policy.rates.is_some()) {
        true => planned,
        false => settle(request, &with_rate_table(request, &planned, &ratios(), window(request.problem)).plan).plan,
    };
    let mut policies = plan.policies;
    policies.swap_remove(0)
}

fn with<T>(problem: &Problem, incumbent: Option<&Plan>, size: Size, act: impl FnOnce(&Request<'_>) -> T) -> T {
    let effort = EvaluationEffort {
        seed: size.seed ^ 0x5EED,
        replications: NonZeroU32::new(REPLICATIONS).expect("it is not 0"),
        arrivals: ARRIVALS,
        stop: None,
    };
    let rivals = planner::rivals(problem, &[], true, &|| false);
    act(&Request {
        problem,
        incumbent,
        rivals: &rivals,
        fixed: &[],
        referee: &Simulation::default(),
        effort,
        budget: Budget { evaluations: Some(size.evaluations), stop: None, ..Budget::default() },
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
    let (scheduler, problem) = (contender.scheduler.clone(), Arc::new(unscored(problem)));
    network.schedulers[0].make = Arc::new(move |_| {
        let start = confidences(&problem.services[0].model);
        let (scheduler, problem) = (scheduler.clone(), problem.clone());
        let retune = move |confidences: &[f64]| retuned(&scheduler, &problem, 0, confidences).ok();
        let policy = retune(&start).expect("the policy could be made when the run began");
        Box::new(Tracking::new(policy, Tracker::new(start), Box::new(retune)))
    });
}
