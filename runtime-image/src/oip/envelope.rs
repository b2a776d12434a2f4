//! The JSON part of an inference request, read into fields that have yet to be checked against the model.

use super::datatype::Datatype;
use super::json::Cursor;
use super::numbers::{Bounds, Numbers};
use super::{BadRequest, InputSpec, Output, RequestedOutput, quoted};
use std::time::Duration;

/// More axes than any tensor has; keeps hostile shapes short.
const MOST_AXES: usize = 32;

/// An inference request as its JSON has it.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<Input>,
    pub(super) source: Option<String>,
    timeout_milliseconds: Option<u64>,
    timeout_microseconds: Option<u64>,
    binary_data_output: Option<bool>,
    outputs: Vec<(Output, Option<bool>)>,
}

/// An input tensor as the JSON describes it.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) name: Option<String>,
    pub(super) shape: Option<Vec<usize>>,
    pub(super) datatype: Option<Datatype>,
    pub(super) binary_data_size: Option<usize>,
    pub(super) data: Option<Numbers>,
}

impl Envelope {
    pub(super) fn read(text: &[u8], spec: &InputSpec, max_samples: usize) -> Result<Self, BadRequest> {
        let mut envelope = Envelope::default();
        let mut cursor = Cursor::new(text);
        cursor.object("request", |cursor, name| match name {
            "id" => cursor.value("\"id\"").map(|id| envelope.id = id),
            "parameters" => envelope.parameters(cursor),
            "inputs" => envelope.inputs(cursor, spec, max_samples),
            "outputs" => envelope.outputs(cursor),
            _ => cursor.skip(),
        })?;
        cursor.end()?;
        Ok(envelope)
    }

    /// The tighter of the two ways to name a deadline. Zero means none, as in Triton.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let milliseconds = self.timeout_milliseconds.map(Duration::from_millis);
        let microseconds = self.timeout_microseconds.map(Duration::from_micros);
        milliseconds.into_iter().chain(microseconds).filter(|timeout| !timeout.is_zero()).min()
    }

    /// What to answer: what was named, or everything.
    pub(super) fn requested_outputs(&self) -> Vec<RequestedOutput> {
        let default = self.binary_data_output.unwrap_or(false);
        if self.outputs.is_empty() {
            return RequestedOutput::all(default);
        }
        let resolve =
            |&(output, binary): &(Output, Option<bool>)| RequestedOutput { output, binary: binary.unwrap_or(default) };
        self.outputs.iter().map(resolve).collect()
    }

    fn parameters(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        if cursor.take_null() {
            return Ok(());
        }
        cursor.object("\"parameters\"", |cursor, name| match name {
            "timeout_milliseconds" => {
                cursor.value("\"timeout_milliseconds\"").map(|timeout| self.timeout_milliseconds = timeout)
            }
            "timeout" => cursor.value("\"timeout\"").map(|timeout| self.timeout_microseconds = timeout),
            "source" => cursor.value("\"source\"").map(|source| self.source = source),
            "binary_data_output" => {
                cursor.value("\"binary_data_output\"").map(|binary| self.binary_data_output = binary)
            }
            _ => cursor.skip(),
        })
    }

    fn inputs(&mut self, cursor: &mut Cursor<'_>, spec: &InputSpec, max_samples: usize) -> Result<(), BadRequest> {
        cursor.list("\"inputs\"", |cursor| {
            if !self.inputs.is_empty() {
                return Err(cursor.error(&format!("more than one input, expected only {}", quoted(&spec.name))));
            }
            self.inputs.push(Input::read(cursor, spec, max_samples)?);
            Ok(())
        })
    }

    fn outputs(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        if cursor.take_null() {
            return Ok(());
        }
        cursor.list("\"outputs\"", |cursor| {
            let (output, binary) = requested_output(cursor)?;
            if self.outputs.iter().any(|(other, _)| *other == output) {
                return Err(cursor.error(&format!("output {:?} is requested twice", output.name())));
            }
            self.outputs.push((output, binary));
            Ok(())
        })
    }
}

impl Input {
    fn read(cursor: &mut Cursor<'_>, spec: &InputSpec, max_samples: usize) -> Result<Self, BadRequest> {
        let mut input = Input::default();
        cursor.object("input", |cursor, name| match name {
            "name" => cursor.value("input name").map(|name| input.name = Some(name)),
            "shape" => shape(cursor).map(|shape| input.shape = Some(shape)),
            "datatype" => {
                let datatype: String = cursor.value("\"datatype\"")?;
                Datatype::from_name(&datatype).map(|datatype| input.datatype = Some(datatype))
            }
            "parameters" => input.parameters(cursor),
            "data" if cursor.take_null() => Ok(()),
            "data" => {
                let bounds = input.bounds(spec, max_samples);
                Numbers::read(cursor, bounds).map(|numbers| input.data = Some(numbers))
            }
            _ => cursor.skip(),
        })?;
        Ok(input)
    }

    /// The shape normally comes before the data; without it, one sample is expected.
    fn bounds(&self, spec: &InputSpec, max_samples: usize) -> Bounds {
        let sample = spec.sample_len();
        let samples = self.shape.as_ref().and_then(|shape| shape.first().copied()).unwrap_or(1);
        Bounds {
            depth: spec.sample_shape.len() + 1,
            expected: sample.saturating_mul(samples),
            most: sample.saturating_mul(max_samples),
        }
    }

    fn parameters(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        if cursor.take_null() {
            return Ok(());
        }
        cursor.object("input parameters", |cursor, name| match name {
            "binary_data_size" => cursor.value("\"binary_data_size\"").map(|size| self.binary_data_size = size),
            "shared_memory_region" => Err(cursor.error("shared memory is not supported")),
            _ => cursor.skip(),
        })
    }
}

fn shape(cursor: &mut Cursor<'_>) -> Result<Vec<usize>, BadRequest> {
    let mut shape = Vec::new();
    cursor.list("\"shape\"", |cursor| {
        if shape.len() == MOST_AXES {
            return Err(cursor.error(&format!("\"shape\": more than {MOST_AXES} axes")));
        }
        cursor.value("\"shape\"").map(|size| shape.push(size))
    })?;
    Ok(shape)
}

fn requested_output(cursor: &mut Cursor<'_>) -> Result<(Output, Option<bool>), BadRequest> {
    let (mut name, mut binary) = (None::<String>, None);
    cursor.object("output", |cursor, field| match field {
        "name" => cursor.value("output name").map(|value| name = Some(value)),
        "parameters" if cursor.take_null() => Ok(()),
        "parameters" => cursor.object("output parameters", |cursor, parameter| match parameter {
            "binary_data" => cursor.value("\"binary_data\"").map(|value| binary = value),
            // These change what is answered, so they must not be passed over.
            "classification" | "shared_memory_region" => {
                Err(cursor.error(&format!("output parameter {parameter:?} is not supported")))
            }
            _ => cursor.skip(),
        }),
        _ => cursor.skip(),
    })?;
    let name = name.ok_or_else(|| cursor.error("an output has no name, before"))?;
    let output = Output::ALL.into_iter().find(|output| output.name() == name);
    let expected = || format!("unknown output {}, expected probabilities, class, exit or confidence,", quoted(&name));
    Ok((output.ok_or_else(|| cursor.error(&expected()))?, binary))
}
