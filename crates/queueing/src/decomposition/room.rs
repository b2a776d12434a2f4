//! Loss and waiting of one station as functions of a real capacity.

/// Loss, and the mean number of jobs that wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Room {
    pub(super) loss: f64,
    pub(super) waiting: f64,
}

/// Jobs of one class at a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Class {
    /// Share of the arrivals.
    pub(super) share: f64,
    /// Arrivals of all classes during one service of this one.
    pub(super) arrivals: f64,
    /// Squared coefficient of variation of the service.
    pub(super) scv: f64,
}

/// Arrivals during a service that are looked at; heavier tails are put on the last.
const MOST_ARRIVALS: usize = 400;

/// Terms and deviations that no metric of an approximation would show.
const NEGLIGIBLE: f64 = 1e-11;

/// The recursion of [M/G/1/K](crate::mg1k), with memory kept.
#[derive(Debug, Clone, Default)]
pub(super) struct SingleCore {
    terms: Vec<Term>,
    /// P(A ≥ j), from the last to the first.
    tails: Vec<f64>,
    levels: Vec<f64>,
    load: f64,
}

/// The probability of j arrivals in a service of one class, times its share; the ratio to the next one is
/// (`slope` + `growth`·j)/(j + 1).
#[derive(Debug, Clone, Copy)]
struct Term {
    value: f64,
    slope: f64,
    growth: f64,
}

impl Class {
    fn term(&self) -> Term {
        if self.scv < 1e-9 {
            return Term { value: self.share * (-self.arrivals).exp(), slope: self.arrivals, growth: 0.0 };
        }
        let shape = 1.0 / self.scv;
        let growth = self.arrivals / (self.arrivals + shape);
        let none = (-shape * (self.arrivals * self.scv).ln_1p()).exp();
        Term { value: self.share * none, slope: growth * shape, growth }
    }
}

impl SingleCore {
    /// Solves for a `capacity` ≥ 1.
    pub(super) fn solve(&mut self, classes: impl Iterator<Item = Class> + Clone, capacity: f64) -> Room {
        self.load = classes.clone().map(|class| class.share * class.arrivals).sum();
        let empty = self.find_tails(classes);
        if empty < NEGLIGIBLE {
            return Room { loss: 1.0 - 1.0 / self.load, waiting: (capacity - 1.0 - 1.0 / self.load).max(0.0) };
        }
        let ratio = self.find_levels(empty, capacity);
        let known = self.levels.len() as f64;
        if capacity > known {
            return self.beyond(capacity - known, ratio);
        }
        let below = self.within(capacity as usize);
        let share = capacity.fract();
        if share < 1e-9 {
            return below;
        }
        let above = self.within(capacity as usize + 1);
        let between = |below: f64, above: f64| below + share * (above - below);
        Room { loss: between(below.loss, above.loss), waiting: between(below.waiting, above.waiting) }
    }

    /// Fills the tails; gives the probability of no arrival.
    fn find_tails(&mut self, classes: impl Iterator<Item = Class> + Clone) -> f64 {
        self.terms.clear();
        self.terms.extend(classes.clone().map(|class| class.term()));
        let most = classes.map(|class| class.arrivals).fold(0.0, f64::max);
        self.tails.clear();
        let mut rest = 1.0;
        loop {
            let level = self.tails.len() as f64;
            self.tails.push(rest);
            let mut sum = 0.0;
            for term in &mut self.terms {
                sum += term.value;
                term.value *= (term.slope + term.growth * level) / (level + 1.0);
            }
            rest -= sum;
            if rest < NEGLIGIBLE || (sum < 0.1 * NEGLIGIBLE && level > most) || self.tails.len() == MOST_ARRIVALS {
                break;
            }
        }
        let empty = 1.0 - self.tails.get(1).copied().unwrap_or(0.0);
        self.tails.reverse();
        empty
    }

    /// Fills the levels until the capacity is reached or they are geometric; gives the last ratio.
    fn find_levels(&mut self, empty: f64, capacity: f64) -> f64 {
        let reach = self.tails.len();
        // The tail of lag m, without a branch for the first.
        let tail = |tails: &[f64], lag: usize| if lag < reach { tails[reach - 1 - lag] } else { 0.0 };
        self.levels.clear();
        self.levels.push(1.0);
        let mut ratio = 0.0;
        while (self.levels.len() as f64) < capacity {
            let j = self.levels.len() - 1;
            let first = (j + 3).saturating_sub(reach).max(1);
            let mut sum = self.levels[0] * tail(&self.tails, j + 1);
            if first <= j {
                let lag = j + 2 - first;
                let lags = &self.tails[reach - 1 - lag..reach - 2];
                sum += self.levels[first..=j].iter().zip(lags).map(|(level, tail)| level * tail).sum::<f64>();
            }
            let next = sum / empty;
            let last = std::mem::replace(&mut ratio, next / self.levels[j]);
            self.levels.push(next);
            if (ratio - last).abs() < 1e-9 * ratio && j + 2 >= reach.min(24) {
                break;
            }
            crate::numeric::rescale_if_large(&mut self.levels);
        }
        ratio
    }

    fn within(&self, capacity: usize) -> Room {
        let (mut total, mut jobs) = (0.0, 0.0);
        for (level, weight) in self.levels[..capacity].iter().enumerate() {
            total += weight;
            jobs += level as f64 * weight;
        }
        self.room(capacity as f64, total, jobs, self.levels[0] + (self.load - 1.0) * total)
    }

    /// `more` places than there are levels, continued with `ratio`.
    fn beyond(&self, more: f64, ratio: f64) -> Room {
        let known = self.levels.len() as f64;
        let capacity = known + more;
        let last = self.levels[self.levels.len() - 1];
        if ratio > 1.0 && more * ratio.ln() > 40.0 {
            // Nothing is left at the bottom: geometric from the top.
            let missing = ratio / ((ratio - 1.0) * self.load);
            return Room { loss: 1.0 - 1.0 / self.load, waiting: (capacity - 1.0 - missing).max(0.0) };
        }
        let (sum, moment) = geometric_sums(ratio, more);
        let (mut total, mut jobs) = (0.0, 0.0);
        for (level, weight) in self.levels.iter().enumerate() {
            total += weight;
            jobs += level as f64 * weight;
        }
        total += last * sum;
        jobs += last * ((known - 1.0) * sum + moment);
        // The sum over all levels cancels where the loss is small; what is beyond the capacity does not.
        let full = if self.load < 0.999 && ratio < 1.0 {
            (1.0 - self.load) * last * ratio.powf(more + 1.0) / (1.0 - ratio)
        } else {
            self.levels[0] + (self.load - 1.0) * total
        };
        self.room(capacity, total, jobs, full)
    }

    fn room(&self, capacity: f64, total: f64, jobs: f64, full: f64) -> Room {
        let full = full.max(0.0);
        let all = total + full;
        let busy = 1.0 - self.levels[0] / all;
        let waiting = ((jobs + capacity * full) / all - busy).max(0.0);
        Room { loss: full / all, waiting }
    }
}

/// Several cores with exponential service, or a shared processor: `load` in jobs, a whole number of `cores` and a real
/// number of `places` to wait.
pub(super) fn several_cores(load: f64, cores: usize, places: f64) -> Room {
    let (mut total, mut weight) = (1.0, 1.0);
    for level in 1..=cores {
        weight *= load / level as f64;
        total += weight;
        if total > 1e200 {
            weight *= 1e-200;
            total *= 1e-200;
        }
    }
    let ratio = load / cores as f64;
    if ratio > 1.0 && places * ratio.ln() > 40.0 {
        return Room { loss: 1.0 - 1.0 / ratio, waiting: (places - 1.0 / (ratio - 1.0)).max(0.0) };
    }
    let (sum, moment) = geometric_sums(ratio, places);
    total += weight * sum;
    Room { loss: weight * ratio.powf(places) / total, waiting: weight * moment / total }
}

/// Σ rⁱ and Σ i rⁱ over i = 1..=m, continued to real m.
fn geometric_sums(ratio: f64, count: f64) -> (f64, f64) {
    let gap = ratio - 1.0;
    if gap.abs() * (count + 1.0) < 1e-4 {
        // To second order in what is then below 1e-4.
        let triangle = count * (count + 1.0) / 2.0;
        return (count + gap * triangle, triangle + gap * triangle * (2.0 * count + 1.0) / 3.0);
    }
    let power = ratio.powf(count);
    let sum = ratio * (power - 1.0) / gap;
    (sum, (count * power * ratio - sum) / gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, Service, mg1k, mmck};
    use proptest::prelude::*;

    #[test]
    fn sums_continue_through_ratio_one() {
        for ratio in [0.3, 0.99, 0.999_999, 1.0, 1.000_001, 1.2] {
            let (sum, moment) = geometric_sums(ratio, 40.0);
            let powers = (1..=40).map(|i| (f64::from(i), f64::powi(ratio, i)));
            let (expected_sum, expected_moment) =
                powers.fold((0.0, 0.0), |(sum, moment), (i, power)| (sum + power, moment + i * power));
            assert!((sum - expected_sum).abs() < 1e-8 * expected_sum, "{ratio}: {sum} {expected_sum}");
            assert!((moment - expected_moment).abs() < 1e-7 * expected_moment, "{ratio}: {moment} {expected_moment}");
        }
    }

    proptest! {
        #[test]
        fn one_core_is_the_embedded_chain(
            shares in 0.0..=1.0f64, loads in (0.01..2.0f64, 0.01..2.0f64), scvs in (0.0..2.0f64, 0.0..2.0f64),
            constant: bool, capacity in 1usize..400,
        ) {
            let scvs = if constant { (0.0, 0.0) } else { scvs };
            let classes = [
                Class { share: shares, arrivals: loads.0, scv: scvs.0 },
                Class { share: 1.0 - shares, arrivals: loads.1, scv: scvs.1 },
            ];
            let room = SingleCore::default().solve(classes.iter().copied(), capacity as f64);
            let exits = classes.map(|class| (class.share, Law::gamma(class.arrivals, class.scv).unwrap()));
            let exact = mg1k::solve(1.0, &Service::new(exits).unwrap(), capacity).unwrap().metrics;
            prop_assert!((room.loss - exact.loss).abs() < 1e-7, "{} {}", room.loss, exact.loss);
            let waiting = exact.throughput * exact.mean_wait;
            prop_assert!((room.waiting - waiting).abs() < 1e-5 * (1.0 + waiting), "{} {}", room.waiting, waiting);
        }

        #[test]
        fn several_cores_are_the_birth_death_chain(load in 0.01..20.0f64, cores in 1usize..12, places in 0usize..300) {
            let room = several_cores(load, cores, places as f64);
            let exact = mmck::solve(load, 1.0, cores, cores + places).unwrap().metrics;
            prop_assert!((room.loss - exact.loss).abs() < 1e-10, "{} {}", room.loss, exact.loss);
            let waiting = exact.mean_jobs - exact.throughput;
            prop_assert!((room.waiting - waiting).abs() < 1e-7 * (1.0 + waiting), "{} {}", room.waiting, waiting);
        }
    }
}
