//! An early-exit network as the data plane sees it: exits, cuts, and how confidence is computed.

/// An early-exit network: a chain of segments between cuts, with exits that hang on them.
///
/// With `cuts.len()` cuts there are `cuts.len() + 1` segments. Fields are checked by [`Model::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Name of the model, for messages and metrics.
    pub name: String,
    /// Name of the input tensor.
    pub input: String,
    /// Shape of one sample, without the batch axis.
    pub input_shape: Vec<usize>,
    /// Exits in order; the last one always answers.
    pub exits: Vec<Exit>,
    /// Names of the tensors at which the network may be split, in order.
    pub cuts: Vec<String>,
    /// How confidence is read off the class probabilities.
    pub confidence: Confidence,
}

/// An intermediate classifier, or the final one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Name in metrics and tables.
    pub name: String,
    /// Name of the output tensor that holds its scores.
    pub tensor: String,
    /// What the tensor holds.
    pub output: ExitOutput,
}

/// What the output tensor of an exit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitOutput {
    /// Scores before the softmax.
    Logits,
    /// Class probabilities.
    Probabilities,
}

/// How confidence is read off class probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// The largest probability.
    MaxSoftmax,
    /// 1 − entropy ÷ ln(number of classes).
    NormalizedEntropy,
}

/// Class probabilities with what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// One probability per class.
    pub probabilities: Vec<f32>,
    /// The most likely class; the first of equals.
    pub class: u16,
    /// Confidence in [0, 1].
    pub confidence: f32,
}

/// A run of consecutive segments, numbered from 0, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FragmentRange {
    /// First segment.
    pub first: usize,
    /// Last segment.
    pub last: usize,
}

/// Why a description is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No exit at all.
    #[error("a model needs at least one exit")]
    NoExit,
    /// Two exits or cuts share a name.
    #[error("{0:?} is named twice among exits and cuts")]
    Duplicate(String),
    /// A sample without elements.
    #[error("the input shape {0:?} has an axis of size 0")]
    EmptyInput(Vec<usize>),
}

impl Model {
    /// Checks that names are distinct, the input is not empty and there is an exit.
    pub fn new(self) -> Result<Self, ModelError> {
        if self.exits.is_empty() {
            return Err(ModelError::NoExit);
        }
        if self.input_shape.contains(&0) {
            return Err(ModelError::EmptyInput(self.input_shape));
        }
        let mut seen = std::collections::BTreeSet::new();
        let tensors = self.exits.iter().map(|exit| &exit.tensor).chain(&self.cuts);
        if let Some(twice) = tensors.into_iter().find(|name| !seen.insert(name.as_str())) {
            return Err(ModelError::Duplicate(twice.clone()));
        }
        Ok(self)
    }

    /// Number of segments: one more than cuts.
    pub fn segments(&self) -> usize {
        self.cuts.len() + 1
    }

    /// Number of values of one input sample.
    pub fn input_len(&self) -> usize {
        self.input_shape.iter().product()
    }
}

impl FragmentRange {
    /// Refuses ranges that are empty or reach beyond `segments`.
    pub fn new(first: usize, last: usize, segments: usize) -> Option<Self> {
        (first <= last && last < segments).then_some(Self { first, last })
    }
}

impl Confidence {
    /// Reads class, probabilities and confidence off the scores of one sample.
    ///
    /// `None` when a score is not finite: the job has failed, it must not be answered with a guess.
    pub fn read(self, scores: &[f32], output: ExitOutput) -> Option<Softmax> {
        if scores.is_empty() || scores.iter().any(|score| !score.is_finite()) {
            return None;
        }
        let probabilities = match output {
            ExitOutput::Probabilities => scores.to_vec(),
            ExitOutput::Logits => softmax(scores),
        };
        let class =
            (0..probabilities.len()).reduce(|best, i| if probabilities[i] > probabilities[best] { i } else { best })?;
        let confidence = match self {
            Confidence::MaxSoftmax => probabilities[class],
            Confidence::NormalizedEntropy => 1.0 - normalised_entropy(&probabilities),
        };
        Some(Softmax { class: u16::try_from(class).ok()?, confidence: confidence.clamp(0.0, 1.0), probabilities })
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut exponentials: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    for value in &mut exponentials {
        *value /= sum;
    }
    exponentials
}

/// Entropy ÷ ln(classes): 0 when certain, 1 when uniform. One class leaves nothing to be unsure of.
fn normalised_entropy(probabilities: &[f32]) -> f32 {
    if probabilities.len() < 2 {
        return 0.0;
    }
    let entropy: f32 = probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    entropy / (probabilities.len() as f32).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_of_certain_and_uniform_scores() {
        let certain = [100.0, 0.0, 0.0, 0.0];
        let uniform = [1.0; 4];
        for (confidence, scores, want) in [
            (Confidence::MaxSoftmax, certain, 1.0),
            (Confidence::MaxSoftmax, uniform, 0.25),
            (Confidence::NormalizedEntropy, certain, 1.0),
            (Confidence::NormalizedEntropy, uniform, 0.0),
        ] {
            let read = confidence.read(&scores, ExitOutput::Logits).unwrap();
            assert!((read.confidence - want).abs() < 1e-6, "{confidence:?} {scores:?}: {}", read.confidence);
            assert_eq!(read.class, 0, "the first of equals");
        }
    }

    #[test]
    fn scores_that_are_not_finite_are_no_answer() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Confidence::MaxSoftmax.read(&[0.0, bad], ExitOutput::Logits), None);
        }
        assert_eq!(Confidence::MaxSoftmax.read(&[], ExitOutput::Logits), None);
    }

    #[test]
    fn probabilities_are_taken_as_they_are() {
        let read = Confidence::MaxSoftmax.read(&[0.2, 0.8], ExitOutput::Probabilities).unwrap();
        assert_eq!((read.class, read.confidence), (1, 0.8));
    }

    #[test]
    fn a_tensor_named_twice_is_refused() {
        let exit = |tensor: &str| Exit { name: tensor.into(), tensor: tensor.into(), output: ExitOutput::Logits };
        let model = Model {
            name: "m".into(),
            input: "input".into(),
            input_shape: vec![1, 28, 28],
            exits: vec![exit("a"), exit("b")],
            cuts: vec!["a".into()],
            confidence: Confidence::MaxSoftmax,
        };
        assert_eq!(model.new(), Err(ModelError::Duplicate("a".into())));
    }
}
