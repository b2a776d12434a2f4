//! Requests and responses as clients write and read them.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const MAX_SAMPLES: usize = 8;

fn spec() -> InputSpec {
    InputSpec { name: "input".into(), sample_shape: vec![1, 2, 2] }
}

fn fp32(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A request of one sample with one field of its input replaced.
fn request(field: &str, value: Value) -> Value {
    let mut input = json!({"name": "input", "shape": [1, 1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]});
    input[field] = value;
    json!({"inputs": [input]})
}

fn read(document: &Value) -> Result<Request, BadRequest> {
    decode(&Bytes::from(document.to_string()), None, &spec(), MAX_SAMPLES)
}

fn read_text(text: &str) -> Result<Request, BadRequest> {
    decode(&Bytes::copy_from_slice(text.as_bytes()), None, &spec(), MAX_SAMPLES)
}

/// A body with its JSON length: an input of `datatype` in binary, with `size` announced.
fn binary(datatype: &str, shape: &[usize], size: usize, tensor: &[u8]) -> (Bytes, usize) {
    let input =
        json!({"name": "input", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}});
    let header = json!({"inputs": [input], "parameters": {"binary_data_output": true}}).to_string();
    (Bytes::from([header.as_bytes(), tensor].concat()), header.len())
}

fn read_binary(datatype: &str, shape: &[usize], size: usize, tensor: &[u8]) -> Result<Request, BadRequest> {
    let (body, header_length) = binary(datatype, shape, size, tensor);
    decode(&body, Some(header_length), &spec(), MAX_SAMPLES)
}

fn check_refused(read: Result<Request, BadRequest>, want: &str) {
    assert_eq!(read.unwrap_err().0, want);
}

#[test]
fn json_data_may_be_flat_or_nested_and_of_any_numeric_type() {
    let want = fp32(&[1.0, 2.0, 3.0, 4.0]);
    for (datatype, data) in [
        ("FP32", json!([1, 2.0, 3, 4])),
        ("FP64", json!([[[[1.0, 2.0], [3.0, 4.0]]]])),
        ("INT64", json!([[1, 2, 3, 4]])),
        ("UINT8", json!([[[1, 2], [3, 4]]])),
    ] {
        let mut document = request("datatype", json!(datatype));
        document["inputs"][0]["data"] = data;
        let request = read(&document).unwrap();
        assert_eq!((request.samples, &request.tensor), (1, &want), "{datatype}");
        assert_eq!(request.outputs, RequestedOutput::all(false));
    }
    let mut document = request("datatype", json!("BOOL"));
    document["inputs"][0]["data"] = json!([true, false, true, true]);
    assert_eq!(read(&document).unwrap().tensor, fp32(&[1.0, 0.0, 1.0, 1.0]));
}

#[test]
fn fields_may_come_in_any_order_with_others_and_nulls_between() {
    let text = r#" {"model_name": "m", "outputs": null, "parameters": null, "id": null, "inputs": [{"data": [[1,2,3,4]],
        "parameters": null, "extra": {"deep": [[]]}, "datatype": "FP32", "shape": [1,1,2,2], "name": "input"}]} "#;
    assert_eq!(read_text(text).unwrap().tensor, fp32(&[1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn wrong_inputs_are_refused_with_what_was_expected() {
    for (document, want) in [
        (json!({}), "\"inputs\" is missing or empty, expected input \"input\""),
        (request("name", json!("x")), "unknown input \"x\", expected \"input\""),
        (request("name", json!("x".repeat(99))), &format!("unknown input {:?}…, expected \"input\"", "x".repeat(64))),
        (request("shape", json!([1, 4])), "input \"input\" has shape [1,4], expected [N,1,2,2]"),
        (request("shape", json!([0, 1, 2, 2])), "input \"input\" has 0 samples, expected 1 to 8"),
        (request("shape", json!([9, 1, 2, 2])), "input \"input\" has 9 samples, expected 1 to 8"),
        (request("shape", json!([2, 1, 2, 2])), "\"data\" has 4 values, its shape has 8"),
        (request("datatype", json!("BYTES")), "the input has datatype \"BYTES\", expected FP32"),
        (request("datatype", json!("BOOL")), "\"data\" does not fit its datatype, expected true and false"),
        (request("data", json!([1, 2, 3])), "\"data\" has 3 values, its shape has 4"),
        (request("data", json!([1, 2, 3, true])), "\"data\" does not fit its datatype, expected numbers"),
        (request("data", Value::Null), "the input has neither \"data\" nor \"binary_data_size\""),
        (
            request("parameters", json!({"binary_data_size": 16})),
            "the input has both \"data\" and \"binary_data_size\", expected one",
        ),
    ] {
        check_refused(read(&document), want);
    }
}

#[test]
fn values_that_do_not_fit_an_integer_type_are_refused() {
    for (datatype, data, want) in [
        ("UINT8", json!([1, 2, 3, 256]), "\"data\" does not fit its datatype, expected 0 to 255"),
        ("INT32", json!([1, 2, 3, 0.5]), "\"data\" does not fit its datatype, expected integers"),
    ] {
        let mut document = request("datatype", json!(datatype));
        document["inputs"][0]["data"] = data;
        check_refused(read(&document), want);
    }
}

#[test]
fn json_errors_have_a_position() {
    for (text, want) in [
        ("", "request: expected an object at byte 0, where the JSON ends"),
        ("{\"inputs\": [{\"shape\": [1, -1]}]}", "\"shape\": invalid value: integer `-1`, expected usize at byte 27"),
        ("{\"id\": \"a", "\"id\": EOF while parsing a string at byte 8"),
        ("{\"inputs\": [{\"data\": [1, 2, x]}]}", "\"data\": expected a number at byte 28"),
        ("{\"inputs\": [{},{}]}", "more than one input, expected only \"input\" at byte 15"),
    ] {
        check_refused(read_text(text), want);
    }
}

#[test]
fn binary_fp32_is_a_slice_of_the_body() {
    let tensor = fp32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let (body, header_length) = binary("FP32", &[2, 1, 2, 2], 32, &tensor);
    let request = decode(&body, Some(header_length), &spec(), MAX_SAMPLES).unwrap();
    assert_eq!((request.samples, &request.tensor), (2, &tensor));
    assert_eq!(request.tensor.as_ptr(), body[header_length..].as_ptr(), "no copy");
    assert_eq!(request.sample(1), fp32(&[5.0, 6.0, 7.0, 8.0]));
    assert_eq!(request.sample(1).as_ptr(), body[header_length + 16..].as_ptr(), "no copy");
    assert_eq!(request.outputs, RequestedOutput::all(true));
}

#[test]
fn binary_data_of_other_types_is_converted() {
    let doubles: Vec<u8> = [1.0, 2.0, 3.0, 4.0_f64].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (datatype, tensor) in [("FP64", doubles), ("UINT8", vec![1, 2, 3, 4])] {
        let request = read_binary(datatype, &[1, 1, 2, 2], tensor.len(), &tensor).unwrap();
        assert_eq!(request.tensor, fp32(&[1.0, 2.0, 3.0, 4.0]), "{datatype}");
    }
}

#[test]
fn binary_data_of_the_wrong_size_is_refused() {
    let follow = |bytes: usize| {
        format!(
            "{bytes} bytes follow the JSON, expected 16 as in \"binary_data_size\"; its end is in header inference-header-content-length"
        )
    };
    for (size, bytes, want) in [
        (15, 16, "\"binary_data_size\" is 15, its shape and datatype take 16 bytes".to_owned()),
        (16, 15, follow(15)),
        (16, 17, follow(17)),
        (16, 0, follow(0)),
    ] {
        check_refused(read_binary("FP32", &[1, 1, 2, 2], size, &vec![0; bytes]), &want);
    }
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let tensor = fp32(&[0.0, 0.0, value, 0.0]);
        let want = "value 2 of the input is not finite in FP32";
        check_refused(read_binary("FP32", &[1, 1, 2, 2], 16, &tensor), want);
        check_refused(decode(&tensor, Some(0), &spec(), MAX_SAMPLES), want);
    }
    let large: Vec<u8> = [0.0, 0.0, 1e300, 0.0_f64].iter().flat_map(|value| value.to_le_bytes()).collect();
    check_refused(read_binary("FP64", &[1, 1, 2, 2], 32, &large), "value 2 of the input is not finite in FP32");
}

#[test]
fn a_header_length_of_zero_makes_the_whole_body_the_input() {
    let body = fp32(&[1.0; 12]);
    let request = decode(&body, Some(0), &spec(), MAX_SAMPLES).unwrap();
    assert_eq!((request.samples, &request.tensor), (3, &body));
    assert_eq!(request.outputs, RequestedOutput::all(true));
    for bytes in [0, 15, 17, 16 * 9] {
        let want = format!("the body has {bytes} bytes, expected 1 to 8 samples of 16 bytes of FP32");
        check_refused(decode(&Bytes::from(vec![0; bytes]), Some(0), &spec(), MAX_SAMPLES), &want);
    }
}

#[test]
fn a_header_length_that_does_not_fit_is_refused() {
    let (body, header_length) = binary("FP32", &[1, 1, 2, 2], 16, &[0; 16]);
    let read = |length| decode(&body, length, &spec(), MAX_SAMPLES);
    let want = format!("inference-header-content-length is 9999, but the body has {} bytes", body.len());
    check_refused(read(Some(9999)), &want);
    check_refused(read(None), &format!("expected the end of the JSON at byte {header_length}"));
    let json = Bytes::from(request("id", json!("")).to_string() + "xx");
    let read = decode(&json, Some(json.len() - 2), &spec(), MAX_SAMPLES);
    check_refused(read, "2 bytes follow the JSON, but no input is binary");
}

#[test]
fn named_outputs_are_answered_in_their_order_and_form() {
    let mut document = request("id", json!(1));
    document["parameters"] = json!({"binary_data_output": true});
    document["outputs"] = json!([{"name": "exit"}, {"name": "class", "parameters": {"binary_data": false}}]);
    let outputs = read(&document).unwrap().outputs;
    let want =
        [(Output::Exit, true), (Output::Class, false)].map(|(output, binary)| RequestedOutput { output, binary });
    assert_eq!(outputs, want);
    for (outputs, want) in [
        (json!([{"name": "logits"}]), "unknown output \"logits\", expected probabilities, class, exit or confidence,"),
        (json!([{"name": "exit"}, {"name": "exit"}]), "output \"exit\" is requested twice"),
        (
            json!([{"name": "exit", "parameters": {"classification": 3}}]),
            "output parameter \"classification\" is not supported",
        ),
        (json!([{}]), "an output has no name, before"),
    ] {
        document["outputs"] = outputs;
        let error = read(&document).unwrap_err();
        assert!(error.0.starts_with(want), "{error}");
    }
}

#[test]
fn parameters_name_deadline_and_source() {
    for (parameters, want) in [
        (json!({}), None),
        (json!({"timeout_milliseconds": 50}), Some(50_000)),
        (json!({"timeout": 1500, "priority": 3}), Some(1500)),
        (json!({"timeout_milliseconds": 1, "timeout": 1500}), Some(1000)),
        (json!({"timeout_milliseconds": 0, "timeout": 0, "other": [{}]}), None),
    ] {
        let mut document = request("id", json!(1));
        document["parameters"] = parameters;
        document["parameters"]["source"] = json!("camera");
        let request = read(&document).unwrap();
        assert_eq!(request.deadline, want.map(Duration::from_micros), "{document}");
        assert_eq!(request.source.as_deref(), Some("camera"));
    }
}

/// Samples of finite values.
fn samples() -> impl Strategy<Value = Vec<f32>> {
    let value = prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO;
    (1..=MAX_SAMPLES).prop_flat_map(move |samples| prop::collection::vec(value, samples * 4))
}

fn nested(values: &[f32]) -> Value {
    values.chunks(4).map(|sample| json!([[&sample[..2], &sample[2..]]])).collect()
}

proptest! {
    #[test]
    fn what_is_sent_is_read_back(values in samples(), flat: bool) {
        let count = values.len() / 4;
        let tensor = fp32(&values);
        let mut document = request("shape", json!([count, 1, 2, 2]));
        document["inputs"][0]["data"] = if flat { json!(values) } else { nested(&values) };
        let from_json = read(&document).unwrap();
        let from_binary = read_binary("FP32", &[count, 1, 2, 2], tensor.len(), &tensor).unwrap();
        for request in [&from_json, &from_binary] {
            prop_assert_eq!((request.samples, &request.tensor), (count, &tensor));
            for index in 0..count {
                prop_assert_eq!(request.sample(index), tensor.slice(index * 16..(index + 1) * 16));
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_decode(&bytes);
    }

    #[test]
    fn a_damaged_request_is_answered(
        is_binary: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        shift in -2_i32..=2,
    ) {
        let (body, header_length) = if is_binary {
            binary("FP32", &[2, 1, 2, 2], 32, &[1; 32])
        } else {
            let document = request("parameters", json!({"a": [1.5e3, null, "\n"]})).to_string();
            (Bytes::from(document), usize::from(u16::MAX))
        };
        let mut body = body.to_vec();
        for (at, byte) in &edits {
            let at = at.index(body.len());
            body[at] = *byte;
        }
        if edits.len() % 2 == 1 {
            body.truncate(cut.index(body.len()));
        }
        let header = (header_length as i32 + shift).clamp(0, i32::from(u16::MAX)) as u16;
        fuzz_decode(&[&[0], &header.to_le_bytes()[..], &body].concat());
    }
}
