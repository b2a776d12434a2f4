//! Placements: against enumeration, against rules written a second time, and in words.

mod generated;
mod grounds;

use domain::{Bytes, FragmentRange, Plan, Thresholds};
use grounds::{Case, MIB, request, world};
use planner::checker::{Severity, check};
use planner::placement::{
    Change, Demand, Ground, Placed, Placement, Request, Route, Stop, Treatment, Way, appraise, build, place,
};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use std::collections::{BTreeMap, BTreeSet};

/// Every chain there is over distinct sites, whether it may be or not.
fn routes(sites: usize, segments: usize) -> Vec<Route> {
    fn extend(route: &mut Vec<Stop>, sites: usize, segments: usize, found: &mut Vec<Route>) {
        let next = route.last().map_or(0, |stop| stop.range.last + 1);
        if next == segments {
            return found.push(Route { stops: route.clone() });
        }
        for site in (0..sites).filter(|site| route.iter().all(|stop| stop.site != *site)).collect::<Vec<_>>() {
            for last in next..segments {
                route.push(Stop { site, range: FragmentRange { first: next, last } });
                extend(route, sites, segments, found);
                route.pop();
            }
        }
    }
    let mut found = vec![];
    extend(&mut vec![], sites, segments, &mut found);
    found
}

/// The rules, written without the planner's code.
fn is_legal(ground: &Ground, demands: &[Demand], placement: &Placement) -> bool {
    let mut memory: BTreeMap<usize, u64> = BTreeMap::new();
    let mut jobs: BTreeMap<usize, u64> = BTreeMap::new();
    for (demand, routes) in demands.iter().zip(&placement.services) {
        if routes.len() > demand.most_chains {
            return false;
        }
        let mut fragments = BTreeSet::new();
        for route in routes {
            let mut from: Vec<usize> = demand.sources.iter().map(|source| source.site).collect();
            let mut next = 0;
            for stop in &route.stops {
                let site = &ground.sites[stop.site];
                let reached = from.iter().all(|&from| from == stop.site || ground.ways[from][stop.site] != Way::None);
                let supported = site.architecture.as_ref().is_none_or(|own| demand.architectures.contains(own));
                if site.trouble.is_some() || !reached || !supported || stop.range.first != next {
                    return false;
                }
                (from, next) = (vec![stop.site], stop.range.last + 1);
                fragments.insert(*stop);
            }
            let distinct: BTreeSet<usize> = route.stops.iter().map(|stop| stop.site).collect();
            if next != demand.weight_bytes.len() || distinct.len() != route.stops.len() {
                return false;
            }
        }
        for stop in fragments {
            let weights: u64 = (stop.range.first..=stop.range.last).map(|segment| demand.weight_bytes[segment]).sum();
            *memory.entry(stop.site).or_default() += weights + demand.size.process.0 + demand.size.memory_budget.0;
            *jobs.entry(stop.site).or_default() += demand.size.memory_budget.0;
        }
    }
    let within = |taken: &BTreeMap<usize, u64>, all: &dyn Fn(usize) -> Option<Bytes>| {
        taken.iter().all(|(&site, &taken)| all(site).is_none_or(|all| taken <= all.0))
    };
    within(&memory, &|site| ground.sites[site].free_memory) && within(&jobs, &|site| ground.sites[site].memory_budget)
}

/// Every legal placement of all services.
fn all(ground: &Ground, demands: &[Demand]) -> Vec<Placement> {
    let mut found = vec![Placement::default()];
    for (service, demand) in demands.iter().enumerate() {
        let routes = routes(ground.sites.len(), demand.weight_bytes.len());
        let mut own: Vec<Vec<Route>> = routes.iter().map(|route| vec![route.clone()]).collect();
        if demand.most_chains > 1 {
            let pairs =
                routes.iter().enumerate().flat_map(|(at, one)| routes[at + 1..].iter().map(move |other| (one, other)));
            own.extend(pairs.map(|(one, other)| {
                let mut both = vec![one.clone(), other.clone()];
                both.sort();
                both
            }));
        }
        let more = |before: &Placement| {
            let with = |routes: &Vec<Route>| {
                let mut next = before.clone();
                next.services.push(routes.clone());
                next
            };
            own.iter().map(with).filter(|next| is_legal(ground, &demands[..=service], next)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(more).collect();
    }
    found
}

fn worth(request: &Request<'_>, placement: &Placement) -> f64 {
    appraise(request, placement).map_or(f64::NEG_INFINITY, |appraisal| appraisal.worth)
}

fn words(placed: &Placed, ground: &Ground, demands: &[Demand]) -> Vec<String> {
    placed.rejected.iter().map(|one| one.in_words(ground, demands)).collect()
}

#[test]
fn nothing_that_enumeration_finds_is_better_by_what_counts() {
    for case in [
        Case { seed: 1, ..Case::default() },
        Case { seed: 2, load: 1.2, ..Case::default() },
        Case { seed: 3, load: 0.3, is_rough: true, ..Case::default() },
        Case { seed: 4, load: 0.9, is_rough: true, ..Case::default() },
        Case { seed: 5, services: 2, chains: 1, load: 0.8, ..Case::default() },
        Case { seed: 6, services: 2, chains: 1, load: 0.5, is_rough: true, ..Case::default() },
    ] {
        let (ground, demands) = world(&case);
        let request = request(&ground, &demands, 3_000);
        let placed = place(&request);
        let all = all(&ground, &demands);
        if all.is_empty() {
            assert!(!placed.misfits.is_empty(), "{case:?}: {placed:?}");
            continue;
        }
        assert!(placed.misfits.is_empty(), "{case:?}: {:?}", placed.misfits);
        let best = all.iter().map(|one| worth(&request, one)).fold(f64::NEG_INFINITY, f64::max);
        let found = placed.appraisal.as_ref().map_or(f64::NEG_INFINITY, |appraisal| appraisal.worth);
        assert!(found <= best + 1e-9 && found > best - 0.003, "{case:?}: {found} of {best}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_out_is_legal_checked_and_repeatable(
        seed in any::<u64>(), sites in 1usize..6, services in 1usize..4, segments in 1usize..5, load in 0.1f64..1.5,
    ) {
        let case = Case { sites, services, segments, load, is_rough: true, seed, ..Case::default() };
        let (ground, demands) = world(&case);
        let request = request(&ground, &demands, 60);
        let placed = place(&request);
        prop_assert!(is_legal(&ground, &demands, &placed.placement), "{case:?}: {placed:?}");
        for (service, routes) in placed.placement.services.iter().enumerate() {
            let is_misfit = placed.misfits.iter().any(|misfit| misfit.service == service);
            prop_assert_eq!(routes.is_empty(), is_misfit, "{:?}: service {}", case, service);
        }
        if let Some(appraisal) = &placed.appraisal {
            let notes = check(&appraisal.problem, &appraisal.plan);
            prop_assert!(notes.iter().all(|note| note.severity < Severity::Error), "{case:?}: {notes:?}");
        }
        // Whoever hosts nothing is told why, and nobody else.
        for site in 0..sites {
            let told = placed.rejected.iter().any(|one| one.site == site);
            let placed_any = placed.placement.services.iter().any(|routes| !routes.is_empty());
            prop_assert!(placed.placement.uses(site) || told || !placed_any, "{case:?}: site {site} is left out");
        }
        prop_assert_eq!(place(&request), placed);
    }

    #[test]
    fn more_budget_is_never_worse(seed in any::<u64>(), load in 0.3f64..1.5, is_rough in any::<bool>()) {
        let (ground, demands) = world(&Case { sites: 4, services: 2, load, is_rough, seed, ..Case::default() });
        let mut before = f64::NEG_INFINITY;
        for evaluations in [0, 10, 40, 150] {
            let placed = place(&request(&ground, &demands, evaluations));
            let worth = placed.appraisal.map_or(f64::NEG_INFINITY, |appraisal| appraisal.worth);
            prop_assert!(worth >= before, "seed {seed}, {evaluations} evaluations: {worth} after {before}");
            before = worth;
        }
    }

    #[test]
    fn what_was_found_stays(seed in any::<u64>(), load in 0.3f64..1.2) {
        let (ground, demands) = world(&Case { sites: 4, services: 2, load, is_rough: true, seed, ..Case::default() });
        let first = place(&request(&ground, &demands, 200));
        let again = Request { incumbent: Some(&first.placement), seed: 2, ..request(&ground, &demands, 100) };
        let second = place(&again);
        if let Change::Better { gain, started } = second.verdict {
            prop_assert!(gain > again.costs.change + again.costs.started * started as f64, "{gain} for {started}");
        } else {
            // Whoever had no place may find one.
            let pairs = first.placement.services.iter().zip(&second.placement.services);
            for (before, after) in pairs.filter(|(before, _)| !before.is_empty()) {
                prop_assert_eq!(before, after, "{:?}", second.verdict);
            }
        }
    }
}

#[test]
fn a_budget_of_nothing_leaves_everything_where_it_is() {
    let (ground, demands) = world(&Case { seed: 7, ..Case::default() });
    let slowest = (0..3).min_by(|one, other| ground.sites[*one].speed.total_cmp(&ground.sites[*other].speed));
    let whole = FragmentRange { first: 0, last: 2 };
    let here = Route { stops: vec![Stop { site: slowest.expect("a site"), range: whole }] };
    let incumbent = Placement { services: vec![vec![here]] };
    let placed = place(&Request { incumbent: Some(&incumbent), ..request(&ground, &demands, 0) });
    assert_eq!((placed.placement, placed.verdict), (incumbent, Change::Kept));
}

#[test]
fn a_change_that_pays_is_made_and_leaves_the_other_service_alone() {
    let (ground, mut demands) =
        world(&Case { sites: 4, services: 2, load: 0.5, chains: 1, seed: 11, ..Case::default() });
    demands[0].sources[0].site = 0;
    demands[1].sources[0].site = 1;
    let whole = FragmentRange { first: 0, last: 2 };
    let on = |site| vec![Route { stops: vec![Stop { site, range: whole }] }];
    // Both on one device, which is too much for it.
    let incumbent = Placement { services: vec![on(2), on(2)] };
    let again = Request { incumbent: Some(&incumbent), ..request(&ground, &demands, 400) };
    let placed = place(&again);
    let Change::Better { gain, started } = placed.verdict else { panic!("{:?}", placed.verdict) };
    assert!(gain > again.costs.change && started >= 1, "{gain} for {started}");
    let moved = (0..2).filter(|&one| placed.placement.services[one] != incumbent.services[one]).count();
    assert_eq!(moved, 1, "one of two is enough: {placed:#?}");
    let dear = planner::placement::Costs { change: 1e3, ..again.costs };
    assert_eq!(place(&Request { costs: dear, ..again }).verdict, Change::Kept);
}

#[test]
fn a_lost_device_moves_what_was_there_and_nothing_else() {
    let (mut ground, demands) =
        world(&Case { sites: 4, services: 2, load: 0.3, chains: 1, seed: 12, ..Case::default() });
    let whole = FragmentRange { first: 0, last: 2 };
    let on = |site| vec![Route { stops: vec![Stop { site, range: whole }] }];
    let incumbent = Placement { services: vec![on(2), on(3)] };
    ground.sites[2].trouble = Some("not ready".to_owned());
    let placed = place(&Request { incumbent: Some(&incumbent), ..request(&ground, &demands, 200) });
    assert_eq!(placed.placement.services[1], on(3), "{placed:#?}");
    assert_eq!(placed.verdict, Change::Forced { started: 1 });
    assert!(words(&placed, &ground, &demands).contains(&"site-2: not ready".to_owned()));
}

#[test]
fn every_device_that_is_not_used_is_told_why() {
    let (mut ground, demands) = world(&Case { sites: 5, chains: 1, load: 0.1, seed: 13, ..Case::default() });
    ground.sites[1].trouble = Some("not ready".to_owned());
    ground.sites[2].architecture = Some("riscv64".to_owned());
    ground.sites[3].free_memory = Some(Bytes(25 * MIB));
    for row in &mut ground.ways {
        row[4] = Way::None;
    }
    let placed = place(&request(&ground, &demands, 100));
    let want = [
        "site-1: not ready",
        "site-2: riscv64 image missing",
        "site-3: needs 130.3 MiB for segments 1 to 3, 25 MiB are free",
        "site-4: no link from gateway site-0",
    ];
    assert_eq!(words(&placed, &ground, &demands), want);
}

#[test]
fn a_service_without_a_place_is_named_with_the_reason_and_the_others_are_served() {
    let (mut ground, mut demands) =
        world(&Case { sites: 2, services: 2, chains: 1, load: 0.2, seed: 14, ..Case::default() });
    demands[1].weight_bytes = vec![500 * MIB; 3];
    ground.sites[0].free_memory = Some(Bytes(300 * MIB));
    ground.sites[1].free_memory = Some(Bytes(700 * MIB));
    let placed = place(&request(&ground, &demands, 100));
    assert!(!placed.placement.services[0].is_empty());
    let said: Vec<String> = placed.misfits.iter().map(|misfit| misfit.in_words(&ground, &demands)).collect();
    let [said] = &said[..] else { panic!("{said:?}") };
    let start = "service-1 has no place: site-0: needs 1.5 GiB for segments 1 to 3, ";
    assert!(said.starts_with(start) && said.contains("; site-1: needs 1.5 GiB for segments 1 to 3, "), "{said}");
}

#[test]
fn a_service_finds_its_place_where_another_has_to_give_way() {
    let (mut ground, mut demands) =
        world(&Case { sites: 2, services: 2, chains: 1, load: 0.2, seed: 15, ..Case::default() });
    demands[0].targets.priority = 9.0;
    demands[1].weight_bytes = vec![100 * MIB; 3];
    // The first service fits on both, the second on the first site only, and both together nowhere.
    ground.sites[0].free_memory = Some(Bytes(320 * MIB));
    ground.sites[1].free_memory = Some(Bytes(140 * MIB));
    let whole = FragmentRange { first: 0, last: 2 };
    let incumbent = Placement { services: vec![vec![Route { stops: vec![Stop { site: 0, range: whole }] }], vec![]] };
    let placed = place(&Request { incumbent: Some(&incumbent), ..request(&ground, &demands, 100) });
    assert!(placed.misfits.is_empty(), "{:?}", placed.misfits);
    assert_eq!(placed.verdict, Change::Forced { started: 1 });
}

#[test]
fn chains_by_hand_and_thresholds_by_hand_are_kept() {
    let (mut ground, mut demands) = world(&Case { services: 2, chains: 2, load: 0.6, seed: 16, ..Case::default() });
    let whole = FragmentRange { first: 0, last: 2 };
    let pinned = vec![Route { stops: vec![Stop { site: 1, range: whole }] }];
    demands[0].pinned = Some(pinned.clone());
    let always = domain::Probability::new(1.0).expect("a share");
    let first = Thresholds::exit_first(3);
    demands[1].treatment = Treatment::Given(vec![(always, first.clone())]);
    ground.sites[1].free_memory = Some(Bytes(140 * MIB));
    let placed = place(&request(&ground, &demands, 100));
    assert_eq!(placed.placement.services[0], pinned);
    let taken = placed.placement.fragments(1);
    assert!(taken.iter().all(|stop| stop.site != 1), "what is pinned has taken the memory: {taken:?}");
    let Plan { policies } = placed.appraisal.expect("it can be valued").plan;
    assert!(policies[1].default.choices().iter().all(|choice| choice.thresholds == first));
    let built = build(&ground, &demands, &placed.placement);
    assert_eq!((built.problem.check(), built.demands), (Ok(()), vec![0, 1]));
}
