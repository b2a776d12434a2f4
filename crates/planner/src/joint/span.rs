//! How much a referee must look at where jobs come in bursts.
//!
//! What is lost in bursts is lost in few of them: a look of so many arrivals says little when those are of a hundred bursts.
//! Losses near one percent are known to about a tenth (95 %) after three thousand cycles of both phases: from the
//! interval of a run of seven thousand, K = 10, ten times the rate in bursts of 40 arrivals.

use domain::problem::{Burstiness, Source};
use domain::{EvaluationEffort, Problem};

/// Cycles of both phases that the last word is about, at least.
const CYCLES: f64 = 3000.0;
/// Arrivals, at most, as a multiple of what was asked for: with very long phases there is no end otherwise.
const MOST: f64 = 8.0;

/// The effort with arrivals enough for the bursts of every source.
pub(super) fn spanning<'a>(problem: &Problem, effort: EvaluationEffort<'a>) -> EvaluationEffort<'a> {
    EvaluationEffort { arrivals: enough(problem, effort.arrivals), ..effort }
}

/// Arrivals enough for the bursts of every source; not less than what was asked for.
pub(super) fn enough(problem: &Problem, asked: u64) -> u64 {
    let sources = || problem.services.iter().flat_map(|service| &service.sources);
    let total: f64 = sources().map(|source| source.rate.get()).sum();
    let wanted = sources().map(|source| CYCLES * total * cycle(source)).fold(0.0, f64::max);
    asked.max(wanted.min(MOST * asked as f64) as u64)
}

/// Seconds that both phases of a source take together; 0 where it has none that differ.
fn cycle(source: &Source) -> f64 {
    match source.burstiness {
        Burstiness::Phases { rates, switch } if rates[0] != rates[1] => 1.0 / switch[0] + 1.0 / switch[1],
        _ => 0.0,
    }
}
