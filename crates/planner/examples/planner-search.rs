//! Plan quality against time, for `docs/design/planner-search.md`:
//! `cargo run --release -p planner --example planner-search [fresh] [small|large|rows] [prices] [cpu] [seeds=1,2,3]
//! [problems=103,108] [limits=1000,60000]`.
//!
//! `fresh` takes the problems of the document. Constants of the search were chosen on the problems that it takes
//! without. `prices` leaves out other methods, `rows` looks at rows for other rates instead. `cpu` counts half of the
//! processor's time instead of the time on the wall, for machines that others use as well.
//!
//! `seeds` are those of the search (1 where none are given): what one seed finds is partly luck, so that two ways to search
//! are compared by the means of several. `problems` leaves out all other problems, and `limits` (in milliseconds) takes the
//! place of those of the document; plans are compared with those of the last one.
//!
//! Every plan is judged at last by a long simulation whose seed no search has seen: once with the samples that its referee draws
//! from, and once (the rows *unseen*) with others of the same law, many more, so that no plan is better by what it knows of its samples.

#[path = "../tests/generated/mod.rs"]
mod generated;

use domain::problem::{Model, Samples};
use domain::{EvaluationEffort, Evaluator, Plan, Policy, Problem, Score};
use generated::Shape;
use planner::{Budget, Method, Request, arrivals_for, plan, ratios, window, with_rate_table};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use simulator::Simulation;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOADS: [f64; 5] = [0.7, 0.9, 1.2, 1.5, 2.0];
/// Limits in milliseconds: for all problems, and how long the others are looked at beside prices.
const SMALL: [u64; 4] = [10, 100, 1_000, 60_000];
const LARGE: [u64; 4] = [100, 1_000, 10_000, 60_000];
const OTHERS: [u64; 4] = [10, 100, 1_000, 10_000];
const OTHERS_LARGE: [u64; 1] = [10_000];
/// Cores that the document is about.
const CORES: usize = 2;
/// Seed of the last word, which no search may have.
const JUDGED: u64 = 99;
/// Samples that nobody has seen.
const UNSEEN: usize = 200_000;
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
    /// With samples that nobody has seen.
    unseen: Score,
    took: Duration,
    spent: String,
}

/// How problems of one size are searched.
struct Trial {
    /// Milliseconds by prices, and those of them that other methods have.
    limits: Vec<u64>,
    others: &'static [u64],
    /// Milliseconds after which a plan is to be as good as the last one.
    aim: u64,
    /// Of the search.
    seeds: Vec<u64>,
    by_processor: bool,
}

/// What the plan of a method is worth after so long, and how long it took.
fn run((problem, unseen): (&Problem, &Problem), method: Method, limit: u64, seed: u64, by_processor: bool) -> Found {
    let budget = Duration::from_millis(limit);
    let clock = Clock::start(by_processor);
    let stop = || clock.passed() >= budget;
    let found = plan(&Request {
        problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee: &Simulation::default(),
        effort: effort(seed, arrivals_for(problem, budget, CORES)),
        budget: Budget { evaluations: None, stop: Some(&stop), ..Budget::default() },
        method,
    });
    let took = clock.passed();
    let long = 4_000_000 * problem.services.len() as u64;
    let judge = |problem: &Problem| {
        let judged = Simulation::default().evaluate(problem, &found.plan, &effort(JUDGED, long.min(20_000_000)));
        judged.expect("it is simulated")
    };
    let judged = judge(problem);
    let mut spent = found.spent.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>();
    spent.extend(problem.services.iter().enumerate().map(|(index, service)| usage(&service.targets, &judged, index)));
    let unseen = Score::of(unseen, &judge(unseen));
    Found { score: Score::of(problem, &judged), unseen, took, spent: spent.join(", ") }
}

/// The same problem with samples that nobody has seen.
fn with_unseen_samples(problem: &Problem, shape: &Shape) -> Problem {
    let table = generated::table(shape.exits, UNSEEN, &mut ChaCha8Rng::seed_from_u64(!shape.seed));
    let judge = Arc::new(Samples::new(table));
    // All services of a generated problem have one model.
    let model = Arc::new(Model { judge, ..Model::clone(&problem.services[0].model) });
    let mut problem = problem.clone();
    problem.services.iter_mut().for_each(|service| service.model = model.clone());
    problem
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

/// What plans come to in the mean, per limit; and how those of the aim compare with the last, seed by seed.
fn summary(what: &str, trial: &Trial, all: &[&[Score]]) {
    let mean = |at: usize, value: fn(&Score) -> f64| {
        all.iter().map(|scores| value(&scores[at])).sum::<f64>() / all.len().max(1) as f64
    };
    let means = trial.limits.iter().enumerate().map(|(at, limit)| {
        let (violation, accuracy) = (mean(at, |one| one.violation), mean(at, |one| one.accuracy));
        format!("{} {}", time(*limit), cell(&Score { violation, accuracy }))
    });
    println!("\n{what}, means of {}: {}", all.len(), means.collect::<Vec<_>>().join(", "));
    let aim = trial.limits.iter().position(|limit| *limit == trial.aim);
    let Some((aim, last)) = aim.zip(trial.limits.len().checked_sub(1)).filter(|(aim, last)| aim < last) else { return };
    let within: Vec<[bool; 2]> = all.iter().map(|scores| is_within(&scores[aim], &scores[last])).collect();
    let count = |of: usize| within.iter().filter(|one| one[of]).count();
    let (aim, last) = (time(trial.aim), time(trial.limits[last]));
    let (close, relative, of) = (count(0), count(1), within.len());
    println!("{what}, {aim} against {last}: within 0.3 points {close} of {of}, within 1 % {relative}");
}

fn time(limit: u64) -> String {
    if limit < 1000 { format!("{limit} ms") } else { format!("{} s", limit as f64 / 1000.0) }
}

fn cell(found: &Score) -> String {
    let missed = if found.violation > 0.0 { format!(" ({:.2})", found.violation) } else { String::new() };
    format!("{:.2} %{missed}", 100.0 * found.accuracy)
}

/// Prints two rows per method, and the details below; what prices have come to, per limit: with samples of the referee, and with unseen ones.
fn measure(name: &str, problems: (&Problem, &Problem), trial: &Trial, seed: u64) -> [Vec<Score>; 2] {
    let mut notes = vec![];
    let mut scores = [vec![], vec![]];
    for method in [Method::Prices, Method::Pattern, Method::Evolution] {
        let own = |limit: &u64| method == Method::Prices || (!asked("prices") && trial.others.contains(limit));
        let run = |limit: &u64| own(limit).then(|| run(problems, method, *limit, seed, trial.by_processor));
        let found: Vec<Option<Found>> = trial.limits.iter().map(run).collect();
        if found.iter().all(Option::is_none) {
            continue;
        }
        for (judged, of) in [("", (|one| one.score) as fn(&Found) -> Score), (", unseen", |one| one.unseen)] {
            let cells: Vec<String> =
                found.iter().map(|one| one.as_ref().map_or("–".to_owned(), |one| cell(&of(one)))).collect();
            println!("| {name} | {method:?}{judged} | {} |", cells.join(" | "));
        }
        for (limit, one) in trial.limits.iter().zip(&found) {
            let Some(one) = one else { continue };
            notes.push(format!("{name}, {method:?}, {limit} ms: took {:.0?}, {}", one.took, one.spent));
        }
        if method == Method::Prices {
            let of = |score: fn(&Found) -> Score| found.iter().flatten().map(score).collect();
            scores = [of(|one| one.score), of(|one| one.unseen)];
        }
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    scores
}

/// Prints the table of all problems of one size, each with all seeds of the search.
fn compare(size: &str, shapes: impl Iterator<Item = Shape>, trial: &Trial) {
    table(&trial.limits);
    let wanted = listed("problems");
    let mut all = vec![];
    for shape in shapes.filter(|shape| wanted.as_ref().is_none_or(|wanted| wanted.contains(&shape.seed))) {
        let problem = generated::problem(&shape);
        let unseen = with_unseen_samples(&problem, &shape);
        for seed in &trial.seeds {
            let of = if trial.seeds.len() > 1 { format!(", search {seed}") } else { String::new() };
            let name = format!("{size}, load {}, seed {}{of}", shape.load, shape.seed);
            all.push(measure(&name, (&problem, &unseen), trial, *seed));
        }
    }
    for (index, judged) in [(0, ""), (1, ", unseen samples")] {
        let all: Vec<&[Score]> = all.iter().map(|scores| &scores[index][..]).collect();
        summary(&format!("{size}{judged}"), trial, &all);
    }
}

fn table(limits: &[u64]) {
    println!("\n| problem | method | {} |", limits.iter().map(|limit| time(*limit)).collect::<Vec<_>>().join(" | "));
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
        effort: effort(1, arrivals_for(&problem, Duration::from_millis(FOR_PLAN), CORES)),
        budget: Budget { evaluations: None, stop: Some(&for_plan), ..Budget::default() },
        method: Method::Prices,
    };
    let found = plan(&request);
    let rest = Request {
        effort: EvaluationEffort { arrivals: ROW_ARRIVALS, ..request.effort },
        budget: Budget { evaluations: Some(4_000), stop: Some(&for_rows), ..Budget::default() },
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
        let judged = Simulation::default().evaluate(&scaled, &of_row(index), &effort(JUDGED, 1_000_000));
        cell(&Score::of(&scaled, &judged.expect("it is simulated")))
    });
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn asked(what: &str) -> bool {
    std::env::args().any(|word| word == what)
}

/// The numbers of a word such as `seeds=1,2,3`.
fn listed(what: &str) -> Option<Vec<u64>> {
    let told = std::env::args().find_map(|word| Some(word.strip_prefix(what)?.strip_prefix('=')?.to_owned()))?;
    let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("{what}= takes numbers, not {word:?}"));
    Some(told.split(',').map(number).collect())
}

/// Of problems of this size, unless something else is asked for.
fn trial(limits: &[u64], others: &'static [u64], aim: u64) -> Trial {
    let seeds = listed("seeds").unwrap_or_else(|| vec![1]);
    assert!(!seeds.contains(&JUDGED), "{JUDGED} is the seed of the last word");
    let limits = listed("limits").unwrap_or_else(|| limits.to_vec());
    Trial { limits, others, aim, seeds, by_processor: asked("cpu") }
}

fn main() {
    if asked("rows") {
        let heads: Vec<String> = ratios().iter().map(|ratio| format!("{ratio:.2}")).collect();
        println!("\n| problem | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
        for (seed, load) in [(102, 0.5), (103, 0.7), (109, 0.9), (105, 1.2)] {
            let shape = Shape { seed, load, ..Shape::default() };
            measure_rows(&format!("load {load}, seed {seed}"), &shape);
        }
        return;
    }
    let first: u64 = if asked("fresh") { 101 } else { 1 };
    if !asked("large") {
        let shapes = (first..).zip(LOADS.into_iter().chain(LOADS));
        let shapes = shapes.map(|(seed, load)| Shape { seed, load, ..Shape::default() });
        compare("5 devices", shapes, &trial(&SMALL, &OTHERS, 1_000));
    }
    if !asked("small") {
        let shapes = (first + 10..).zip([0.7, 0.9, 1.2]);
        let shapes = shapes.map(|(seed, load)| Shape { devices: 40, services: 20, seed, load, ..Shape::default() });
        compare("40 devices", shapes, &trial(&LARGE, &OTHERS_LARGE, 10_000));
    }
}
