//! What a policy update of one device costs, for each scheduler, with 24 exits and room for 100 jobs; the frontier at
//! the size of a test set; searches for one vector.

#[path = "../tests/generated/mod.rs"]
mod generated;
#[expect(dead_code, reason = "shared with tests")]
#[path = "../tests/single_common/mod.rs"]
mod single_common;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::Bytes;
use domain::problem::Burstiness;
use generated::Shape;
use planner::single::bursts::{self, Bursts, Course, Phased};
use planner::single::data_driven::{Objective, bayesian, direct};
use planner::single::frontier::{self, Bend, frontier, monotone};
use planner::single::modes::{self, Server, Worth};
use planner::single::{Station, adaee, knapsack, mixture, published, smdp};
use planner::{Scheduler, ThresholdSearch, schedule};
use std::hint::black_box;

fn updates(criterion: &mut Criterion) {
    let skills: Vec<f64> = (0..24).map(|exit| 0.95 - 0.45 * 0.87f64.powi(exit)).collect();
    let samples = || single_common::table(5000, &skills, 1);
    let model = single_common::model(&[(0.033, 0.05); 24], 0.001, samples(), samples());
    let server = Server::whole(&model, 1.0);
    let exits = modes::exits(&model, server, Worth::Accuracy).expect("times are times");
    let exits = Station { capacity: 100, modes: exits };
    let points = frontier(&model, server, Worth::Accuracy).expect("times are times");
    let mut all = exits.modes.clone();
    all.extend(points.clone());
    let all = Station { capacity: 100, modes: monotone(all) };
    let bent = |bend: f64| frontier::bent(&model, server, Worth::Accuracy, Bend(bend)).expect("times are times");
    let steady = [exits.modes.clone(), points.clone(), bent(2.0), bent(4.0)].concat();
    let steady = Station { capacity: 100, modes: frontier::undominated(steady) };
    let rate = 3.0 / 0.8;
    let mut group = criterion.benchmark_group("update, 24 exits, K = 100");
    group.sample_size(20);
    group.bench_function("knapsack, all rates", |bencher| bencher.iter(|| knapsack::Plan::new(black_box(&exits))));
    let plan = knapsack::Plan::new(&exits);
    group.bench_function("knapsack, one rate more", |bencher| bencher.iter(|| plan.table(black_box(rate))));
    group.bench_function("mixture, exact loss", |bencher| {
        bencher.iter(|| mixture::best(&exits.at(black_box(rate)).expect("a rate"), 0.01));
    });
    group.bench_function("mixture, published", |bencher| {
        bencher.iter(|| published::best(&exits.at(black_box(rate)).expect("a rate"), 0.01));
    });
    let modes = all.modes.len();
    group.bench_function(format!("SMDP, penalty given, {modes} modes"), |bencher| {
        bencher.iter(|| smdp::optimal(&all.at(black_box(rate)).expect("a rate"), 1.0, None));
    });
    group.bench_function(format!("SMDP, on target, {modes} modes"), |bencher| {
        bencher.iter(|| smdp::on_target(&all.at(black_box(rate)).expect("a rate"), 0.01));
    });
    // A fifth of the time at ten times the rate of the rest, 40 arrivals per burst; all that a policy update takes.
    let low = rate / 2.8;
    let bursts = Bursts { rates: [low, 10.0 * low], switch: [low / 16.0, low / 4.0] };
    group.bench_function("SMDP in bursts, on target, frontiers given", |bencher| {
        bencher.iter(|| {
            let phased = Phased::new(&steady, black_box(bursts)).expect("rates");
            bursts::on_target(&phased, &Course::new(bursts, 1), 0.008)
        });
    });
    group.bench_function("AdaEE, frontier given", |bencher| {
        bencher.iter(|| adaee::bandit(&model, server, &points, (100, black_box(rate)), 0.01, true));
    });
    let objective = Objective { model: &model, server, worth: Worth::Accuracy, capacity: 100, rate, target: 0.01 };
    group.bench_function("DataDriven, direct, 105 evaluations", |bencher| {
        bencher.iter(|| direct(black_box(&objective), &points, 105));
    });
    group.bench_function("DataDriven, Bayesian, 105 evaluations", |bencher| {
        bencher.iter(|| bayesian(black_box(&objective), 105, 1));
    });
    group.bench_function("frontier, 5,000 samples × 24", |bencher| {
        bencher.iter(|| frontier(black_box(&model), server, Worth::Accuracy));
    });
    group.finish();
}

/// All that a gateway is given: the choice at the forecast and the table over rates.
fn policies(criterion: &mut Criterion) {
    let shape = Shape { devices: 1, services: 1, chains: 1, exits: 24, load: 3.0, ..Shape::default() };
    let mut problem = generated::problem(&shape);
    let fragment = &mut problem.devices[0].fragments[0];
    fragment.memory_budget = Bytes(100 * problem.services[0].model.held_bytes(fragment.range));
    let schedulers = [
        ("Knapsack", Scheduler::Knapsack { tracks_confidence: false }),
        ("QueueingLP", Scheduler::QueueingLP { approximate: false, tracks_confidence: false }),
        ("SMDP", Scheduler::SMDP),
        ("DataDriven", Scheduler::DataDriven(ThresholdSearch::Direct)),
        ("DataDriven, Bayesian", Scheduler::DataDriven(ThresholdSearch::Bayesian)),
        ("AdaEE, buffer-aware", Scheduler::AdaEE { buffer_aware: true }),
    ];
    let mut group = criterion.benchmark_group("whole policy with its table, 24 exits, K = 100");
    group.sample_size(10);
    for (name, scheduler) in schedulers {
        let rows =
            schedule(&scheduler, &problem, 0).expect("it can be planned").rates.map_or(0, |table| table.rows.len());
        group.bench_function(format!("{name}, {rows} rows"), |bencher| {
            bencher.iter(|| schedule(black_box(&scheduler), &problem, 0));
        });
    }
    let [low, high] = [1.0 / 2.8, 10.0 / 2.8];
    problem.services[0].sources[0].burstiness = Burstiness::Phases { rates: [low, high], switch: [0.05, 0.2] };
    group.bench_function("SMDP in bursts", |bencher| {
        bencher.iter(|| schedule(black_box(&Scheduler::SMDP), &problem, 0));
    });
    group.finish();
}

fn frontiers(criterion: &mut Criterion) {
    let model = single_common::published_model(5000);
    let server = Server::whole(&model, 1.0);
    criterion.bench_function("frontier, 5,000 samples × 9", |bencher| {
        bencher.iter(|| frontier(black_box(&model), server, Worth::Accuracy));
    });
}

criterion_group!(benches, updates, policies, frontiers);
criterion_main!(benches);
