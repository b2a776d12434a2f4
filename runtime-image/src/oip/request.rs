//! Inference requests, checked against the input of the model.

use super::datatype::{self, Datatype};
use super::envelope::{Envelope, Input};
use super::numbers::Numbers;
use super::{BadRequest, InputSpec, Output, quoted};
use bytes::Bytes;
use std::ops::RangeInclusive;
use std::time::Duration;

/// An inference request that fits the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// To be echoed.
    pub id: Option<String>,
    /// Samples in `tensor`; at least one.
    pub samples: usize,
    /// All samples in order as little-endian FP32, all finite. A part of the body when that held FP32 in binary.
    pub tensor: Bytes,
    /// What to answer, in this order; never empty.
    pub outputs: Vec<RequestedOutput>,
    /// Parameter `timeout_milliseconds` or the protocol's `timeout` in microseconds, the tighter of the two.
    pub deadline: Option<Duration>,
    /// Parameter `source`.
    pub source: Option<String>,
}

/// An output that is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Which.
    pub output: Output,
    /// As binary data after the JSON.
    pub binary: bool,
}

/// Reads the body of an inference request, after decompression.
///
/// `header_length` is the header [`super::HEADER_LENGTH`]; 0 says that the whole body is the input as FP32. A request
/// has 1 to `max_samples` samples.
pub fn decode(
    body: &Bytes,
    header_length: Option<usize>,
    spec: &InputSpec,
    max_samples: usize,
) -> Result<Request, BadRequest> {
    let header_length = match header_length {
        Some(0) => return decode_raw(body, spec, max_samples),
        Some(length) if length > body.len() => {
            return Err(BadRequest(format!(
                "{} is {length}, but the body has {} bytes",
                super::HEADER_LENGTH,
                body.len()
            )));
        }
        length => length.unwrap_or(body.len()),
    };
    let mut envelope = Envelope::read(&body[..header_length], spec, max_samples)?;
    let input = envelope
        .inputs
        .pop()
        .ok_or_else(|| BadRequest(format!("\"inputs\" is missing or empty, expected input {}", quoted(&spec.name))))?;
    let samples = check_declaration(&input, spec, max_samples)?;
    let elements = samples * spec.sample_len();
    let tensor = tensor(input, elements, body.slice(header_length..))?;
    Ok(Request {
        samples,
        tensor: check_finite(tensor)?,
        outputs: envelope.requested_outputs(),
        deadline: envelope.deadline(),
        source: envelope.source,
        id: envelope.id,
    })
}

impl Request {
    /// Sample `index` of `tensor`, without copying.
    pub fn sample(&self, index: usize) -> Bytes {
        let size = self.tensor.len() / self.samples;
        self.tensor.slice(index * size..(index + 1) * size)
    }
}

impl RequestedOutput {
    /// Every output there is.
    pub fn all(binary: bool) -> Vec<Self> {
        Output::ALL.map(|output| Self { output, binary }).to_vec()
    }
}

/// The body is nothing but the tensor; the answer is binary too, as Triton does it.
fn decode_raw(body: &Bytes, spec: &InputSpec, max_samples: usize) -> Result<Request, BadRequest> {
    let sample_size = spec.sample_len() * size_of::<f32>();
    let samples = body.len() / sample_size;
    if samples * sample_size != body.len() || !sample_counts(max_samples).contains(&samples) {
        return Err(BadRequest(format!(
            "the body has {} bytes, expected 1 to {max_samples} samples of {sample_size} bytes of FP32",
            body.len()
        )));
    }
    Ok(Request {
        id: None,
        samples,
        tensor: check_finite(body.clone())?,
        outputs: RequestedOutput::all(true),
        deadline: None,
        source: None,
    })
}

fn sample_counts(max_samples: usize) -> RangeInclusive<usize> {
    1..=max_samples
}

/// Checks name and shape; returns the number of samples.
fn check_declaration(input: &Input, spec: &InputSpec, max_samples: usize) -> Result<usize, BadRequest> {
    let wanted = quoted(&spec.name);
    let name = input.name.as_ref().ok_or_else(|| BadRequest(format!("an input has no name, expected {wanted}")))?;
    if *name != spec.name {
        return Err(BadRequest(format!("unknown input {}, expected {wanted}", quoted(name))));
    }
    let shape = input.shape.as_deref().ok_or_else(|| BadRequest(format!("input {wanted} has no shape")))?;
    let Some((&samples, _)) = shape.split_first().filter(|(_, sample)| *sample == spec.sample_shape) else {
        let (found, expected) = (axes(None, shape), axes(Some("N"), &spec.sample_shape));
        return Err(BadRequest(format!("input {wanted} has shape {found}, expected {expected}")));
    };
    if !sample_counts(max_samples).contains(&samples) {
        return Err(BadRequest(format!("input {wanted} has {samples} samples, expected 1 to {max_samples}")));
    }
    Ok(samples)
}

/// A shape as in JSON, after the name of the axis before it if there is one.
fn axes(first: Option<&str>, sizes: &[usize]) -> String {
    let sizes = sizes.iter().map(usize::to_string);
    let axes: Vec<String> = first.map(str::to_owned).into_iter().chain(sizes).collect();
    format!("[{}]", axes.join(","))
}

/// The values as little-endian FP32, from the JSON or from the `binary` part of the body.
fn tensor(input: Input, elements: usize, binary: Bytes) -> Result<Bytes, BadRequest> {
    let datatype = input.datatype.ok_or_else(|| BadRequest("the input has no datatype, expected FP32".into()))?;
    match (input.data, input.binary_data_size) {
        (Some(_), Some(_)) => {
            Err(BadRequest("the input has both \"data\" and \"binary_data_size\", expected one".into()))
        }
        (None, None) => Err(BadRequest("the input has neither \"data\" nor \"binary_data_size\"".into())),
        (Some(_), None) if !binary.is_empty() => {
            Err(BadRequest(format!("{} bytes follow the JSON, but no input is binary", binary.len())))
        }
        (Some(numbers), None) => from_json(numbers, datatype, elements),
        (None, Some(size)) => from_binary(binary, size, datatype, elements),
    }
}

fn from_json(numbers: Numbers, datatype: Datatype, elements: usize) -> Result<Bytes, BadRequest> {
    if numbers.count() != elements {
        return Err(BadRequest(format!("\"data\" has {} values, its shape has {elements}", numbers.count())));
    }
    let (wrong, expected) = match datatype {
        Datatype::Bool => (numbers.numbers, "true and false"),
        Datatype::Fp32 | Datatype::Fp64 => (numbers.booleans, "numbers"),
        _ => (numbers.booleans || numbers.fractions, "integers"),
    };
    if wrong {
        return Err(BadRequest(format!("\"data\" does not fit its datatype, expected {expected}")));
    }
    if let Some((least, most)) = datatype.integer_range()
        && !datatype::values(&numbers.bytes).all(|value| (least..=most).contains(&value))
    {
        return Err(BadRequest(format!("\"data\" does not fit its datatype, expected {least} to {most}")));
    }
    Ok(numbers.bytes.into())
}

fn from_binary(binary: Bytes, size: usize, datatype: Datatype, elements: usize) -> Result<Bytes, BadRequest> {
    let expected = elements * datatype.size();
    if size != expected {
        return Err(BadRequest(format!(
            "\"binary_data_size\" is {size}, its shape and datatype take {expected} bytes"
        )));
    }
    if binary.len() != size {
        return Err(BadRequest(format!(
            "{} bytes follow the JSON, expected {size} as in \"binary_data_size\"; its end is in header {}",
            binary.len(),
            super::HEADER_LENGTH
        )));
    }
    Ok(if datatype == Datatype::Fp32 { binary } else { datatype.to_fp32(&binary).into() })
}

/// A value that is not finite would only come back as a failed job.
fn check_finite(tensor: Bytes) -> Result<Bytes, BadRequest> {
    match datatype::first_not_finite(&tensor) {
        None => Ok(tensor),
        Some(index) => Err(BadRequest(format!("value {index} of the input is not finite in FP32"))),
    }
}
