//! What planning for several services costs: one prediction by formulas, whole plans within a number of evaluations, and
//! the checker.

#[path = "../tests/generated/mod.rs"]
mod generated;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::{EvaluationEffort, Evaluator, Plan, Problem, Thresholds};
use generated::Shape;
use planner::checker::check;
use planner::{Budget, Decomposition, Method, Request, Scheduler, plan, schedule};
use simulator::Simulation;
use std::hint::black_box;
use std::num::NonZeroU32;

const EFFORT: EvaluationEffort<'_> =
    EvaluationEffort { seed: 1, replications: NonZeroU32::new(8).expect("above 0"), arrivals: 100_000, stop: None };

fn shapes() -> [(&'static str, Shape); 2] {
    let small = Shape { load: 1.2, ..Shape::default() };
    [("5 devices", small), ("40 devices", Shape { devices: 40, services: 20, load: 0.9, ..small })]
}

fn same(problem: &Problem) -> Plan {
    let scheduler = Scheduler::Fixed(Thresholds::new(vec![0.8f32; 5]).expect("in range"));
    let policy = |service| schedule(&scheduler, problem, service).expect("fixed thresholds");
    Plan { policies: (0..problem.services.len()).map(policy).collect() }
}

fn evaluators(criterion: &mut Criterion) {
    for (name, shape) in shapes() {
        let problem = generated::problem(&shape);
        let plan = same(&problem);
        criterion.bench_function(&format!("decomposition, {name}"), |bencher| {
            bencher.iter(|| Decomposition::default().evaluate(black_box(&problem), &plan, &EFFORT));
        });
        criterion.bench_function(&format!("checker, {name}"), |bencher| {
            bencher.iter(|| check(black_box(&problem), &plan));
        });
    }
}

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for (name, shape) in shapes() {
        let problem = generated::problem(&shape);
        let request = Request {
            problem: &problem,
            incumbent: None,
            rivals: &[],
            fixed: &[],
            referee: &Simulation::default(),
            effort: EFFORT,
            budget: Budget { evaluations: Some(10_000), stop: None, ..Budget::default() },
            method: Method::Prices,
        };
        group.bench_function(format!("{name}, 10,000 evaluations"), |bencher| {
            bencher.iter(|| plan(black_box(&request)));
        });
    }
}

criterion_group!(benches, evaluators, plans);
criterion_main!(benches);
