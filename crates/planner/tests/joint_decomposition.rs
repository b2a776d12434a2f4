//! The decomposition against the simulation, and against what it must be exactly.

mod generated;

use domain::problem::Burstiness;
use domain::{Choice, EvaluationEffort, Evaluator, Mixture, Plan, Probability, Problem, Thresholds};
use generated::Shape;
use planner::{Decomposition, Scheduler, schedule};
use simulator::Simulation;
use std::num::NonZeroU32;

fn effort(arrivals: u64) -> EvaluationEffort<'static> {
    EvaluationEffort { seed: 7, replications: NonZeroU32::new(4).expect("above 0"), arrivals, stop: None }
}

fn same(problem: &Problem, thresholds: &Thresholds) -> Plan {
    let policy = |service| schedule(&Scheduler::Fixed(thresholds.clone()), problem, service).expect("fixed thresholds");
    Plan { policies: (0..problem.services.len()).map(policy).collect() }
}

fn compare(problem: &Problem, plan: &Plan, within_loss: f64, within_latency: f64, what: &str) {
    let formula = Decomposition { judges: true }.evaluate(problem, plan, &effort(1)).expect("it is supported");
    let sampled = Simulation::default().evaluate(problem, plan, &effort(400_000)).expect("it is simulated");
    for service in 0..problem.services.len() {
        let (formula, sampled) = (formula.service(service), sampled.service(service));
        let told = format!("{what}, service {service}, seed 7:\n{formula:?}\n{sampled:?}");
        assert!((formula.loss - sampled.loss).abs() < within_loss, "{told}");
        assert!((formula.accuracy - sampled.accuracy).abs() < 0.01, "{told}");
        assert!((formula.mean_latency / sampled.mean_latency - 1.0).abs() < within_latency, "{told}");
        for (formula, sampled) in formula.exits.iter().zip(&sampled.exits) {
            assert!((formula - sampled).abs() < 0.02, "{told}");
        }
    }
}

#[test]
fn formulas_and_simulation_agree_on_generated_problems() {
    for (load, seed) in [(0.4, 1), (0.6, 2), (0.8, 3)] {
        let problem = generated::problem(&Shape { load, seed, ..Shape::default() });
        let plan = same(&problem, &Thresholds::new(vec![0.8f32; 5]).expect("thresholds"));
        compare(&problem, &plan, 0.02, 0.4, &format!("load {load}"));
    }
}

#[test]
fn one_device_with_one_fragment_is_the_exact_station() {
    let shape = Shape { devices: 1, services: 1, chains: 1, load: 1.0, ..Shape::default() };
    let problem = generated::problem(&shape);
    let plan = same(&problem, &Thresholds::new(vec![0.7f32; 5]).expect("thresholds"));
    compare(&problem, &plan, 0.002, 0.03, "one station");
}

#[test]
fn bursts_lose_more_than_random_arrivals() {
    let shape = Shape { devices: 1, services: 1, chains: 1, load: 0.8, ..Shape::default() };
    let mut problem = generated::problem(&shape);
    let plan = same(&problem, &Thresholds::exit_last(6));
    let loss = |problem: &Problem| {
        Decomposition::default().evaluate(problem, &plan, &effort(1)).expect("it is supported").service(0).loss
    };
    let random = loss(&problem);
    problem.services[0].sources[0].burstiness = Burstiness::Phases { rates: [0.5, 3.0], switch: [0.5, 2.0] };
    let bursts = loss(&problem);
    let simulated = Simulation::default().evaluate(&problem, &plan, &effort(400_000)).expect("it is simulated");
    assert!(bursts > 3.0 * random, "{bursts} {random}");
    assert!((bursts - simulated.service(0).loss).abs() < 0.1, "{bursts} {}", simulated.service(0).loss);
}

#[test]
fn what_formulas_cannot_predict_they_say() {
    let problem = generated::problem(&Shape::default());
    let mut plan = same(&problem, &Thresholds::exit_last(6));
    plan.policies[0].learning = Some(domain::Learning::Reactive);
    let error = Decomposition::default().evaluate(&problem, &plan, &effort(1)).expect_err("nobody can");
    assert!(error.to_string().starts_with("decomposition cannot predict thresholds that gateways find"), "{error}");
}

#[test]
fn chances_of_chains_are_followed() {
    let problem = generated::problem(&Shape::default());
    let mut plan = same(&problem, &Thresholds::exit_first(6));
    let of =
        |share: f64, chain| Choice::new(Probability::new(share).expect("a share"), chain, Thresholds::exit_first(6));
    plan.policies[0].default = Mixture::new(vec![of(0.3, 0), of(0.7, 2)], "test").expect("they sum to one");
    for evaluator in [&Decomposition::default() as &dyn Evaluator, &Simulation::default()] {
        let chains = evaluator.evaluate(&problem, &plan, &effort(50_000)).expect("supported").service(0).chains;
        assert!((chains[0] - 0.3).abs() < 0.02 && chains[1] == 0.0, "{}: {chains:?}", evaluator.name());
    }
}
