//! Counters of jobs and their fates.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// What became of a job, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was answered.
    Answered {
        /// Exit that answered, from 0.
        exit: usize,
        /// Whether the class was right; none without a label.
        correct: Option<bool>,
        /// Answered with the last exit evaluated, because the next device was full or away.
        on_overflow: bool,
    },
    /// Memory was full there.
    Lost {
        /// Where.
        place: String,
    },
    /// Deadline, disconnect, dead hop and the like.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Counters of some jobs. arrived = answered + lost + failed + in flight.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Jobs that were due.
    pub(crate) arrived: u64,
    /// Jobs answered.
    pub(crate) answered: u64,
    /// Of these, on overflow.
    pub(crate) answered_on_overflow: u64,
    /// Answers with a label to compare with.
    pub(crate) labelled: u64,
    /// Of these, right ones.
    pub(crate) correct: u64,
    /// Answers per exit.
    pub(crate) exits: Vec<u64>,
    /// Jobs lost, by place.
    pub(crate) lost_at: BTreeMap<String, u64>,
    /// Jobs failed, by reason.
    pub(crate) failed_by: BTreeMap<String, u64>,
    /// Latency of answered jobs in microseconds, from their scheduled arrival.
    latency: Histogram<u64>,
}

/// Three digits: percentiles are right to 0.1 %.
const LATENCY_DIGITS: u8 = 3;

impl Tally {
    /// Nothing yet, for a model of so many exits.
    pub(crate) fn new(exits: usize) -> Self {
        Self {
            arrived: 0,
            answered: 0,
            answered_on_overflow: 0,
            labelled: 0,
            correct: 0,
            exits: vec![0; exits],
            lost_at: BTreeMap::new(),
            failed_by: BTreeMap::new(),
            latency: Histogram::new(LATENCY_DIGITS).expect("3 digits are allowed"),
        }
    }

    /// Records the fate of a job that arrived earlier.
    pub(crate) fn settle(&mut self, fate: &Fate, latency: Duration) {
        match fate {
            Fate::Answered { exit, correct, on_overflow } => {
                self.answered += 1;
                self.answered_on_overflow += u64::from(*on_overflow);
                self.labelled += u64::from(correct.is_some());
                self.correct += u64::from(*correct == Some(true));
                if self.exits.len() <= *exit {
                    self.exits.resize(exit + 1, 0);
                }
                self.exits[*exit] += 1;
                self.latency.record(latency.as_micros() as u64).expect("a histogram that resizes takes every value");
            }
            Fate::Lost { place } => count(&mut self.lost_at, place),
            Fate::Failed { reason } => count(&mut self.failed_by, reason),
        }
    }

    /// Jobs lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_at.values().sum()
    }

    /// Jobs failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed_by.values().sum()
    }

    /// Jobs without a fate yet. Negative would mean that jobs were counted twice.
    pub(crate) fn in_flight(&self) -> i64 {
        self.arrived as i64 - (self.answered + self.lost() + self.failed()) as i64
    }

    /// Share of right answers among those with a label.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        share(self.correct, self.labelled)
    }

    /// Lost ÷ arrived.
    pub(crate) fn loss_ratio(&self) -> Option<f64> {
        share(self.lost(), self.arrived)
    }

    /// Share of the answers per exit.
    pub(crate) fn exit_shares(&self) -> Vec<f64> {
        self.exits.iter().map(|count| share(*count, self.answered).unwrap_or(0.0)).collect()
    }

    /// Mean latency in milliseconds.
    pub(crate) fn latency_mean(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.latency.mean() / 1e3)
    }

    /// Latency in milliseconds that a share of the answers keeps to.
    pub(crate) fn latency_at(&self, quantile: f64) -> Option<f64> {
        (self.answered > 0).then(|| self.latency.value_at_quantile(quantile) as f64 / 1e3)
    }

    /// Adds the counters of other jobs.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.arrived += other.arrived;
        self.answered += other.answered;
        self.answered_on_overflow += other.answered_on_overflow;
        self.labelled += other.labelled;
        self.correct += other.correct;
        self.exits.resize(self.exits.len().max(other.exits.len()), 0);
        for (sum, count) in self.exits.iter_mut().zip(&other.exits) {
            *sum += count;
        }
        add_counts(&mut self.lost_at, &other.lost_at);
        add_counts(&mut self.failed_by, &other.failed_by);
        self.latency.add(&other.latency).expect("a histogram that resizes takes every value");
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

fn add_counts(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (key, count) in counts {
        *sums.entry(key.clone()).or_default() += count;
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn answered(exit: usize, correct: bool) -> Fate {
        Fate::Answered { exit, correct: Some(correct), on_overflow: false }
    }

    #[test]
    fn every_job_has_one_fate() {
        let mut tally = Tally::new(2);
        tally.arrived = 5;
        let millisecond = Duration::from_millis(1);
        tally.settle(&answered(0, true), millisecond);
        tally.settle(&answered(1, false), millisecond * 3);
        tally.settle(&Fate::Lost { place: "edge".into() }, millisecond);
        tally.settle(&Fate::Failed { reason: "deadline".into() }, millisecond);
        assert_eq!((tally.answered, tally.lost(), tally.failed(), tally.in_flight()), (2, 1, 1, 1));
        assert_eq!(tally.accuracy(), Some(0.5));
        assert_eq!(tally.loss_ratio(), Some(0.2));
        assert_eq!(tally.exit_shares(), [0.5, 0.5]);
        assert!((tally.latency_mean().unwrap() - 2.0).abs() < 0.01);
    }

    #[test]
    fn nothing_has_no_ratios() {
        let tally = Tally::new(1);
        assert_eq!((tally.accuracy(), tally.loss_ratio(), tally.latency_at(0.5)), (None, None, None));
    }

    #[test]
    fn sums_are_those_of_all_jobs() {
        let (mut sum, mut other) = (Tally::new(1), Tally::new(3));
        sum.arrived = 1;
        other.arrived = 1;
        sum.settle(&answered(0, true), Duration::from_millis(1));
        other.settle(&answered(2, true), Duration::from_millis(100));
        sum.add(&other);
        assert_eq!((sum.arrived, sum.answered, sum.exits.clone()), (2, 2, vec![1, 0, 1]));
        assert!((sum.latency_at(1.0).unwrap() - 100.0).abs() < 0.1);
    }
}
