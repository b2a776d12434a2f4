//! Schedulers and sources.

use super::{Checked, LONGEST, SHORTEST, each, known, law, not_empty, require, time};
use crate::network::{Arrivals, Network, Routing, Source};

impl Network {
    pub(super) fn check_schedulers(&self) -> Checked {
        let mut owner = vec![None; self.chains.len()];
        for (number, scheduling) in self.schedulers.iter().enumerate() {
            let place = format!("schedulers[{number}]");
            not_empty(&format!("{place}.chains"), scheduling.chains.len())?;
            for (index, &chain) in scheduling.chains.iter().enumerate() {
                let place = format!("{place}.chains[{index}]");
                known(&place, chain, self.chains.len(), "chain")?;
                let owned = owner[chain].replace(number).is_some();
                require(!owned, &place, "is a chain that a scheduler has already; give each its own")?;
            }
            let turnaround = scheduling.turnaround;
            let place_of = format!("{place}.turnaround");
            require(turnaround >= 0.0 && turnaround.is_finite(), &place_of, "must be a finite number ≥ 0")?;
            if let Some((region, _)) = scheduling.gateway {
                known(&format!("{place}.gateway"), region, self.regions.len(), "region")?;
            }
        }
        Ok(())
    }

    pub(super) fn check_sources(&self) -> Checked {
        each("sources", &self.sources, |place, source| {
            arrivals(&format!("{place}.arrivals"), &source.arrivals)?;
            self.check_routing(&format!("{place}.routing"), &source.routing)?;
            limits(place, source)
        })
    }

    fn check_routing(&self, place: &str, routing: &Routing) -> Checked {
        let shares = match routing {
            Routing::Scheduled(scheduler) => return known(place, *scheduler, self.schedulers.len(), "scheduler"),
            Routing::Mixture(shares) => shares,
        };
        not_empty(place, shares.len())?;
        for (index, &(chain, probability)) in shares.iter().enumerate() {
            let place = format!("{place}[{index}]");
            known(&place, chain, self.chains.len(), "chain")?;
            require((0.0..=1.0).contains(&probability), &place, "must have a probability between 0 and 1")?;
            let decided = self.chains[chain].model.is_none();
            require(decided, &place, "is a chain with a model; a scheduler has to decide where its jobs leave")?;
        }
        let sum: f64 = shares.iter().map(|share| share.1).sum();
        require((sum - 1.0).abs() < 1e-6, place, &format!("has probabilities that sum to {sum}, not to 1"))
    }
}

fn limits(place: &str, source: &Source) -> Checked {
    if let Some(deadline) = source.deadline {
        time(&format!("{place}.deadline"), deadline)?;
    }
    if let Some(retry) = source.retry {
        require(retry.attempts <= 1000, &format!("{place}.retry.attempts"), "must be at most 1,000")?;
        require((0.0..=LONGEST).contains(&retry.delay), &format!("{place}.retry.delay"), "must be a time, 0 or more")?;
    }
    Ok(())
}

fn arrivals(place: &str, arrivals: &Arrivals) -> Checked {
    match arrivals {
        Arrivals::Renewal(gaps) => {
            law(place, gaps)?;
            require(gaps.mean() >= SHORTEST, place, "must have a mean time between arrivals above 0")
        }
        Arrivals::Mmpp2 { rates, switch } => {
            let sound = |rate: &f64| (0.0..=1.0 / SHORTEST).contains(rate);
            require(rates.iter().all(sound) && rates.iter().any(|&r| r > 0.0), place, "must have a rate above 0")?;
            let changes = |rate: &f64| (1.0 / LONGEST..=1.0 / SHORTEST).contains(rate);
            require(switch.iter().all(changes), place, "must have switching rates between 1e-12 and 1e12")?;
            let rate = arrivals.rate().unwrap_or(0.0);
            let rare = switch.iter().sum::<f64>() > 1e6 * rate;
            require(!rare, place, "must not change phase a million times between two arrivals")
        }
        Arrivals::Trace(times) => {
            not_empty(place, times.len())?;
            let sound = times.iter().all(|time| (0.0..=LONGEST).contains(time)) && times.is_sorted();
            require(sound, place, "must be times from 0 on that do not decrease")
        }
        Arrivals::Piecewise { gaps, pieces, repeat } => {
            law(place, gaps)?;
            require((gaps.mean() - 1.0).abs() < 1e-6, place, "must have gaps with a mean of 1")?;
            piecewise(place, pieces, *repeat)
        }
    }
}

fn piecewise(place: &str, pieces: &[(f64, f64)], repeat: bool) -> Checked {
    not_empty(place, pieces.len())?;
    for (index, &(length, rate)) in pieces.iter().enumerate() {
        let place = format!("{place}.pieces[{index}]");
        time(&place, length)?;
        require((0.0..=1.0 / SHORTEST).contains(&rate), &place, "must have a rate of 0 or more, at most 1e12")?;
    }
    let jobs: f64 = pieces.iter().map(|(length, rate)| length * rate).sum();
    require(jobs > 0.0, place, "must have a piece with a rate above 0: no job would ever arrive")?;
    require(!repeat || jobs > 1e-6, place, "must not repeat a million times between two arrivals")
}
