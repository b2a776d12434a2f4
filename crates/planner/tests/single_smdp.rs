//! The optimal table over jobs present: published rows, brute force, limits.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use domain::Thresholds;
use planner::single::{Mode, Station, Table, knapsack, mixture, performance, smdp};
use queueing::Law;
use single_common::{published_station, saturation};

#[test]
fn optimal_exits_per_jobs_present_are_those_computed_elsewhere() {
    let rows = [
        (1.0, [8, 8, 8, 7, 7, 6, 6, 6, 3, 0]),
        (2.0, [7, 6, 6, 6, 6, 6, 5, 3, 2, 0]),
        (3.0, [6, 6, 5, 5, 3, 3, 3, 2, 1, 0]),
        (5.0, [5, 3, 3, 3, 3, 2, 2, 1, 0, 0]),
    ];
    let station = published_station(10);
    for (load, want) in rows {
        let found = smdp::optimal(&station.at(load * saturation()).expect("what the test sets up is sound"), 1.0, None);
        assert_eq!(found.modes, want, "load {load}");
    }
}

#[test]
fn loss_and_accuracy_of_the_tables_are_those_simulated_elsewhere() {
    // (load, loss and accuracy with penalty 1), simulated, to the digits printed.
    let rows = [
        (1.0, 0.00015, 0.9116),
        (1.5, 0.00042, 0.9004),
        (2.0, 0.0013, 0.8885),
        (3.0, 0.00056, 0.8428),
        (5.0, 0.0011, 0.7710),
        (8.0, 0.00042, 0.6897),
    ];
    let station = published_station(10);
    for (load, loss, accuracy) in rows {
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let found = performance(&rated, &Table::of(&smdp::optimal(&rated, 1.0, None).modes));
        println!("load {load}: {found:?} {loss} {accuracy}");
        assert!((found.value - accuracy).abs() < 0.001, "load {load}: {found:?}");
        assert!((found.loss / loss - 1.0).abs() < 0.25, "load {load}: {found:?}");
    }
}

fn small(capacity: usize) -> Station {
    let mode = |(value, mean, scv): (f64, f64, f64)| Mode {
        thresholds: Thresholds::exit_last(1),
        value,
        service: Law::gamma(mean, scv).expect("what the test sets up is sound").into(),
    };
    Station { capacity, modes: [(0.5, 0.3, 0.5), (0.8, 0.9, 0.1), (0.9, 1.6, 1.0)].map(mode).to_vec() }
}

#[test]
fn no_table_is_better_than_the_optimum() {
    for rate in [0.1, 0.8, 2.0, 6.0] {
        for penalty in [0.0, 0.5, 20.0] {
            let station = small(4);
            let rated = station.at(rate).expect("what the test sets up is sound");
            let gain = |modes: &[usize]| {
                let found = performance(&rated, &Table::of(modes));
                (1.0 - found.loss) * found.value - penalty * found.loss
            };
            let all = (0..81).map(|code| [code % 3, code / 3 % 3, code / 9 % 3, code / 27]);
            let best = all.map(|modes| gain(&modes)).fold(f64::NEG_INFINITY, f64::max);
            let found = smdp::optimal(&rated, penalty, None);
            assert!((found.gain - best).abs() < 1e-9, "rate {rate}, penalty {penalty}: {} {best}", found.gain);
            assert!((gain(&found.modes) - found.gain).abs() < 1e-9);
        }
    }
}

#[test]
fn the_table_on_target_is_the_most_valuable_that_keeps_to_it() {
    let station = small(3);
    for rate in [0.3, 0.8, 1.3, 2.2] {
        let rated = station.at(rate).expect("what the test sets up is sound");
        let target = 0.03;
        let all = (0..27).map(|code| performance(&rated, &Table::of(&[code % 3, code / 3 % 3, code / 9])));
        let best = all.filter(|found| found.loss <= target).map(|found| found.value).fold(0.0, f64::max);
        let found = smdp::on_target(&rated, target);
        assert_eq!(found.is_met, best > 0.0, "rate {rate}");
        if found.is_met {
            assert!(found.performance.loss <= target);
            assert!(found.performance.value >= best - 1e-12, "rate {rate}: {found:?} {best}");
            assert_eq!(performance(&rated, &found.table), found.performance);
        }
    }
}

#[test]
fn a_higher_penalty_never_loses_more() {
    let station = published_station(10);
    let rated = station.at(3.0 * saturation()).expect("what the test sets up is sound");
    let loss = |penalty: f64| performance(&rated, &Table::of(&smdp::optimal(&rated, penalty, None).modes)).loss;
    let losses: Vec<f64> = [-0.9, -0.5, 0.0, 0.3, 1.0, 3.0, 10.0, 100.0, 1e4].map(loss).to_vec();
    assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
    assert!(losses[0] > 0.5 && losses[8] < 1e-4, "{losses:?}");
}

#[test]
fn at_the_same_loss_the_optimum_beats_knapsack_and_the_best_mixture() {
    let station = published_station(10);
    let plan = knapsack::Plan::new(&station);
    for load in [1.0, 2.0, 3.0, 5.0, 8.0] {
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let packed = performance(&rated, &plan.table(rated.rate));
        let mixed = mixture::best(&rated, 0.01);
        let same = smdp::on_target(&rated, packed.loss).performance;
        let at_target = smdp::on_target(&rated, 0.01).performance;
        println!(
            "load {load}: knapsack {packed:?}, optimum {same:?}; mixture {} {}, optimum {at_target:?}",
            mixed.loss, mixed.value
        );
        assert!(same.loss <= packed.loss && same.value >= packed.value - 1e-9, "load {load}: {same:?} {packed:?}");
        assert!(at_target.loss <= 0.01 && at_target.value > mixed.value, "load {load}: {at_target:?} {mixed:?}");
    }
}

#[test]
fn deep_overload_of_large_stations_stays_finite() {
    for capacity in [10, 100, 128] {
        let station = small(capacity);
        for rate in [0.01, 1.0, 3.0, 10.0, 1e3, 1e6] {
            let rated = station.at(rate).expect("what the test sets up is sound");
            let found = smdp::on_target(&rated, 0.01);
            // At least what cannot be served even at the fastest is lost.
            let least = (1.0 - 1.0 / (rate * 0.3)).max(0.0);
            let performance = found.performance;
            assert!(performance.loss >= least - 1e-9 && performance.loss <= 1.0, "{capacity} {rate}: {performance:?}");
            assert_eq!(found.is_met, performance.loss <= 0.01, "{capacity} {rate}: {performance:?}");
            if least > 0.1 {
                assert!(performance.loss < least + 0.02, "{capacity} {rate}: {performance:?}");
            }
        }
    }
}
