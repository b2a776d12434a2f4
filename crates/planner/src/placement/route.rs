//! Placements: which fragments exist, where they live, and which chains they form.

use domain::FragmentRange;
use std::collections::BTreeSet;

/// Where the fragments of all services live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Placement {
    /// Per service its chains, in order and each once; none for a service that is not placed.
    pub services: Vec<Vec<Route>>,
}

/// A chain: its fragments in order, which hold the whole model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// At least one; on distinct sites.
    pub stops: Vec<Stop>,
}

/// A fragment on a site. The same segments of a service on the same site are one fragment, whatever chains use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    /// Index of the site.
    pub site: usize,
    /// Its segments.
    pub range: FragmentRange,
}

impl Placement {
    /// The fragments of a service.
    pub fn fragments(&self, service: usize) -> BTreeSet<Stop> {
        self.services.get(service).into_iter().flatten().flat_map(|route| route.stops.iter().copied()).collect()
    }

    /// Whether any fragment lives on a site.
    pub fn uses(&self, site: usize) -> bool {
        self.services.iter().flatten().flat_map(|route| &route.stops).any(|stop| stop.site == site)
    }

    /// Fragments that have to be started to get here from `before`, of services that had any.
    pub fn started(&self, before: &Self) -> usize {
        let of = |service: usize| {
            let old = before.fragments(service);
            let new = self.fragments(service);
            if old.is_empty() { 0 } else { new.difference(&old).count() }
        };
        (0..self.services.len()).map(of).sum()
    }

    /// Whether a service that had chains before has others now.
    pub(super) fn differs(&self, before: &Self) -> bool {
        let pairs = self.services.iter().zip(&before.services);
        pairs.into_iter().any(|(new, old)| !old.is_empty() && new != old)
    }

    /// Chains in order and each once, so that equal placements are equal.
    pub(super) fn tidy(mut self) -> Self {
        for routes in &mut self.services {
            routes.sort_unstable();
            routes.dedup();
        }
        self
    }
}

impl Route {
    pub(super) fn single(site: usize, range: FragmentRange) -> Self {
        Self { stops: vec![Stop { site, range }] }
    }

    pub(super) fn visits(&self, site: usize) -> bool {
        self.stops.iter().any(|stop| stop.site == site)
    }
}
