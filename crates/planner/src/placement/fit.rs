//! What fits: readiness, architecture, reachability, memory and cores.

use super::ground::{Demand, Ground, Way};
use super::reason::Reason;
use super::route::{Placement, Route, Stop};
use domain::FragmentRange;
use std::collections::BTreeSet;

/// Nodes of the search for a chain, at most: with dead ends cut off it hardly ever turns back.
const MOST_LOOKS: usize = 20_000;

/// The rules for one ground and its services.
#[derive(Debug)]
pub(super) struct Fit<'a> {
    pub(super) ground: &'a Ground,
    pub(super) demands: &'a [Demand],
    /// Per service and site why it cannot host any fragment of it, whatever else lives there.
    pub(super) barred: Vec<Vec<Option<Reason>>>,
    /// Per service the sites that can host something.
    pub(super) allowed: Vec<Vec<usize>>,
    /// Per service and site whether it can come first: all sources reach it.
    first: Vec<Vec<bool>>,
}

/// What is taken of each site.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    memory: Vec<u64>,
    jobs: Vec<u64>,
    cores: Vec<f64>,
    fragments: BTreeSet<(usize, Stop)>,
}

impl<'a> Fit<'a> {
    pub(super) fn new(ground: &'a Ground, demands: &'a [Demand]) -> Self {
        let mut fit = Self { ground, demands, barred: vec![], allowed: vec![], first: vec![] };
        for demand in demands {
            let mut barred: Vec<Option<Reason>> =
                (0..ground.sites.len()).map(|site| bar(ground, demand, site)).collect();
            let first: Vec<bool> = (0..barred.len())
                .map(|site| barred[site].is_none() && demand.sources.iter().all(|one| fit.reaches(one.site, site)))
                .collect();
            let reached = fit.reached(&barred, &first);
            for (site, reason) in barred.iter_mut().enumerate() {
                if reason.is_none() && !reached[site] {
                    *reason = Some(fit.unreached(demand, site));
                }
            }
            fit.allowed.push((0..barred.len()).filter(|&site| barred[site].is_none()).collect());
            fit.barred.push(barred);
            fit.first.push(first);
        }
        fit
    }

    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        from == to || self.ground.ways[from][to] != Way::None
    }

    /// Sites on some way that starts at a first one.
    fn reached(&self, barred: &[Option<Reason>], first: &[bool]) -> Vec<bool> {
        let mut reached = first.to_vec();
        let mut open: Vec<usize> = (0..first.len()).filter(|&site| first[site]).collect();
        while let Some(from) = open.pop() {
            for to in 0..reached.len() {
                if !reached[to] && barred[to].is_none() && self.reaches(from, to) {
                    reached[to] = true;
                    open.push(to);
                }
            }
        }
        reached
    }

    pub(super) fn unreached(&self, demand: &Demand, site: usize) -> Reason {
        let blind = demand.sources.iter().find(|source| !self.reaches(source.site, site));
        let from = blind.map_or(demand.sources[0].site, |source| source.site);
        Reason::Unreached { gateway: self.ground.sites[from].name.clone() }
    }

    /// Whether a chain is one: allowed sites, distinct, each within reach of the one before.
    fn walks(&self, service: usize, route: &Route) -> bool {
        let stops = &route.stops;
        let allowed = stops.iter().all(|stop| self.barred[service][stop.site].is_none());
        let distinct = stops.iter().map(|stop| stop.site).collect::<BTreeSet<_>>().len() == stops.len();
        let linked = stops.windows(2).all(|pair| self.reaches(pair[0].site, pair[1].site));
        allowed && distinct && linked && stops.first().is_some_and(|stop| self.first[service][stop.site])
    }

    /// Whether a chain holds the whole model, in order.
    fn is_whole(&self, service: usize, route: &Route) -> bool {
        let mut next = 0;
        let ordered = route.stops.iter().all(|stop| {
            let follows = stop.range.first == next && stop.range.last >= stop.range.first;
            next = stop.range.last + 1;
            follows
        });
        ordered && next == self.demands[service].model.segments()
    }

    /// Whether everything is as it must be; chains by hand are taken as they are.
    pub(super) fn holds(&self, placement: &Placement) -> bool {
        let mut usage = self.pinned();
        placement.services.iter().enumerate().all(|(service, routes)| {
            self.demands[service].pinned.is_some()
                || routes.len() <= self.demands[service].most_chains
                    && routes.iter().all(|route| {
                        self.walks(service, route)
                            && self.is_whole(service, route)
                            && route.stops.iter().all(|stop| self.take(&mut usage, service, *stop))
                    })
        })
    }

    /// What chains by hand take.
    pub(super) fn pinned(&self) -> Usage {
        let sites = self.ground.sites.len();
        let mut usage =
            Usage { memory: vec![0; sites], jobs: vec![0; sites], cores: vec![0.0; sites], fragments: BTreeSet::new() };
        for (service, demand) in self.demands.iter().enumerate() {
            for stop in demand.pinned.iter().flatten().flat_map(|route| &route.stops) {
                self.add(&mut usage, service, *stop);
            }
        }
        usage
    }

    /// What everything takes.
    pub(super) fn usage(&self, placement: &Placement) -> Usage {
        let mut usage = self.pinned();
        for service in 0..placement.services.len() {
            placement.fragments(service).into_iter().for_each(|stop| self.add(&mut usage, service, stop));
        }
        usage
    }

    pub(super) fn add(&self, usage: &mut Usage, service: usize, stop: Stop) {
        let demand = &self.demands[service];
        if usage.fragments.insert((service, stop)) {
            usage.memory[stop.site] = usage.memory[stop.site].saturating_add(demand.memory(stop.range).0);
            usage.jobs[stop.site] = usage.jobs[stop.site].saturating_add(demand.size.memory_budget.0);
            usage.cores[stop.site] += demand.size.cpu_request.unwrap_or(0.0);
        }
    }

    /// Takes a fragment in if there is room for it.
    pub(super) fn take(&self, usage: &mut Usage, service: usize, stop: Stop) -> bool {
        let fits = self.lack(usage, service, stop).is_none();
        if fits {
            self.add(usage, service, stop);
        }
        fits
    }

    /// Memory that is left on a site, where that is limited.
    pub(super) fn free(&self, usage: &Usage, site: usize) -> Option<u64> {
        self.ground.sites[site].free_memory.map(|all| all.0.saturating_sub(usage.memory[site]))
    }

    /// What a site lacks for a fragment.
    pub(super) fn lack(&self, usage: &Usage, service: usize, stop: Stop) -> Option<Reason> {
        if usage.fragments.contains(&(service, stop)) {
            return None;
        }
        let (site, demand) = (&self.ground.sites[stop.site], &self.demands[service]);
        let (range, budget) = (stop.range, demand.size.memory_budget.0);
        let held = demand.model.held_bytes(range);
        if held > budget {
            return Some(Reason::JobTooLarge { range, need: held, budget });
        }
        let need = demand.memory(range).0;
        if let Some(free) = self.free(usage, stop.site).filter(|free| need > *free) {
            return Some(Reason::NoRoom { range, need, free });
        }
        let for_jobs = site.memory_budget.map(|all| all.0.saturating_sub(usage.jobs[stop.site]));
        if let Some(free) = for_jobs.filter(|free| budget > *free) {
            return Some(Reason::NoRoomForJobs { need: budget, free });
        }
        let (need, free) = (demand.size.cpu_request.unwrap_or(0.0), site.cores - usage.cores[stop.site]);
        (need > free + 1e-9).then_some(Reason::NoCores { need, free: free.max(0.0) })
    }

    pub(super) fn can_start(&self, service: usize, site: usize) -> bool {
        self.first[service][site]
    }

    /// Some chain that fits, the one with the fewest stops on the fastest sites where there is a choice.
    pub(super) fn any_route(&self, service: usize, usage: &Usage) -> Option<Route> {
        let segments = self.demands[service].model.segments();
        let mut sites = self.allowed[service].clone();
        sites.sort_by(|one, other| self.ground.sites[*other].speed.total_cmp(&self.ground.sites[*one].speed));
        (1..=segments.min(sites.len())).find_map(|most| {
            let mut walk = Walk { fit: self, service, usage, sites: &sites, most, stops: vec![], looks: 0 };
            walk.on(0).then_some(Route { stops: walk.stops })
        })
    }

    /// The longest run of segments that a site has room for, and what keeps it from the whole model.
    pub(super) fn longest(
        &self,
        service: usize,
        site: usize,
        usage: &Usage,
    ) -> (Option<FragmentRange>, Option<Reason>) {
        let whole = self.demands[service].whole();
        let Some(lack) = self.lack(usage, service, Stop { site, range: whole }) else { return (Some(whole), None) };
        let ranges =
            (0..=whole.last).flat_map(|first| (first..=whole.last).map(move |last| FragmentRange { first, last }));
        let fits = ranges.filter(|range| self.lack(usage, service, Stop { site, range: *range }).is_none());
        (fits.max_by_key(|range| (range.last - range.first, usize::MAX - range.first)), Some(lack))
    }
}

fn bar(ground: &Ground, demand: &Demand, site: usize) -> Option<Reason> {
    let site = &ground.sites[site];
    if let Some(trouble) = &site.trouble {
        return Some(Reason::Unavailable(trouble.clone()));
    }
    let own = site.architecture.as_ref().filter(|_| !demand.architectures.is_empty())?;
    (!demand.architectures.contains(own)).then(|| Reason::Architecture(own.clone()))
}

/// A search for a chain in depth.
struct Walk<'f, 'a> {
    fit: &'f Fit<'a>,
    service: usize,
    usage: &'f Usage,
    sites: &'f [usize],
    most: usize,
    stops: Vec<Stop>,
    looks: usize,
}

impl Walk<'_, '_> {
    /// Whether what is missing from `next` on was found.
    fn on(&mut self, next: usize) -> bool {
        let segments = self.fit.demands[self.service].model.segments();
        if next == segments {
            return true;
        }
        let left = self.most - self.stops.len();
        if left == 0 {
            return false;
        }
        for &site in self.sites {
            let follows = match self.stops.last() {
                None => self.fit.can_start(self.service, site),
                Some(before) => self.fit.reaches(before.site, site),
            };
            if !follows || self.stops.iter().any(|stop| stop.site == site) {
                continue;
            }
            // The last stop that is allowed has to take all that is left.
            let shortest = if left == 1 { segments - 1 } else { next };
            for last in (shortest..segments).rev() {
                self.looks += 1;
                let stop = Stop { site, range: FragmentRange { first: next, last } };
                if self.looks > MOST_LOOKS || self.fit.lack(self.usage, self.service, stop).is_some() {
                    continue;
                }
                self.stops.push(stop);
                if self.on(last + 1) {
                    return true;
                }
                self.stops.pop();
            }
        }
        false
    }
}
