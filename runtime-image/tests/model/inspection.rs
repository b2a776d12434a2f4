//! Foreign files: exits and cuts are found, or the file is refused with a reason.

use crate::support::{CUTS, check_divisions, models, reference, rows, thresholds, whole_scores};
use domain::Thresholds;
use runtime_image::model::{ExitScores, Inspection, Network, Refusal, inspect};

fn look(file: &str) -> Inspection {
    inspect(&models().join(file)).unwrap()
}

#[test]
fn exits_and_cuts_of_a_foreign_network_are_found() {
    let found = look("branchy.onnx");
    assert_eq!((found.input.as_str(), &found.input_shape[..]), ("image", &[3, 12, 12][..]));
    let exits: Vec<(&str, usize, usize)> =
        found.exits.iter().map(|exit| (exit.tensor.as_str(), exit.classes, exit.segment)).collect();
    assert_eq!(exits, [("early", 5, 1), ("middle", 5, 2), ("late", 5, 3), ("final", 5, 4)]);
    assert_eq!(found.recommended_cuts, CUTS);
    let possible: Vec<&str> = found.possible_cuts.iter().map(|cut| cut.tensor.as_str()).collect();
    let want = [
        "/stem/stem.0/Conv_output_0",
        "/Relu_output_0",
        "/Add_output_0",
        "/Relu_2_output_0",
        "/Concat_output_0",
        "/Relu_3_output_0",
        "/Add_1_output_0",
        "/Relu_5_output_0",
        "/Add_2_output_0",
        "/Relu_7_output_0",
        "/ReduceMean_3_output_0",
    ];
    assert_eq!(possible, want);
}

#[test]
fn costs_are_those_counted_by_hand() {
    let found = look("branchy.onnx");
    // Stem 3→8 and two 8→8, all 3×3 on 12×12.
    let first = (3 * 8 + 8 * 8 + 8 * 8) * 9;
    let segment = &found.segments[0];
    assert!(segment.macs >= first * 144 && segment.macs < first * 150, "{} of {}", segment.macs, first * 144);
    // The biases are 8 values for each convolution; some constants are scalars.
    let weights = (first + 3 * 8) * 4;
    assert!(
        segment.weight_bytes >= weights && segment.weight_bytes < weights + 64,
        "{} of {weights}",
        segment.weight_bytes
    );
    assert_eq!(segment.forward_bytes, 8 * 144 * 4);
    assert_eq!(found.segments[3].forward_bytes, 0);
    let early = &found.exits[0];
    assert!(early.macs >= 8 * 5 && early.weight_bytes >= (8 + 1) * 5 * 4, "{early:?}");
    assert_eq!((found.exits[3].macs, found.exits[3].weight_bytes), (0, 0), "the last exit is part of its segment");
}

#[test]
fn an_inspected_network_can_be_served() {
    for (file, output) in [("branchy.onnx", ExitScores::Logits), ("probabilities.onnx", ExitScores::Probabilities)] {
        let found = look(file);
        assert!(found.exits.iter().all(|exit| exit.output == output), "{file}: {:?}", found.exits);
        let network = Network::load(&models().join(file), &found.model("foreign")).unwrap();
        let samples = rows(&reference(), "input");
        let vectors = [Thresholds::exit_first(4), thresholds(&[0.6, 0.6, 0.6])];
        check_divisions(&network, &samples, &whole_scores(&network, &samples), &vectors);
    }
}

#[test]
fn a_long_skip_leaves_one_cut_for_two_exits() {
    let found = look("long-skip.onnx");
    assert_eq!(found.recommended_cuts, ["/Relu_2_output_0"]);
    assert_eq!(found.exits.iter().map(|exit| exit.segment).collect::<Vec<_>>(), [1, 1, 2]);
}

#[test]
fn a_tensor_beside_which_an_exit_reads_is_no_possible_cut() {
    let found = look("look-back.onnx");
    assert!(found.possible_cuts.iter().all(|cut| !cut.tensor.contains("layers.1")), "{:?}", found.possible_cuts);
    assert_eq!(found.recommended_cuts, ["/Relu_output_0", "/Relu_1_output_0"]);
    let network = Network::load(&models().join("look-back.onnx"), &found.model("foreign")).unwrap();
    let samples = rows(&reference(), "input");
    let vectors = [thresholds(&[0.6, 0.6]), thresholds(&[1.0, 0.5])];
    check_divisions(&network, &samples, &whole_scores(&network, &samples), &vectors);
}

#[test]
fn networks_that_cannot_be_split_are_refused_with_the_reason() {
    let refusal = |file: &str| inspect(&models().join(file)).unwrap_err().refusal;
    assert_eq!(refusal("one-exit.onnx"), Refusal::TooFewExits(vec!["only".into()]));
    let sequence = refusal("sequence.onnx");
    assert_eq!(sequence, Refusal::DynamicAxis { name: "image".into(), axis: 2, size: "length".into() });
    assert!(sequence.to_string().contains("sequence models cannot be split"), "{sequence}");
}
