//! Confidences as they are observed, in place of the values of the exit table.
//!
//! # Problem
//! Under a shift of the inputs the accuracies of the exit table are stale. Without labels confidence is what can be
//! watched:
//!
//! > c_l ← ((w − 1)·c_l + observed) ÷ w,  w = 20,
//!
//! for the exit l that a job took. When some c_l has moved by more than 0.1 since the policy was made, it is made anew
//! with all of them ([`crate::retuned`]). Changes of the arrival rate need no new policy: its table over rates serves
//! them.
//!
//! [`Tracking`] does so job by job, in a simulation. Where gateways run, the drift loop does, from their telemetry.
//!
//! # Limits
//! Largest probabilities are biased upwards under a shift, and exits that are not taken are never refreshed. Audits (a
//! share of jobs that runs to the last exit) measure agreement instead.
//!
//! # Reference
//! The confidence-based forms in the code published with CEED, INFOCOM 2025. There the stored values are never updated
//! once the trigger has fired; here they are.

use domain::problem::Model;
use domain::{Policy, Thresholds};
use policy::{Arriving, Dispatching, End, Gatekeeper, Outcome, Scheduler, Selected};
use rand::Rng;
use std::fmt;

/// w: observations that a confidence follows.
pub const WINDOW: f64 = 20.0;
/// A confidence that has moved by more makes a new policy.
pub const MOVED: f64 = 0.1;

/// Running confidences, one per exit.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracker {
    running: Vec<f64>,
    solved: Vec<f64>,
}

impl Tracker {
    /// Starts from the mean confidences of an exit table ([`confidences`]).
    pub fn new(start: Vec<f64>) -> Self {
        Self { solved: start.clone(), running: start }
    }

    /// An answer of `exit` with `confidence`; exits that are not there are ignored. Whether a new policy is due: then
    /// the confidences as they are now count as those it was made with.
    pub fn observe(&mut self, exit: usize, confidence: f64) -> bool {
        self.follow(exit, confidence);
        let is_due = self.moved().is_some();
        if is_due {
            self.solved.clone_from(&self.running);
        }
        is_due
    }

    /// As [`Tracker::observe`], for those who make policies later ([`Tracker::solved_with`]). `confidence` may be the mean of
    /// several answers.
    pub fn follow(&mut self, exit: usize, confidence: f64) {
        if let Some(running) = self.running.get_mut(exit) {
            *running += (confidence - *running) / WINDOW;
        }
    }

    /// The first exit whose confidence has moved by more than [`MOVED`] since the policy was made: its number, the
    /// confidence of then, and that of now.
    pub fn moved(&self) -> Option<(usize, f64, f64)> {
        let exits = self.solved.iter().zip(&self.running).enumerate();
        let mut moved = exits.map(|(exit, (&then, &now))| (exit, then, now));
        moved.find(|(_, then, now)| (now - then).abs() > MOVED)
    }

    /// A policy was made with these confidences.
    pub fn solved_with(&mut self, confidences: Vec<f64>) {
        self.solved = confidences;
    }

    /// The confidences of now.
    pub fn confidences(&self) -> &[f64] {
        &self.running
    }
}

/// Mean confidence of each exit over the samples by which thresholds are chosen.
pub fn confidences(model: &Model) -> Vec<f64> {
    let mean = |exit: usize| {
        let all = model.choose.exits.confidences(exit);
        all.iter().map(|&confidence| f64::from(confidence)).sum::<f64>() / all.len() as f64
    };
    (0..model.exits()).map(mean).collect()
}

/// Makes a policy for tracked confidences; `None` keeps the one in force.
pub type Retune = Box<dyn Fn(&[f64]) -> Option<Policy> + Send>;

/// A scheduler that makes its policy anew when confidences have moved.
pub struct Tracking {
    tracker: Tracker,
    gatekeeper: Gatekeeper,
    retune: Retune,
    changes: u32,
}

impl Tracking {
    /// Starts with `policy`, made for the confidences of `tracker`.
    pub fn new(policy: Policy, tracker: Tracker, retune: Retune) -> Self {
        Self { tracker, gatekeeper: Gatekeeper::new(policy, 0.0), retune, changes: 0 }
    }

    /// Policies made since the start.
    pub fn changes(&self) -> u32 {
        self.changes
    }
}

impl Scheduler for Tracking {
    fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>> {
        self.gatekeeper.arrive(arriving, rng)
    }

    fn dispatch(&mut self, dispatching: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)> {
        self.gatekeeper.dispatch(dispatching, rng)
    }

    fn ended(&mut self, outcome: &Outcome<'_>) {
        self.gatekeeper.ended(outcome);
        let End::Answered { exit, confidence, .. } = outcome.end else { return };
        if !self.tracker.observe(exit, f64::from(confidence)) {
            return;
        }
        if let Some(policy) = (self.retune)(self.tracker.confidences()) {
            self.gatekeeper = Gatekeeper::after(&mut self.gatekeeper, policy, outcome.now);
            self.changes += 1;
        }
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking")
            .field("tracker", &self.tracker)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_follows_its_own_exit_and_asks_for_a_policy_when_it_has_moved() {
        let mut tracker = Tracker::new(vec![0.8, 0.9]);
        assert!(!tracker.observe(0, 0.8));
        // 0.8 → 0.4: after n observations 0.4 + 0.4·0.95^n, which is below 0.7 from the sixth on.
        let due: Vec<bool> = (0..8).map(|_| tracker.observe(0, 0.4)).collect();
        assert_eq!(due.iter().position(|&due| due), Some(5));
        assert_eq!(due.iter().filter(|&&due| due).count(), 1, "measured against what the new policy was made with");
        assert!((tracker.confidences()[0] - (0.4 + 0.4 * 0.95f64.powi(8))).abs() < 1e-12);
        assert_eq!(tracker.confidences()[1], 0.9);
        assert!(!tracker.observe(7, 0.0));
    }
}
