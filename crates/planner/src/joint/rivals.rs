//! What schedulers of one device make of a problem, as plans: starts of the search, and rivals before the referee.

use crate::{Scheduler, ThresholdSearch, schedule};
use domain::{Plan, Policy, Problem};

/// Plans that treat every service without a fixed policy by one scheduler: the best threshold vector for each rate, and,
/// where thresholds may be fixed at dispatch, the optimal table over jobs present. Formulas cannot predict such tables, so
/// only the referee can say what they are worth. What cannot be made is left out.
pub fn rivals(problem: &Problem, fixed: &[Option<Policy>], may_dispatch: bool) -> Vec<Plan> {
    let direct = Scheduler::DataDriven(ThresholdSearch::Direct);
    let schedulers = std::iter::once(direct).chain(may_dispatch.then_some(Scheduler::SMDP));
    let all_by = |scheduler: Scheduler| {
        let policy = |service: usize| match fixed.get(service) {
            Some(Some(policy)) => Some(policy.clone()),
            _ => schedule(&scheduler, problem, service).ok(),
        };
        let policies: Option<Vec<Policy>> = (0..problem.services.len()).map(policy).collect();
        policies.map(|policies| Plan { policies })
    };
    schedulers.filter_map(all_by).collect()
}
