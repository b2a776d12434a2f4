//! Decides which fragments exist, where they live, and which chains they form.
//!
//! # Problem
//! Services share devices of different speed, memory and reach. Where should each be cut, and on which devices should its
//! fragments live, so that targets are kept and answers are right, once thresholds and chain probabilities are planned for
//! it?
//!
//! # How
//! * *What fits* is a hard rule (`fit`): devices that are ready, of an architecture that there is an image for, within reach of
//!   the sources or of the fragment before, with memory for process, weights and jobs, and with the cores that are asked for.
//! * *What it is worth* is what a quick plan for it is (`appraise`): the best mixture of chains and thresholds of the fluid
//!   relaxation, evaluated by formulas. A guess (two such plans) guides the search; what may be the best is judged (seven
//!   plans, the best of which [`Request::judge`] looks at).
//! * *Starts* (`start`): services one after the other, each chain where the busiest device is least busy; with one chain per
//!   service, with two, and so on. Where one finds no place it comes first the next time.
//! * *Search* (`anneal`, `moves`): simulated annealing with geometric cooling, in rounds of growing length from the best so
//!   far. A neighbour has a fragment elsewhere, a cut moved, made or taken away, a chain more or less, two devices or the ends
//!   of two chains exchanged, or what there was before. What was estimated is remembered.
//! * *What there was* ([`Request::incumbent`]) has no costs; anything else costs [`Costs`] of worth. So a change has to pay, and
//!   what need not move does not.
//!
//! # Assumptions
//! Those of [`Decomposition`](crate::Decomposition), and of one number for a placement: a target missed by its own size counts as
//! much as two points of a hundred per percent of it, see [`Appraisal::worth`]. Schedulers of one device are valued as if the
//! planner decided for them. Memory of a change (old and new fragments at a time) is not part of what fits.
//!
//! # Cost
//! See `docs/design/placement.md`.
//!
//! # Reference
//! S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by simulated annealing", Science 220, 1983. That placements are
//! searched for with a quick predictor, and the best ones ranked by a better one, is as in CEED and ChainNet; our predictor is the
//! decomposition instead of a graph network.

mod anneal;
mod appraise;
mod build;
mod fit;
mod ground;
mod moves;
mod outcome;
mod reason;
mod route;
mod start;

pub use appraise::Appraisal;
pub use build::{Built, build};
pub use ground::{Demand, Ground, Origin, Site, Size, Treatment, Way};
pub use outcome::{Change, Placed};
pub use reason::{Misfit, Reason, Rejection};
pub use route::{Placement, Route, Stop};

use crate::Budget;
use anneal::Search;
use appraise::Appraiser;
use domain::{EvaluationEffort, Evaluator};
use fit::Fit;
use moves::Mover;
use std::fmt;

/// What is to be placed, by whose word, and for how long.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Where fragments can live.
    pub ground: &'a Ground,
    /// What has to live there.
    pub demands: &'a [Demand],
    /// Where fragments live now; services without chains have none. `None` is the same as none for all.
    pub incumbent: Option<&'a Placement>,
    /// What a change has to pay for.
    pub costs: Costs,
    /// Who says what the quick plan for a placement is worth.
    pub judge: &'a dyn Evaluator,
    /// How much it looks at; formulas do not care.
    pub effort: EvaluationEffort<'a>,
    /// When to end. An estimate is one evaluation, a judgement four.
    pub budget: Budget<'a>,
    /// Seed of the search.
    pub seed: u64,
}

/// What has to be paid for in worth: 0.01 is a point of accuracy, or a target missed by half a percent of it less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Any change of where services live that have a place. Default: 0.005. Plans closer than 0.003 are taken as equal, and
    /// formulas are wrong by more than that.
    pub change: f64,
    /// Every fragment that has to be started for it. Default: 0.002.
    pub started: f64,
    /// Every fragment that exists: memory and a process. Default: 0.0005.
    pub fragment: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { change: 0.005, started: 0.002, fragment: 0.0005 }
    }
}

/// Places services. Never fails: what has no place is part of the result.
pub fn place(request: &Request<'_>) -> Placed {
    let fit = Fit::new(request.ground, request.demands);
    let (before, is_whole) = survivors(request, &fit);
    let (starts, misfits) = start::starts(&fit, &before);
    let is_free = |service: &usize| request.demands[*service].pinned.is_none() && !misfits.contains(service);
    let free = (0..request.demands.len()).filter(is_free).collect();
    let mut search = Search::new(request, &fit, Mover { fit: &fit, free, incumbent: before.clone() });
    search.run(&starts);
    let (placement, appraisal, verdict) = match search.best {
        Some(best) => {
            let base = search.base.filter(|_| is_whole && !starts[0].differs(&before));
            let old = request.incumbent.unwrap_or(&before);
            let verdict = outcome::verdict(&before, old, is_whole, &best, base);
            (best.placement, Some(best.appraisal), verdict)
        }
        // Nobody can tell one from the other: the first will do.
        None => (starts[0].clone(), None, Change::First),
    };
    Placed {
        misfits: misfits.iter().map(|&service| outcome::misfit(&fit, &placement, service)).collect(),
        rejected: outcome::rejected(&fit, &placement),
        verdict,
        appraisal,
        placement,
        spent: search.appraiser.spent,
    }
}

/// What a placement is worth, as [`place`] values it; `None` where it places nothing, or nobody can tell. Whether it fits is
/// not asked.
pub fn appraise(request: &Request<'_>, placement: &Placement) -> Option<Appraisal> {
    Appraiser::new(request).judge(placement)
}

/// The chains of the incumbent that still fit, and whether that is all of them.
fn survivors(request: &Request<'_>, fit: &Fit<'_>) -> (Placement, bool) {
    let mut kept = start::nothing(fit);
    let mut is_whole = true;
    for (service, routes) in request.incumbent.iter().flat_map(|incumbent| incumbent.services.iter().enumerate()) {
        if request.demands.get(service).is_none_or(|demand| demand.pinned.is_some()) {
            continue;
        }
        for route in routes {
            kept.services[service].push(route.clone());
            if !fit.holds(&kept) {
                kept.services[service].pop();
                is_whole = false;
            }
        }
    }
    (kept.tidy(), is_whole)
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { costs, budget, seed, .. } = self;
        write!(f, "Request {{ costs: {costs:?}, budget: {budget:?}, seed: {seed} }}")
    }
}
