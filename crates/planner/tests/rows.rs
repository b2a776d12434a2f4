//! Rows of the table over rates in a simulation: at the rate that was planned for, and after it has changed.

mod one_device;
#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use domain::problem::Burstiness;
use domain::{Measured, PerSecond, Plan, Policy, Problem, Seconds};
use planner::{Scheduler, ThresholdSearch, schedule};
use policy::{Arriving, Gatekeeper, Scheduler as _};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use simulator::{Arrivals, Effort, Interval, Law};
use single_common::{published_model, saturation};
use std::num::NonZeroU32;

const QUEUEING: Scheduler = Scheduler::QueueingLP { approximate: false, tracks_confidence: false };

fn problem(load: f64) -> Problem {
    one_device::problem(published_model(2000), load * saturation(), Burstiness::Poisson)
}

fn schedulers() -> [Scheduler; 3] {
    [QUEUEING, Scheduler::DataDriven(ThresholdSearch::Direct), Scheduler::SMDP]
}

fn policy(scheduler: &Scheduler, problem: &Problem) -> Policy {
    schedule(scheduler, problem, 0).expect("what the test sets up is sound")
}

fn window(policy: &Policy) -> f64 {
    match policy.rates.as_ref().expect("it depends on the rate").measured {
        Measured::Window(window) => window.get(),
        Measured::Phases { .. } | Measured::Belief { .. } => panic!("arrivals are Poisson"),
    }
}

fn without_table(policy: &Policy) -> Policy {
    Policy { rates: None, ..policy.clone() }
}

/// Share of jobs lost and share of answers that are right, at a constant rate.
fn steady(problem: &Problem, policy: Policy, ratio: f64) -> (f64, f64) {
    let mut network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    let rate = ratio * problem.services[0].sources[0].rate.get();
    network.sources[0].arrivals = Arrivals::Renewal(Law::Exponential { mean: 1.0 / rate });
    let report = simulator::simulate(&network, &Effort::arrivals(3, 400_000)).expect("it can be simulated");
    let fates = &report.sources[0].fates;
    (fates.loss.value, fates.accuracy.value)
}

/// Jobs by the window (of the policy) in which they arrive, from the step of the rate on.
fn step(problem: &Problem, policy: Policy, factor: f64, windows: usize) -> Vec<Interval> {
    let (rate, length) = (problem.services[0].sources[0].rate.get(), window(&policy));
    let mut network = simulator::problem::network(problem, &Plan { policies: vec![policy] });
    let before = 80;
    let pieces = vec![(f64::from(before) * length, rate), (windows as f64 * length, factor * rate)];
    let gaps = Law::Exponential { mean: 1.0 };
    network.sources[0].arrivals = Arrivals::Piecewise { gaps, pieces, repeat: false };
    let replications = NonZeroU32::new(100);
    let effort = Effort { series: Some(length), replications, ..Effort::arrivals(5, 1_000_000) };
    let report = simulator::simulate(&network, &effort).expect("it can be simulated");
    let series = report.series.expect("one was asked for");
    series.sources[0][before as usize..][..windows].to_vec()
}

fn loss(intervals: &[Interval]) -> f64 {
    let sum = |of: fn(&Interval) -> f64| intervals.iter().map(of).sum::<f64>();
    sum(|one| one.lost) / sum(|one| one.arrived)
}

fn accuracy(intervals: &[Interval]) -> f64 {
    let sum = |of: fn(&Interval) -> f64| intervals.iter().map(of).sum::<f64>();
    sum(|one| one.correct) / sum(|one| one.answered)
}

/// Rows in force at the arrivals of a Poisson process whose rate changes by `factor` after `before` windows, by time in
/// windows since then.
fn rows(policy: &Policy, before: f64, factor: f64, after: f64, seed: u64) -> Vec<(f64, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (forecast, length) = (policy.rates.as_ref().expect("it depends on the rate").forecast.get(), window(policy));
    let mut keeper = Gatekeeper::new(policy.clone(), 0.0);
    let (mut now, mut found) = (0.0, vec![]);
    loop {
        let rate = if now < before * length { forecast } else { factor * forecast };
        now -= (1.0 - rng.random::<f64>()).ln() / rate;
        if now > (before + after) * length {
            return found;
        }
        keeper.arrive(&Arriving { source: "yard", now, again: false, usable: &|_| true }, &mut rng);
        found.push((now / length - before, keeper.row(now).expect("it has a table").row));
    }
}

/// The row planned for a rate ÷ forecast.
fn row_of(policy: &Policy, ratio: f64) -> usize {
    policy.rates.as_ref().expect("it depends on the rate").rows.partition_point(|row| row.up_to < ratio)
}

/// Windows after which a row at least as high as that of `ratio` was in force, per seed, in order.
fn reached(policy: &Policy, factor: f64, row: usize) -> Vec<f64> {
    let one = |seed| {
        let found = rows(policy, 80.0, factor, 5.0, seed);
        found.iter().find(|(at, now)| *at > 0.0 && *now >= row).map_or(f64::INFINITY, |(at, _)| *at)
    };
    let mut found: Vec<f64> = (0..100).map(one).collect();
    found.sort_by(f64::total_cmp);
    found
}

#[test]
fn at_the_forecast_its_row_is_in_force_and_the_table_costs_no_accuracy() {
    let problem = problem(3.0);
    for scheduler in [QUEUEING, Scheduler::SMDP] {
        let policy = policy(&scheduler, &problem);
        let found = rows(&policy, 2000.0, 1.0, 0.0, 1);
        let there = found.iter().filter(|(_, row)| *row == row_of(&policy, 1.0)).count();
        assert!(there as f64 > 0.9 * found.len() as f64, "{scheduler:?}: {there} of {}, seed 1", found.len());
        let (with, without) = (steady(&problem, policy.clone(), 1.0), steady(&problem, without_table(&policy), 1.0));
        println!("{scheduler:?}: with its table {with:?}, without {without:?}");
        // Two tenths of a point, and what 400,000 jobs leave open.
        assert!(with.1 > without.1 - 0.002 - 0.001, "{scheduler:?}: {with:?}, without {without:?}");
        assert!(with.0 <= 0.01, "{scheduler:?}: {with:?}");
    }
}

#[test]
fn a_rate_a_tenth_above_the_forecast_keeps_to_the_target_nevertheless() {
    let problem = problem(3.0);
    let policy = policy(&QUEUEING, &problem);
    let (with, without) = (steady(&problem, policy.clone(), 1.1), steady(&problem, without_table(&policy), 1.1));
    assert!(with.0 <= 0.01 && without.0 > 0.02, "{with:?}, without {without:?}");
}

/// What a row rounded up from the last window, without regard to chance, lost over ten windows at these steps.
const ROUNDED_UP: [(f64, f64); 2] = [(2.0, 0.0127), (4.0, 0.0258)];

#[test]
fn a_surge_is_followed_within_half_a_window() {
    let problem = problem(3.0);
    let policy = policy(&QUEUEING, &problem);
    let above = reached(&policy, 2.0, row_of(&policy, 1.0) + 1);
    assert!(above[50] < 0.25 && above[90] < 0.5, "{above:?}");
    let there = reached(&policy, 2.0, row_of(&policy, 2.0));
    assert!(there[50] < 0.5, "{there:?}");
    assert!(reached(&policy, 4.0, row_of(&policy, 4.0))[95] < 0.5);
    for (factor, lost) in ROUNDED_UP {
        let found = loss(&step(&problem, policy.clone(), factor, 10));
        assert!(found < 1.1 * lost, "step to {factor}: {found}, {lost} before");
    }
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn measure() {
    for load in [1.5, 3.0] {
        let problem = problem(load);
        for scheduler in schedulers() {
            let policy = policy(&scheduler, &problem);
            let forecast = row_of(&policy, 1.0);
            let found = rows(&policy, 4000.0, 1.0, 0.0, 1);
            let there = found.iter().filter(|(_, row)| *row == forecast).count() as f64 / found.len() as f64;
            let changes = found.windows(2).filter(|pair| pair[0].1 != pair[1].1).count() as f64 / 4000.0;
            println!("load {load} {scheduler:?}: in the row {there:.3}, changes per window {changes:.2}");
            for ratio in [0.5, 0.8, 0.9, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0] {
                let with = steady(&problem, policy.clone(), ratio);
                let without = steady(&problem, without_table(&policy), ratio);
                println!("  at {ratio}: loss and accuracy {with:.4?}; without table {without:.4?}");
            }
            for factor in [1.5, 2.0, 4.0, 0.5] {
                let found = step(&problem, policy.clone(), factor, 20);
                let parts = [&found[..1], &found[..3], &found[..10], &found[10..]];
                println!("  step to {factor}: {:.4?}", parts.map(|part| (loss(part), accuracy(part))));
                if factor > 1.0 {
                    let (above, there) =
                        (reached(&policy, factor, forecast + 1), reached(&policy, factor, row_of(&policy, factor)));
                    println!(
                        "    higher row: median {:.2}, 95 % {:.2}; row of the rate: {:.2}, {:.2}",
                        above[50], above[95], there[50], there[95]
                    );
                }
            }
        }
    }
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn measure_delays() {
    let mut policy = policy(&QUEUEING, &problem(3.0));
    println!("seconds after a step until a row above the forecast, that of the rate, is in force: median, 95 %");
    for rate in [2.0, 5.0, 20.0, 50.0, 100.0, 500.0] {
        let table = policy.rates.as_mut().expect("it depends on the rate");
        table.forecast = PerSecond::new(rate).expect("it is a rate");
        // As planner::window has it for a service at that rate.
        let length = (50.0 / rate).clamp(1.0, 60.0);
        table.measured = Measured::Window(Seconds::new(length).expect("it is a time"));
        for factor in [1.5, 2.0, 4.0] {
            let [above, there] =
                [row_of(&policy, 1.0) + 1, row_of(&policy, factor)].map(|row| reached(&policy, factor, row));
            let [above, there] = [above, there].map(|found| [50, 95].map(|of_100| found[of_100] * length));
            println!("  {rate}/s to {factor}: {above:.2?}, {there:.2?}");
        }
    }
}
