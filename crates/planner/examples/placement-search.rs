//! What a longer search for a placement brings: worth by evaluations, in the mean over seeds, and how long it took.
//!
//! ```text
//! cargo run --release -p planner --example placement-search
//! ```
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

#[path = "../tests/generated/mod.rs"]
mod generated;
#[path = "../tests/grounds/mod.rs"]
mod grounds;

use grounds::{Case, request, world};
use planner::placement::place;
use std::time::Instant;

fn main() {
    let few = Case { sites: 5, services: 2, segments: 6, chains: 3, load: 0.9, is_rough: false, seed: 1 };
    let many = Case { sites: 40, services: 20, ..few };
    for (name, case, seeds, budgets) in [
        ("5 devices, 2 services", few, 10, [0, 50, 100, 400, 1600]),
        ("40 devices, 20 services", many, 3, [0, 50, 100, 400, 800]),
    ] {
        for load in [0.5, 0.9, 1.3] {
            for budget in budgets {
                let began = Instant::now();
                let found = (1..=seeds).map(|seed| {
                    let (ground, demands) = world(&Case { seed, load, ..case });
                    let placed = place(&request(&ground, &demands, budget));
                    let appraisal = placed.appraisal.expect("everything fits");
                    (appraisal.worth, appraisal.score.accuracy, appraisal.score.violation)
                });
                let sums = found.fold((0.0, 0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
                let mean = |sum: f64| sum / seeds as f64;
                println!(
                    "{name}, load {load}, {budget} evaluations: worth {:.4}, accuracy {:.4}, violation {:.4}, {:.2} s",
                    mean(sums.0),
                    mean(sums.1),
                    mean(sums.2),
                    began.elapsed().as_secs_f64() / seeds as f64,
                );
            }
        }
    }
}
