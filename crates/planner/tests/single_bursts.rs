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

#[test]
#[ignore = "diagnosis"]
fn diagnose() {
    use domain::problem::Model;
    use std::sync::Arc;
    let own = |model: Arc<Model>| {
        let model = Arc::unwrap_or_clone(model);
        Arc::new(Model { judge: model.choose.clone(), ..model })
    };
    for model in [ceed(), own(ceed()), fashion(), own(fashion())] {
        for load in [1.0, 1.5, 3.0, 5.0] {
            let problem = problem(&model, load);
            let policy = schedule(&Scheduler::SMDP, &problem, 0).expect("what the test sets up is sound");
            let found = simulated(&problem, policy, 11, 3_000_000);
            println!("{} load {load}: loss {:.3} % ± {:.3}", model.name, 100.0 * found.loss.value, 100.0 * found.loss.ci99);
        }
    }
}

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

#[test]
#[ignore = "diagnosis"]
fn big() {
    use planner::single::bursts::{Bursts, Course, Phased, on_target};
    use planner::single::frontier::{frontier, monotone};
    use planner::single::modes::{self, Server, Worth};
    use planner::single::Station;
    let skills: Vec<f64> = (0..24).map(|exit| 0.95 - 0.45 * 0.87f64.powi(exit)).collect();
    let samples = || single_common::table(5000, &skills, 1);
    let model = single_common::model(&[(0.033, 0.05); 24], 0.001, samples(), samples());
    let server = Server::whole(&model, 1.0);
    let mut all = modes::exits(&model, server, Worth::Accuracy).expect("times are times");
    all.extend(frontier(&model, server, Worth::Accuracy).expect("times are times"));
    let modes = monotone(all);
    for capacity in [10, 32, 100, 128] {
    for load in [0.7, 1.0, 3.0, 8.0] {
        let station = Station { capacity, modes: modes.clone() };
        let rate = load / 0.8;
        let low = 1.0 / 2.8;
        let leave = 10.0 * low * rate / 40.0;
        let bursts = Bursts { rates: [low * rate, 10.0 * low * rate], switch: [leave / 4.0, leave] };
        let a = Instant::now();
        let phased = Phased::new(&station, bursts).unwrap();
        let b = Instant::now();
        let course = Course::new(bursts, 1);
        let c = Instant::now();
        let found = on_target(&phased, &course, 0.009);
        println!("K {capacity} load {load} modes {}: kernels {:.0?} course {:.0?} target {:.0?}: {:?} {:?}", station.modes.len(), b - a, c - b, c.elapsed(), found.predicted, found.measured);
    }
    }
}

#[test]
#[ignore = "diagnosis"]
fn others() {
    let model = ceed();
    for load in [5.0, 6.0, 8.0] {
        let problem = problem(&model, load);
        for scheduler in [Scheduler::AdaEE { buffer_aware: true }, Scheduler::SMDP] {
            let policy = schedule(&scheduler, &problem, 0).expect("what the test sets up is sound");
            let found = simulated(&problem, policy.clone(), 7, 400_000);
            println!("{scheduler:?} load {load}: loss {:.2} % ± {:.2}, accuracy {:.2} %", 100.0 * found.loss.value, 100.0 * found.loss.ci99, 100.0 * found.accuracy.value);
            if let Some(domain::Learning::AdaEE(rules)) = &policy.learning {
                use planner::single::modes::{mode, Server, Worth};
                for arm in &rules.arms {
                    let mode = mode(&model, Server::whole(&model, 1.0), Worth::Accuracy, arm.clone()).unwrap();
                    println!("  {:.4} {:.4} {:?}", mode.service.mean(), mode.value, arm.as_slice());
                }
            }
        }
    }
    use planner::single::modes::{exits, Server, Worth};
    use planner::single::frontier::{frontier, monotone};
    let server = Server::whole(&model, 1.0);
    let mut modes = exits(&model, server, Worth::Accuracy).unwrap();
    modes.extend(frontier(&model, server, Worth::Accuracy).unwrap());
    for mode in monotone(modes) { println!("  {:.4} {:.4} {:?}", mode.service.mean(), mode.value, mode.thresholds.as_slice()); }
}
