//! Single runs of fragments: what is computed, what is handed on, what fails.

use crate::support::{CUTS, load, reference, rows, thresholds};
use domain::{FragmentRange, Thresholds};
use runtime_image::model::{Fragment, Run, RunError, Worker};
use std::sync::Arc;
use std::time::Duration;

fn fragment(first: usize, last: usize) -> Arc<Fragment> {
    load("branchy.onnx", &CUTS).fragment(FragmentRange { first, last }).unwrap()
}

fn run(fragment: &Arc<Fragment>, sample: &[f32], thresholds: &Thresholds, evaluate_all: bool) -> Result<Run, RunError> {
    fragment.worker().unwrap().run(fragment.input_from_values(sample)?, thresholds, evaluate_all)
}

fn evaluated(run: &Run) -> Vec<usize> {
    run.evaluated.iter().map(|evaluated| evaluated.exit).collect()
}

fn sample() -> Vec<f32> {
    rows(&reference(), "input").swap_remove(0)
}

#[test]
fn a_fragment_knows_its_exits_and_shapes() {
    let first = fragment(0, 1);
    assert_eq!((first.exits(), first.is_last(), first.classes()), (&[0, 1][..], false, 5));
    assert_eq!((first.input_shape(), first.input_len()), (&[1, 3, 12, 12][..], 432));
    assert_eq!((first.output_shape(), first.output_len()), (Some(&[1, 16, 12, 12][..]), Some(2304)));
    let rest = fragment(2, 3);
    assert_eq!((rest.exits(), rest.is_last(), rest.output_len()), (&[2, 3][..], true, None));
    assert_eq!(rest.input_len(), 2304);
}

#[test]
fn closed_heads_are_not_computed() {
    let run = run(&fragment(0, 3), &sample(), &Thresholds::exit_last(4), false).unwrap();
    assert_eq!((evaluated(&run), run.left), (vec![3], Some(0)));
    assert_eq!(run.segment_times.len(), 4);
    assert_eq!(run.evaluated[0].head_time, Duration::ZERO, "the last exit is part of the last segment");
}

#[test]
fn a_job_that_leaves_is_not_computed_further() {
    let run = run(&fragment(0, 3), &sample(), &Thresholds::exit_at(4, 1), false).unwrap();
    assert_eq!((evaluated(&run), run.left, run.segment_times.len()), (vec![1], Some(0), 2));
    assert!(run.forward.is_none());
}

#[test]
fn a_job_that_goes_on_hands_over_the_tensor_at_the_cut() {
    let first = fragment(0, 1);
    let run = run(&first, &sample(), &thresholds(&[1.0, 0.999_999, 0.5]), false).unwrap();
    assert_eq!((evaluated(&run), run.left), (vec![1], None));
    let forward = run.forward.unwrap();
    assert_eq!(Some(forward.values().len()), first.output_len());
    let bytes: Vec<u8> = forward.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(forward.as_bytes(), bytes);
}

#[test]
fn evaluating_all_goes_on_and_tells_where_the_job_leaves() {
    let first = run(&fragment(0, 1), &sample(), &Thresholds::exit_at(4, 1), true).unwrap();
    assert_eq!((evaluated(&first), first.left, first.answer().unwrap().exit), (vec![0, 1], Some(1), 1));
    assert!(first.forward.is_some());
    let all = run(&fragment(0, 3), &sample(), &Thresholds::exit_first(4), true).unwrap();
    assert_eq!((evaluated(&all), all.left), (vec![0, 1, 2, 3], Some(0)));
    assert!(all.forward.is_none());
}

#[test]
fn values_that_are_not_finite_fail_the_job_and_leave_nothing_behind() {
    let whole = fragment(0, 3);
    let mut worker = whole.worker().unwrap();
    let good = |worker: &mut Worker| {
        let input = whole.input_from_values(&sample()).unwrap();
        worker.run(input, &Thresholds::exit_last(4), false).unwrap().evaluated[0].softmax.clone()
    };
    let before = good(&mut worker);
    // The first is not finite from the start; the second overflows on the way to the scores.
    for (value, want) in [(f32::NAN, RunError::NotFinite { exit: None }), (3e38, RunError::NotFinite { exit: Some(0) })]
    {
        let bad = whole.input_from_values(&[value; 432]).unwrap();
        assert_eq!(worker.run(bad, &Thresholds::exit_first(4), false).unwrap_err(), want);
        assert_eq!(good(&mut worker), before);
    }
    assert_eq!(good(&mut worker.respawn().unwrap()), before);
}

#[test]
fn inputs_and_thresholds_of_another_model_are_refused() {
    let first = fragment(0, 1);
    let short = first.input_from_values(&[0.0; 3]).unwrap_err();
    assert_eq!(short, RunError::Length { want: 432, given: 3 });
    assert_eq!(first.input_from_le_bytes(&[0; 433 * 4]).unwrap_err(), RunError::Length { want: 432, given: 433 });
    let error = run(&first, &sample(), &Thresholds::exit_first(3), false).unwrap_err();
    assert_eq!(error, RunError::Thresholds { want: 4, given: 3 });
    let input = fragment(2, 3).input_from_values(&[0.0; 2304]).unwrap();
    let error = first.worker().unwrap().run(input, &Thresholds::exit_first(4), false).unwrap_err();
    assert_eq!(error, RunError::Length { want: 432, given: 2304 });
}
