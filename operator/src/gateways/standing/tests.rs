use super::*;
use serde_json::json;

fn version(generation: u64) -> PolicyVersion {
    PolicyVersion { transitions: 1, generation }
}

fn wanted(generation: u64, node: &str) -> Wanted {
    let plan = json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNPlan", "metadata": { "name": format!("camera-{generation}") },
        "spec": {
            "serviceRef": { "name": "camera" }, "generation": generation, "reason": "", "policy": "", "choices": [],
            "forecast": [], "predicted": [],
            "chains": [{ "name": node, "fragments": [{ "node": node, "firstSegment": 1, "lastSegment": 6 }] }],
        },
    });
    let plan = Arc::new(serde_json::from_value(plan).expect("it is a plan"));
    Wanted {
        pool: Key::new("", "edge"),
        plan,
        version: version(generation),
        policies: BTreeMap::new(),
        fragments: vec![node.into()],
        placement: 0,
        nodes: BTreeSet::new(),
        held: false,
    }
}

/// Gateways on nodes that are called as they are.
fn said(at: f64, generations: &[(&str, Option<u64>)]) -> BTreeMap<String, Gateway> {
    let gateway = |(pod, generation): &(&str, Option<u64>)| {
        let heard = generation.map(|one| Heard { at, version: version(one) });
        ((*pod).to_owned(), Gateway { node: pod[..1].to_owned(), heard })
    };
    generations.iter().map(gateway).collect()
}

fn lags(standings: &Standings, now: f64) -> bool {
    standings.lags(&Key::new("a", "camera"), &["x".to_owned()].into(), 30.0, now)
}

#[test]
fn gateways_follow_once_one_of_them_says_so() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    assert_eq!(standings.following(&key, 0.0), Following::NotAsked);
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
    assert_eq!(standings.following(&key, 0.0), Following::NotAsked);
    standings.heard(&key, said(0.5, &[]), None, 0.5);
    assert_eq!(standings.following(&key, 0.5), Following::NotAsked, "pods that have just started are no bad news");
    assert!(standings.heard(&key, said(15.5, &[]), None, 15.5), "time alone can make it so");
    assert_eq!(standings.following(&key, 15.5), Following::None("there is no gateway pod with an address".to_owned()));
    assert!(standings.heard(&key, said(16.0, &[("x", None), ("y", None)]), Some("x refused".to_owned()), 16.0));
    assert_eq!(standings.following(&key, 16.0), Following::NotAsked, "these have just started");
    assert_eq!(standings.following(&key, 31.0), Following::None("x refused".to_owned()));
    assert!(standings.heard(&key, said(32.0, &[("x", Some(1)), ("y", None)]), None, 32.0));
    assert_eq!(standings.following(&key, 32.0), Following::Some(1, 2));
    assert!(!standings.heard(&key, said(33.0, &[("x", Some(1)), ("y", None)]), None, 33.0), "that is no news");
    // What was said long ago is not true for ever.
    assert!(matches!(standings.following(&key, 48.5), Following::None(_)));
}

#[test]
fn gateways_follow_only_where_one_does_on_each_node_with_sources() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    let both = |generation| Wanted { nodes: ["a", "b"].map(str::to_owned).into(), ..wanted(generation, "pi") };
    let heard = |now: f64, said: BTreeMap<String, Gateway>, trouble: Option<&str>| {
        standings.heard(&key, said, trouble.map(str::to_owned), now);
        standings.following(&key, now)
    };
    let part = |count, all, why: &str| Following::Part(count, all, why.to_owned());
    standings.want(&key, both(1), Fragments::Ready, 0.0);
    let first = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", None)]), None);
    assert_eq!(first(1.0), Following::NotAsked, "the other has just started");
    assert_eq!(first(16.0), part(1, 2, "none on b: no gateway has been reached yet"));
    let all = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", Some(1))]), None);
    assert_eq!(all(17.0), Following::Some(2, 2));
    // A second one starts, or is replaced, where one serves.
    let more = |now| heard(now, said(now, &[("a1", Some(1)), ("b1", Some(1)), ("b2", None)]), Some("b2 is silent"));
    assert_eq!((more(18.0), more(100.0)), (Following::Some(2, 3), Following::Some(2, 3)));
    // One refuses what comes next.
    standings.want(&key, both(2), Fragments::Ready, 101.0);
    let refuses = |now| heard(now, said(now, &[("a1", Some(2)), ("b1", Some(1))]), Some("b refused"));
    assert_eq!(refuses(117.0), part(1, 2, "none on b: b refused"));
    assert_eq!(heard(118.0, said(118.0, &[("a1", Some(2))]), None), Following::NotAsked, "it may be replaced");
    let alone = heard(134.0, said(134.0, &[("a1", Some(2))]), None);
    assert_eq!(alone, part(1, 1, "none on b: there is no gateway pod with an address"));
    // Sources are on the other node only.
    let one = Wanted { nodes: ["a".to_owned()].into(), ..wanted(2, "pi") };
    standings.want(&key, one, Fragments::Ready, 135.0);
    assert_eq!(standings.following(&key, 135.0), Following::Some(1, 1));
}

#[test]
fn what_was_counted_is_not_true_for_ever() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    let counted = || Said::Counted(api::status::Metrics::default());
    // A status that another process has written stays for a while, also of a service whose gateways nobody asks.
    assert_eq!(
        (standings.last_observed(&key, 100.0), standings.last_observed(&key, 1_300.0)),
        (Said::Nothing, Said::TooFew)
    );
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 100.0);
    assert!(standings.observed(&key, counted(), 1_300.0) && !standings.observed(&key, counted(), 1_600.0));
    assert!(!standings.observed(&key, Said::Nothing, 1_601.0), "it stays");
    assert_eq!(standings.last_observed(&key, 2_700.0), counted());
    assert_eq!(standings.last_observed(&key, 2_900.0), Said::TooFew, "nobody has asked since");
    assert!(standings.observed(&key, Said::TooFew, 2_901.0) && !standings.observed(&key, Said::TooFew, 3_501.0));
    assert_eq!(standings.last_observed(&key, 3_502.0), Said::TooFew);
}

#[test]
fn gateways_are_not_missed_before_there_is_anything_to_send_jobs_to() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    let silent = |standings: &Standings, now: f64| {
        standings.heard(&key, said(now, &[("x", None)]), Some("x refused".to_owned()), now)
    };
    standings.want(&key, wanted(1, "pi"), Fragments::Starting, 0.0);
    assert!(!silent(&standings, 1.0) && !silent(&standings, 60.0), "fragments are not ready");
    // A gateway that a process before has started follows what it should all the same.
    assert!(standings.heard(&key, said(61.0, &[("x", Some(1))]), None, 61.0));
    assert_eq!(standings.following(&key, 61.0), Following::Some(1, 1));
    let standings = Standings::default();
    standings.want(&key, wanted(1, "pi"), Fragments::Starting, 0.0);
    assert!(!silent(&standings, 1.0));
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 60.0);
    assert!(!silent(&standings, 61.0) && silent(&standings, 76.0), "their time starts when fragments are ready");
    // One that is not ready for a moment does not make it a beginning.
    standings.want(&key, wanted(1, "pi"), Fragments::Starting, 77.0);
    assert!(matches!(standings.following(&key, 77.0), Following::None(_)));
}

#[test]
fn what_others_have_seen_meanwhile_is_news_again() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
    assert!(standings.heard(&key, said(1.0, &[("x", Some(1))]), None, 1.0));
    // Nobody asks for a while; whoever reports then finds nobody.
    assert!(matches!(standings.following(&key, 20.0), Following::None(_)));
    assert!(standings.heard(&key, said(20.0, &[("x", Some(1))]), None, 20.0));
}

#[test]
fn time_alone_makes_silence_news() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
    let silent = |now: f64| standings.heard(&key, said(now, &[("x", None)]), Some("x refused".to_owned()), now);
    assert!(!silent(1.0) && !silent(14.0), "it has just started");
    assert!(silent(17.0) && !silent(18.0));
    assert_eq!(standings.following(&key, 18.0), Following::None("x refused".to_owned()));
}

#[test]
fn a_new_policy_is_given_some_seconds() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
    standings.heard(&key, said(1.0, &[("x", Some(1))]), None, 1.0);
    standings.want(&key, wanted(2, "pi"), Fragments::Replacing, 2.0);
    standings.heard(&key, said(3.0, &[("x", Some(1))]), None, 3.0);
    assert_eq!(standings.following(&key, 3.0), Following::Some(1, 1));
    assert!(lags(&standings, 3.0) && !standings.are_told(&key, 2, 3.0) && standings.are_told(&key, 2, 18.0));
    standings.heard(&key, said(20.0, &[("x", Some(1))]), Some("the disk is full".to_owned()), 20.0);
    standings.heard(&key, said(20.0, &[("x", Some(1))]), Some("or so".to_owned()), 20.5);
    assert_eq!(standings.following(&key, 20.0), Following::None("the disk is full".to_owned()));
    standings.heard(&key, said(21.0, &[("x", Some(2))]), None, 21.0);
    assert!(!lags(&standings, 21.0) && standings.are_told(&key, 2, 21.0) && !standings.are_told(&key, 3, 21.0));
    // One that says nothing any more, but takes requests, is waited for; not for ever.
    standings.want(&key, wanted(3, "box"), Fragments::Ready, 22.0);
    assert!(lags(&standings, 22.0) && lags(&standings, 51.0) && !lags(&standings, 52.0));
    // One that takes none is not.
    assert!(!standings.lags(&key, &BTreeSet::new(), 30.0, 51.0));
}

#[test]
fn a_gateway_that_is_ahead_does_not_follow_and_is_overtaken() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    standings.want(&key, wanted(3, "pi"), Fragments::Ready, 0.0);
    assert_eq!((standings.transitions(&key), standings.highest_heard(&key)), (0, 0));
    let gateway = |heard| Gateway { node: "x".to_owned(), heard: Some(heard) };
    let ahead = Heard { at: 1.0, version: PolicyVersion { transitions: 4, generation: 6 } };
    assert!(standings.heard(&key, [("x".to_owned(), gateway(ahead))].into(), None, 1.0), "it has to be overtaken");
    assert_eq!((standings.transitions(&key), standings.highest_heard(&key)), (5, 6));
    assert!(lags(&standings, 1.0));
    assert!(matches!(standings.following(&key, 20.0), Following::None(_)));
}

#[test]
fn another_placement_waits_for_its_fragments() {
    let (standings, key) = (Standings::default(), Key::new("a", "camera"));
    let generation = || standings.of_pool(&Key::new("", "edge"))[&key].version.generation;
    standings.want(&key, wanted(1, "pi"), Fragments::Replacing, 0.0);
    assert!(standings.of_pool(&Key::new("", "edge")).is_empty());
    standings.want(&key, wanted(1, "pi"), Fragments::Ready, 0.0);
    let held = || standings.of_pool(&Key::new("", "edge"))[&key].held;
    assert!(!held());
    standings.want(&key, wanted(2, "box"), Fragments::Replacing, 1.0);
    assert_eq!((generation(), held()), (1, true), "no other policy is made for what is left");
    standings.want(&key, wanted(2, "box"), Fragments::Ready, 2.0);
    assert_eq!((generation(), held()), (2, false));
    // Fewer of the same are there already; more are not.
    let both = || Wanted { fragments: vec!["box".into(), "pi".into()], ..wanted(3, "box") };
    standings.want(&key, both(), Fragments::Replacing, 3.0);
    assert_eq!(generation(), 2);
    standings.want(&key, both(), Fragments::Ready, 4.0);
    standings.want(&key, wanted(4, "pi"), Fragments::Replacing, 5.0);
    assert_eq!(generation(), 4);
    standings.hold(&key);
    assert!(held(), "it is paused");
    let told = Wanted { policies: [("camera-g-1".to_owned(), "{}".into())].into(), placement: 7, ..wanted(5, "pi") };
    standings.want(&key, told, Fragments::Ready, 6.0);
    assert_eq!(standings.at(&key, 7), BTreeSet::from(["camera-g-1".to_owned()]));
    assert_eq!(standings.at(&key, 8), BTreeSet::new(), "it may be another model there");
    assert!(standings.of_pool(&Key::new("", "other")).is_empty());
    standings.forget(&key);
    assert_eq!(standings.following(&key, 3.0), Following::NotAsked);
}
