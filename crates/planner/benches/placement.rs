//! What a placement costs: one estimate, one judgement, and whole searches within a number of evaluations.

#[path = "../tests/generated/mod.rs"]
mod generated;
#[path = "../tests/grounds/mod.rs"]
mod grounds;

use criterion::{Criterion, criterion_group, criterion_main};
use grounds::{Case, request, world};
use planner::placement::{appraise, place};
use std::hint::black_box;

fn placements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("placement");
    group.sample_size(10);
    let few = Case { sites: 5, services: 2, segments: 6, chains: 3, load: 0.9, is_rough: false, seed: 1 };
    for (name, case) in [("5 devices", few), ("40 devices", Case { sites: 40, services: 20, ..few })] {
        let (ground, demands) = world(&case);
        let none = request(&ground, &demands, 0);
        let first = place(&none).placement;
        group.bench_function(format!("{name}, start"), |bencher| bencher.iter(|| place(black_box(&none))));
        group.bench_function(format!("{name}, one judgement"), |bencher| {
            bencher.iter(|| appraise(black_box(&none), &first));
        });
        let some = request(&ground, &demands, 200);
        group.bench_function(format!("{name}, 200 evaluations"), |bencher| bencher.iter(|| place(black_box(&some))));
    }
}

criterion_group!(benches, placements);
criterion_main!(benches);
