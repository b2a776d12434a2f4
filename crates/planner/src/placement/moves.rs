//! Neighbours of a placement.

use super::fit::Fit;
use super::route::{Placement, Route, Stop};
use domain::FragmentRange;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Proposals until one fits, at most.
const MOST_TRIES: usize = 40;

/// Makes neighbours.
pub(super) struct Mover<'f, 'a> {
    pub(super) fit: &'f Fit<'a>,
    /// Services that may be moved.
    pub(super) free: Vec<usize>,
    /// What services may be taken back to.
    pub(super) incumbent: Placement,
}

impl Mover<'_, '_> {
    /// Another placement that fits; `None` where none was met.
    pub(super) fn neighbour(&self, placement: &Placement, rng: &mut ChaCha8Rng) -> Option<Placement> {
        (0..MOST_TRIES).find_map(|_| {
            let mut next = placement.clone();
            self.change(&mut next, rng)?;
            let next = next.tidy();
            (next != *placement && self.fit.holds(&next)).then_some(next)
        })
    }

    fn change(&self, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        let service = *pick(&self.free, rng)?;
        match rng.random_range(0..12) {
            0 | 1 => self.replace_site(service, placement, rng),
            2 | 3 => shift_cut(&mut placement.services[service], rng),
            4 => self.split(service, placement, rng),
            5 => merge(&mut placement.services[service], rng),
            6 | 7 => self.add(service, placement, rng),
            8 => remove(&mut placement.services[service], rng),
            9 => self.swap_sites(service, placement, rng),
            10 => swap_tails(&mut placement.services[service], rng),
            _ => self.renew(service, placement, rng),
        }
    }

    fn site(&self, service: usize, route: &Route, rng: &mut ChaCha8Rng) -> Option<usize> {
        let others: Vec<usize> =
            self.fit.allowed[service].iter().copied().filter(|&site| !route.visits(site)).collect();
        pick(&others, rng).copied()
    }

    /// A fragment moves.
    fn replace_site(&self, service: usize, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        let route = pick_mut(&mut placement.services[service], rng)?;
        let site = self.site(service, route, rng)?;
        pick_mut(&mut route.stops, rng)?.site = site;
        Some(())
    }

    /// A fragment becomes two, one of which moves.
    fn split(&self, service: usize, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        let route = pick_mut(&mut placement.services[service], rng)?;
        let site = self.site(service, route, rng)?;
        let at = rng.random_range(0..route.stops.len());
        let Stop { site: old, range } = route.stops[at];
        if range.first == range.last {
            return None;
        }
        let cut = rng.random_range(range.first..range.last);
        let (head, tail) = if rng.random() { (old, site) } else { (site, old) };
        route.stops[at] = Stop { site: head, range: FragmentRange { first: range.first, last: cut } };
        route.stops.insert(at + 1, Stop { site: tail, range: FragmentRange { first: cut + 1, last: range.last } });
        Some(())
    }

    /// A chain more: a new one, or another one a little changed.
    fn add(&self, service: usize, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        if placement.services[service].len() >= self.fit.demands[service].most_chains {
            return None;
        }
        let route = if rng.random() {
            self.fresh(service, rng)?
        } else {
            let mut alone = Placement { services: vec![vec![]; placement.services.len()] };
            alone.services[service].push(pick(&placement.services[service], rng)?.clone());
            match rng.random_range(0..4) {
                0 => self.replace_site(service, &mut alone, rng)?,
                1 => shift_cut(&mut alone.services[service], rng)?,
                2 => self.split(service, &mut alone, rng)?,
                _ => merge(&mut alone.services[service], rng)?,
            }
            alone.services[service].pop()?
        };
        placement.services[service].push(route);
        Some(())
    }

    /// A chain of one or two stops.
    fn fresh(&self, service: usize, rng: &mut ChaCha8Rng) -> Option<Route> {
        let whole = self.fit.demands[service].whole();
        let first = *pick(&self.fit.allowed[service], rng)?;
        let mut route = Route::single(first, whole);
        if whole.last > 0 && rng.random() {
            let second = self.site(service, &route, rng)?;
            let cut = rng.random_range(0..whole.last);
            route.stops[0].range.last = cut;
            route.stops.push(Stop { site: second, range: FragmentRange { first: cut + 1, last: whole.last } });
        }
        Some(route)
    }

    /// Two fragments, of this service and of any, change places.
    fn swap_sites(&self, service: usize, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        let other = *pick(&self.free, rng)?;
        let mine = pick(&pick(&placement.services[service], rng)?.stops, rng)?.site;
        let theirs = pick(&pick(&placement.services[other], rng)?.stops, rng)?.site;
        let swap = |routes: &mut Vec<Route>, from: usize, to: usize| {
            for stop in routes.iter_mut().flat_map(|route| &mut route.stops).filter(|stop| stop.site == from) {
                stop.site = to;
            }
        };
        if other == service {
            for stop in placement.services[service].iter_mut().flat_map(|route| &mut route.stops) {
                stop.site = if stop.site == mine {
                    theirs
                } else if stop.site == theirs {
                    mine
                } else {
                    stop.site
                };
            }
        } else {
            swap(&mut placement.services[service], mine, theirs);
            swap(&mut placement.services[other], theirs, mine);
        }
        Some(())
    }

    /// A chain, or all of them, as before; where nothing was before, another chain.
    fn renew(&self, service: usize, placement: &mut Placement, rng: &mut ChaCha8Rng) -> Option<()> {
        let before = &self.incumbent.services[service];
        if before.is_empty() {
            *pick_mut(&mut placement.services[service], rng)? = self.fresh(service, rng)?;
        } else if rng.random() {
            placement.services[service].clone_from(before);
        } else {
            *pick_mut(&mut placement.services[service], rng)? = pick(before, rng)?.clone();
        }
        Some(())
    }
}

/// The cut between two fragments moves by a segment.
fn shift_cut(routes: &mut [Route], rng: &mut ChaCha8Rng) -> Option<()> {
    let stops = &mut pick_mut(routes, rng)?.stops;
    if stops.len() < 2 {
        return None;
    }
    let at = rng.random_range(1..stops.len());
    let (head, tail) = (stops[at - 1].range, stops[at].range);
    let cut = if rng.random() {
        (tail.first < tail.last).then_some(tail.first)?
    } else {
        (head.first < head.last).then(|| head.last - 1)?
    };
    stops[at - 1].range.last = cut;
    stops[at].range.first = cut + 1;
    Some(())
}

/// Two fragments of a chain become one, where one of them was.
fn merge(routes: &mut [Route], rng: &mut ChaCha8Rng) -> Option<()> {
    let stops = &mut pick_mut(routes, rng)?.stops;
    if stops.len() < 2 {
        return None;
    }
    let at = rng.random_range(1..stops.len());
    let tail = stops.remove(at);
    if rng.random() {
        stops[at - 1].site = tail.site;
    }
    stops[at - 1].range.last = tail.range.last;
    Some(())
}

fn remove(routes: &mut Vec<Route>, rng: &mut ChaCha8Rng) -> Option<()> {
    if routes.len() < 2 {
        return None;
    }
    routes.swap_remove(rng.random_range(0..routes.len()));
    Some(())
}

/// Two chains that are cut at the same place exchange what follows.
fn swap_tails(routes: &mut [Route], rng: &mut ChaCha8Rng) -> Option<()> {
    if routes.len() < 2 {
        return None;
    }
    let one = rng.random_range(0..routes.len());
    let other = (one + rng.random_range(1..routes.len())) % routes.len();
    let cuts = |route: &Route| -> Vec<usize> { route.stops.iter().map(|stop| stop.range.last).collect() };
    let theirs = cuts(&routes[other]);
    let whole = *theirs.last()?;
    let shared: Vec<usize> =
        cuts(&routes[one]).into_iter().filter(|cut| *cut < whole && theirs.contains(cut)).collect();
    let cut = *pick(&shared, rng)?;
    let mut tail_of = |index: usize| {
        let stops = &mut routes[index].stops;
        let at = stops.iter().position(|stop| stop.range.first > cut).unwrap_or(stops.len());
        stops.split_off(at)
    };
    let (mine, theirs) = (tail_of(one), tail_of(other));
    routes[one].stops.extend(theirs);
    routes[other].stops.extend(mine);
    Some(())
}

fn pick<'i, Item>(items: &'i [Item], rng: &mut ChaCha8Rng) -> Option<&'i Item> {
    (!items.is_empty()).then(|| &items[rng.random_range(0..items.len())])
}

fn pick_mut<'i, Item>(items: &'i mut [Item], rng: &mut ChaCha8Rng) -> Option<&'i mut Item> {
    if items.is_empty() { None } else { Some(&mut items[rng.random_range(0..items.len())]) }
}
