//! The entry of the fuzzer: whatever a client sends is answered, and an accepted request keeps its promises.

use super::{Answer, InputSpec, Parameter, Response, decode, decompress, encode};
use bytes::Bytes;

const MAX_SAMPLES: usize = 4;

/// Reads `data` as a request and writes an answer to it. The first byte chooses the encoding of the body, the next two
/// are its header length; `0xffff` stands for none.
///
/// # Panics
///
/// When an accepted request is not what [`super::Request`] says: that is what a fuzzer looks for.
pub fn fuzz_decode(data: &[u8]) {
    let Some(([encoding, low, high], body)) = data.split_first_chunk() else { return };
    let encoding = ["identity", "gzip", "deflate"][usize::from(*encoding) % 3];
    let header_length = Some(u16::from_le_bytes([*low, *high])).filter(|length| *length != u16::MAX).map(usize::from);
    let Ok(body) = decompress(encoding, &Bytes::copy_from_slice(body), 1 << 16) else { return };
    let spec = InputSpec { name: "input".into(), sample_shape: vec![1, 2, 2] };
    let request = match decode(&body, header_length, &spec, MAX_SAMPLES) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.0.len() < 1000, "a message of bounded length");
            return;
        }
    };
    assert!((1..=MAX_SAMPLES).contains(&request.samples) && !request.outputs.is_empty());
    assert_eq!(request.tensor.len(), request.samples * spec.sample_len() * size_of::<f32>());
    let joined: Vec<u8> = (0..request.samples).flat_map(|index| request.sample(index)).collect();
    assert_eq!(joined, request.tensor);
    let answer = Answer { probabilities: vec![0.25, 0.75], class: 1, exit: 2, confidence: 0.75 };
    let encoded = encode(
        &Response {
            model_name: "m",
            model_version: request.source.as_deref(),
            id: request.id.as_deref(),
            parameters: &[("source", Parameter::Boolean(true))],
            answers: &vec![answer; request.samples],
        },
        &request.outputs,
    );
    let json = &encoded.body[..encoded.header_length.unwrap_or(encoded.body.len())];
    let document: serde_json::Value = serde_json::from_slice(json).expect("a response is JSON");
    assert_eq!(document["id"].as_str(), request.id.as_deref());
}
