//! Knapsack and mixtures against brute force, linear programs and wider searches.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use domain::Thresholds;
use good_lp::{ProblemVariables, Solution, SolverModel, constraint, microlp, variable};
use planner::single::published::{Item, best_vertex};
use planner::single::{Mode, Rated, Station, knapsack, mixture, published};
use proptest::prelude::*;
use queueing::Law;
use single_common::{published_station, saturation};

/// Constant times.
fn station(capacity: usize, modes: &[(f64, f64)]) -> Station {
    let mode = |&(value, mean): &(f64, f64)| Mode {
        thresholds: Thresholds::exit_last(1),
        value,
        service: Law::deterministic(mean).expect("what the test sets up is sound").into(),
    };
    Station { capacity, modes: modes.iter().map(mode).collect() }
}

/// The most value of `jobs` jobs within a budget, trying everything.
fn brute_force(modes: &[(f64, f64)], jobs: usize, budget: f64) -> Option<f64> {
    let Some((first, rest)) = modes.split_first() else { return (jobs == 0 && budget >= -1e-9).then_some(0.0) };
    (0..=jobs)
        .filter_map(|count| {
            let left = brute_force(rest, jobs - count, budget - count as f64 * first.1)?;
            Some(count as f64 * first.0 + left)
        })
        .max_by(f64::total_cmp)
}

fn value_and_time(station: &Station, counts: &[(usize, usize)]) -> (f64, f64) {
    let of = |&(count, mode): &(usize, usize)| {
        (count as f64 * station.modes[mode].value, count as f64 * station.modes[mode].service.mean())
    };
    counts.iter().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn knapsack_is_exact_where_times_lie_on_the_grid(
        values in prop::collection::vec(0.0..1.0f64, 4),
        // In sixteenths of the longest increment, which the grid of 1,024 cells resolves.
        times in prop::collection::vec(0u32..=16, 3),
        budget in 0.0..12.0f64,
    ) {
        let mut modes: Vec<(f64, f64)> = vec![(values[0], 0.25)];
        modes.extend(times.iter().zip(&values[1..]).map(|(&time, &value)| (value, 0.25 + f64::from(time) / 16.0)));
        modes.push((1.0, 1.25));
        let station = station(5, &modes);
        let plan = knapsack::Plan::new(&station);
        for jobs in 1..=5 {
            let budget = budget * jobs as f64 / 5.0;
            let counts = plan.counts(jobs, budget);
            prop_assert_eq!(counts.iter().map(|one| one.0).sum::<usize>(), jobs);
            let (value, time) = value_and_time(&station, &counts);
            let (_, bound) = knapsack::relaxed(&station, jobs, budget);
            prop_assert!(value <= bound + 1e-9 || time > budget, "{} {}", value, bound);
            match brute_force(&modes, jobs, budget) {
                Some(best) => {
                    prop_assert!(time <= budget + 1e-9);
                    prop_assert!((value - best).abs() < 1e-9, "{} {}", value, best);
                }
                // Not even the fastest fits: it is taken all the same.
                None => prop_assert!((time - 0.25 * jobs as f64).abs() < 1e-9),
            }
        }
    }

    #[test]
    fn rounding_up_never_overspends_and_costs_less_than_a_cell_per_job(
        times in prop::collection::vec(0.0..1.0f64, 5),
        values in prop::collection::vec(0.0..1.0f64, 5),
        budget in 0.5..8.0f64,
    ) {
        let modes: Vec<(f64, f64)> = times.iter().zip(&values).map(|(&time, &value)| (value, 0.1 + time)).collect();
        let station = station(6, &modes);
        let counts = knapsack::Plan::new(&station).counts(6, budget);
        let (value, time) = value_and_time(&station, &counts);
        let fastest = modes.iter().map(|mode| mode.1).fold(f64::INFINITY, f64::min);
        prop_assert!(time <= f64::max(budget, 6.0 * fastest) + 1e-9);
        let cell = (modes.iter().map(|mode| mode.1).fold(0.0, f64::max) - fastest) / 1024.0;
        if let Some(tighter) = brute_force(&modes, 6, budget - 7.0 * cell) {
            prop_assert!(value >= tighter - 1e-9, "{} {}", value, tighter);
        }
    }

    #[test]
    fn vertices_are_optima_of_the_linear_program(
        items in prop::collection::vec((0.0..1.0f64, 0.05..2.0f64, 0.0..1.0f64), 2..8),
        at in 0.0..1.0f64,
        scv in 0.0..1.5f64,
    ) {
        let items: Vec<Item> = items
            .iter()
            .map(|&(value, mean, scv)| Item { value, mean, second: (1.0 + scv) * mean * mean })
            .collect();
        let shortest = items.iter().map(|item| item.mean).fold(f64::INFINITY, f64::min);
        let longest = items.iter().map(|item| item.mean).fold(0.0, f64::max);
        let mean = shortest + at * (longest - shortest);
        let second = (1.0 + scv) * mean * mean;
        let found = best_vertex(&items, mean, second).map(|vertex| vertex.value);
        let solved = linear_program(&items, mean, second);
        match (found, solved) {
            (Some(found), Some(solved)) => prop_assert!((found - solved).abs() < 1e-6, "{} {}", found, solved),
            (None, None) => {}
            // Only at the edge of what is feasible.
            (found, solved) => {
                let inside = linear_program(&items, mean, second * (1.0 - 1e-6));
                let outside = linear_program(&items, mean, second * (1.0 + 1e-6));
                prop_assert!(inside.is_some() != outside.is_some(), "{:?} {:?}", found, solved);
            }
        }
    }
}

/// By a simplex.
fn linear_program(items: &[Item], mean: f64, second: f64) -> Option<f64> {
    let mut variables = ProblemVariables::new();
    let shares: Vec<_> = items.iter().map(|_| variables.add(variable().min(0.0).max(1.0))).collect();
    let sum = |of: fn(&Item) -> f64| -> good_lp::Expression {
        shares.iter().zip(items).map(|(&share, item)| share * of(item)).sum()
    };
    let solution = variables
        .maximise(sum(|item| item.value))
        .using(microlp)
        .with(constraint!(sum(|_| 1.0) == 1.0))
        .with(constraint!(sum(|item| item.mean) == mean))
        .with(constraint!(sum(|item| item.second) <= second))
        .solve()
        .ok()?;
    Some(shares.iter().zip(items).map(|(&share, item)| solution.value(share) * item.value).sum())
}

#[test]
fn the_first_exit_is_paid_once() {
    // Two jobs, budget 3: one long one fits beside one short one.
    let station = station(3, &[(0.5, 1.0), (0.9, 2.0)]);
    let plan = knapsack::Plan::new(&station);
    assert_eq!(plan.counts(2, 3.0), [(1, 0), (1, 1)]);
    assert_eq!(plan.counts(2, 4.0), [(2, 1)]);
    assert_eq!(plan.counts(2, 0.5), [(2, 0)]);
    let (counts, value) = knapsack::relaxed(&station, 2, 3.5);
    assert!((value - (2.0 * 0.5 + 1.5 * 0.4)).abs() < 1e-12, "{counts:?}");
}

#[test]
fn tables_become_cautious_as_memory_fills() {
    let station = published_station(10);
    let plan = knapsack::Plan::new(&station);
    let table = plan.table(3.0 * saturation());
    let value = |lottery: &Vec<(f64, usize)>| -> f64 {
        lottery.iter().map(|&(share, mode)| share * station.modes[mode].value).sum()
    };
    let values: Vec<f64> = table.0.iter().map(value).collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    assert!((values[0] - 0.915).abs() < 1e-9 && values[9] < 0.55, "{values:?}");
}

#[test]
fn mixtures_reach_what_the_finer_search_found() {
    // (load, target, accuracy found by an independent search at K = 10, constant times).
    let rows = [(3.0, 0.01, 0.8237), (3.0, 0.001, 0.8011), (5.0, 0.01, 0.7543), (5.0, 0.001, 0.7224)];
    let constant: Vec<(f64, f64)> =
        single_common::gates().iter().zip(single_common::MADE_UP).map(|(gate, value)| (value, gate[0])).collect();
    let station = station(10, &constant);
    for (load, target, want) in rows {
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let found = mixture::best(&rated, target);
        assert!((found.value - want).abs() < 2e-4, "load {load}, target {target}: {found:?}");
        assert!(found.loss <= target && found.is_met && found.price > 0.0);
        assert!((mixture::loss(&rated, &found.shares) - found.loss).abs() < 1e-12);
    }
}

#[test]
fn three_modes_are_not_better_than_two() {
    // All triples, in steps of 1/60, each pushed to the target: a general search.
    for (load, target) in [(1.5, 0.01), (3.0, 0.01), (5.0, 0.001)] {
        let station = published_station(10);
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let best = mixture::best(&rated, target);
        for a in 0..9 {
            for b in a + 1..9 {
                for c in b + 1..9 {
                    for first in 1..60 {
                        for second in 1..60 - first {
                            let [x, y] = [first, second].map(|share| f64::from(share) / 60.0);
                            let shares = [(x, a), (y, b), (1.0 - x - y, c)];
                            let value: f64 =
                                shares.iter().map(|&(share, mode)| share * station.modes[mode].value).sum();
                            if value > best.value + 1e-6 {
                                let loss = mixture::loss(&rated, &shares);
                                assert!(loss > target, "{shares:?}: {value} > {}, loss {loss}", best.value);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_general_solver_over_all_modes_finds_nothing_better() {
    for (load, target) in [(1.5, 0.01), (3.0, 0.01), (3.0, 0.001), (5.0, 0.01), (5.0, 0.001)] {
        let station = published_station(10);
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let best = mixture::best(&rated, target);
        let solved = (0..12).map(|start| sequential_programs(&rated, target, start)).fold(0.0, f64::max);
        assert!((solved - best.value).abs() < 1e-4, "load {load}, target {target}: {solved}, {best:?}");
    }
}

/// The value of a mixture of all modes by sequential linear programs in a trust region, from one start of many: the loss is
/// replaced by its tangent, the program solved by a simplex, and the step halved where the loss bends too far.
fn sequential_programs(rated: &Rated<'_>, target: f64, start: u64) -> f64 {
    let modes = &rated.station.modes;
    let loss = |shares: &[f64]| {
        let shares: Vec<_> = shares.iter().copied().zip(0..).filter(|share| share.0 > 0.0).collect();
        mixture::loss(rated, &shares)
    };
    let value = |shares: &[f64]| shares.iter().zip(modes).map(|(share, mode)| share * mode.value).sum::<f64>();
    // Some of everything, and of the first mode so much that it is feasible.
    let mut shares: Vec<f64> = (0..modes.len() as u64).map(|mode| ((start * 7 + mode * 5) % 11) as f64 + 0.5).collect();
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    while loss(&shares) > target {
        shares.iter_mut().for_each(|share| *share /= 2.0);
        shares[0] += 0.5;
    }
    let mut radius = 0.3;
    while radius > 1e-7 {
        let here = loss(&shares);
        // Towards one mode alone.
        let slope = |mode: usize| {
            let step = 1e-6;
            let mut moved: Vec<f64> = shares.iter().map(|share| share * (1.0 - step)).collect();
            moved[mode] += step;
            (loss(&moved) - here) / step
        };
        let slopes: Vec<f64> = (0..modes.len()).map(slope).collect();
        let mut variables = ProblemVariables::new();
        let bounds = shares.iter().map(|share| variable().min(f64::max(0.0, share - radius)).max(share + radius));
        let next: Vec<_> = bounds.map(|bound| variables.add(bound)).collect();
        let sum = |of: &dyn Fn(usize) -> f64| -> good_lp::Expression {
            next.iter().enumerate().map(|(mode, &share)| share * of(mode)).sum()
        };
        let solution = variables
            .maximise(sum(&|mode| modes[mode].value))
            .using(microlp)
            .with(constraint!(sum(&|_| 1.0) == 1.0))
            .with(constraint!(sum(&|mode| slopes[mode]) <= target - here))
            .solve()
            .expect("where it is now is feasible");
        let found: Vec<f64> = next.iter().map(|&share| solution.value(share).max(0.0)).collect();
        if value(&found) > value(&shares) + 1e-9 && loss(&found) <= target {
            shares = found;
        } else {
            radius /= 2.0;
        }
    }
    value(&shares)
}

#[test]
fn light_loads_go_to_the_last_exit_and_impossible_ones_to_the_first() {
    let station = published_station(10);
    let light = mixture::best(&station.at(0.3 * saturation()).expect("what the test sets up is sound"), 0.01);
    assert_eq!((light.shares, light.price, light.is_met), (vec![(1.0, 8)], 0.0, true));
    let heavy = mixture::best(&station.at(1000.0 * saturation()).expect("what the test sets up is sound"), 0.01);
    assert_eq!((heavy.shares, heavy.is_met), (vec![(1.0, 0)], false));
    let none = mixture::best(&station.at(0.0).expect("what the test sets up is sound"), 0.01);
    assert_eq!(none.shares, [(1.0, 8)]);
}

#[test]
fn the_published_form_is_feasible_by_its_own_formula_and_never_better_than_the_exact_one_at_its_loss() {
    let station = published_station(10);
    for load in [1.0, 2.0, 3.0, 5.0, 8.0] {
        let rated = station.at(load * saturation()).expect("what the test sets up is sound");
        let approximate = published::best(&rated, 0.01);
        let (mut mean, mut second) = (0.0, 0.0);
        for &(share, mode) in &approximate.shares {
            let service = &station.modes[mode].service;
            mean += share * service.mean();
            second += share * (1.0 + service.scv()) * service.mean().powi(2);
        }
        let scv = (second / (mean * mean) - 1.0).max(0.0);
        let smith = queueing::smith::loss(rated.rate * mean, scv, 10).expect("what the test sets up is sound");
        assert!(smith <= 0.01 * (1.0 + 1e-6), "load {load}: {smith} {approximate:?}");
        let exact = mixture::best(&rated, approximate.loss);
        assert!(exact.value >= approximate.value - 1e-9, "load {load}: {exact:?} {approximate:?}");
        println!("load {load}: {approximate:?} exact {:?}", mixture::best(&rated, 0.01));
    }
}
