//! Models and references of the tests, and the one comparison that all chains go through.

use domain::{Confidence, Exit, ExitOutput, FragmentRange, Model, Softmax, Thresholds};
use runtime_image::model::{Fragment, Network, Worker};
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::sync::Arc;

/// How far two roads of f32 computation may be apart, in scores.
pub(crate) const FLOAT: f32 = 1e-5;

/// Activations between the blocks of `branchy.onnx`.
pub(crate) const CUTS: [&str; 3] = ["/Relu_2_output_0", "/Relu_3_output_0", "/Relu_5_output_0"];

pub(crate) fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

/// The description of `branchy.onnx` and its variants.
pub(crate) fn branchy(cuts: &[&str], output: ExitOutput, confidence: Confidence) -> Model {
    let exit = |name: &&str| Exit { name: (*name).into(), tensor: (*name).into(), output };
    Model {
        name: "branchy".into(),
        input: "image".into(),
        input_shape: vec![3, 12, 12],
        exits: ["early", "middle", "late", "final"].iter().map(exit).collect(),
        cuts: cuts.iter().map(|cut| (*cut).into()).collect(),
        confidence,
    }
}

pub(crate) fn load(file: &str, cuts: &[&str]) -> Arc<Network> {
    let model = branchy(cuts, ExitOutput::Logits, Confidence::MaxSoftmax);
    Network::load(&models().join(file), &model).unwrap()
}

/// The f32 tensor of a safetensors file, in rows.
pub(crate) fn rows(bytes: &[u8], tensor: &str) -> Vec<Vec<f32>> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let tensor = file.tensor(tensor).unwrap();
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
    values.chunks_exact(values.len() / tensor.shape()[0]).map(<[f32]>::to_vec).collect()
}

pub(crate) fn reference() -> Vec<u8> {
    std::fs::read(models().join("reference.safetensors")).unwrap()
}

/// What the whole network says, sample by sample and exit by exit.
pub(crate) fn whole_scores(network: &Network, samples: &[Vec<f32>]) -> Vec<Vec<Vec<f32>>> {
    let mut whole = network.whole().unwrap();
    samples.iter().map(|sample| whole.run(sample).unwrap()).collect()
}

/// Every way to divide the segments into at most three fragments.
pub(crate) fn divisions(segments: usize) -> Vec<Vec<FragmentRange>> {
    let mut divisions = Vec::new();
    for first in 0..segments {
        for second in first..segments {
            let bounds = [0, first, second, segments];
            let ranges = bounds.windows(2).filter(|pair| pair[0] < pair[1]);
            let division: Vec<_> = ranges.map(|pair| FragmentRange { first: pair[0], last: pair[1] - 1 }).collect();
            if !divisions.contains(&division) {
                divisions.push(division);
            }
        }
    }
    divisions
}

/// Fragments of a network with one worker each.
pub(crate) struct Chain {
    fragments: Vec<(Arc<Fragment>, Worker)>,
}

/// Where a job left a chain, and every exit evaluated on the way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) exit: usize,
    pub(crate) class: u16,
    pub(crate) evaluated: Vec<(usize, Softmax)>,
}

impl Chain {
    pub(crate) fn new(network: &Network, division: &[FragmentRange]) -> Self {
        let fragment = |range: &FragmentRange| {
            let fragment = network.fragment(*range).unwrap();
            let worker = fragment.worker().unwrap();
            (fragment, worker)
        };
        Self { fragments: division.iter().map(fragment).collect() }
    }

    /// Sends a sample through, as bytes between fragments.
    pub(crate) fn run(&mut self, sample: &[f32], thresholds: &Thresholds, evaluate_all: bool) -> Answer {
        let mut bytes: Vec<u8> = sample.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (mut evaluated, mut left) = (Vec::new(), None);
        for (fragment, worker) in &mut self.fragments {
            let input = fragment.input_from_le_bytes(&bytes).unwrap();
            let run = worker.run(input, thresholds, evaluate_all).unwrap();
            left = left.or(run.answer().map(|answer| (answer.exit, answer.softmax.class)));
            evaluated.extend(run.evaluated.into_iter().map(|evaluated| (evaluated.exit, evaluated.softmax)));
            match run.forward {
                Some(forward) => bytes = forward.as_bytes().to_vec(),
                None => break,
            }
        }
        let (exit, class) = left.expect("the last exit always answers");
        Answer { exit, class, evaluated }
    }
}

/// Compares every division of a network with the scores of another road, exit by exit, and exit and class with the
/// rule applied to those scores.
pub(crate) fn check_divisions(
    network: &Network,
    samples: &[Vec<f32>],
    scores: &[Vec<Vec<f32>>],
    vectors: &[Thresholds],
) {
    let model = network.model();
    let all = Thresholds::exit_last(model.exits.len());
    let read = |exit: usize, scores: &[f32]| model.confidence.read(scores, model.exits[exit].output).unwrap();
    for division in divisions(model.segments()) {
        let mut chain = Chain::new(network, &division);
        for (number, (sample, scores)) in samples.iter().zip(scores).enumerate() {
            let whole: Vec<Softmax> = scores.iter().enumerate().map(|(exit, scores)| read(exit, scores)).collect();
            let place = format!("{division:?}, sample {number}");
            let answer = chain.run(sample, &all, true);
            assert_eq!(
                answer.evaluated.iter().map(|(exit, _)| *exit).collect::<Vec<_>>(),
                exits(whole.len()),
                "{place}"
            );
            for (exit, softmax) in &answer.evaluated {
                close(&softmax.probabilities, &whole[*exit].probabilities, &format!("{place}, exit {exit}"));
            }
            for thresholds in vectors.iter().filter(|thresholds| !is_close_call(thresholds, &whole)) {
                let answer = chain.run(sample, thresholds, false);
                let leaves = |&exit: &usize| thresholds.leaves(exit, whole[exit].confidence);
                let expected = (0..whole.len()).find(leaves).unwrap();
                assert_eq!(
                    (answer.exit, answer.class),
                    (expected, whole[expected].class),
                    "{place}, {thresholds:?}, whole {whole:?}"
                );
            }
        }
    }
}

/// Whether rounding may decide: the two roads agree on confidences to [`FLOAT`] only.
fn is_close_call(thresholds: &Thresholds, whole: &[Softmax]) -> bool {
    let open = thresholds.as_slice().iter().filter(|threshold| (f32::MIN_POSITIVE..1.0).contains(*threshold));
    open.into_iter().any(|threshold| whole.iter().any(|exit| (exit.confidence - threshold).abs() <= FLOAT))
}

fn exits(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// Asserts that two vectors agree to [`FLOAT`].
pub(crate) fn close(found: &[f32], want: &[f32], place: &str) {
    assert_eq!(found.len(), want.len(), "{place}");
    for (found, want) in found.iter().zip(want) {
        assert!((found - want).abs() <= FLOAT, "{place}: {found} instead of {want}");
    }
}

pub(crate) fn thresholds(values: &[f32]) -> Thresholds {
    Thresholds::new(values.to_vec()).unwrap()
}
