//! Open Inference Protocol v2 over REST, as values: bodies are read and written here, nothing is received or sent.
//!
//! [`decode`] turns the body of an inference request into a [`Request`], [`encode`] turns answers into the body of a
//! response, both with tensors as JSON or in the binary tensor extension, which the official clients use by default.
//! [`decompress`] comes before `decode`. Health, metadata and error bodies are in [`body`].

mod request;
mod response;

pub mod body;
mod compression;
mod datatype;
mod envelope;
mod fuzz;
mod json;
mod number;
mod numbers;

#[cfg(test)]
mod tests;

pub use compression::{DecompressError, decompress};
pub use fuzz::fuzz_decode;
pub use request::{Request, RequestedOutput, decode};
pub use response::{Answer, Encoded, Parameter, Response, encode};

/// Header with the length of the JSON part of a body that goes on with binary tensors.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// The one input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Name of the tensor.
    pub name: String,
    /// Shape of one sample, without the batch axis; no axis has size 0.
    pub sample_shape: Vec<usize>,
}

/// What a client may ask for, per sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Class probabilities, FP32 \[N, classes\].
    Probabilities,
    /// The most likely class, INT64 \[N\].
    Class,
    /// The exit that answered, numbered from 1, INT64 \[N\].
    Exit,
    /// Confidence at that exit, FP32 \[N\].
    Confidence,
}

/// A request that is refused with status 400; the message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

impl InputSpec {
    /// Number of values of one sample.
    pub fn sample_len(&self) -> usize {
        self.sample_shape.iter().product()
    }
}

impl Output {
    /// In the order of answers to requests that name none.
    pub const ALL: [Output; 4] = [Output::Probabilities, Output::Class, Output::Exit, Output::Confidence];

    /// Name of the output tensor.
    pub fn name(self) -> &'static str {
        match self {
            Output::Probabilities => "probabilities",
            Output::Class => "class",
            Output::Exit => "exit",
            Output::Confidence => "confidence",
        }
    }

    /// Name of the element type.
    pub fn datatype(self) -> &'static str {
        match self {
            Output::Probabilities | Output::Confidence => "FP32",
            Output::Class | Output::Exit => "INT64",
        }
    }
}

/// Text from a request as it may stand in an answer or a log line: quoted, escaped and of bounded length.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}
