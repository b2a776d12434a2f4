//! The frontier of threshold vectors, and searches for one vector.

#[expect(dead_code, reason = "every test binary uses a part of it")]
mod single_common;

use domain::{Thresholds, problem::Model};
use planner::single::data_driven::{Objective, bayesian, direct};
use planner::single::frontier::{MOST_POINTS, frontier};
use planner::single::modes::{self, Server, Worth};
use planner::single::{Mode, adaee};
use single_common::{model, published_model, saturation, table};

fn whole(model: &Model) -> Server {
    Server::whole(model, 1.0)
}

fn point(mode: &Mode) -> (f64, f64) {
    (mode.service.mean(), mode.value)
}

/// The most value at a mean time, linear between points.
fn value_at(frontier: &[Mode], time: f64) -> f64 {
    let after = frontier.iter().position(|mode| mode.service.mean() >= time);
    match after {
        None => frontier.last().map_or(0.0, |mode| mode.value),
        Some(0) => f64::NEG_INFINITY,
        Some(at) => {
            let (a, b) = (point(&frontier[at - 1]), point(&frontier[at]));
            a.1 + (b.1 - a.1) * (time - a.0) / (b.0 - a.0)
        }
    }
}

#[test]
fn the_frontier_is_monotone_and_above_all_single_exits() {
    for worth in [Worth::Accuracy, Worth::Confidence] {
        let model = published_model(4000);
        let points = frontier(&model, whole(&model), worth).expect("what the test sets up is sound");
        assert!((4..=MOST_POINTS).contains(&points.len()), "{}", points.len());
        assert!(points.is_sorted_by(|a, b| point(a).0 < point(b).0 && point(a).1 < point(b).1));
        for exit in modes::exits(&model, whole(&model), worth).expect("what the test sets up is sound") {
            let (time, value) = point(&exit);
            // But for the noise of valuing them by half of the samples.
            assert!(value_at(&points, time * (1.0 + 1e-9)) >= value - 0.012, "{worth:?} {exit:?}");
        }
    }
}

#[test]
fn no_pair_of_thresholds_on_a_fine_grid_is_above_the_frontier() {
    let samples = || table(1500, &[0.6, 0.75, 0.9], 3);
    let model = model(&[(0.1, 0.1), (0.2, 0.1), (0.4, 0.1)], 0.01, samples(), samples());
    let points = frontier(&model, whole(&model), Worth::Accuracy).expect("what the test sets up is sound");
    let mut best_missed = 0.0f64;
    for first in 0..=50u8 {
        for second in 0..=50u8 {
            let thresholds = Thresholds::new([first, second].map(|value| f32::from(value) / 50.0).to_vec())
                .expect("what the test sets up is sound");
            let mode = modes::mode(&model, whole(&model), Worth::Accuracy, thresholds)
                .expect("what the test sets up is sound");
            let (time, value) = point(&mode);
            let missed = value - value_at(&points, time * (1.0 + 1e-9));
            best_missed = best_missed.max(missed);
        }
    }
    // The grid is tuned to the samples by which it is valued here, the frontier is not.
    assert!(best_missed < 0.02, "{best_missed}");
}

#[test]
fn a_perfect_early_exit_is_used_by_the_samples_it_knows() {
    // Half of the samples are sure and right at the first exit; the others need the second.
    let confidence: Vec<f32> =
        (0..100).flat_map(|sample| if sample / 2 % 2 == 0 { [0.95, 0.99] } else { [0.3, 0.99] }).collect();
    let prediction: Vec<u16> = (0..100).flat_map(|sample| [sample / 2 % 2, 0]).collect();
    let table = || {
        domain::ExitTable::new(2, confidence.clone(), prediction.clone(), vec![0; 100])
            .expect("what the test sets up is sound")
    };
    let model = model(&[(0.1, 0.0), (0.9, 0.0)], 0.0, table(), table());
    let points = frontier(&model, whole(&model), Worth::Accuracy).expect("what the test sets up is sound");
    let found: Vec<(f64, f64)> = points.iter().map(point).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!((found[0].0 - 0.1).abs() < 1e-12 && (found[0].1 - 0.5).abs() < 1e-12, "{found:?}");
    assert!((found[1].0 - 0.55).abs() < 1e-12 && (found[1].1 - 1.0).abs() < 1e-12, "{found:?}");
}

#[test]
fn a_head_that_never_pays_is_closed() {
    // The middle exit knows nothing that the first does not, and its head is dear.
    let confidence: Vec<f32> =
        (0..200).flat_map(|sample| if sample / 2 % 2 == 0 { [0.9; 3] } else { [0.2, 0.2, 0.9] }).collect();
    let prediction: Vec<u16> = (0..200).flat_map(|sample| [sample / 2 % 2, sample / 2 % 2, 0]).collect();
    let table = || {
        domain::ExitTable::new(3, confidence.clone(), prediction.clone(), vec![0; 200])
            .expect("what the test sets up is sound")
    };
    let model = model(&[(0.1, 0.0), (0.1, 0.0), (0.1, 0.0)], 0.05, table(), table());
    let points = frontier(&model, whole(&model), Worth::Accuracy).expect("what the test sets up is sound");
    assert!(points.iter().all(|mode| !mode.thresholds.is_open(1)), "{points:?}");
}

fn objective(model: &Model, load: f64) -> Objective<'_> {
    let (capacity, rate, target) = (10, load * saturation(), 0.01);
    Objective { model, server: whole(model), worth: Worth::Accuracy, capacity, rate, target }
}

#[test]
fn direct_search_beats_bayesian_at_equal_evaluations_and_changes_less_between_rates() {
    let model = published_model(2000);
    let points = frontier(&model, whole(&model), Worth::Accuracy).expect("what the test sets up is sound");
    let loads: Vec<f64> = (0..7).map(|row| 2f64.powf(f64::from(row) / 3.0)).collect();
    let runs = |search: &dyn Fn(&Objective<'_>) -> planner::single::data_driven::Found| -> (Vec<f64>, Vec<Thresholds>) {
        let found = loads.iter().map(|&load| search(&objective(&model, load)));
        found.map(|found| (found.score, found.thresholds)).unzip()
    };
    let (direct_scores, direct_vectors) = runs(&|objective| direct(objective, &points, 105));
    let (bayesian_scores, bayesian_vectors) = runs(&|objective| bayesian(objective, 105, 1));
    println!("direct {direct_scores:?}\nbayesian {bayesian_scores:?}");
    println!("variation {} {}", variation(&direct_vectors), variation(&bayesian_vectors));
    assert!(direct_scores.iter().zip(&bayesian_scores).all(|(direct, bayesian)| *direct > bayesian - 0.002));
    assert!(direct_scores.iter().sum::<f64>() > bayesian_scores.iter().sum::<f64>());
    assert!(variation(&direct_vectors) < variation(&bayesian_vectors));
}

/// Mean change per threshold between neighbouring rates.
fn variation(vectors: &[Thresholds]) -> f64 {
    let change = |pair: &[Thresholds]| -> f64 {
        let values = pair[0].as_slice().iter().zip(pair[1].as_slice());
        values.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / pair[0].as_slice().len() as f64
    };
    vectors.windows(2).map(change).sum::<f64>() / (vectors.len() - 1) as f64
}

#[test]
fn searches_spend_what_they_are_given_and_repeat() {
    let model = published_model(500);
    let points = frontier(&model, whole(&model), Worth::Accuracy).expect("what the test sets up is sound");
    let objective = objective(&model, 2.0);
    for evaluations in [1, 7, 40] {
        let found = bayesian(&objective, evaluations, 3);
        assert_eq!(found.evaluations, evaluations);
        assert_eq!(found, bayesian(&objective, evaluations, 3));
        assert!((objective.score(&found.thresholds) - found.score).abs() < 1e-12);
        assert!(direct(&objective, &points, evaluations).evaluations <= evaluations);
    }
    assert_ne!(bayesian(&objective, 20, 3).thresholds, bayesian(&objective, 20, 4).thresholds);
}

#[test]
fn losing_less_than_the_target_is_no_merit() {
    let model = published_model(500);
    let first = Thresholds::exit_first(9);
    let at = |load: f64| objective(&model, load).score(&first);
    assert_eq!(at(0.1), at(0.2));
    assert!(at(1000.0) < at(0.1) - 10.0);
}

#[test]
fn time_costs_nothing_when_there_is_plenty_and_more_as_load_grows() {
    let model = published_model(2000);
    let points = frontier(&model, whole(&model), Worth::Confidence).expect("what the test sets up is sound");
    let bandit = |load: f64| {
        adaee::bandit(&model, whole(&model), &points, (10, load * saturation()), 0.01, true)
            .expect("what the test sets up is sound")
    };
    assert!(bandit(0.2).costs.iter().all(|&cost| cost == 0.0));
    let costs: Vec<f64> = [1.0, 2.0, 4.0, 8.0].map(|load| bandit(load).costs[8]).to_vec();
    assert!(costs.is_sorted_by(|a, b| a < b), "{costs:?}");
    let heavy = bandit(4.0);
    assert_eq!((heavy.costs.len(), heavy.costs[0], heavy.room), (9, 0.0, Some(10)));
    assert!(heavy.costs.is_sorted() && heavy.arms.len() <= adaee::ARMS && heavy.arms.len() > 4);
}
