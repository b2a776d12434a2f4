//! How much a referee looks at: as time allows, and more where jobs come in bursts.
//!
//! What is lost in bursts is lost in few of them: a look of so many arrivals says little when those are of a hundred bursts.
//! Losses near one percent are known to about a tenth (95 %) after three thousand cycles of both phases: from the
//! interval of a run of seven thousand, K = 10, ten times the rate in bursts of 40 arrivals.

use domain::problem::{Burstiness, Source};
use domain::{EvaluationEffort, Problem};
use std::num::NonZeroU32;
use std::time::Duration;

/// Cycles of both phases that the last word is about, at least.
const CYCLES: f64 = 3000.0;
/// Arrivals, at most, as a multiple of what was asked for: with very long phases there is no end otherwise.
const MOST: f64 = 8.0;

/// Arrivals that a core simulates in a second, at least (docs/design/simulation.md).
const PER_CORE: f64 = 2.5e6;
/// A look for the last word should not take more than this share of the time of a search.
const SHARE: f64 = 1.0 / 12.0;
/// Arrivals per second of a search beyond which more are not worth it, and in all.
const PER_SECOND: f64 = 0.8e6;
const PLENTY: f64 = 800_000.0;
/// Arrivals per service, at least: in shorter runs queues that will overflow have not yet.
const FEWEST: f64 = 10_000.0;

/// Arrivals of a replication, at least, where there are more replications than were asked for, for as many services as this: each begins with
/// empty queues, and warms up for no longer than it measures.
const PER_REPLICATION: u64 = 4_000;
const SERVICES: u64 = 4;
/// Replications, at most.
const MOST_REPLICATIONS: u64 = 32;

/// Arrivals for [`Request::effort`](super::Request) by which a search of this length had better compare plans on so many cores:
/// losses near a limit that are known better need less of a margin, and there must be time for several looks.
pub fn arrivals_for(problem: &Problem, budget: Duration, cores: usize) -> u64 {
    let services = problem.services.len().max(1) as f64;
    let wanted = (PER_SECOND * budget.as_secs_f64() / services).min(PLENTY) as u64;
    wanted.min(arrivals_within(problem, budget.mul_f64(SHARE), cores)).max((FEWEST * services) as u64)
}

/// Arrivals for [`Request::effort`](super::Request) of looks that take about so long on so many cores, with what bursts add.
pub fn arrivals_within(problem: &Problem, look: Duration, cores: usize) -> u64 {
    let affordable = PER_CORE * cores as f64 * look.as_secs_f64();
    let is_enough = enough(problem, affordable as u64) as f64 <= affordable;
    let arrivals = if is_enough { affordable } else { affordable / MOST };
    arrivals.max(FEWEST * problem.services.len() as f64) as u64
}

/// The effort with arrivals enough for the bursts of every source.
pub(super) fn spanning<'a>(problem: &Problem, effort: EvaluationEffort<'a>) -> EvaluationEffort<'a> {
    EvaluationEffort { arrivals: enough(problem, effort.arrivals), ..effort }
}

/// Replications of a look; not fewer than were asked for. Of the same arrivals in more replications the spread is known better:
/// the upper 95 % limit of a mean is 1.70 standard errors above it with 32 of them, 1.90 with eight.
pub(super) fn replications(arrivals: u64, services: usize, asked: NonZeroU32) -> NonZeroU32 {
    let least = PER_REPLICATION * (services as u64).div_ceil(SERVICES).max(1);
    let more = (arrivals / least).min(MOST_REPLICATIONS);
    u32::try_from(more).ok().and_then(NonZeroU32::new).map_or(asked, |more| more.max(asked))
}

/// Arrivals enough for the bursts of every source; not less than what was asked for.
pub fn enough(problem: &Problem, asked: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::relaxation::generated::{self, Shape};

    #[test]
    fn looks_fit_into_their_share_of_the_time_however_long_bursts_are() {
        let (mut problem, budget) = (generated::problem(&Shape::default()), Duration::from_millis(600));
        problem.services.truncate(1);
        let whole = |problem: &Problem, cores| enough(problem, arrivals_for(problem, budget, cores));
        assert_eq!((whole(&problem, 1), whole(&problem, 2)), (125_000, 250_000));
        let source = &mut problem.services[0].sources[0];
        source.burstiness = Burstiness::Phases { rates: [0.5, 1.5], switch: [1e-3, 1e-3] };
        assert_eq!((whole(&problem, 1), whole(&problem, 2)), (125_000, 250_000));
        let short = |cores| arrivals_for(&problem, Duration::ZERO, cores);
        assert_eq!((short(1), short(64)), (10_000, 10_000), "queues that will overflow have to");
    }

    #[test]
    fn long_looks_have_more_replications_and_short_ones_as_many_as_were_asked_for() {
        let of = |arrivals, services| replications(arrivals, services, NonZeroU32::new(8).expect("above 0")).get();
        assert_eq!([of(0, 2), of(130_000, 2), of(400_000, 2), of(800_000, 2), of(u64::MAX, 2)], [8, 32, 32, 32, 32]);
        assert_eq!([of(200_000, 20), of(3_200_000, 20)], [10, 32], "many services have few of them each");
    }
}
