//! Profile, exit table and memory of a small model.

use crate::support::{CUTS, load, reference, rows, whole_scores};
use runtime_image::model::{MeasureError, Samples, exit_table, profile, resident_memory_bytes};

#[test]
fn a_profile_has_a_time_for_every_segment_and_head() {
    let network = load("branchy.onnx", &CUTS);
    let samples = rows(&reference(), "input").concat();
    let mut seen = Vec::new();
    let found = profile(&network, Samples(&samples), 3, 1, |done, all| seen.push((done, all))).unwrap();
    assert_eq!((found.segments.len(), found.heads.len()), (4, 4));
    assert!(found.segments.iter().all(|time| time.mean_microseconds > 0.0 && time.scv >= 0.0), "{found:?}");
    assert!(found.heads[..3].iter().all(|time| time.mean_microseconds > 0.0), "{found:?}");
    assert_eq!((found.heads[3].mean_microseconds, found.heads[3].scv), (0.0, 0.0), "part of the last segment");
    assert_eq!(seen, [(1, 4), (2, 4), (3, 4), (4, 4)]);
}

#[test]
fn an_exit_table_holds_what_every_exit_says() {
    let network = load("branchy.onnx", &CUTS);
    let samples = rows(&reference(), "input");
    let labels: Vec<u16> = (0..samples.len()).map(|sample| (sample % 5) as u16).collect();
    let mut last = (0, 0);
    let table = exit_table(&network, Samples(&samples.concat()), &labels, |done, all| last = (done, all)).unwrap();
    assert_eq!((table.exits(), table.samples(), last), (4, samples.len(), (samples.len(), samples.len())));
    let model = network.model();
    for (sample, scores) in whole_scores(&network, &samples).iter().enumerate() {
        assert_eq!(table.label(sample), labels[sample]);
        for (exit, scores) in scores.iter().enumerate() {
            let want = model.confidence.read(scores, model.exits[exit].output).unwrap();
            assert_eq!(table.prediction(sample, exit), want.class, "sample {sample}, exit {exit}");
            assert!((table.confidence(sample, exit) - want.confidence).abs() < 1e-5, "sample {sample}, exit {exit}");
        }
    }
}

#[test]
fn samples_and_labels_that_do_not_fit_are_refused() {
    let network = load("branchy.onnx", &CUTS);
    let half = profile(&network, Samples(&[0.0; 100]), 1, 0, |_, _| ()).unwrap_err();
    assert!(matches!(half, MeasureError::Samples { values: 100, sample: 432 }), "{half}");
    let none = profile(&network, Samples(&[]), 1, 0, |_, _| ()).unwrap_err();
    assert!(matches!(none, MeasureError::Samples { values: 0, .. }), "{none}");
    let labels = exit_table(&network, Samples(&[0.0; 864]), &[1], |_, _| ()).unwrap_err();
    assert!(matches!(labels, MeasureError::Labels { labels: 1, samples: 2 }), "{labels}");
}

#[test]
fn the_process_knows_its_memory() {
    let memory = resident_memory_bytes().unwrap();
    assert!(memory.resident > 1 << 20 && memory.peak >= memory.resident, "{memory:?}");
}
