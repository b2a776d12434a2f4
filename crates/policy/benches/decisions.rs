//! Time of a decision, with its outcome, per scheduler.

use criterion::{Criterion, criterion_group, criterion_main};
use domain::{
    AdaEE, Chain, Choice, Epoch, FragmentRange, Learning, Lottery, Measured, Mixture, Overflow, PerSecond, Policy,
    Probability, RateRow, RateTable, Seconds, Thresholds,
};
use policy::{Arriving, Dispatching, End, Gatekeeper, Outcome, Scheduler};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;

const EXITS: usize = 6;

fn probability(value: f64) -> Probability {
    Probability::new(value).expect("it is a probability")
}

fn thresholds(value: f32) -> Thresholds {
    Thresholds::new(vec![value; EXITS - 1]).expect("they are thresholds")
}

fn mixture(choices: usize) -> Mixture {
    let share = 1.0 / choices as f64;
    let choices = (0..choices).map(|index| Choice::new(probability(share), index % 3, thresholds(0.5)));
    Mixture::new(choices.collect(), "a benchmark").expect("it sums to one")
}

fn plain(epoch: Epoch) -> Policy {
    let chain = |name: usize| Chain { name: name.to_string(), fragments: vec![FragmentRange { first: 0, last: 5 }] };
    Policy {
        epoch,
        overflow: Overflow::Drop,
        chains: (0..3).map(chain).collect(),
        default: mixture(6),
        sources: vec![],
        rates: None,
        learning: None,
        audit: probability(0.01),
        deadline: None,
    }
}

fn with_rates(measured: Measured) -> Policy {
    let row = |row: u32| RateRow { up_to: 0.1 * f64::from(row + 1), default: mixture(6), sources: vec![] };
    let forecast = PerSecond::new(100.0).expect("it is a rate");
    let rates = Some(RateTable { forecast, measured, rows: (0..40).map(row).collect() });
    Policy { rates, ..plain(Epoch::Arrival) }
}

fn by_present() -> Policy {
    let half = |value| (probability(0.5), thresholds(value));
    let lottery = Lottery::new(vec![half(0.2), half(0.4)], "a benchmark").expect("it sums to one");
    let choice = Choice { by_present: vec![lottery; 100], ..Choice::new(probability(1.0), 0, thresholds(0.5)) };
    Policy { default: Mixture::new(vec![choice], "a benchmark").expect("it sums to one"), ..plain(Epoch::Dispatch) }
}

fn bandit(arms: usize) -> Policy {
    let arms = (0..arms).map(|arm| thresholds(arm as f32 / arms as f32)).collect();
    let costs = (0..EXITS).map(|exit| exit as f64 * 0.05).collect();
    let rules = AdaEE { arms, exploration: 1.0, costs, room: Some(50) };
    Policy { learning: Some(Learning::AdaEE(rules)), ..plain(Epoch::Dispatch) }
}

/// One job from its arrival to its end.
fn job(keeper: &mut Gatekeeper, rng: &mut ChaCha8Rng, now: f64) {
    let arriving = Arriving { source: "camera", now, usable: &|_| true, again: false };
    let selected = keeper.arrive(&arriving, rng).expect("all chains are usable");
    let (chain, mut tag) = (selected.chain, selected.tag);
    if selected.thresholds.is_none() {
        let present = 1 + (now * 1e3) as usize % 20;
        tag = keeper.dispatch(&Dispatching { source: "camera", now, chain, present }, rng).expect("it is known").1;
    }
    let evaluated = [(0, 0.4), (1, 0.5), (2, 0.8)];
    let end = End::Answered { exit: 2, confidence: 0.8, latency: 0.1 };
    keeper.ended(&Outcome { source: "camera", now, tag: black_box(tag), end, evaluated: &evaluated });
}

fn decisions(criterion: &mut Criterion) {
    let window = Measured::Window(Seconds::new(5.0).expect("it is a time"));
    let phases = Measured::Phases { rates: [0.5, 3.0], switch: [0.1, 0.5] };
    let reactive = Policy { learning: Some(Learning::Reactive), ..plain(Epoch::Dispatch) };
    let mut group = criterion.benchmark_group("decision");
    for (name, policy) in [
        ("mixture at arrival", plain(Epoch::Arrival)),
        ("mixture at dispatch", plain(Epoch::Dispatch)),
        ("40 rows by window", with_rates(window)),
        ("40 rows by phases", with_rates(phases)),
        ("100 jobs present", by_present()),
        ("reactive", reactive),
        ("AdaEE, 10 arms", bandit(10)),
        ("AdaEE, 1,000 arms", bandit(1_000)),
        ("AdaEE, 10,000 arms", bandit(10_000)),
    ] {
        let (mut keeper, mut rng, mut now) = (Gatekeeper::new(policy, 0.0), ChaCha8Rng::seed_from_u64(1), 0.0);
        // Behind the first round of a bandit.
        (0..20_000).for_each(|_| job(&mut keeper, &mut rng, 0.0));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now += 0.01;
                job(&mut keeper, &mut rng, now);
            });
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
