//! The example that is shipped: 100 images through every pair of cuts.

use crate::support::{check_divisions, rows, thresholds, whole_scores};
use domain::{Confidence, Exit, ExitOutput, Model};
use runtime_image::model::{Network, Samples, exit_table, inspect};
use safetensors::SafeTensors;
use std::path::PathBuf;

const IMAGES: usize = 100;

/// The table was computed by ONNX Runtime in batches and rounded from f64: sums are added in another order.
const TABLE: f32 = 1e-4;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/fashion-mnist")
}

fn model() -> Model {
    let exit =
        |exit: usize| Exit { name: format!("exit{exit}"), tensor: format!("exit{exit}"), output: ExitOutput::Logits };
    Model {
        name: "fashion-mnist".into(),
        input: "input".into(),
        input_shape: vec![1, 28, 28],
        exits: (1..=6).map(exit).collect(),
        cuts: (1..=5).map(|cut| format!("cut{cut}")).collect(),
        confidence: Confidence::MaxSoftmax,
    }
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap_or_else(|error| panic!("{file} of the example: {error}"))
}

fn images() -> Vec<Vec<f32>> {
    let mut images = rows(&read("load.safetensors"), "input");
    images.truncate(IMAGES);
    images
}

/// The first rows of a u16 tensor of a safetensors file.
fn numbers(bytes: &[u8], tensor: &str, count: usize) -> Vec<u16> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let values = file.tensor(tensor).unwrap().data().chunks_exact(2);
    values.take(count).map(|value| u16::from_le_bytes(value.try_into().unwrap())).collect()
}

#[test]
fn every_split_of_the_example_equals_the_whole_network() {
    let network = Network::load(&folder().join("model.onnx"), &model()).unwrap();
    let images = images();
    let scores = whole_scores(&network, &images);
    let vectors = [[0.9; 5], [1.0, 0.7, 1.0, 0.8, 0.9], [0.99, 0.95, 0.9, 0.8, 0.7]].map(|values| thresholds(&values));
    check_divisions(&network, &images, &scores, &vectors);
}

#[test]
fn the_example_is_inspected_as_it_is_described() {
    let found = inspect(&folder().join("model.onnx")).unwrap();
    assert_eq!(found.recommended_cuts, model().cuts);
    let exits: Vec<usize> = found.exits.iter().map(|exit| exit.segment).collect();
    assert_eq!(exits, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_exit_table_of_the_example_is_what_its_network_says() {
    let network = Network::load(&folder().join("model.onnx"), &model()).unwrap();
    let labels = numbers(&read("load.safetensors"), "label", IMAGES);
    let found = exit_table(&network, Samples(&images().concat()), &labels, |_, _| ()).unwrap();
    let shipped = read("exit-table-test.safetensors");
    assert_eq!(numbers(&shipped, "label", IMAGES), labels, "both start with the first test images");
    let predictions = numbers(&shipped, "prediction", IMAGES * 6);
    for (sample, confidences) in rows(&shipped, "confidence").iter().take(IMAGES).enumerate() {
        for (exit, confidence) in confidences.iter().enumerate() {
            let place = format!("sample {sample}, exit {exit}");
            assert!((found.confidence(sample, exit) - confidence).abs() < TABLE, "{place}: {confidence}");
            assert_eq!(found.prediction(sample, exit), predictions[sample * 6 + exit], "{place}");
        }
    }
}
