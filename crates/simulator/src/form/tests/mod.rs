//! What the form accepts, what it refuses, and with which words.

mod refused;

use super::{Cases, read};
use crate::{Arrivals, Discipline, Effort, Handover, Law, Outages, Overflow, Routing, Work, simulate};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One case of the plain form.
fn plain() -> Value {
    json!({
        "id": "two", "overflow": "drop", "level": 1, "description": "two devices",
        "devices": [
            {"servers": 1, "speed": 1.0, "discipline": "fcfs", "memory": 5, "name": "front"},
            {"servers": 2, "speed": 0.5, "discipline": "ps", "memory": null, "name": "box"}
        ],
        "regions": [{"devices": [0], "memory": 5}, {"devices": [1], "memory": 4}],
        "chains": [{
            "priority": 0, "name": "c0",
            "arrival": {"type": "exponential", "mean": 2.0},
            "fragments": [
                {"device": 0, "service": {"type": "deterministic", "mean": 1.0}, "memory": 1.0, "exit_prob_after": 0.25},
                {"device": 1, "service": {"type": "erlang", "mean": 1.0, "phases": 3}, "memory": 2, "exit_prob_after": 1}
            ]
        }]
    })
}

/// One case with everything that goes beyond it.
fn extended() -> Value {
    json!({
        "handover": "reserve_first", "overflow": "answer_with_last_exit",
        "devices": [
            {"name": "front", "servers": 1, "speed": 1, "discipline": "fcfs", "memory": 5.5, "outages": [[1, 2], [3, 4]]},
            {"name": "box", "servers": 1.5, "speed": 2, "discipline": "pods", "memory": 8,
             "lanes": [{"name": "a", "workers": 2, "request": 0.5, "limit": 1}, {}],
             "outages": {"mean_up": 1000, "mean_down": 1}}
        ],
        "links": [{"from": "front", "to": "box", "bandwidth": 100, "latency": 0.01, "return_latency": 0.02}],
        "models": [{
            "name": "net", "segments": [0.1, {"mean": 0.2, "scv": 0.5}], "heads": [0.01, 0], "varies": false,
            "exit_table": {"confidence": [[0.5, 0.9], [0.8, 0.7]], "correct": [[false, true], [true, true]]}
        }],
        "chains": [
            {"name": "early", "model": "net", "mixture": [
                {"probability": 0.5, "thresholds": [0.7]}, {"probability": 0.5, "thresholds": [1]}],
             "fragments": [
                {"device": "front", "segments": [1, 1], "memory": 1, "memory_after": 0.5},
                {"device": "box", "lane": "a", "segments": [2, 2], "memory": 2, "transfer": 0.25}]},
            {"name": "late", "model": 0, "thresholds": [1], "overflow": "drop", "gateway": "front",
             "fragments": [{"device": "box", "lane": 1, "segments": [1, 2], "memory": 1}]}
        ],
        "sources": [{
            "name": "camera",
            "arrival": {"type": "piecewise", "pieces": [{"duration": 10, "rate": 2}, {"duration": 5, "rate": 0}],
                        "repeat": true, "gaps": {"type": "erlang", "phases": 2}},
            "chains": [{"chain": "early", "probability": 0.75}, {"chain": 1, "probability": 0.25}],
            "deadline": 3, "retry": {"attempts": 2, "delay": 0.1}
        }]
    })
}

fn read_value(value: &Value) -> Result<Cases, super::FormError> {
    read(value.to_string().as_bytes())
}

/// The line about a document with one change.
fn refused(mut document: Value, pointer: &str, new: Option<Value>) -> String {
    let (above, field) = pointer.rsplit_once('/').unwrap();
    let above = document.pointer_mut(above).unwrap_or_else(|| panic!("{pointer} is not there"));
    match (above, new) {
        (Value::Object(fields), None) => drop(fields.remove(field).unwrap_or_else(|| panic!("{pointer} is not there"))),
        (Value::Object(fields), Some(new)) => drop(fields.insert(field.to_owned(), new)),
        (Value::Array(items), Some(new)) => items[field.parse::<usize>().unwrap()] = new,
        _ => panic!("{pointer} cannot be changed"),
    }
    match read_value(&document) {
        Ok(_) => panic!("{pointer} is accepted:\n{document:#}"),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n'), "{line}");
            line
        }
    }
}

#[test]
fn a_plain_case_is_read() {
    let cases = read_value(&plain()).unwrap();
    assert_eq!(cases.warnings, [""; 0]);
    let case = &cases.cases[0];
    assert_eq!((case.id.as_str(), case.description.as_deref()), ("two", Some("two devices")));
    let network = &case.network;
    assert_eq!(network.devices[1].discipline, Discipline::Ps);
    assert_eq!(
        network.regions.iter().map(|one| (one.name.as_str(), one.budget)).collect::<Vec<_>>(),
        [("front", 5), ("box", 4)]
    );
    let steps = &network.chains[0].steps;
    assert_eq!((steps[0].exit_probability, steps[1].memory, steps[1].regions.as_slice()), (0.25, 2, &[1][..]));
    assert_eq!(steps[1].work, Work::Law(Law::Erlang { mean: 1.0, phases: 3 }));
    assert_eq!(network.sources[0].arrivals, Arrivals::Renewal(Law::Exponential { mean: 2.0 }));
    assert_eq!(network.sources[0].routing, Routing::Mixture(vec![(0, 1.0)]));
    assert_eq!(network.handover, Handover::ReleaseFirst);
}

#[test]
fn extensions_are_read() {
    let cases = read_value(&extended()).unwrap();
    assert_eq!(cases.warnings, [""; 0]);
    let network = &cases.cases[0].network;
    assert_eq!(cases.cases[0].id, "case 1");
    assert_eq!(network.devices[0].outages, Outages::At(vec![(1.0, 2.0), (3.0, 4.0)]));
    let Discipline::Pods(lanes) = &network.devices[1].discipline else { panic!("{network:?}") };
    assert_eq!((lanes[0].workers, lanes[1].limit, lanes[1].name.as_str()), (2, f64::INFINITY, "lane 1"));
    let [early, late] = network.chains.as_slice() else { panic!("{network:?}") };
    assert_eq!((early.overflow, late.overflow), (Overflow::AnswerWithLastExit, Overflow::Drop));
    assert_eq!((early.steps[1].link, late.steps[0].link, early.steps[0].link), (Some(0), Some(0), None));
    assert_eq!((early.steps[0].memory_after, early.steps[1].transfer), (500_000, 250_000), "in millionths");
    assert_eq!(network.regions[0].budget, 5_500_000);
    assert_eq!(network.links[0].bytes_per_second, 1e8);
    assert_eq!(network.sources[0].routing, Routing::Scheduled(0));
    assert_eq!(network.schedulers[0].chains, [0, 1]);
    assert_eq!((network.sources[0].deadline, network.sources[0].retry.unwrap().attempts), (Some(3.0), 2));
    assert!(!network.models[0].table.correct(0, 0) && network.models[0].table.correct(0, 1));
}

/// The first one stands for whoever is not named.
#[test]
fn sources_of_a_model_share_a_policy() {
    let mut case = extended();
    let mut second = case["sources"][0].clone();
    second["name"] = json!("phone");
    second["chains"] = json!([{"chain": "late"}]);
    case["sources"].as_array_mut().unwrap().push(second);
    let network = read_value(&case).unwrap().cases.remove(0).network;
    network.check().unwrap();
    assert_eq!((network.schedulers.len(), network.schedulers[0].chains.as_slice()), (1, &[0, 1][..]));
    let mut decider = (network.schedulers[0].make)(0);
    for (source, chains) in [("camera", vec![0, 1]), ("phone", vec![1])] {
        let mut rng = StdRng::seed_from_u64(1);
        let arriving = policy::Arriving { source, now: 0.0, usable: &|_| true, again: false };
        let seen: BTreeSet<_> = (0..100).map(|_| decider.arrive(&arriving, &mut rng).unwrap().chain).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), chains, "{source}");
    }
}

#[test]
fn a_region_may_hold_several_devices() {
    let mut case = plain();
    case["regions"] = json!([{"devices": ["front", 1], "memory": 9}, {"devices": [1], "memory": 4, "name": "own"}]);
    let network = read_value(&case).unwrap().cases.remove(0).network;
    assert_eq!(network.regions[0].name, "front+box");
    assert_eq!(network.chains[0].steps[1].regions, [0, 1]);
}

#[test]
fn a_file_of_cases_is_read() {
    let file = json!({"schema_version": 1, "about": {"a": ["b"]}, "cases": [plain(), extended()]});
    let cases = read_value(&file).unwrap();
    assert_eq!(cases.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["two", "case 2"]);
}

#[test]
fn unknown_and_unused_fields_are_warned_about() {
    let mut case = plain();
    case["devices"][0]["spede"] = json!(3);
    case["chains"][0]["arrival"]["phases"] = json!(3);
    case["whatever"] = json!({"deep": 1});
    case["_comment"] = json!("fine");
    let warnings = read_value(&case).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "devices[0].spede: unknown field, ignored; did you mean \"speed\"?",
            "whatever: unknown field, ignored",
            "chains[0].arrival.phases: is not used by type \"exponential\"; ignored",
        ]
    );
}

#[test]
fn warnings_are_limited() {
    let mut case = plain();
    for index in 0..50 {
        case[format!("x{index}")] = json!(0);
    }
    let warnings = read_value(&case).unwrap().warnings;
    assert_eq!((warnings.len(), warnings.last().unwrap().as_str()), (21, "and 30 more"));
}

#[test]
fn known_answers_fit_the_case() {
    let mut case = plain();
    case["expected"] = json!({"chains": [{"throughput": {"value": 0.4, "ci99": 0.01}, "fragments": [{}, {}]}]});
    let read = read_value(&case).unwrap().cases.remove(0);
    let chain = read.expected.as_ref().unwrap().chain(0).unwrap().throughput.as_ref().unwrap();
    assert_eq!((chain.value, chain.ci99), (Some(0.4), Some(0.01)));
    let line = refused(case.clone(), "/expected/chains", Some(json!([{}, {}])));
    assert_eq!(line, "expected.chains: has 2 chains; at most 1 are possible");
    let line = refused(case, "/expected/chains/0/fragments", Some(json!([{}, {}, {}])));
    assert_eq!(line, "expected.chains[0].fragments: are more than the 2 of the chain");
}

/// Values that a hand or a program may put anywhere.
fn anything() -> impl Strategy<Value = Value> {
    static WORDS: [&str; 8] = ["front", "box", "ps", "pods", "mmpp2", "drop", "uniform", "block_after_service"];
    prop_oneof![
        2 => any::<f64>().prop_map(Value::from),
        2 => (0.0..1.0f64).prop_map(Value::from),
        2 => (-3i64..10).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        2 => prop::sample::select(&WORDS[..]).prop_map(Value::from),
        2 => prop::sample::select(vec![json!(null), json!([]), json!({}), json!([0.5, 0.5]), json!([[0, 1]])]),
    ]
}

/// Puts `new` where the `index`-th value is; whether there is one.
fn replace(value: &mut Value, index: &mut usize, new: &Value) -> bool {
    if *index == 0 {
        *value = new.clone();
        return true;
    }
    *index -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, index, new)),
        Value::Object(fields) => fields.values_mut().any(|item| replace(item, index, new)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_the_form_accepts_can_be_simulated(
        is_plain: bool,
        changes in prop::collection::vec((0usize..110, anything()), 1..4),
    ) {
        let mut document = if is_plain { plain() } else { extended() };
        for (mut index, new) in changes {
            replace(&mut document, &mut index, &new);
        }
        if let Ok(cases) = read_value(&document) {
            for case in cases.cases {
                let effort = Effort { events: 5000, threads: 1, ..Effort::arrivals(1, 300) };
                let checked = case.network.check();
                prop_assert!(checked.is_ok(), "{:?}\n{document}", checked.err());
                // More arrivals than this may be refused, but not with a panic.
                let _ = simulate(&case.network, &effort);
            }
        }
    }
}
