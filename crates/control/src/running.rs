//! Confidences as they are observed, for schedulers that take them for values ([`planner::single::tracking`]).
//!
//! # Formula
//! c_l ← (19·c_l + observed) ÷ 20 for the exits taken; a policy is due when some c_l has moved by more than 0.1 since it was
//! made. Here one observation is the mean of [`ANSWERS`] answers: of single ones, which differ by 0.2 and more, chance alone
//! would move c_l by 0.1 many times a day (its deviation is 0.16 of theirs); of such means once in many years.
//!
//! # Assumptions
//! Jobs do not choose their exits by what they are: those who track confidence draw exits, so that the answers of an exit
//! are a fair sample.
//!
//! # Cost
//! O(exits) per reading.

use crate::GatewayReading;
use planner::single::tracking::Tracker;
use std::collections::BTreeMap;

/// Answers of one exit that make an observation.
const ANSWERS: u64 = 25;

/// Running confidences of the exits of one service.
#[derive(Debug, Clone)]
pub(crate) struct RunningConfidences {
    tracker: Tracker,
    /// Handed out for a policy that is being made.
    offered: Vec<f64>,
    /// Counters of each replica as last read: per exit, sum and number.
    replicas: BTreeMap<String, Vec<(f64, u64)>>,
    /// Per exit what does not make an observation yet.
    open: Vec<(f64, u64)>,
}

impl RunningConfidences {
    /// Starts from the confidences that the policy in force was made with.
    pub(crate) fn new(start: Vec<f64>) -> Self {
        let open = vec![(0.0, 0); start.len()];
        Self { tracker: Tracker::new(start.clone()), offered: start, replicas: BTreeMap::new(), open }
    }

    /// Takes the counters of a gateway.
    pub(crate) fn observe(&mut self, gateway: &GatewayReading) {
        let Some(before) = self.replicas.insert(gateway.replica.clone(), gateway.confidences.clone()) else { return };
        for (exit, (now, was)) in gateway.confidences.iter().zip(&before).enumerate() {
            // A process that started again counts from 0.
            let Some(answers) = now.1.checked_sub(was.1).filter(|answers| *answers > 0) else { continue };
            let sum = now.0 - was.0;
            let is_sound = (0.0..=answers as f64 + 1e-6).contains(&sum);
            if let (Some(open), true) = (self.open.get_mut(exit), is_sound) {
                *open = (open.0 + sum, open.1.saturating_add(answers));
                self.close(exit);
            }
        }
    }

    /// Makes observations of what has come together; many answers at once are as many observations of their mean.
    fn close(&mut self, exit: usize) {
        let (sum, answers) = self.open[exit];
        let mean = sum / answers as f64;
        // After a thousand of the same nothing is left of what was before.
        (0..(answers / ANSWERS).min(1000)).for_each(|_| self.tracker.follow(exit, mean));
        let rest = answers % ANSWERS;
        self.open[exit] = (mean * rest as f64, rest);
    }

    /// An exit whose confidence has moved so far that a policy is due: its number, the confidence of then and of now.
    pub(crate) fn moved(&self) -> Option<(usize, f64, f64)> {
        self.tracker.moved()
    }

    /// As they are now.
    pub(crate) fn now(&self) -> &[f64] {
        self.tracker.confidences()
    }

    /// As they are now, for a policy that is going to be made.
    pub(crate) fn offer(&mut self) -> Vec<f64> {
        self.offered = self.now().to_vec();
        self.offered.clone()
    }

    /// The policy was made.
    pub(crate) fn taken(&mut self) {
        self.tracker.solved_with(self.offered.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(replica: &str, confidences: &[(f64, u64)]) -> GatewayReading {
        GatewayReading { replica: replica.into(), confidences: confidences.to_vec(), ..GatewayReading::default() }
    }

    #[test]
    fn exits_not_taken_keep_their_confidence_and_restarts_are_no_answers() {
        let mut running = RunningConfidences::new(vec![0.8, 0.9]);
        running.observe(&reading("a", &[(700.0, 1000), (0.0, 0)]));
        assert_eq!(running.now(), [0.8, 0.9], "what was counted before is not new");
        running.observe(&reading("a", &[(710.0, 1025), (0.0, 0)]));
        let after = (19.0 * 0.8 + 0.4) / 20.0;
        assert!((running.now()[0] - after).abs() < 1e-12 && running.now()[1] == 0.9, "{:?}", running.now());
        running.observe(&reading("a", &[(1.0, 2), (0.0, 0)]));
        running.observe(&reading("a", &[(9.0, 10), (0.0, 0)]));
        assert!((running.now()[0] - after).abs() < 1e-12, "8 answers are too few");
        running.observe(&reading("a", &[(1e9, 11), (f64::NAN, 5), (3.0, 9)]));
        assert_eq!(running.now()[1], 0.9);
        assert_eq!(running.moved(), None);
    }

    #[test]
    fn a_policy_is_due_until_it_was_made() {
        let mut running = RunningConfidences::new(vec![0.8, 0.9]);
        running.observe(&reading("a", &[(0.0, 0), (0.0, 0)]));
        running.observe(&reading("a", &[(0.5 * 2500.0, 2500), (0.0, 0)]));
        let Some((0, 0.8, now)) = running.moved() else { panic!("{:?}", running.moved()) };
        assert!((now - 0.5).abs() < 0.01);
        let offered = running.offer();
        running.observe(&reading("a", &[(0.5 * 2500.0 + 25.0, 2525), (0.0, 0)]));
        running.taken();
        assert!(running.moved().is_none() && offered[0] < running.now()[0]);
    }
}
