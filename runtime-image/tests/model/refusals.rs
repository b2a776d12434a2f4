//! Everything a user can get wrong is one clear error that names the file.

use crate::support::{CUTS, branchy, models};
use domain::{Confidence, Exit, ExitOutput, FragmentRange, Model};
use runtime_image::model::{Network, Refusal, inspect};

fn described(cuts: &[&str]) -> Model {
    branchy(cuts, ExitOutput::Logits, Confidence::MaxSoftmax)
}

fn refuse(file: &str, model: &Model) -> Refusal {
    let error = Network::load(&models().join(file), model).unwrap_err();
    assert!(error.to_string().contains(file), "the message names the file: {error}");
    error.refusal
}

fn check(file: &str, model: &Model, words: &[&str]) {
    let message = refuse(file, model).to_string();
    for word in words {
        assert!(message.contains(word), "{file}: {word:?} is missing in: {message}");
    }
}

fn with_exits(tensors: &[&str], cuts: &[&str]) -> Model {
    let mut model = described(cuts);
    let exit = |tensor: &&str| Exit { name: (*tensor).into(), tensor: (*tensor).into(), output: ExitOutput::Logits };
    model.exits = tensors.iter().map(exit).collect();
    model
}

#[test]
fn half_precision_and_quantised_files_are_refused_before_they_are_computed_wrongly() {
    check("half.onnx", &described(&CUTS), &["float16", "float32"]);
    check("quantised.onnx", &described(&CUTS), &["DequantizeLinear", "float32"]);
    for file in ["half.onnx", "quantised.onnx"] {
        let refusal = inspect(&models().join(file)).unwrap_err().refusal;
        assert!(matches!(refusal, Refusal::HalfPrecision { .. } | Refusal::Quantised { .. }), "{refusal}");
    }
}

#[test]
fn files_that_are_no_onnx_are_refused() {
    check("missing.onnx", &described(&CUTS), &["cannot be read"]);
    check("make_models.py", &described(&CUTS), &["cannot be read"]);
    check("reference.safetensors", &described(&CUTS), &["cannot be read"]);
    let folder = Network::load(&models(), &described(&CUTS)).unwrap_err();
    assert!(matches!(folder.refusal, Refusal::Unreadable(_)), "{folder}");
}

#[test]
fn missing_names_come_with_those_that_exist() {
    let mut input = described(&CUTS);
    input.input = "picture".into();
    check("branchy.onnx", &input, &["input tensor \"picture\"", "image"]);
    check(
        "branchy.onnx",
        &with_exits(&["earlyy", "final"], &[]),
        &["exit tensor \"earlyy\"", "similar ones are early;"],
    );
    check("branchy.onnx", &described(&["/Relu_2_output"]), &["cut tensor", "/Relu_2_output_0"]);
}

#[test]
fn another_input_shape_is_refused() {
    let mut model = described(&CUTS);
    model.input_shape = vec![12, 12, 3];
    check("branchy.onnx", &model, &["[12, 12, 3]", "[3, 12, 12]"]);
    let mut sequence = with_exits(&["first", "second"], &[]);
    sequence.input_shape = vec![3, 9];
    check("sequence.onnx", &sequence, &["axis 2", "length"]);
}

#[test]
fn cuts_must_lie_in_order_on_the_way_to_the_last_exit() {
    check("branchy.onnx", &described(&[CUTS[1], CUTS[0]]), &[CUTS[1], CUTS[0], "must come after"]);
    check("branchy.onnx", &described(&["/ReduceMean_output_0"]), &["/ReduceMean_output_0", "way"]);
    check("branchy.onnx", &described(&["heads.0.linear.weight"]), &["heads.0.linear.weight"]);
    check("branchy.onnx", &described(&["image"]), &["image", "way"]);
}

#[test]
fn a_tensor_that_something_passes_by_is_no_cut() {
    // Inside a residual block, one branch of an Inception block, and under a long skip.
    check("branchy.onnx", &described(&["/Relu_1_output_0"]), &["/Relu_1_output_0", "/Relu_output_0"]);
    check("branchy.onnx", &described(&["/MaxPool_output_0"]), &["/MaxPool_output_0", "/Relu_2_output_0"]);
    let between = "/Relu_1_output_0";
    let skip = with_exits(&["first", "second", "third"], &[between]);
    check("long-skip.onnx", &skip, &[between, "tensor \"/Relu_output_0\" passes beside it"]);
    let after = with_exits(&["first", "second", "third"], &["/Relu_2_output_0"]);
    Network::load(&models().join("long-skip.onnx"), &after).unwrap();
}

#[test]
fn an_exit_may_not_read_from_both_sides_of_a_cut() {
    let exits = ["first", "both", "third"];
    let between = "/layers.1/layers.1.0/Conv_output_0";
    let refusal = refuse("look-back.onnx", &with_exits(&exits, &[between]));
    let want = Refusal::ExitAcrossCut { exit: "both".into(), cut: between.into(), tensor: "/Relu_output_0".into() };
    assert_eq!(refusal, want);
    // At the tensors that it reads the network may be cut: the first is what the second segment starts from.
    let cuts = ["/Relu_output_0", "/Relu_1_output_0"];
    Network::load(&models().join("look-back.onnx"), &with_exits(&exits, &cuts)).unwrap();
}

#[test]
fn exits_must_have_the_same_classes() {
    let uneven = with_exits(&["early", "middle", "/Concat_1_output_0", "final"], &[CUTS[2]]);
    assert_eq!(refuse("branchy.onnx", &uneven), Refusal::Classes(vec![5, 5, 40, 5]));
}

#[test]
fn exits_must_be_rows_of_scores_in_order() {
    check("branchy.onnx", &with_exits(&["middle", "early", "final"], &CUTS), &["early", "middle", "listed before"]);
    check("branchy.onnx", &with_exits(&["early", CUTS[2], "final"], &[]), &[CUTS[2], "[1, classes]"]);
    check("branchy.onnx", &with_exits(&["heads.0.linear.bias", "final"], &[]), &["heads.0.linear.bias"]);
}

#[test]
fn segments_beyond_the_model_are_refused() {
    let network = Network::load(&models().join("branchy.onnx"), &described(&CUTS)).unwrap();
    for (first, last) in [(0, 4), (2, 1)] {
        let refusal = network.fragment(FragmentRange { first, last }).unwrap_err().refusal;
        assert_eq!(refusal, Refusal::Range { first, last, segments: 4 });
    }
}
