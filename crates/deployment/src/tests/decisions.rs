use super::processes::{deployed, example, models};
use crate::{Ask, Decided, Deployment, Look, decide, predict, problem, read_back, spec, with_chains, with_forecast};
use api::EENNPlanSpec;
use domain::{Plan, Problem};
use std::time::Duration;
use wire::document::PolicyDocument;

fn planned() -> (Problem, Deployment, Plan) {
    let manifests = example();
    let deployment = deployed(&manifests);
    let problem = problem(&deployment, &models(&manifests)).unwrap();
    // A clock that says it is over ends the search after its first plan.
    let clock = || Duration::from_secs(3_600);
    let ask = Ask { budget: Duration::ZERO, threads: 1, ..Ask::default() };
    let found = decide(&problem, &deployment, &ask, None, &clock).unwrap();
    (problem, deployment, found.plan)
}

fn object((problem, deployment, plan): &(Problem, Deployment, Plan), reason: &str) -> EENNPlanSpec {
    let predictions = predict(problem, plan, &Look { arrivals: 2_000, threads: 1, ..Look::default() });
    spec(&Decided { problem, deployment, plan, predictions: &predictions }, 0, 7, reason).unwrap()
}

#[test]
fn an_object_holds_the_whole_policy_and_reads_back() {
    let planned = planned();
    let spec = object(&planned, "because");
    let document: PolicyDocument = serde_json::from_str(&spec.policy).unwrap();
    let deployed = policy::read(&document, 6, 6).unwrap();
    assert_eq!((&deployed.policy, deployed.version.generation), (&planned.2.policies[0], 7));
    assert!(deployed.places.iter().flatten().all(|place| place.address.is_empty()));
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<EENNPlanSpec>(&text).unwrap(), spec);
}

#[test]
fn an_object_names_chains_rates_and_who_decided() {
    let spec = object(&planned(), "because");
    let chains: Vec<&str> = spec.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(chains, ["left", "right"]);
    assert_eq!((spec.forecast[0].source.as_str(), spec.forecast[0].rate.as_str()), ("camera", "100"));
    let who: Vec<_> = spec.predicted.iter().filter_map(|one| Some(one.evaluator.as_ref()?.as_str())).collect();
    assert_eq!(who, ["simulation", "decomposition"]);
    let sum: f64 = spec.choices.iter().map(|choice| choice.probability.get()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{:?}", spec.choices);
    assert!(spec.choices.iter().all(|choice| choice.thresholds.len() == 5));
}

#[test]
fn reasons_are_cut_to_what_an_object_holds() {
    assert_eq!(object(&planned(), &"ü".repeat(2_000)).reason.chars().count(), 1_024);
}

#[test]
fn what_an_object_holds_is_planned_on_from() {
    let planned = planned();
    let (problem, deployment, plan) = &planned;
    let spec = object(&planned, "because");
    assert_eq!(read_back(deployment, &[&spec]).unwrap(), *plan);
    // Also where manifests say nothing of these chains any more.
    let mut manifests = example();
    manifests.services[0].spec.placement.pinned.truncate(1);
    let chains = [("camera".to_owned(), spec.chains.clone())].into();
    assert_eq!(read_back(&deployed(&with_chains(&manifests, &chains)), &[&spec]).unwrap(), *plan);
    let error = read_back(&deployed(&manifests), &[&spec]).unwrap_err().to_string();
    assert!(error.starts_with("the policy of plan 7 of service \"camera\": its chains are not"), "{error}");
    let mut faster = spec.clone();
    faster.forecast[0].rate = "170".parse().unwrap();
    assert_eq!(with_forecast(problem.clone(), &[&faster]).services[0].sources[0].rate.get(), 170.0);
    faster.policy = "{".to_owned();
    assert!(read_back(deployment, &[&faster]).is_err() && read_back(deployment, &[]).is_err());
}
