use super::*;
use domain::{AdaEE, Chain, FragmentRange, Lottery, Measured, Overflow, PerSecond, Probability, RateRow, Seconds};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn probability(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

/// Chains with these probabilities; the threshold of chain i is i ÷ 10.
fn mixture_of(probabilities: &[f64]) -> Mixture {
    let choices = probabilities.iter().enumerate().map(|(chain, &share)| {
        Choice::new(probability(share), chain, Thresholds::new(vec![chain as f32 / 10.0]).unwrap())
    });
    Mixture::new(choices.collect(), "a test").unwrap()
}

fn policy(epoch: Epoch, probabilities: &[f64]) -> Policy {
    Policy {
        epoch,
        overflow: Overflow::Drop,
        chains: (0..probabilities.len())
            .map(|i| Chain { name: i.to_string(), fragments: vec![FragmentRange { first: 0, last: 0 }] })
            .collect(),
        default: mixture_of(probabilities),
        sources: vec![],
        rates: None,
        learning: None,
        audit: probability(0.25),
        deadline: None,
    }
}

fn bandit(epoch: Epoch, arms: usize) -> Policy {
    let arms = (0..arms).map(|arm| Thresholds::new(vec![arm as f32 / arms as f32]).unwrap()).collect();
    let rules = AdaEE { arms, exploration: 0.5, costs: vec![0.0, 0.1], room: None };
    Policy { learning: Some(Learning::AdaEE(rules)), ..policy(epoch, &[1.0]) }
}

fn seeded() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn arriving(now: f64, usable: &dyn Fn(usize) -> bool) -> Arriving<'_> {
    Arriving { source: "s", now, usable, again: false }
}

fn sent(chain: usize, now: f64, present: usize) -> Dispatching<'static> {
    Dispatching { source: "s", now, chain, present }
}

fn lost(tag: u32) -> Outcome<'static> {
    Outcome { source: "s", now: 0.0, tag, end: End::Lost, evaluated: &[] }
}

fn shares(policy: &Policy, usable: impl Fn(usize) -> bool) -> Vec<f64> {
    let (mut keeper, mut rng) = (Gatekeeper::new(policy.clone(), 0.0), seeded());
    let mut counts = vec![0.0; policy.chains.len()];
    for _ in 0..40_000 {
        counts[keeper.arrive(&arriving(0.0, &usable), &mut rng).unwrap().chain] += 1.0 / 40_000.0;
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
    assert_eq!(Gatekeeper::new(policy, 0.0).arrive(&arriving(0.0, &|_| false), &mut seeded()), None);
}

#[test]
fn a_choice_of_probability_zero_is_taken_only_when_alone() {
    let policy = policy(Epoch::Arrival, &[0.0, 1.0]);
    assert_eq!(shares(&policy, |_| true)[0], 0.0);
    assert_eq!(shares(&policy, |chain| chain == 0)[1], 0.0);
}

#[test]
fn dispatch_policies_fix_thresholds_when_the_job_is_sent() {
    let (mut keeper, mut rng) = (Gatekeeper::new(policy(Epoch::Dispatch, &[0.5, 0.5]), 0.0), seeded());
    let selected = keeper.arrive(&arriving(0.0, &|_| true), &mut rng).unwrap();
    assert_eq!(selected.thresholds, None);
    let chain = selected.chain;
    let (thresholds, tag) = keeper.dispatch(&sent(chain, 0.0, 1), &mut rng).unwrap();
    assert_eq!((thresholds.as_slice(), tag), (&[chain as f32 / 10.0][..], 0));
    assert_eq!(keeper.dispatch(&sent(7, 0.0, 1), &mut rng), None, "a chain that is gone");
}

#[test]
fn audits_come_in_their_share() {
    let (mut keeper, mut rng) = (Gatekeeper::new(policy(Epoch::Arrival, &[1.0]), 0.0), seeded());
    let audits = (0..10_000).filter(|_| keeper.arrive(&arriving(0.0, &|_| true), &mut rng).unwrap().audit).count();
    assert!((2_300..2_700).contains(&audits), "{audits} of 10000 at a share of 0.25, seed 1");
}

#[test]
fn a_table_over_jobs_present_gives_its_lotteries_their_shares() {
    let mut policy = policy(Epoch::Dispatch, &[1.0]);
    let draw = |share: f64, value: f32| (probability(share), Thresholds::new(vec![value]).unwrap());
    let Choice { probability: whole, chain, thresholds, .. } = policy.default.choices()[0].clone();
    let by_present = vec![
        Lottery::new(vec![draw(1.0, 0.9)], "one").unwrap(),
        Lottery::new(vec![draw(0.25, 0.5), draw(0.75, 0.2)], "two").unwrap(),
    ];
    policy.default =
        Mixture::new(vec![Choice { probability: whole, chain, thresholds, by_present }], "a test").unwrap();
    let (mut keeper, mut rng) = (Gatekeeper::new(policy, 0.0), seeded());
    assert_eq!(keeper.dispatch(&sent(0, 0.0, 1), &mut rng).unwrap().0.as_slice(), [0.9]);
    for present in [2, 3, 400] {
        let mut of = |value: f32| keeper.dispatch(&sent(0, 0.0, present), &mut rng).unwrap().0.as_slice() == [value];
        let first = (0..10_000).filter(|_| of(0.5)).count();
        assert!((2_300..2_700).contains(&first), "{first} of 10000 at 0.25 with {present}, seed 1");
    }
}

/// Rows for ratios up to 1.25 and 2.5 around 10/s over a second: chain 0, then chain 1.
fn with_rates(epoch: Epoch) -> Policy {
    let row = |up_to: f64, shares: &[f64]| RateRow { up_to, default: mixture_of(shares), sources: vec![] };
    let mut policy = policy(epoch, &[1.0, 0.0]);
    let only_second = Choice { chain: 1, ..mixture_of(&[0.0, 1.0]).choices()[1].clone() };
    let second = RateRow { default: Mixture::new(vec![only_second], "a test").unwrap(), ..row(2.5, &[1.0]) };
    policy.rates = Some(RateTable {
        forecast: PerSecond::new(10.0).unwrap(),
        measured: Measured::Window(Seconds::new(1.0).unwrap()),
        rows: vec![row(1.25, &[1.0]), second],
    });
    policy
}

fn chains_at(keeper: &mut Gatekeeper, from: f64, gap: f64, jobs: u32) -> Vec<usize> {
    let mut rng = seeded();
    let at = |job: u32| from + gap * f64::from(job);
    (0..jobs).map(|job| keeper.arrive(&arriving(at(job), &|_| true), &mut rng).unwrap().chain).collect()
}

#[test]
fn the_row_follows_the_rate() {
    let mut keeper = Gatekeeper::new(with_rates(Epoch::Arrival), 0.0);
    assert!(chains_at(&mut keeper, 0.0, 0.11, 50).iter().all(|&chain| chain == 0));
    let chains = chains_at(&mut keeper, 5.5, 0.05, 50);
    assert!(chains.is_sorted() && chains[49] == 1, "{chains:?}");
    let row = keeper.row(8.0).unwrap();
    assert_eq!((row.row, row.up_to, row.burst), (1, 2.5, None));
    assert!((row.rate.get() - 20.0).abs() < 3.0, "{row:?}");
    assert_eq!(Gatekeeper::new(policy(Epoch::Arrival, &[1.0]), 0.0).row(0.0), None);
}

#[test]
fn a_job_that_is_asked_about_again_is_no_further_arrival() {
    let mut keeper = Gatekeeper::new(with_rates(Epoch::Arrival), 0.0);
    let mut rng = seeded();
    for job in 0..100 {
        let arriving = arriving(f64::from(job) * 0.11, &|_| true);
        keeper.arrive(&arriving, &mut rng);
        (0..3).for_each(|_| assert!(keeper.arrive(&Arriving { again: true, ..arriving }, &mut rng).is_some()));
    }
    assert!(keeper.row(11.0).unwrap().rate.get() < 10.5);
}

#[test]
fn a_job_whose_chain_the_row_no_longer_uses_is_sent_by_the_nearest_row_that_does() {
    let mut keeper = Gatekeeper::new(with_rates(Epoch::Dispatch), 0.0);
    chains_at(&mut keeper, 0.0, 0.05, 60);
    assert_eq!(keeper.row(3.0).unwrap().row, 1);
    assert_eq!(keeper.dispatch(&sent(0, 3.0, 1), &mut seeded()).unwrap().0.as_slice(), [0.0]);
    assert_eq!(keeper.dispatch(&sent(1, 3.0, 1), &mut seeded()).unwrap().0.as_slice(), [0.1]);
    assert_eq!(keeper.dispatch(&sent(2, 3.0, 1), &mut seeded()), None);
}

#[test]
fn reactive_hears_of_losses_and_of_nobody_there() {
    let policy = Policy { learning: Some(Learning::Reactive), ..policy(Epoch::Dispatch, &[1.0]) };
    let (mut keeper, mut rng) = (Gatekeeper::new(policy, 0.0), seeded());
    let mut exit = |keeper: &mut Gatekeeper, present| {
        let leaves = keeper.dispatch(&sent(0, 0.0, present), &mut rng).unwrap().0.leaves(0, 0.0);
        usize::from(!leaves)
    };
    assert_eq!(exit(&mut keeper, 4), 1);
    keeper.ended(&Outcome { end: End::Failed, ..lost(0) });
    assert_eq!(exit(&mut keeper, 4), 1, "a failure is no loss");
    keeper.ended(&lost(0));
    assert_eq!((exit(&mut keeper, 4), keeper.reactive_exit()), (0, Some(0)));
    assert_eq!(exit(&mut keeper, 1), 1);
    keeper.lost_unseen(0.0);
    assert_eq!(exit(&mut keeper, 2), 0);
}

#[test]
fn a_bandit_knows_its_arms_by_their_tags() {
    for epoch in [Epoch::Arrival, Epoch::Dispatch] {
        let (mut keeper, mut rng) = (Gatekeeper::new(bandit(epoch, 4), 0.0), seeded());
        let mut counts = [0; 4];
        for _ in 0..2_000 {
            let selected = keeper.arrive(&arriving(0.0, &|_| true), &mut rng).unwrap();
            let (thresholds, tag) = match selected.thresholds {
                Some(thresholds) => (thresholds.clone(), selected.tag),
                None => {
                    let (thresholds, tag) = keeper.dispatch(&sent(0, 0.0, 1), &mut rng).unwrap();
                    (thresholds.clone(), tag)
                }
            };
            counts[tag as usize - 1] += 1;
            assert_eq!(thresholds.as_slice(), [(tag - 1) as f32 / 4.0]);
            // The first exit says 0.6, the last 0.9: going on is worth 0.2, for which τ must be 0.75.
            let left = thresholds.leaves(0, 0.6);
            let (exit, confidence) = if left { (0, 0.6) } else { (1, 0.9) };
            let evaluated = [(0, 0.6), (1, 0.9)];
            keeper.ended(&Outcome {
                end: End::Answered { exit, confidence, latency: 0.1 },
                evaluated: &evaluated[..=exit],
                ..lost(tag)
            });
        }
        assert!(counts[3] > 1_400, "{counts:?}");
    }
}

#[test]
fn outcomes_of_nobody_do_no_harm() {
    let mut keeper = Gatekeeper::new(bandit(Epoch::Arrival, 2), 0.0);
    for tag in [0, 3, u32::MAX] {
        for exit in [0, 1, 70] {
            let end = End::Answered { exit, confidence: f32::NAN, latency: 0.0 };
            keeper.ended(&Outcome { end, evaluated: &[(99, 0.5), (0, f32::INFINITY)], ..lost(tag) });
        }
    }
}

#[test]
fn what_was_learnt_survives_a_policy_with_the_same_rules_and_no_other() {
    let mut before = Gatekeeper::new(bandit(Epoch::Arrival, 3), 0.0);
    let mut rng = seeded();
    (0..5).for_each(|_| assert!(before.arrive(&arriving(0.0, &|_| true), &mut rng).is_some()));
    let same = Policy { deadline: Some(Seconds::new(1.0).unwrap()), ..bandit(Epoch::Arrival, 3) };
    let next = Gatekeeper::after(&mut before, same, 1.0);
    assert!(next.learns_like(&before) && next.learner == before.learner);
    let other = Gatekeeper::after(&mut before, bandit(Epoch::Arrival, 4), 1.0);
    assert!(!other.learns_like(&before) && other.learner == Some(Learner::Bandit(Bandit::new(4))));
    let none = Gatekeeper::after(&mut before, policy(Epoch::Arrival, &[1.0]), 1.0);
    assert_eq!(none.learner, None);
}

#[test]
fn the_same_seeds_give_the_same_decisions() {
    let reactive = Policy { learning: Some(Learning::Reactive), ..policy(Epoch::Dispatch, &[0.5, 0.5]) };
    for policy in [with_rates(Epoch::Dispatch), bandit(Epoch::Dispatch, 5), reactive] {
        let run = || {
            let (mut keeper, mut rng) = (Gatekeeper::new(policy.clone(), 0.0), seeded());
            let mut decisions = vec![];
            for job in 0..500_u32 {
                let now = f64::from(job) * 0.07 + f64::from(job % 7) * 0.005;
                let selected = keeper.arrive(&arriving(now, &|_| true), &mut rng).unwrap();
                let (chain, audit) = (selected.chain, selected.audit);
                let present = 1 + job as usize % 3;
                let (thresholds, tag) = keeper.dispatch(&sent(chain, now, present), &mut rng).unwrap();
                decisions.push((chain, audit, thresholds.clone(), tag));
                let end = if job % 11 == 0 {
                    End::Lost
                } else {
                    End::Answered { exit: 1, confidence: 0.5 + (job % 13) as f32 / 30.0, latency: 0.1 }
                };
                keeper.ended(&Outcome { end, evaluated: &[(0, 0.4)], ..lost(tag) });
            }
            decisions
        };
        assert_eq!(run(), run());
    }
}
