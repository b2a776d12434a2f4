//! Inference responses: answers per sample, written as tensors.

use super::{Output, RequestedOutput};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

/// The answer to one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// One probability per class; as many in all answers of a response.
    pub probabilities: Vec<f32>,
    /// The most likely class.
    pub class: u16,
    /// The exit that answered, numbered from 1.
    pub exit: usize,
    /// Confidence at that exit.
    pub confidence: f32,
}

/// What an inference request is answered with.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// Name of the model.
    pub model_name: &'a str,
    /// The version, if the request named one.
    pub model_version: Option<&'a str>,
    /// The `id` of the request.
    pub id: Option<&'a str>,
    /// What there is to say beside the outputs.
    pub parameters: &'a [(&'a str, Parameter)],
    /// One per sample of the request, in order.
    pub answers: &'a [Answer],
}

/// A value of the open `parameters` of a response.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(f64),
    /// Text.
    Text(String),
    /// True or false.
    Boolean(bool),
}

/// A body with what its headers must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// Header [`super::HEADER_LENGTH`], if binary data follows the JSON.
    pub header_length: Option<usize>,
}

/// Writes the body of a response with `outputs` in their order.
pub fn encode(response: &Response<'_>, outputs: &[RequestedOutput]) -> Encoded {
    // Room for names and shapes, and for the digits of one number per value.
    let mut body = Vec::with_capacity(512 + 12 * values(response.answers) * outputs.len());
    let document = Document { response, outputs };
    serde_json::to_writer(&mut body, &document).expect("a document of strings and numbers, written to memory");
    let header_length = outputs.iter().any(|requested| requested.binary).then_some(body.len());
    for requested in outputs.iter().filter(|requested| requested.binary) {
        write_binary(requested.output, response.answers, &mut body);
    }
    Encoded { body, header_length }
}

impl Encoded {
    /// The media type of the body.
    pub fn content_type(&self) -> &'static str {
        if self.header_length.is_some() { "application/octet-stream" } else { "application/json" }
    }
}

fn values(answers: &[Answer]) -> usize {
    answers.iter().map(|answer| answer.probabilities.len()).sum()
}

fn write_binary(output: Output, answers: &[Answer], body: &mut Vec<u8>) {
    for answer in answers {
        match output {
            Output::Probabilities => {
                body.extend(answer.probabilities.iter().flat_map(|probability| probability.to_le_bytes()));
            }
            Output::Class => body.extend_from_slice(&i64::from(answer.class).to_le_bytes()),
            Output::Exit => body.extend_from_slice(&(answer.exit as i64).to_le_bytes()),
            Output::Confidence => body.extend_from_slice(&answer.confidence.to_le_bytes()),
        }
    }
}

#[derive(Debug)]
struct Document<'a> {
    response: &'a Response<'a>,
    outputs: &'a [RequestedOutput],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Response { model_name, model_version, id, parameters, answers } = self.response;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model_name", model_name)?;
        if let Some(version) = model_version {
            map.serialize_entry("model_version", version)?;
        }
        if let Some(id) = id {
            map.serialize_entry("id", id)?;
        }
        if !parameters.is_empty() {
            map.serialize_entry("parameters", &Parameters(parameters))?;
        }
        map.serialize_entry("outputs", &Tensors { outputs: self.outputs, answers })?;
        map.end()
    }
}

struct Parameters<'a>(&'a [(&'a str, Parameter)]);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Tensors<'a> {
    outputs: &'a [RequestedOutput],
    answers: &'a [Answer],
}

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.outputs.iter().map(|requested| tensor(*requested, self.answers)))
    }
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct BinaryData {
    binary_data_size: usize,
}

fn tensor(requested: RequestedOutput, answers: &[Answer]) -> Tensor<'_> {
    let RequestedOutput { output, binary } = requested;
    let classes = answers.first().map_or(0, |answer| answer.probabilities.len());
    let (shape, size) = match output {
        Output::Probabilities => (vec![answers.len(), classes], values(answers) * size_of::<f32>()),
        Output::Confidence => (vec![answers.len()], answers.len() * size_of::<f32>()),
        Output::Class | Output::Exit => (vec![answers.len()], answers.len() * size_of::<i64>()),
    };
    Tensor {
        name: output.name(),
        datatype: output.datatype(),
        shape,
        parameters: binary.then_some(BinaryData { binary_data_size: size }),
        data: (!binary).then_some(Data { output, answers }),
    }
}

/// The values of an output as a flat list, row after row.
struct Data<'a> {
    output: Output,
    answers: &'a [Answer],
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answers = self.answers.iter();
        match self.output {
            Output::Probabilities => serializer.collect_seq(answers.flat_map(|answer| &answer.probabilities)),
            Output::Class => serializer.collect_seq(answers.map(|answer| answer.class)),
            Output::Exit => serializer.collect_seq(answers.map(|answer| answer.exit)),
            Output::Confidence => serializer.collect_seq(answers.map(|answer| answer.confidence)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn answer(row: usize) -> Answer {
        let confidence = 0.1 + row as f32;
        Answer { probabilities: vec![confidence, 1e-8, 0.5], class: 7, exit: row + 1, confidence }
    }

    fn response(answers: &[Answer]) -> Response<'_> {
        Response { model_name: "m", model_version: None, id: None, parameters: &[], answers }
    }

    #[test]
    fn a_json_response_has_its_values_in_flat_lists() {
        let answers = [answer(0), answer(1)];
        let parameters = [
            ("exits", Parameter::Integer(2)),
            ("share", Parameter::Double(0.5)),
            ("chain", Parameter::Text("a".into())),
            ("late", Parameter::Boolean(false)),
        ];
        let response =
            Response { model_version: Some("1"), id: Some("x\""), parameters: &parameters, ..response(&answers) };
        let encoded = encode(&response, &RequestedOutput::all(false));
        assert_eq!((encoded.header_length, encoded.content_type()), (None, "application/json"));
        assert_eq!(
            String::from_utf8(encoded.body).unwrap(),
            concat!(
                r#"{"model_name":"m","model_version":"1","id":"x\"","#,
                r#""parameters":{"exits":2,"share":0.5,"chain":"a","late":false},"outputs":["#,
                r#"{"name":"probabilities","datatype":"FP32","shape":[2,3],"data":[0.1,1e-8,0.5,1.1,1e-8,0.5]},"#,
                r#"{"name":"class","datatype":"INT64","shape":[2],"data":[7,7]},"#,
                r#"{"name":"exit","datatype":"INT64","shape":[2],"data":[1,2]},"#,
                r#"{"name":"confidence","datatype":"FP32","shape":[2],"data":[0.1,1.1]}]}"#
            )
        );
    }

    #[test]
    fn binary_outputs_follow_the_json_in_their_order() {
        let answers = [answer(0), answer(1)];
        let outputs = [(Output::Class, true), (Output::Exit, false), (Output::Confidence, true)]
            .map(|(output, binary)| RequestedOutput { output, binary });
        let encoded = encode(&response(&answers), &outputs);
        assert_eq!(encoded.content_type(), "application/octet-stream");
        let (json, tensors) = encoded.body.split_at(encoded.header_length.unwrap());
        let document: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(document["outputs"][0]["parameters"], json!({"binary_data_size": 16}));
        assert_eq!(document["outputs"][1]["data"], json!([1, 2]));
        assert_eq!(document["outputs"][2]["parameters"], json!({"binary_data_size": 8}));
        let class = [7_i64.to_le_bytes(), 7_i64.to_le_bytes()].concat();
        assert_eq!(tensors, [class, [0.1_f32.to_le_bytes(), 1.1_f32.to_le_bytes()].concat()].concat());
    }

    proptest! {
        #[test]
        fn probabilities_are_read_back_from_json(values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO, 1..9)) {
            let answers = [Answer { probabilities: values, ..answer(0) }];
            let encoded = encode(&response(&answers), &RequestedOutput::all(false));
            let document: Value = serde_json::from_slice(&encoded.body).unwrap();
            let back: Vec<f32> = serde_json::from_value(document["outputs"][0]["data"].clone()).unwrap();
            prop_assert_eq!(&back, &answers[0].probabilities);
        }
    }
}
