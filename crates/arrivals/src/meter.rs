//! One stream of increments from the counters of several replicas that restart, come, go, and are read when they can be.
//!
//! Sums of cumulative counters are cumulative counters: while a replica does not answer the others are not read either, and
//! the next increment covers the longer time. An interval in which any replica began, ended or restarted is left out as a
//! whole, count and time: how long its new counter has been running is not known, and half a count would look like a change.

use std::collections::BTreeMap;

/// Arrivals between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Increment {
    /// Arrivals.
    pub count: u64,
    /// Seconds between the readings; > 0.
    pub seconds: f64,
}

/// Counters of the replicas that one source sends to.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    replicas: BTreeMap<String, u64>,
    /// When all replicas were read last; seconds since any start.
    read: Option<f64>,
}

impl Meter {
    /// Seconds after which a replica that does not answer is taken as gone.
    pub const PATIENCE: f64 = 3.0;

    /// Reads the counters of the replicas that answered, at `now` seconds since any fixed start. `None` where the interval
    /// says nothing: the first one, one with a restart, a time that does not advance, a replica that may still answer.
    pub fn read<'a>(&mut self, now: f64, counters: impl Iterator<Item = (&'a str, u64)> + Clone) -> Option<Increment> {
        let Some(since) = self.read.filter(|_| !self.replicas.is_empty()) else {
            self.restart(now, counters);
            return None;
        };
        let seconds = now - since;
        if !(seconds > 0.0 && seconds.is_finite()) {
            return None;
        }
        let answered = counters.clone().filter(|(name, _)| self.replicas.contains_key(*name)).count();
        if answered < self.replicas.len() {
            if seconds > Self::PATIENCE {
                self.restart(now, counters);
            }
            return None;
        }
        let mut count = 0;
        let mut continues = true;
        for (name, value) in counters.clone() {
            match self.replicas.get_mut(name) {
                Some(before) if *before <= value => count += value - std::mem::replace(before, value),
                _ => continues = false,
            }
        }
        if !continues {
            self.restart(now, counters);
            return None;
        }
        self.read = Some(now);
        Some(Increment { count, seconds })
    }

    fn restart<'a>(&mut self, now: f64, counters: impl Iterator<Item = (&'a str, u64)>) {
        self.replicas = counters.map(|(name, value)| (name.to_owned(), value)).collect();
        self.read = now.is_finite().then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When, counters of replicas, increment that is expected.
    type Row = (f64, &'static [(&'static str, u64)], Option<(u64, f64)>);

    fn check(rows: &[Row]) {
        let mut meter = Meter::default();
        for (now, counters, want) in rows {
            let found = meter.read(*now, counters.iter().copied()).map(|one| (one.count, one.seconds));
            assert_eq!(found, *want, "at {now}");
        }
    }

    #[test]
    fn counters_of_replicas_are_summed() {
        check(&[
            (10.0, &[("a", 100), ("b", 50)], None),
            (10.5, &[("a", 110), ("b", 51)], Some((11, 0.5))),
            (11.5, &[("a", 110), ("b", 61)], Some((10, 1.0))),
        ]);
    }

    #[test]
    fn a_replica_that_misses_a_reading_loses_nothing() {
        check(&[
            (1.0, &[("a", 1), ("b", 1)], None),
            (2.0, &[("a", 11)], None),
            (3.0, &[("a", 21), ("b", 21)], Some((40, 2.0))),
        ]);
    }

    #[test]
    fn a_restart_costs_its_interval_and_no_more() {
        check(&[
            (1.0, &[("a", 100), ("b", 7)], None),
            (2.0, &[("a", 4), ("b", 9)], None),
            (3.0, &[("a", 14), ("b", 11)], Some((12, 1.0))),
        ]);
    }

    #[test]
    fn replicas_come_and_go() {
        check(&[
            (1.0, &[("a", 1)], None),
            (2.0, &[("a", 2), ("b", 1_000_000)], None),
            (3.0, &[("a", 3), ("b", 1_000_001)], Some((2, 1.0))),
            (5.0, &[("a", 9)], None),
            (7.0, &[("a", 19)], None),
            (8.0, &[("a", 24)], Some((5, 1.0))),
            (12.0, &[], None),
            (13.0, &[], None),
            (14.0, &[("a", 100)], None),
            (15.0, &[("a", 101)], Some((1, 1.0))),
        ]);
    }

    #[test]
    fn time_that_does_not_advance_says_nothing() {
        check(&[
            (1.0, &[("a", 1)], None),
            (1.0, &[("a", 5)], None),
            (0.5, &[("a", 6)], None),
            (f64::NAN, &[("a", 6)], None),
            (2.0, &[("a", 7)], Some((6, 1.0))),
        ]);
    }
}
