//! What schedulers of one device make of a problem, as plans: starts of the search, and rivals before the referee.

use crate::schedule::schedule_each;
use crate::{DEFAULT_LOSS, Scheduler, ThresholdSearch};
use domain::problem::Burstiness;
use domain::{Plan, Policy, Probability, Problem};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Share of the loss target that a second table aims at: what loses just less than it may is not told from what loses more.
const CAREFUL: f64 = 0.8;

/// Plans that treat every service without a fixed policy by one scheduler: the last exit, whose jobs are shared among
/// chains by what devices can do; the best threshold vector for each rate, and, where thresholds may be fixed at
/// dispatch, the optimal table over jobs present, for the loss target and (unless jobs come in bursts, for which it is
/// careful anyway) for a part of it, and the knapsack's. In bursts also the mixtures of each phase, and the first exit: a search by
/// formulas sees bursts as variability only. What formulas cannot predict only the referee can say the worth of. What
/// cannot be made is left out, and none is begun once `stop` says so.
pub fn rivals(
    problem: &Problem,
    fixed: &[Option<Policy>],
    may_dispatch: bool,
    stop: &(dyn Fn() -> bool + Sync),
) -> Vec<Plan> {
    let is_bursty = is_bursty(problem);
    let careful = careful(problem);
    let mixtures = Scheduler::QueueingLP { approximate: false, tracks_confidence: false };
    let schedulers = [
        (true, Scheduler::ExitLast, problem),
        (true, Scheduler::DataDriven(ThresholdSearch::Direct), problem),
        (is_bursty, mixtures, &careful),
        (is_bursty, Scheduler::ExitFirst, problem),
        (may_dispatch, Scheduler::SMDP, problem),
        (may_dispatch && !is_bursty, Scheduler::SMDP, &careful),
        (may_dispatch && !is_bursty, Scheduler::Knapsack { tracks_confidence: false }, problem),
    ];
    let asked = schedulers.iter().filter(|(is_asked, ..)| *is_asked).take_while(|_| !stop());
    asked.filter_map(|(_, scheduler, problem)| all_by(scheduler, problem, fixed)).collect()
}

pub(super) fn is_bursty(problem: &Problem) -> bool {
    let mut sources = problem.services.iter().flat_map(|service| &service.sources);
    sources.any(|source| source.burstiness != Burstiness::Poisson)
}

fn all_by(scheduler: &Scheduler, problem: &Problem, fixed: &[Option<Policy>]) -> Option<Plan> {
    let fixed = |service: usize| fixed.get(service).and_then(Option::as_ref);
    let free = (0..problem.services.len()).filter(|&service| fixed(service).is_none());
    let found = catch_unwind(AssertUnwindSafe(|| schedule_each(scheduler, problem, free)));
    let mut free = found.ok()?.into_iter();
    let policy = |service: usize| fixed(service).cloned().or_else(|| free.next()?.ok());
    let policies: Option<Vec<Policy>> = (0..problem.services.len()).map(policy).collect();
    policies.map(|policies| Plan { policies })
}

/// With smaller loss targets.
fn careful(problem: &Problem) -> Problem {
    let mut careful = problem.clone();
    for service in &mut careful.services {
        let target = service.targets.max_loss.map_or(DEFAULT_LOSS, Probability::get);
        service.targets.max_loss = Probability::new(CAREFUL * target).ok();
    }
    careful
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::relaxation::generated::{self, Shape};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn none_is_begun_when_time_is_over() {
        let problem = generated::problem(&Shape::default());
        let within = |looks: usize| {
            let asked = AtomicUsize::new(0);
            rivals(&problem, &[], true, &|| asked.fetch_add(1, Ordering::Relaxed) >= looks).len()
        };
        assert_eq!([within(0), within(1), within(2), within(100)], [0, 1, 2, 5]);
    }
}
