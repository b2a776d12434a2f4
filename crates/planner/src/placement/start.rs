//! Where the search begins: services one after the other, each where it is least in the way.

use super::fit::{Fit, Usage};
use super::ground::{Demand, Way};
use super::route::{Placement, Route, Stop};
use domain::FragmentRange;

/// A further chain has to lower the load of the busiest site of its service by this factor.
const WORTH_A_CHAIN: f64 = 0.95;

/// Placements to begin from, at least one, all with the same services; and those that have no place. The first one keeps what is
/// there, unless a service has a place only where others move.
pub(super) fn starts(fit: &Fit<'_>, before: &Placement) -> (Vec<Placement>, Vec<usize>) {
    let most = fit.demands.iter().map(|demand| demand.most_chains).max().unwrap_or(1);
    let (kept, mut misfits) = construct(fit, before, 1);
    let mut starts = vec![kept];
    for chains in 1..=most {
        let (start, without) = construct(fit, &nothing(fit), chains);
        if without.len() < misfits.len() {
            (starts, misfits) = (vec![start], without);
        } else if without == misfits && !starts.contains(&start) {
            starts.push(start);
        }
    }
    (starts, misfits)
}

/// No chains for anybody.
pub(super) fn nothing(fit: &Fit<'_>) -> Placement {
    Placement { services: vec![vec![]; fit.demands.len()] }
}

/// A placement with up to `chains` per service, and the services that have no place. `kept` are the chains of those that have
/// some already.
fn construct(fit: &Fit<'_>, kept: &Placement, chains: usize) -> (Placement, Vec<usize>) {
    let mut order: Vec<usize> = (0..fit.demands.len()).collect();
    let weight = |service: usize| fit.demands[service].targets.priority;
    order.sort_by(|one, other| weight(*other).total_cmp(&weight(*one)).then(one.cmp(other)));
    let mut best = attempt(fit, kept, &order, chains, Taste::Idle);
    // Whoever found no place comes first the next time, then all leave as much room to others as they can.
    for taste in [Taste::Idle, Taste::Frugal] {
        for _ in 0..fit.demands.len() {
            let Some(&unlucky) = best.1.first() else { break };
            order.retain(|&service| service != unlucky);
            order.insert(0, unlucky);
            let other = attempt(fit, kept, &order, chains, taste);
            if other.1.len() < best.1.len() {
                best = other;
            }
        }
    }
    best.1.sort_unstable();
    (best.0.tidy(), best.1)
}

/// What the first chain of a service is chosen by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Taste {
    /// The busiest device is least busy.
    Idle,
    /// There are few fragments, and they fill up what has little room.
    Frugal,
}

fn attempt(fit: &Fit<'_>, kept: &Placement, order: &[usize], chains: usize, taste: Taste) -> (Placement, Vec<usize>) {
    let mut builder = Constructor { fit, placement: kept.clone(), usage: fit.pinned(), taste, misfits: vec![] };
    for (service, demand) in fit.demands.iter().enumerate() {
        if let Some(pinned) = &demand.pinned {
            builder.placement.services[service].clone_from(pinned);
        }
        builder.take(service);
    }
    // First chains of all before second ones of any.
    for &service in order {
        if builder.placement.services[service].is_empty() && !builder.extend(service) {
            builder.misfits.push(service);
        }
    }
    builder.taste = Taste::Idle;
    for count in 2..=chains {
        for &service in order.iter().filter(|service| fit.demands[**service].pinned.is_none()) {
            let own = builder.placement.services[service].len();
            if own + 1 == count && count <= fit.demands[service].most_chains {
                builder.extend(service);
            }
        }
    }
    (builder.placement, builder.misfits)
}

struct Constructor<'f, 'a> {
    fit: &'f Fit<'a>,
    placement: Placement,
    usage: Usage,
    taste: Taste,
    misfits: Vec<usize>,
}

impl Constructor<'_, '_> {
    fn take(&mut self, service: usize) {
        for stop in self.placement.fragments(service) {
            self.fit.add(&mut self.usage, service, stop);
        }
    }

    /// Adds the chain that is least in the way; whether there is one, and it helps.
    fn extend(&mut self, service: usize) -> bool {
        let others = self.load(service);
        let parts = self.placement.services[service].len() as f64 + 1.0;
        let cost = |route: &Route| match self.taste {
            Taste::Idle => self.cost(service, route, &others, parts),
            Taste::Frugal => (route.stops.len() as f64, self.room(route)),
        };
        let mut best: Option<((f64, f64), Route)> = None;
        self.each_short(service, |route| {
            let cost = cost(&route);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, route));
            }
        });
        let is_first = parts < 1.5;
        let found = match best {
            None if is_first => self.fit.any_route(service, &self.usage),
            Some(((busiest, _), route)) if is_first || busiest < WORTH_A_CHAIN * self.busiest(service, &others) => {
                Some(route)
            }
            _ => None,
        };
        let is_found = found.is_some();
        self.placement.services[service].extend(found);
        self.take(service);
        is_found
    }

    /// Every chain of one or two stops for which there is room.
    fn each_short(&self, service: usize, mut found: impl FnMut(Route)) {
        let whole = self.fit.demands[service].whole();
        let has_room = |stop: Stop| self.fit.lack(&self.usage, service, stop).is_none();
        let known = |route: &Route| self.placement.services[service].contains(route);
        let sites = &self.fit.allowed[service];
        for &first in sites.iter().filter(|site| self.fit.can_start(service, **site)) {
            let alone = Route::single(first, whole);
            if has_room(alone.stops[0]) && !known(&alone) {
                found(alone);
            }
            for last in whole.first..whole.last {
                let head = Stop { site: first, range: FragmentRange { first: 0, last } };
                if !has_room(head) {
                    continue;
                }
                for &second in sites.iter().filter(|site| **site != first && self.fit.reaches(first, **site)) {
                    let tail = Stop { site: second, range: FragmentRange { first: last + 1, last: whole.last } };
                    let route = Route { stops: vec![head, tail] };
                    if has_room(tail) && !known(&route) {
                        found(route);
                    }
                }
            }
        }
    }

    /// Memory that is left on the sites of a chain; what is not limited counts as much.
    fn room(&self, route: &Route) -> f64 {
        route.stops.iter().map(|stop| self.fit.free(&self.usage, stop.site).map_or(1e18, |free| free as f64)).sum()
    }

    /// Per site the share of its time that all services but one would take, to their last exits.
    fn load(&self, but: usize) -> Vec<f64> {
        let mut load = vec![0.0; self.fit.ground.sites.len()];
        for (service, routes) in self.placement.services.iter().enumerate().filter(|(service, _)| *service != but) {
            for stop in routes.iter().flat_map(|route| &route.stops) {
                load[stop.site] += self.share(service, *stop) / routes.len() as f64;
            }
        }
        load
    }

    /// The share of time of a site that all jobs of a service would take at a stop.
    fn share(&self, service: usize, stop: Stop) -> f64 {
        let (site, demand) = (&self.fit.ground.sites[stop.site], &self.fit.demands[service]);
        demand.rate() * work(demand, stop.range) / (site.speed * site.cores)
    }

    /// How busy the busiest site of a chain would be, then how long a job takes.
    fn cost(&self, service: usize, route: &Route, others: &[f64], parts: f64) -> (f64, f64) {
        let own = &self.placement.services[service];
        let at = |site: usize| {
            let stops = own.iter().chain([route]).flat_map(|route| &route.stops).filter(|stop| stop.site == site);
            others[site] + stops.map(|stop| self.share(service, *stop)).sum::<f64>() / parts
        };
        let sites = own.iter().chain([route]).flat_map(|route| &route.stops).map(|stop| stop.site);
        (sites.map(at).fold(0.0, f64::max), self.time(service, route))
    }

    fn busiest(&self, service: usize, others: &[f64]) -> f64 {
        let own = &self.placement.services[service];
        let at = |site: usize| {
            let stops = own.iter().flat_map(|route| &route.stops).filter(|stop| stop.site == site);
            others[site] + stops.map(|stop| self.share(service, *stop)).sum::<f64>() / own.len() as f64
        };
        own.iter().flat_map(|route| &route.stops).map(|stop| at(stop.site)).fold(0.0, f64::max)
    }

    /// Seconds of a job that is alone, to the last exit.
    fn time(&self, service: usize, route: &Route) -> f64 {
        let demand = &self.fit.demands[service];
        let mut from = demand.sources[0].site;
        let mut time = 0.0;
        for stop in &route.stops {
            if let (Way::Link(link), false) = (self.fit.ground.ways[from][stop.site], from == stop.site) {
                time += demand.model.input_bytes(stop.range) as f64 / link.bytes_per_second + link.latency.get();
            }
            time += work(demand, stop.range) / self.fit.ground.sites[stop.site].speed;
            from = stop.site;
        }
        time
    }
}

/// Seconds of all segments and heads on the profiled machine.
fn work(demand: &Demand, range: FragmentRange) -> f64 {
    let model = &demand.model;
    let segments: f64 = model.times.segments[range.first..=range.last].iter().map(|time| time.mean.get()).sum();
    let here = |exit: &usize| (range.first..=range.last).contains(&model.exit_segments[*exit]);
    segments + (0..model.exits()).filter(here).map(|exit| model.times.heads[exit].mean.get()).sum::<f64>()
}
