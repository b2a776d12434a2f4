#[path = "../tests/generated/mod.rs"]
mod generated;
use domain::{EvaluationEffort, Evaluator, Score};
use generated::Shape;
use planner::*;
use simulator::Simulation;
use std::num::NonZeroU32;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let args: Vec<f64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let large = args.get(3).is_some();
    let (d, s) = if large { (40, 20) } else { (5, 2) };
    let problem =
        generated::problem(&Shape { devices: d, services: s, seed: args[0] as u64, load: args[1], ..Shape::default() });
    let effort =
        |seed, arrivals| EvaluationEffort { seed, replications: NonZeroU32::new(8).unwrap(), arrivals, stop: None };
    let c = cpu();
    let stop = || (cpu() - c) * 500.0 >= args[2];
    let arrivals = if args[2] < 100.0 {
        8000
    } else if args[2] < 1000.0 {
        40_000
    } else {
        200_000
    };
    let found = plan(&Request {
        problem: &problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee: &Simulation::default(),
        effort: effort(1, arrivals),
        budget: Budget { evaluations: None, stop: Some(&stop) },
        method: Method::Prices,
    });
    let took = (cpu() - c) / 2.0;
    let score = Score::of(
        &problem,
        &Simulation::default().evaluate(&problem, &found.plan, &effort(99, 500_000 * s as u64)).unwrap(),
    );
    println!(
        "{args:?} {:.2} % ({:.3}) told {:.2} % {:?} in {took:.3}",
        100.0 * score.accuracy,
        score.violation,
        100.0 * found.score.map_or(0.0, |s| s.accuracy),
        found.spent
    );
}
