use super::processes::{deployed, example, models};
use crate::{
    Ask, Decided, Deployment, Look, cluster, decide, predict, problem, read_back, spec, with_chains, with_forecast,
    without_nodes,
};
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
    manifests.services[0].spec.placement.pinned[0].probability = None;
    let chains = [(deployment.services[0].name.clone(), spec.chains.clone())].into();
    assert_eq!(read_back(&deployed(&with_chains(&manifests, &chains)), &[&spec]).unwrap(), *plan);
    let error = read_back(&deployed(&manifests), &[&spec]).unwrap_err().to_string();
    assert!(error.contains("the policy of plan 7 of service") && error.contains("its chains are not"), "{error}");
    let mut faster = spec.clone();
    faster.forecast[0].rate = "170".parse().unwrap();
    assert_eq!(with_forecast(problem.clone(), &[&faster]).services[0].sources[0].rate.get(), 170.0);
    faster.policy = "{".to_owned();
    assert!(read_back(deployment, &[&faster]).is_err() && read_back(deployment, &[]).is_err());
}

#[test]
fn a_model_without_a_table_stops_its_own_services_only() {
    let mut manifests = example();
    let mut other = manifests.services[0].clone();
    other.name = "other".to_owned();
    other.spec.model_ref.name = "untold".parse().unwrap();
    let mut model = manifests.models[0].clone();
    model.name = "untold".to_owned();
    manifests.models.push(model);
    let first = manifests.services[0].name.clone();
    manifests.services.push(other);
    let unplaced = manifests.unplaced().unwrap();
    let served = || unplaced.services.iter().map(|service| &service.model);
    let known = models(&example()).get(&manifests.models[0].name).judge.table.clone();
    let tables = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), (*known).clone())).collect();
    let model = manifests.models[0].name.clone();
    let found = cluster::usable(manifests.clone(), served(), &tables(&[&model]));
    assert_eq!(
        found.wrong,
        [("other".to_owned(), "the exit table of model \"untold\" cannot be read".to_owned())].into()
    );
    assert!(
        found.manifests.services.iter().all(|service| service.name == first) && found.manifests.services.len() == 1
    );
    let found = cluster::usable(manifests, served(), &tables(&[&model, "untold"]));
    assert_eq!((found.wrong.len(), found.manifests.services.len()), (0, 2));
}

/// Per chain its share of the jobs.
fn shares(spec: &EENNPlanSpec) -> std::collections::BTreeMap<String, f64> {
    let mut shares = std::collections::BTreeMap::new();
    for choice in &spec.choices {
        *shares.entry(choice.chain.to_string()).or_insert(0.0) += choice.probability.get();
    }
    shares
}

#[test]
fn without_a_node_jobs_go_where_others_went() {
    let mut spec = object(&planned(), "because");
    let mut document: PolicyDocument = serde_json::from_str(&spec.policy).unwrap();
    let nodes: Vec<String> = spec.chains.iter().map(|chain| chain.fragments[0].node.to_string()).collect();
    // A mixture of both, and rows that take one only.
    let choice = |chain: &str, probability: f64| wire::document::ChoiceDocument {
        probability,
        chain: chain.to_owned(),
        thresholds: vec![0.5; 5],
        by_present: vec![],
    };
    document.default = vec![choice("left", 0.5), choice("right", 0.25), choice("right", 0.25)];
    for row in document.rates.iter_mut().flat_map(|table| &mut table.rows) {
        row.default = vec![choice("left", 1.0)];
    }
    spec.policy = serde_json::to_string(&document).unwrap();
    let without = |node: &str| without_nodes(&spec, 6, 6, &[node.to_owned()].into()).unwrap();
    let left = without(&nodes[0]).unwrap();
    assert_eq!(shares(&left), [("right".to_owned(), 1.0)].into());
    assert_eq!((left.chains.clone(), left.predicted.len()), (spec.chains.clone(), 0), "nothing is moved");
    let document: PolicyDocument = serde_json::from_str(&left.policy).unwrap();
    assert_eq!(document.default.len(), 2);
    let rows = document.rates.iter().flat_map(|table| &table.rows);
    assert!(rows.into_iter().all(|row| row.default.iter().all(|one| one.chain == "right")));
    assert_eq!(without_nodes(&left, 6, 6, &[nodes[0].clone()].into()).unwrap(), None, "no jobs go there");
    assert_eq!(without("elsewhere"), None);
    assert_eq!(without_nodes(&spec, 6, 6, &nodes.iter().cloned().collect()).unwrap(), None, "nothing else is left");
    // Rows that never took the lost chain stay.
    assert_eq!(shares(&without(&nodes[1]).unwrap()), [("left".to_owned(), 1.0)].into());
}
