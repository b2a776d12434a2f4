//! What one evaluation of thresholds costs: planners do thousands of them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::{ExitBehaviour, ExitEvaluator, ExitTable, Thresholds};

/// 5,000 samples at 9 exits, whose confidence grows with depth.
fn table() -> ExitTable {
    let (samples, exits) = (5_000, 9);
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    let confidence = (0..samples * exits).map(|cell| {
        let depth = (cell % exits + 1) as f32 / exits as f32;
        1.0 - random() * (1.0 - 0.9 * depth)
    });
    let confidence: Vec<f32> = confidence.collect();
    let prediction = confidence.iter().map(|&confidence| u16::from(confidence > 0.3)).collect();
    ExitTable::new(exits, confidence, prediction, vec![1; samples]).expect("the arrays fit")
}

fn evaluate(criterion: &mut Criterion) {
    let evaluator = ExitEvaluator::new(&table());
    let mut behaviour = ExitBehaviour::default();
    for (name, threshold) in [("all exits open, few leave early", 0.95), ("half leave early", 0.7), ("exit last", 1.0)]
    {
        let thresholds = Thresholds::new(vec![threshold; 8]).expect("in range");
        criterion.bench_function(&format!("5,000 samples x 9 exits, {name}"), |bencher| {
            bencher.iter(|| evaluator.evaluate_into(black_box(&thresholds), &mut behaviour));
        });
    }
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
