//! Where searches begin.

use super::candidate::{Candidate, Workshop};
use super::pricing::Prices;
use super::screen::Screen;
use domain::Thresholds;
use domain::problem::Model;
use rand::{Rng, RngExt};

/// Prices of a second on the profiled machine ÷ the time of the whole model, from exit-last to nearly exit-first.
pub(crate) const LADDER: [f64; 8] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 3.0];

/// The accuracy–time frontier of a model: thresholds per price of time.
pub(crate) fn frontier(workshop: &Workshop<'_>, service: usize, price: f64) -> Thresholds {
    let model = &workshop.layout.problem.services[service].model;
    if price == 0.0 {
        return Thresholds::exit_last(model.exits());
    }
    workshop.pricers[service].thresholds(&uniform(model, price))
}

fn uniform(model: &Model, price: f64) -> Prices {
    let whole: f64 = model.times.segments.iter().map(|time| time.mean.get()).sum();
    let of = |times: &[domain::ServiceTime]| times.iter().map(|time| price * time.mean.get() / whole).collect();
    Prices { segments: of(&model.times.segments), heads: of(&model.times.heads), right: vec![1.0; model.exits()] }
}

/// All jobs at one price, over some chains in equal shares.
fn simple(
    workshop: &Workshop<'_>,
    source: usize,
    thresholds: &Thresholds,
    chain: Option<usize>,
) -> Vec<super::candidate::Column> {
    let flows = workshop.layout.flows_of(source);
    let share = if chain.is_some() { 1.0 } else { 1.0 / flows.len() as f64 };
    let first = flows.start;
    let taken = flows.filter(|flow| chain.is_none_or(|chain| first + chain == *flow));
    taken.map(|flow| workshop.column(flow, thresholds.clone(), share)).collect()
}

/// The same price and the same split for every source that is planned.
fn alike(workshop: &Workshop<'_>, price: f64, chain: Option<usize>) -> Candidate {
    let of = |source: usize| {
        if !workshop.is_planned(source) {
            return vec![];
        }
        let service = workshop.layout.sources[source].service;
        let chain = chain.map(|chain| chain % workshop.layout.flows_of(source).len());
        simple(workshop, source, &frontier(workshop, service, price), chain)
    };
    Candidate { sources: (0..workshop.layout.sources.len()).map(of).collect() }
}

/// The best of: every price of the ladder with all chains in equal shares, or with one chain for each; then for each
/// source the best of its own while the others stay.
pub(crate) fn best_simple(workshop: &Workshop<'_>, screen: &mut Screen<'_>) -> Candidate {
    let chains = workshop.layout.problem.services.iter().map(|service| service.chains.len()).max().unwrap_or(1);
    screen.softness = 0.05;
    let mut best = (f64::NEG_INFINITY, alike(workshop, 0.0, None));
    for split in std::iter::once(None).chain((0..chains.min(4)).map(Some)) {
        for price in LADDER {
            if screen.is_over() {
                return best.1;
            }
            let candidate = alike(workshop, price, split);
            let merit = screen.merit(&workshop.loads(&candidate));
            if merit > best.0 {
                best = (merit, candidate);
            }
        }
    }
    for source in 0..workshop.layout.sources.len() {
        if workshop.is_planned(source) {
            best = improve_alone(workshop, screen, source, best);
        }
    }
    best.1
}

fn improve_alone(
    workshop: &Workshop<'_>,
    screen: &mut Screen<'_>,
    source: usize,
    mut best: (f64, Candidate),
) -> (f64, Candidate) {
    let service = workshop.layout.sources[source].service;
    let splits = || std::iter::once(None).chain((0..workshop.layout.flows_of(source).len()).map(Some));
    for price in LADDER {
        let thresholds = frontier(workshop, service, price);
        for split in splits() {
            if screen.is_over() {
                return best;
            }
            let mut candidate = best.1.clone();
            candidate.sources[source] = simple(workshop, source, &thresholds, split);
            let merit = screen.merit(&workshop.loads(&candidate));
            if merit > best.0 {
                best = (merit, candidate);
            }
        }
    }
    best
}

/// Random prices and splits.
pub(crate) fn random(workshop: &Workshop<'_>, rng: &mut impl Rng) -> Candidate {
    let mut of = |source: usize| {
        if !workshop.is_planned(source) {
            return vec![];
        }
        let service = workshop.layout.sources[source].service;
        let thresholds = frontier(workshop, service, LADDER[rng.random_range(1..LADDER.len())]);
        let weights: Vec<f64> = workshop.layout.flows_of(source).map(|_| -rng.random::<f64>().max(1e-9).ln()).collect();
        let total: f64 = weights.iter().sum();
        let flows = workshop.layout.flows_of(source).zip(weights);
        flows.map(|(flow, weight)| workshop.column(flow, thresholds.clone(), weight / total)).collect()
    };
    Candidate { sources: (0..workshop.layout.sources.len()).map(&mut of).collect() }
}
