//! SMDP where jobs arrive in bursts: model against simulation, limits, and the loss target with the filter of the gateway.

mod burst_models;

use burst_models::{LOSS_TARGET, ceed, fashion, problem};
use domain::{Plan, Policy, Problem};
use planner::{Scheduler, schedule};
use simulator::{Effort, Fates};
use std::time::Instant;

fn simulated(problem: &Problem, policy: Policy, seed: u64, arrivals: u64) -> Fates {
    let network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    let effort = Effort::arrivals(seed, arrivals);
    simulator::simulate(&network, &effort).expect("what the test sets up is sound").sources[0].fates.clone()
}

#[test]
#[ignore = "prints the table of docs/design/schedulers.md"]
fn table_over_loads() {
    for model in [ceed(), fashion()] {
        for load in [0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] {
            let problem = problem(&model, load);
            let begin = Instant::now();
            let policy = schedule(&Scheduler::SMDP, &problem, 0).expect("what the test sets up is sound");
            let took = begin.elapsed();
            let rows = policy.rates.as_ref().map_or(0, |table| table.rows.len());
            let found = simulated(&problem, policy, 7, 400_000);
            println!(
                "{} load {load}: loss {:.2} % ± {:.2}, accuracy {:.2} %, {rows} rows, {took:.1?}",
                model.name,
                100.0 * found.loss.value,
                100.0 * found.loss.ci99,
                100.0 * found.accuracy.value,
            );
        }
    }
}
