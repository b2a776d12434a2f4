//! Plan quality against time, for `docs/design/planner-search.md`:
//! `cargo run --release -p planner --example planner-search [quick] [prices] [fresh]`. Constants of the search were chosen on the
//! problems that it takes without `fresh`.
//!
//! Every plan is judged at last by a long simulation whose seed no search has seen.

#[path = "../tests/generated/mod.rs"]
mod generated;

use domain::{EvaluationEffort, Evaluator, Plan, Problem, Score};
use generated::Shape;
use planner::{Budget, Method, Request, plan};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

fn effort(seed: u64, arrivals: u64) -> EvaluationEffort<'static> {
    EvaluationEffort { seed, replications: NonZeroU32::new(8).expect("above 0"), arrivals, stop: None }
}

/// What the plan of a method is worth after so long, and how long it took.
fn run(
    problem: &Problem,
    method: Method,
    limit: Duration,
    arrivals: u64,
) -> (Plan, Score, Duration, Vec<(&'static str, u64)>) {
    let begun = Instant::now();
    let stop = || begun.elapsed() >= limit;
    let found = plan(&Request {
        problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee: &Simulation::default(),
        effort: effort(1, arrivals),
        budget: Budget { evaluations: None, stop: Some(&stop) },
        method,
    });
    let took = begun.elapsed();
    let judged = Simulation::default().evaluate(problem, &found.plan, &effort(99, 1_000_000)).expect("it is simulated");
    (found.plan, Score::of(problem, &judged), took, found.spent)
}

fn main() {
    let quick = std::env::args().any(|word| word == "quick");
    let first = if std::env::args().any(|word| word == "fresh") { 21 } else { 1 };
    let small = |seed, load| Shape { seed: first - 1 + seed, load, ..Shape::default() };
    let large = Shape { devices: 40, services: 20, seed: first, load: 0.9, ..Shape::default() };
    let cases = [
        ("5 devices, load 0.7", small(1, 0.7)),
        ("5 devices, load 1.2", small(2, 1.2)),
        ("5 devices, load 2", small(3, 2.0)),
        ("5 devices, load 1.5", small(4, 1.5)),
        ("40 devices, load 0.9", large),
    ];
    let methods: &[Method] = if std::env::args().any(|word| word == "prices") {
        &[Method::Prices]
    } else {
        &[Method::Prices, Method::Pattern, Method::Evolution]
    };
    let limits: &[u64] = if quick { &[10, 100, 1000] } else { &[10, 100, 1_000, 10_000, 60_000] };
    for (name, shape) in cases {
        let problem = generated::problem(&shape);
        println!("\n{name}\n| method | limit | took | violation | accuracy | evaluations |\n|---|---|---|---|---|---|");
        for method in methods.iter().copied() {
            // The others are looked at for as long as they can win.
            let longest = if method == Method::Prices { u64::MAX } else { 10_000 };
            for &limit in limits.iter().filter(|limit| **limit <= longest) {
                let arrivals = if limit < 100 {
                    8_000
                } else if limit < 1000 {
                    40_000
                } else {
                    200_000
                };
                let (_, score, took, spent) = run(&problem, method, Duration::from_millis(limit), arrivals);
                println!(
                    "| {method:?} | {limit} ms | {:.0} ms | {:.3} | {:.2} % | {} |",
                    took.as_secs_f64() * 1e3,
                    score.violation,
                    100.0 * score.accuracy,
                    spent.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", "),
                );
            }
        }
    }
}
