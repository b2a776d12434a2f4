//! AdaEE: a bandit that learns thresholds from confidences alone.
//!
//! Problem: which threshold vector (arm) is worth most, when an answer's worth is not known but its confidence is.
//!
//! Formula: a job that passed the evaluated exits i ∈ P before it left at e has
//!
//! ```text
//! reward = 1/|P| · Σ_{i∈P} max(c_e − c_i, 0)  −  s · o_e
//! ```
//!
//! with confidences c, the costs o of the policy (in units of confidence, rising from 0 at the first exit), and s = 1,
//! or, where the policy knows the room of the first fragment, s = room ÷ (room − others present). Where P is empty the
//! sum is 0: leaving at the first exit is worth 0, and an arm that closes exits on the way pays for the way without a
//! gain to show. The arm of a job is the one with the largest `mean reward + c · √(ln t ÷ N)`, t jobs having been
//! decided, N of them for that arm; each arm once first.
//!
//! The mean gain and the mean cost of an arm are kept apart, and s is that of the job to be decided. So one bandit serves all
//! lengths of the queue: what was learnt at one is known at all others. (Samples do not depend on the queue, so the mean
//! reward at a queue length is gain − s · cost exactly.)
//!
//! Assumptions: confidence is comparable between exits; samples are alike over time (nothing is forgotten). Cost: O(arms)
//! multiplications per job, O(1) per outcome; 40 bytes per arm. With A arms the first A jobs try one arm each: thousands of arms
//! take thousands of jobs before anything is learnt. What other arms would have earned from a job is *not* learnt from it:
//! it is known only for jobs that went deep enough, which are the doubtful ones, and would bias their means.
//!
//! Reference: Pacheco, Shifrin, Couto, Menasché, Hanawal and Campista, "AdaEE: adaptive early-exit DNN inference
//! through multi-armed bandits", ICC 2023, with one branch, where this is their reward with the cost o of offloading;
//! its extension to several exits as the mean over the exits passed is that of the evaluation of CEED (Chen, Niu,
//! Roveri and Casale, INFOCOM 2025). Where we differ: the clip at zero is inside the sum and the cost outside of it;
//! costs are in units of confidence; a longer queue makes going on dearer instead of adding a constant, and does not
//! split the bandit. A job that is lost or fails has no confidence: its arm has been tried (N) and nothing is learnt;
//! an arm without any answer counts as worth 0, like leaving at once.

use domain::{AdaEE, Thresholds};

/// What is known of each arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bandit {
    /// Mean gain in confidence of answered jobs.
    gains: Vec<f64>,
    /// Mean cost of answered jobs, without the scale of the queue.
    costs: Vec<f64>,
    /// 1 ÷ √(jobs decided).
    widths: Vec<f64>,
    decided: Vec<u64>,
    answered: Vec<u64>,
    jobs: u64,
    /// Arms before this one have been tried.
    fresh: usize,
}

impl Bandit {
    /// Knows nothing.
    pub(crate) fn new(arms: usize) -> Self {
        Self {
            gains: vec![0.0; arms],
            costs: vec![0.0; arms],
            widths: vec![0.0; arms],
            decided: vec![0; arms],
            answered: vec![0; arms],
            jobs: 0,
            fresh: 0,
        }
    }

    /// The arm of the next job, with `present` jobs there, itself included.
    pub(crate) fn choose<'a>(&mut self, rules: &'a AdaEE, present: usize) -> (usize, &'a Thresholds) {
        let arm = if self.fresh < rules.arms.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            self.best(scale(rules.room, present), rules.exploration)
        };
        self.jobs += 1;
        self.decided[arm] += 1;
        self.widths[arm] = (self.decided[arm] as f64).sqrt().recip();
        (arm, &rules.arms[arm])
    }

    /// The first of the arms with the largest upper bound.
    fn best(&self, scale: f64, exploration: f64) -> usize {
        let wide = exploration * (self.jobs.max(1) as f64).ln().sqrt();
        let known = self.gains.iter().zip(&self.costs).zip(&self.widths);
        let (mut best, mut most) = (0, f64::NEG_INFINITY);
        for (arm, ((gain, cost), width)) in known.enumerate() {
            let bound = gain - scale * cost + wide * width;
            if bound > most {
                (best, most) = (arm, bound);
            }
        }
        best
    }

    /// A job of `arm` was answered at `exit` with `confidence`, after `evaluated` exits. Exits that the model does not have
    /// and confidences that are no numbers are ignored: they come from other processes.
    pub(crate) fn answered(
        &mut self,
        rules: &AdaEE,
        arm: usize,
        exit: usize,
        confidence: f32,
        evaluated: &[(usize, f32)],
    ) {
        if let (Some((gain, cost)), Some(answered)) =
            (reward(rules, exit, confidence, evaluated), self.answered.get_mut(arm))
        {
            *answered += 1;
            let share = (*answered as f64).recip();
            self.gains[arm] += (gain - self.gains[arm]) * share;
            self.costs[arm] += (cost - self.costs[arm]) * share;
        }
    }
}

/// By how much going on is dearer with `present` jobs there.
fn scale(room: Option<u32>, present: usize) -> f64 {
    room.map_or(1.0, |room| {
        let others = u32::try_from(present.saturating_sub(1)).unwrap_or(u32::MAX);
        f64::from(room) / f64::from(room.saturating_sub(others).max(1))
    })
}

/// Gain and cost of an answer, both ≥ 0.
fn reward(rules: &AdaEE, exit: usize, confidence: f32, evaluated: &[(usize, f32)]) -> Option<(f64, f64)> {
    let there = *rules.costs.get(exit)?;
    let passed = || evaluated.iter().filter(|&&(passed, _)| passed < exit);
    // An arm that closes the exits on the way has chosen the way as well: it pays for it, and has no gain to show.
    if passed().next().is_none() {
        return confidence.is_finite().then_some((0.0, there));
    }
    let gains = passed().map(|&(_, passed)| f64::from((confidence - passed).max(0.0)));
    let gain = gains.sum::<f64>() / passed().count() as f64;
    (confidence.is_finite() && gain.is_finite()).then_some((gain, there))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn rules(arms: &[&[f32]], exploration: f64, costs: &[f64], room: Option<u32>) -> AdaEE {
        let arms = arms.iter().map(|&arm| Thresholds::new(arm).unwrap()).collect();
        AdaEE { arms, exploration, costs: costs.to_vec(), room }
    }

    #[test]
    fn rewards_by_hand() {
        let rules = rules(&[&[0.5, 0.5]], 1.0, &[0.0, 0.1, 0.3], None);
        let check = |exit, confidence, evaluated: &[(usize, f32)], wanted: Option<(f64, f64)>| {
            let found = reward(&rules, exit, confidence, evaluated);
            let close = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() < 1e-6 && (b - d).abs() < 1e-12;
            let same = match (found, wanted) {
                (Some(found), Some(wanted)) => close(found, wanted),
                (found, wanted) => found == wanted,
            };
            assert!(same, "{exit} {confidence} {evaluated:?}: {found:?} for {wanted:?}");
        };
        check(0, 0.9, &[(0, 0.9)], Some((0.0, 0.0)));
        check(1, 0.8, &[(0, 0.5), (1, 0.8)], Some((0.3, 0.1)));
        check(2, 0.9, &[(0, 0.5), (1, 0.6), (2, 0.9)], Some((0.35, 0.3)));
        // Confidence that was lost on the way counts as none gained, exit by exit.
        check(2, 0.6, &[(0, 0.5), (1, 0.8), (2, 0.6)], Some((0.05, 0.3)));
        check(1, 0.3, &[(0, 0.5)], Some((0.0, 0.1)));
        // The first exit was closed: the arm has chosen the way past it as well.
        check(2, 0.9, &[(1, 0.6), (2, 0.9)], Some((0.3, 0.3)));
        check(2, 0.9, &[(2, 0.9)], Some((0.0, 0.3)));
        check(7, 0.9, &[(0, 0.9)], None);
        check(2, f32::NAN, &[(0, 0.9)], None);
        check(2, 0.9, &[(0, f32::NEG_INFINITY)], None);
    }

    #[test]
    fn each_arm_is_tried_once_and_then_the_best_bound_wins() {
        let rules = rules(&[&[0.0], &[0.5], &[0.9]], 1.0, &[0.0, 0.1], None);
        let mut bandit = Bandit::new(3);
        let first: Vec<_> = (0..3).map(|_| bandit.choose(&rules, 1).0).collect();
        assert_eq!(first, [0, 1, 2]);
        bandit.answered(&rules, 0, 0, 0.6, &[(0, 0.6)]);
        bandit.answered(&rules, 1, 1, 0.9, &[(0, 0.4), (1, 0.9)]);
        bandit.answered(&rules, 2, 1, 0.55, &[(0, 0.5), (1, 0.55)]);
        // Rewards 0, 0.4, −0.05 with a width of √ln 3 = 1.048 each.
        assert_eq!(bandit.choose(&rules, 1).0, 1);
        // Now √(ln 4 ÷ 2) = 0.833 for the second, √ln 4 = 1.177 for the others: 1.233 against 1.177.
        assert_eq!(bandit.choose(&rules, 1).0, 1);
        // √(ln 5 ÷ 3) = 0.732 and √ln 5 = 1.269: 1.132 against 1.269 and 1.219.
        assert_eq!(bandit.choose(&rules, 1).0, 0);
    }

    #[test]
    fn a_longer_queue_makes_going_on_dearer() {
        assert_eq!([1, 5, 10, 11, 99].map(|present| scale(Some(10), present)), [1.0, 10.0 / 6.0, 10.0, 10.0, 10.0]);
        assert_eq!(scale(None, 7), 1.0);
        let rules = rules(&[&[0.0], &[1.0e-6]], 0.0, &[0.0, 0.1], Some(10));
        let mut bandit = Bandit::new(2);
        (0..2).for_each(|_| assert!(bandit.choose(&rules, 1).0 < 2));
        bandit.answered(&rules, 0, 0, 0.6, &[(0, 0.6)]);
        bandit.answered(&rules, 1, 1, 0.9, &[(0, 0.6), (1, 0.9)]);
        // Worth 0.3 − 0.1·s: more than nothing up to s = 3, with 7 others.
        let chosen = [1, 7, 8, 10].map(|present| bandit.choose(&rules, present).0);
        assert_eq!(chosen, [1, 1, 0, 0]);
    }

    #[test]
    fn it_finds_the_best_arm_of_a_known_law() {
        // The first exit is sure of half of the samples (0.9) and not of the others (0.3); the last is of all (0.8). Going
        // on is worth 0.5 − 0.2 for the doubtful and −0.2 for the sure ones: 0.6 lets the right ones go on.
        let rules = rules(&[&[0.0], &[0.6], &[0.95]], 0.5, &[0.0, 0.2], None);
        let (mut bandit, mut rng) = (Bandit::new(3), ChaCha8Rng::seed_from_u64(3));
        for _ in 0..20_000 {
            let (arm, thresholds) = bandit.choose(&rules, 1);
            let confidence = if rng.random_bool(0.5) { 0.9 } else { 0.3 };
            match thresholds.leaves(0, confidence) {
                true => bandit.answered(&rules, arm, 0, confidence, &[(0, confidence)]),
                false => bandit.answered(&rules, arm, 1, 0.8, &[(0, confidence), (1, 0.8)]),
            }
        }
        assert!(bandit.decided[1] > 17_000, "{:?}, seed 3", bandit.decided);
        assert!((bandit.gains[1] - 0.25).abs() < 0.01 && (bandit.costs[1] - 0.1).abs() < 0.01);
    }

    #[test]
    fn jobs_without_answer_do_not_hold_it_up() {
        let rules = rules(&[&[0.0], &[0.5]], 0.1, &[0.0, 0.0], None);
        let mut bandit = Bandit::new(2);
        for _ in 0..1_000 {
            let (arm, _) = bandit.choose(&rules, 1);
            // The second arm is always lost.
            if arm == 0 {
                bandit.answered(&rules, 0, 0, 0.5, &[(0, 0.5)]);
            }
        }
        assert_eq!(bandit.decided, [500, 500], "both are worth 0");
    }
}
