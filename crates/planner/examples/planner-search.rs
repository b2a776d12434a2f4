//! Plan quality against time, for `docs/design/planner-search.md`:
//! `cargo run --release -p planner --example planner-search [fresh] [small|large|rows] [prices] [cpu]`.
//!
//! `fresh` takes the problems of the document. Constants of the search were chosen on the problems that it takes
//! without. `prices` leaves out other methods, `rows` looks at rows for other rates instead. `cpu` counts half of the processor's time instead of the time on the wall, for machines that others use as
//! well.
//!
//! Every plan is judged at last by a long simulation whose seed no search has seen.

#[path = "../tests/generated/mod.rs"]
mod generated;

use domain::{EvaluationEffort, Evaluator, Plan, Policy, Problem, Score};
use generated::Shape;
use planner::{Budget, Method, Request, arrivals_for, plan, ratios, window, with_rate_table};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const LOADS: [f64; 5] = [0.7, 0.9, 1.2, 1.5, 2.0];
/// Limits in milliseconds: for all problems, and how long the others are looked at beside prices.
const SMALL: [u64; 4] = [10, 100, 1_000, 60_000];
const LARGE: [u64; 4] = [100, 1_000, 10_000, 60_000];
const OTHERS: [u64; 2] = [100, 1_000];
const OTHERS_LARGE: [u64; 1] = [10_000];
/// By how much more targets may be missed and still be within 1 %, where they cannot be kept.
const SAME_VIOLATION: f64 = 1.01;

fn effort(seed: u64, arrivals: u64) -> EvaluationEffort<'static> {
    EvaluationEffort { seed, replications: NonZeroU32::new(8).expect("above 0"), arrivals, stop: None }
}

/// Time that has passed, by either clock.
struct Clock {
    begun: Instant,
    processor: Option<f64>,
}

impl Clock {
    fn start(by_processor: bool) -> Self {
        Self { begun: Instant::now(), processor: by_processor.then(processor_seconds) }
    }

    fn passed(&self) -> Duration {
        match self.processor {
            Some(begun) => Duration::from_secs_f64(((processor_seconds() - begun) / 2.0).max(0.0)),
            None => self.begun.elapsed(),
        }
    }
}

/// Of all threads of this process, on Linux.
fn processor_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = told.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

struct Found {
    score: Score,
    took: Duration,
    spent: String,
}

/// What the plan of a method is worth after so long, and how long it took.
fn run(problem: &Problem, method: Method, limit: u64, by_processor: bool) -> Found {
    let budget = Duration::from_millis(limit);
    let clock = Clock::start(by_processor);
    let stop = || clock.passed() >= budget;
    let found = plan(&Request {
        problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee: &Simulation::default(),
        effort: effort(1, arrivals_for(problem, budget)),
        budget: Budget { evaluations: None, stop: Some(&stop) },
        method,
    });
    let took = clock.passed();
    let long = 4_000_000 * problem.services.len() as u64;
    let judged = Simulation::default().evaluate(problem, &found.plan, &effort(99, long.min(20_000_000)));
    let judged = judged.expect("it is simulated");
    let mut spent = found.spent.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>();
    spent.extend(problem.services.iter().enumerate().map(|(index, service)| usage(&service.targets, &judged, index)));
    Found { score: Score::of(problem, &judged), took, spent: spent.join(", ") }
}

/// How much of its limits a service uses.
fn usage(targets: &domain::problem::Targets, judged: &domain::Evaluation, service: usize) -> String {
    let metrics = judged.service(service);
    let loss = targets.max_loss.map(|limit| {
        format!(
            "loss {:.2}/{:.2}",
            metrics.unanswered() / limit.get(),
            domain::plan::upper_loss(judged, service) / limit.get()
        )
    });
    let p95 = targets.max_p95_latency.map(|limit| format!("p95 {:.2}", metrics.p95_latency / limit.get()));
    let used: Vec<String> = loss.into_iter().chain(p95).collect();
    format!("service {service}: {:.2} % at {}", 100.0 * metrics.accuracy, used.join(", "))
}

/// Whether targets are kept as well, and accuracy is within 0.3 points; and within 1 % of its share. Where targets cannot be
/// kept, whether they are missed by no more than 1 % more.
fn is_within(found: &Score, longest: &Score) -> [bool; 2] {
    let kept = found.violation <= longest.violation * SAME_VIOLATION + domain::plan::WITHIN_VIOLATION;
    let within = |least: f64| kept && (longest.violation > 0.0 || found.accuracy >= least);
    [within(longest.accuracy - domain::plan::WITHIN_ACCURACY), within(0.99 * longest.accuracy)]
}

fn summary(what: &str, within: &[[bool; 2]]) {
    let count = |of: usize| within.iter().filter(|one| one[of]).count();
    println!("\n{what} against 60 s: within 0.3 points {} of {}, within 1 % {}", count(0), within.len(), count(1));
}

fn cell(found: &Score) -> String {
    let missed = if found.violation > 0.0 { format!(" ({:.2})", found.violation) } else { String::new() };
    format!("{:.2} %{missed}", 100.0 * found.accuracy)
}

/// Prints one row per method, and the details below; whether the plan of `aim` milliseconds is as good as the last.
fn measure(name: &str, shape: &Shape, limits: &[u64], others: &[u64], aim: u64, by_processor: bool) -> [bool; 2] {
    let problem = generated::problem(shape);
    let mut notes = vec![];
    let mut within = [false; 2];
    for method in [Method::Prices, Method::Pattern, Method::Evolution] {
        let own = |limit: &u64| method == Method::Prices || (!asked("prices") && others.contains(limit));
        let found: Vec<Option<Found>> =
            limits.iter().map(|limit| own(limit).then(|| run(&problem, method, *limit, by_processor))).collect();
        let cells: Vec<String> =
            found.iter().map(|one| one.as_ref().map_or("–".to_owned(), |one| cell(&one.score))).collect();
        if found.iter().all(Option::is_none) {
            continue;
        }
        println!("| {name} | {method:?} | {} |", cells.join(" | "));
        for (limit, one) in limits.iter().zip(&found) {
            let Some(one) = one else { continue };
            notes.push(format!("{name}, {method:?}, {limit} ms: took {:.0?}, {}", one.took, one.spent));
        }
        if method == Method::Prices {
            let at = limits.iter().position(|limit| *limit == aim);
            let of = |index: usize| found[index].as_ref().map(|one| one.score);
            within = at.and_then(of).zip(of(limits.len() - 1)).map_or([false; 2], |(one, last)| is_within(&one, &last));
        }
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    within
}

fn table(limits: &[u64]) {
    let of = |limit: &u64| if *limit < 1000 { format!("{limit} ms") } else { format!("{} s", limit / 1000) };
    println!("\n| problem | method | {} |", limits.iter().map(of).collect::<Vec<_>>().join(" | "));
    println!("|---|---|{}", "---|".repeat(limits.len()));
}

/// Milliseconds for the plan, and then for its rows; arrivals by which rows are compared.
const FOR_PLAN: u64 = 1_000;
const FOR_ROWS: u64 = 500;
const ROW_ARRIVALS: u64 = 20_000;

/// What each row of a table is worth at its own rate.
fn measure_rows(name: &str, shape: &Shape) {
    let problem = generated::problem(shape);
    let begun = Instant::now();
    let passed = |milliseconds| begun.elapsed() >= Duration::from_millis(milliseconds);
    let (for_plan, for_rows) = (|| passed(FOR_PLAN), || passed(FOR_PLAN + FOR_ROWS));
    let request = Request {
        problem: &problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee: &Simulation::default(),
        effort: effort(1, arrivals_for(&problem, Duration::from_millis(FOR_PLAN))),
        budget: Budget { evaluations: None, stop: Some(&for_plan) },
        method: Method::Prices,
    };
    let found = plan(&request);
    let rest = Request {
        effort: EvaluationEffort { arrivals: ROW_ARRIVALS, ..request.effort },
        budget: Budget { evaluations: Some(4_000), stop: Some(&for_rows) },
        ..request
    };
    let tabled = with_rate_table(&rest, &found.plan, &ratios(), window(&problem));
    let of_row = |index: usize| {
        let policy = |policy: &Policy| {
            let row = &policy.rates.as_ref().expect("it has a table").rows[index];
            let (default, sources) = (row.default.clone(), row.sources.clone());
            Policy { default, sources, rates: None, ..policy.clone() }
        };
        Plan { policies: tabled.plan.policies.iter().map(policy).collect() }
    };
    let cells = tabled.rows.iter().enumerate().map(|(index, (ratio, _))| {
        let scaled = problem.scaled(*ratio);
        let judged = Simulation::default().evaluate(&scaled, &of_row(index), &effort(99, 1_000_000));
        cell(&Score::of(&scaled, &judged.expect("it is simulated")))
    });
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn asked(what: &str) -> bool {
    std::env::args().any(|word| word == what)
}

fn main() {
    let (fresh, by_processor) = (asked("fresh"), asked("cpu"));
    if asked("rows") {
        let heads: Vec<String> = ratios().iter().map(|ratio| format!("{ratio:.2}")).collect();
        println!("\n| problem | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
        for (seed, load) in [(102, 0.5), (103, 0.7), (109, 0.9), (105, 1.2)] {
            let shape = Shape { seed, load, ..Shape::default() };
            measure_rows(&format!("load {load}, seed {seed}"), &shape);
        }
        return;
    }
    if !asked("large") {
        let first = if fresh { 101 } else { 1 };
        table(&SMALL);
        let mut within = vec![];
        for (seed, load) in (first..).zip(LOADS.iter().chain(&LOADS)) {
            let shape = Shape { seed, load: *load, ..Shape::default() };
            let name = format!("5 devices, load {load}, seed {seed}");
            within.push(measure(&name, &shape, &SMALL, &OTHERS, 1_000, by_processor));
        }
        summary("5 devices, 1 s", &within);
    }
    if !asked("small") {
        let first = if fresh { 111 } else { 11 };
        table(&LARGE);
        let mut within = vec![];
        for (seed, load) in (first..).zip([0.7, 0.9, 1.2]) {
            let shape = Shape { devices: 40, services: 20, seed, load, ..Shape::default() };
            let name = format!("40 devices, load {load}, seed {seed}");
            within.push(measure(&name, &shape, &LARGE, &OTHERS_LARGE, 10_000, by_processor));
        }
        summary("40 devices, 10 s", &within);
    }
}
