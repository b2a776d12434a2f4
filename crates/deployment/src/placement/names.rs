//! Names for chains that nobody has named: those of their devices. Chains that stay keep theirs.

use super::ground::Pooled;
use api::{Name, PinnedChain, PinnedFragment};
use planner::placement::{Placed, Route};
use std::collections::{BTreeMap, BTreeSet};

/// The chains of each service that was placed, as a manifest would say it.
pub(super) fn chains(pooled: &Pooled, placed: &Placed) -> BTreeMap<String, Vec<PinnedChain>> {
    let before = pooled.incumbent.services.iter().zip(&pooled.names);
    let services = pooled.demands.iter().zip(before).zip(&placed.placement.services);
    let free = services.filter(|((demand, _), routes)| demand.pinned.is_none() && !routes.is_empty());
    let named = free.map(|((demand, (before, names)), routes)| {
        let before: Vec<(&Route, &Name)> = before.iter().zip(names).collect();
        (demand.name.clone(), of_service(pooled, routes, &before))
    });
    named.collect()
}

fn of_service(pooled: &Pooled, routes: &[Route], before: &[(&Route, &Name)]) -> Vec<PinnedChain> {
    let kept = |route: &Route| before.iter().find(|(other, _)| *other == route).map(|(_, name)| (*name).clone());
    let mut taken: BTreeSet<String> = routes.iter().filter_map(|route| Some(kept(route)?.to_string())).collect();
    let named = routes.iter().map(|route| {
        let devices: Vec<&str> = route.stops.iter().map(|stop| pooled.ground.sites[stop.site].name.as_str()).collect();
        let fragments = route.stops.iter().zip(&devices).map(|(stop, device)| PinnedFragment {
            name: None,
            node: device.parse().expect("the name of a device is that of a node"),
            first_segment: stop.range.first as i32 + 1,
            last_segment: stop.range.last as i32 + 1,
        });
        let chain = kept(route).unwrap_or_else(|| name(&devices.join("-to-"), &mut taken));
        PinnedChain { chain, probability: None, fragments: fragments.collect() }
    });
    named.collect()
}

/// The name that was meant, with a number behind it where it is taken, or `chain` where it is none.
fn name(meant: &str, taken: &mut BTreeSet<String>) -> Name {
    let stem = meant.parse::<Name>().map_or_else(|_| "chain".to_owned(), |name| name.to_string());
    let numbered = std::iter::once(stem.clone()).chain((2..).map(|number| format!("{stem}-{number}")));
    let fallback = (1..).map(|number| format!("chain-{number}"));
    let free = numbered.take(64).chain(fallback).find_map(|name| {
        let parsed = name.parse::<Name>().ok()?;
        taken.insert(name).then_some(parsed)
    });
    free.expect("there are more numbers than chains")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_named_by_their_devices() {
        let mut taken = BTreeSet::new();
        let long = "x".repeat(300);
        for (meant, want) in [
            ("pi", "pi"),
            ("pi-to-box", "pi-to-box"),
            ("pi-to-box", "pi-to-box-2"),
            (&long, "chain"),
            (&long, "chain-2"),
        ] {
            assert_eq!(name(meant, &mut taken).to_string(), want);
        }
    }
}
