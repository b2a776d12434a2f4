//! Plan quality against time of all that `eenn plan` and the drift loop do (`docs/design/planner-search.md`): rivals, search, rows for
//! other rates and the last comparison.
//!
//! `cargo run --release -p deployment --example planning-time [drift] [small] [large] [problems=101,…] [budgets=300,1000,…]`
//!
//! Without `drift`: a first plan within each budget (milliseconds, all cores), judged at the forecast and at twice the forecast, where its
//! rows answer. With `drift`: a plan as `eenn up` makes it at first, then another load, and plans again within each budget on one core,
//! as the drift loop makes them; judged at the new load.
//!
//! Judged by a long simulation whose seed no search has seen, with samples of the same law that nobody has seen.

#[path = "../../planner/tests/generated/mod.rs"]
mod generated;

use api::{PlannedScheduler, ResolvedScheduler};
use deployment::{Ask, Deployment, Replanned, decide, deploy, replan};
use domain::problem::{Model, Samples};
use domain::{EvaluationEffort, Evaluator, Plan, Problem, Score};
use generated::Shape;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use simulator::Simulation;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOADS: [f64; 5] = [0.7, 0.9, 1.2, 1.5, 2.0];
/// Milliseconds.
const FIRST: [u64; 4] = [300, 1_000, 3_000, 10_000];
const AGAIN: [u64; 4] = [250, 500, 1_000, 3_000];
/// What the load comes to, as a multiple of the forecast.
const DRIFTS: [f64; 3] = [0.7, 1.3, 2.0];
/// Seed of the last word, which no search has.
const JUDGED: u64 = 99;
/// Samples that nobody has seen.
const UNSEEN: usize = 200_000;

/// A problem, the same with samples that nobody has seen, and services of scheduler Auto for it.
struct Case {
    name: String,
    problem: Problem,
    unseen: Problem,
    deployment: Deployment,
}

impl Case {
    fn new(size: &str, shape: &Shape) -> Self {
        let problem = generated::problem(shape);
        let unseen = unseen(&problem, shape);
        let deployment = services(problem.services.len());
        Self { name: format!("{size}, load {}, seed {}", shape.load, shape.seed), problem, unseen, deployment }
    }

    /// What a plan is worth at this multiple of the forecast.
    fn judge(&self, plan: &Plan, drift: f64) -> String {
        let problem = self.unseen.scaled(drift);
        let arrivals = (4_000_000 * problem.services.len() as u64).min(20_000_000);
        let judged = Simulation::default().evaluate(&problem, plan, &effort(JUDGED, arrivals));
        let score = Score::of(&problem, &judged.expect("it is simulated"));
        let missed = if score.violation > 0.0 { format!(" ({:.2})", score.violation) } else { String::new() };
        format!("{:.2} %{missed}", 100.0 * score.accuracy)
    }

    fn first(&self, budget: Duration) -> Plan {
        let (begun, ask) = (Instant::now(), Ask { budget, ..Ask::default() });
        let found = decide(&self.problem, &self.deployment, &ask, None, &|| begun.elapsed()).expect("a plan");
        eprintln!("{}: {budget:?} took {:.0?}, {} plans", self.name, begun.elapsed(), found.plans);
        found.plan
    }

    /// Cells of a row: plans of each budget, at the forecast and at twice of it.
    fn budgets(&self, budgets: &[u64]) {
        let cells = budgets.iter().map(|budget| {
            let plan = self.first(Duration::from_millis(*budget));
            format!("{}; {}", self.judge(&plan, 1.0), self.judge(&plan, 2.0))
        });
        println!("| {} | {} |", self.name, cells.collect::<Vec<_>>().join(" | "));
    }

    /// A row per drift: the plan in force, and what comes of planning again within each budget.
    fn drifts(&self, first: Duration, budgets: &[u64]) {
        let incumbent = self.first(first);
        for drift in DRIFTS {
            let now = self.problem.scaled(drift);
            let cells = budgets.iter().map(|budget| {
                let begun = Instant::now();
                let ask = Ask { budget: Duration::from_millis(*budget), threads: 1, ..Ask::default() };
                let again = replan(&now, &self.deployment, &incumbent, &[], &ask, &|| begun.elapsed());
                let took = begun.elapsed();
                eprintln!("{}, × {drift}: {budget} ms took {took:.0?}", self.name);
                match again.expect("a plan") {
                    Replanned::Better { plan, .. } => self.judge(&plan, drift),
                    Replanned::Kept(why) => format!("kept: {why}"),
                }
            });
            let stays = self.judge(&incumbent, drift);
            println!("| {}, × {drift} | {stays} | {} |", self.name, cells.collect::<Vec<_>>().join(" | "));
        }
    }
}

fn effort(seed: u64, arrivals: u64) -> EvaluationEffort<'static> {
    EvaluationEffort { seed, replications: NonZeroU32::new(8).expect("above 0"), arrivals, stop: None }
}

fn unseen(problem: &Problem, shape: &Shape) -> Problem {
    let table = generated::table(shape.exits, UNSEEN, &mut ChaCha8Rng::seed_from_u64(!shape.seed));
    let judge = Arc::new(Samples::new(table));
    // All services of a generated problem have one model.
    let model = Arc::new(Model { judge, ..Model::clone(&problem.services[0].model) });
    let mut problem = problem.clone();
    problem.services.iter_mut().for_each(|service| service.model = model.clone());
    problem
}

/// Services of scheduler Auto that want new plans.
fn services(count: usize) -> Deployment {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/fashion-mnist");
    let manifests = api::load(Path::new(example)).unwrap_or_else(|errors| panic!("{errors}"));
    let resolved = manifests.resolve().unwrap_or_else(|errors| panic!("{errors}"));
    let files = BTreeMap::from([("fashion-mnist".to_owned(), String::new())]);
    let mut deployment = deploy(&resolved, &files);
    let mut service = deployment.services.remove(0);
    service.resolved.scheduler = ResolvedScheduler::Planned(PlannedScheduler::Auto { may_dispatch: true });
    assert!(service.resolved.reoptimization.is_some(), "it wants new plans");
    deployment.services = vec![service; count];
    deployment
}

fn asked(what: &str) -> bool {
    std::env::args().any(|word| word == what)
}

/// The numbers of a word such as `budgets=300,1000`.
fn listed(what: &str) -> Option<Vec<u64>> {
    let told = std::env::args().find_map(|word| Some(word.strip_prefix(what)?.strip_prefix('=')?.to_owned()))?;
    let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("{what}= takes numbers, not {word:?}"));
    Some(told.split(',').map(number).collect())
}

/// Prints the table of all problems of one size.
fn table(size: &str, shapes: impl Iterator<Item = Shape>, first: Duration) {
    let drift = asked("drift");
    let budgets = listed("budgets").unwrap_or_else(|| if drift { AGAIN.to_vec() } else { FIRST.to_vec() });
    let heads = budgets.iter().map(|budget| format!("{budget} ms")).collect::<Vec<_>>().join(" | ");
    let stays = if drift { " stays |" } else { "" };
    println!("\n| problem |{stays} {heads} |\n|---|{}", "---|".repeat(budgets.len() + usize::from(drift)));
    let wanted = listed("problems");
    for shape in shapes.filter(|shape| wanted.as_ref().is_none_or(|wanted| wanted.contains(&shape.seed))) {
        let case = Case::new(size, &shape);
        if drift { case.drifts(first, &budgets) } else { case.budgets(&budgets) }
    }
}

fn main() {
    if !asked("large") {
        let shapes = (101..).zip(LOADS.into_iter().chain(LOADS));
        let shapes = shapes.map(|(seed, load)| Shape { seed, load, ..Shape::default() });
        table("5 devices", shapes, Duration::from_secs(1));
    }
    if !asked("small") {
        let shapes = (111..).zip([0.7, 0.9, 1.2]);
        let shapes = shapes.map(|(seed, load)| Shape { devices: 40, services: 20, seed, load, ..Shape::default() });
        table("40 devices", shapes, Duration::from_secs(10));
    }
}
