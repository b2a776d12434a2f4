//! Bodies of health, metadata and error answers.

use super::{InputSpec, Output};
use serde_json::{Value, json};

/// What this server calls itself as the platform of a model.
const PLATFORM: &str = "eenn";

/// `GET /v2/health/live`.
pub fn live() -> Vec<u8> {
    bytes(&json!({"live": true}))
}

/// `GET /v2/health/ready`, sent with status 503 when not ready. KServe's client reads `ready`, while the protocol's
/// text shows `live`; both are there.
pub fn ready(ready: bool) -> Vec<u8> {
    bytes(&json!({"ready": ready, "live": true}))
}

/// `GET /v2/models/{name}/ready`, sent with status 503 when not ready.
pub fn model_ready(name: &str, ready: bool) -> Vec<u8> {
    bytes(&json!({"name": name, "ready": ready}))
}

/// The body of every answer with a status of 400 or more.
pub fn error(message: &str) -> Vec<u8> {
    bytes(&json!({"error": message}))
}

/// `GET /v2`.
pub fn server_metadata(name: &str, version: &str) -> Vec<u8> {
    bytes(&json!({"name": name, "version": version, "extensions": ["binary_tensor_data"]}))
}

/// `GET /v2/models`, an addition of KServe.
pub fn models(names: &[&str]) -> Vec<u8> {
    bytes(&json!({"models": names}))
}

/// `GET /v2/models/{name}`. A number of classes that is not known is written as -1, like the batch axis.
pub fn model_metadata(name: &str, versions: &[&str], input: &InputSpec, classes: Option<usize>) -> Vec<u8> {
    let batch = std::iter::once(json!(-1));
    let input_shape: Vec<Value> = batch.chain(input.sample_shape.iter().map(|size| json!(size))).collect();
    let outputs: Vec<Value> = Output::ALL.into_iter().map(|output| output_metadata(output, classes)).collect();
    bytes(&json!({
        "name": name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [{"name": input.name, "datatype": "FP32", "shape": input_shape}],
        "outputs": outputs,
    }))
}

fn output_metadata(output: Output, classes: Option<usize>) -> Value {
    let shape = match output {
        Output::Probabilities => json!([-1, classes.map_or(json!(-1), |classes| json!(classes))]),
        Output::Class | Output::Exit | Output::Confidence => json!([-1]),
    };
    json!({"name": output.name(), "datatype": output.datatype(), "shape": shape})
}

fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], want: &Value) {
        assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), *want);
    }

    #[test]
    fn bodies_have_the_keys_that_clients_read() {
        check(&live(), &json!({"live": true}));
        check(&ready(false), &json!({"ready": false, "live": true}));
        check(&model_ready("m", true), &json!({"name": "m", "ready": true}));
        check(&error("a \"b\""), &json!({"error": "a \"b\""}));
        check(&models(&["m"]), &json!({"models": ["m"]}));
        check(
            &server_metadata("eenn-gateway", "1"),
            &json!({"name": "eenn-gateway", "version": "1", "extensions": ["binary_tensor_data"]}),
        );
    }

    #[test]
    fn metadata_names_input_and_outputs() {
        let input = InputSpec { name: "input".into(), sample_shape: vec![1, 28, 28] };
        let shapes = |classes| {
            let metadata: Value = serde_json::from_slice(&model_metadata("m", &["1"], &input, classes)).unwrap();
            assert_eq!(metadata["inputs"], json!([{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]));
            metadata["outputs"].as_array().unwrap().iter().map(|output| output["shape"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(shapes(Some(10)), [json!([-1, 10]), json!([-1]), json!([-1]), json!([-1])]);
        assert_eq!(shapes(None)[0], json!([-1, -1]));
    }
}
