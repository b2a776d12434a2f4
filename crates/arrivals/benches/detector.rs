//! What a reading costs.

use arrivals::{Detector, DetectorOptions};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn observe(criterion: &mut Criterion) {
    let mut poisson = Detector::new(DetectorOptions::default());
    let mut counts = (0..).map(|poll: u64| 8 + poll * 7919 % 5);
    criterion.bench_function("reading, Poisson", |bencher| {
        bencher.iter(|| poisson.observe(black_box(counts.next().unwrap_or(10)), 0.5));
    });
    let mut bursty = Detector::new(DetectorOptions::default());
    for count in [vec![10; 1000], vec![60; 60], vec![10; 200]].concat() {
        bursty.observe(count, 0.5);
    }
    assert!(bursty.phases().is_some(), "the surge is a burst");
    criterion.bench_function("reading, two phases", |bencher| {
        bencher.iter(|| bursty.observe(black_box(counts.next().unwrap_or(10)), 0.5));
    });
}

criterion_group!(benches, observe);
criterion_main!(benches);
