//! The decisions of a policy, at the epoch it states.

use domain::{Choice, Epoch, Policy, Thresholds};
use rand::{Rng, RngExt};

/// Decides for each job what a policy says. Holds no state.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    policy: &'a Policy,
}

/// What was decided when a job arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected<'a> {
    /// Index of the chain.
    pub chain: usize,
    /// Thresholds, unless they wait for the dispatch.
    pub thresholds: Option<&'a Thresholds>,
    /// Whether the job runs on to the last exit after its answer.
    pub audit: bool,
    /// What the scheduler calls its decision, to recognise it in the outcome; 0 where nothing is learnt.
    pub tag: u32,
}

impl<'a> Router<'a> {
    /// Decisions of `policy`.
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy }
    }

    /// Decides for a job of `source` that arrives now. Choices whose chain is not `usable` are left out, the others
    /// keep their proportions; `None` when no chain is usable. Cost: linear in the choices.
    pub fn arrive(&self, source: &str, usable: impl Fn(usize) -> bool, rng: &mut impl Rng) -> Option<Selected<'a>> {
        let choices = self.policy.mixture(source).choices();
        let choice = draw(choices, |choice| usable(choice.chain), rng)?;
        let thresholds = match self.policy.epoch {
            Epoch::Arrival => Some(&choice.thresholds),
            Epoch::Dispatch => None,
        };
        let share = self.policy.audit.get();
        Some(Selected { chain: choice.chain, thresholds, audit: share > 0.0 && rng.random_bool(share), tag: 0 })
    }

    /// Decides the thresholds of a job that is sent now on `chain`, with `_present` jobs queued or outstanding at its
    /// first fragment (itself included; mixtures do not look at it, tables will).
    ///
    /// `None` when the policy no longer gives that chain to the source: the job then decides again.
    pub fn dispatch(&self, source: &str, chain: usize, _present: usize, rng: &mut impl Rng) -> Option<&'a Thresholds> {
        let choices = self.policy.mixture(source).choices();
        draw(choices, |choice| choice.chain == chain, rng).map(|choice| &choice.thresholds)
    }
}

/// Draws one of the allowed choices in proportion to their probabilities.
fn draw<'a>(choices: &'a [Choice], allowed: impl Fn(&Choice) -> bool, rng: &mut impl Rng) -> Option<&'a Choice> {
    let allowed = || choices.iter().filter(|choice| allowed(choice));
    let total: f64 = allowed().map(|choice| choice.probability.get()).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = None;
    for choice in allowed() {
        // A choice of probability 0 is taken only when nothing else is allowed.
        if choice.probability.get() > 0.0 || last.is_none() {
            last = Some(choice);
        }
        left -= choice.probability.get();
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Chain, FragmentRange, Mixture, Overflow, Probability};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn policy(epoch: Epoch, probabilities: &[f64]) -> Policy {
        let choices = probabilities.iter().enumerate().map(|(chain, &probability)| {
            let thresholds = Thresholds::new(vec![chain as f32 / 10.0]).unwrap();
            Choice::new(Probability::new(probability).unwrap(), chain, thresholds)
        });
        Policy {
            epoch,
            overflow: Overflow::Drop,
            chains: (0..probabilities.len())
                .map(|i| Chain { name: i.to_string(), fragments: vec![FragmentRange { first: 0, last: 0 }] })
                .collect(),
            default: Mixture::new(choices.collect(), "test").unwrap(),
            sources: vec![],
            rates: None,
            learning: None,
            audit: Probability::new(0.25).unwrap(),
            deadline: None,
        }
    }

    fn shares(policy: &Policy, usable: impl Fn(usize) -> bool + Copy) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = vec![0.0; policy.chains.len()];
        for _ in 0..40_000 {
            counts[Router::new(policy).arrive("s", usable, &mut rng).unwrap().chain] += 1.0 / 40_000.0;
        }
        counts
    }

    #[test]
    fn choices_come_in_their_proportions() {
        let policy = policy(Epoch::Arrival, &[0.2, 0.5, 0.3]);
        for (share, want) in shares(&policy, |_| true).iter().zip([0.2, 0.5, 0.3]) {
            assert!((share - want).abs() < 0.01, "{share} for {want}, seed 1");
        }
    }

    #[test]
    fn an_unusable_chain_leaves_the_others_their_proportions() {
        let policy = policy(Epoch::Arrival, &[0.2, 0.5, 0.3]);
        for (share, want) in shares(&policy, |chain| chain != 1).iter().zip([0.4, 0.0, 0.6]) {
            assert!((share - want).abs() < 0.01, "{share} for {want}, seed 1");
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(Router::new(&policy).arrive("s", |_| false, &mut rng), None);
    }

    #[test]
    fn a_choice_of_probability_zero_is_taken_only_when_alone() {
        let policy = policy(Epoch::Arrival, &[0.0, 1.0]);
        assert_eq!(shares(&policy, |_| true), [0.0, shares(&policy, |_| true)[1]]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(Router::new(&policy).arrive("s", |chain| chain == 0, &mut rng).unwrap().chain, 0);
    }

    #[test]
    fn dispatch_policies_fix_thresholds_when_the_job_is_sent() {
        let policy = policy(Epoch::Dispatch, &[0.5, 0.5]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let router = Router::new(&policy);
        let selected = router.arrive("s", |_| true, &mut rng).unwrap();
        assert_eq!(selected.thresholds, None);
        let thresholds = router.dispatch("s", selected.chain, 1, &mut rng).unwrap();
        assert_eq!(thresholds.as_slice(), [selected.chain as f32 / 10.0]);
        assert_eq!(router.dispatch("s", 7, 1, &mut rng), None, "a chain that is gone");
    }

    #[test]
    fn audits_come_in_their_share() {
        let policy = policy(Epoch::Arrival, &[1.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let audits =
            (0..10_000).filter(|_| Router::new(&policy).arrive("s", |_| true, &mut rng).unwrap().audit).count();
        assert!((2_300..2_700).contains(&audits), "{audits} of 10000 at a share of 0.25, seed 1");
    }
}
