//! Two roads to one answer: fragments one after the other, and the whole network at once.

use crate::support::{CUTS, branchy, check_divisions, close, models, reference, rows, thresholds, whole_scores};
use domain::{Confidence, ExitOutput, Model, Thresholds};
use runtime_image::model::{Network, inspect};
use std::path::Path;

const EXITS: [&str; 4] = ["early", "middle", "late", "final"];

fn vectors() -> Vec<Thresholds> {
    let fixed = (0..4).map(|exit| Thresholds::exit_at(4, exit));
    let mixed =
        [[0.7, 0.7, 0.7], [0.35, 0.9, 0.5], [1.0, 0.5, 0.99], [0.99, 1.0, 0.3]].map(|values| thresholds(&values));
    fixed.chain(mixed).collect()
}

/// Scores that ONNX Runtime computed: sample by sample, exit by exit.
fn reference_scores(prefix: &str) -> Vec<Vec<Vec<f32>>> {
    let bytes = reference();
    let exits: Vec<Vec<Vec<f32>>> = EXITS.iter().map(|exit| rows(&bytes, &format!("{prefix}.{exit}"))).collect();
    (0..exits[0].len()).map(|sample| exits.iter().map(|exit| exit[sample].clone()).collect()).collect()
}

fn check(file: &str, model: &Model, prefix: &str) {
    let network = Network::load(&models().join(file), model).unwrap();
    let samples = rows(&reference(), "input");
    let references = reference_scores(prefix);
    let whole = whole_scores(&network, &samples);
    check_divisions(&network, &samples, &references, &vectors());
    check_divisions(&network, &samples, &whole, &vectors());
}

#[test]
fn fragments_chained_equal_the_whole_network() {
    check("branchy.onnx", &branchy(&CUTS, ExitOutput::Logits, Confidence::MaxSoftmax), "branchy");
}

#[test]
fn entropy_decides_alike_in_fragments_and_in_the_whole() {
    check("branchy.onnx", &branchy(&CUTS, ExitOutput::Logits, Confidence::NormalizedEntropy), "branchy");
}

#[test]
fn exits_that_give_probabilities_are_taken_as_they_are() {
    let model = branchy(&CUTS, ExitOutput::Probabilities, Confidence::MaxSoftmax);
    check("probabilities.onnx", &model, "probabilities");
}

#[test]
fn weights_in_a_file_beside_the_model_are_found() {
    check("external.onnx", &branchy(&CUTS, ExitOutput::Logits, Confidence::MaxSoftmax), "branchy");
}

#[test]
fn segments_may_have_several_exits_or_none() {
    let every: Vec<String> =
        inspect(&models().join("branchy.onnx")).unwrap().possible_cuts.into_iter().map(|cut| cut.tensor).collect();
    let every: Vec<&str> = every.iter().map(String::as_str).collect();
    for cuts in [&[][..], &[CUTS[1]], &[CUTS[0], CUTS[2]], &every] {
        check("branchy.onnx", &branchy(cuts, ExitOutput::Logits, Confidence::MaxSoftmax), "branchy");
    }
}

#[test]
fn the_whole_network_gives_the_scores_of_onnx_runtime() {
    let samples = rows(&reference(), "input");
    for (file, prefix) in [("branchy.onnx", "branchy"), ("probabilities.onnx", "probabilities")] {
        let model = branchy(&[], ExitOutput::Logits, Confidence::MaxSoftmax);
        let network = Network::load(&models().join(file), &model).unwrap();
        for (sample, (found, want)) in whole_scores(&network, &samples).iter().zip(reference_scores(prefix)).enumerate()
        {
            for (exit, (found, want)) in found.iter().zip(&want).enumerate() {
                close(found, want, &format!("{file}, sample {sample}, exit {exit}"));
            }
        }
    }
}

#[test]
fn a_model_is_found_relative_to_the_working_directory() {
    // Tests run in the folder of their package; weights beside the model must be found from there too.
    let model = branchy(&CUTS, ExitOutput::Logits, Confidence::MaxSoftmax);
    Network::load(Path::new("tests/models/external.onnx"), &model).unwrap();
}
