//! A client of a gateway.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Speaks HTTP to one address; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
}

/// A response as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: hyper::HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// The answer to one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Exit, from 1.
    pub exit: u64,
    /// Class.
    pub class: u64,
    /// Confidence.
    pub confidence: f64,
    /// Parameters of the response.
    pub parameters: Value,
}

impl Client {
    /// A client of `address` (`host:port`).
    pub fn new(address: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { http: Http::builder(TokioExecutor::new()).build(connector), base: format!("http://{address}") }
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("tests write proper requests");
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(error) => panic!("{path}: {error:?}"),
        };
        let (parts, body) = response.into_parts();
        Ok(Reply { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
    }

    /// Gets a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let reply = self.send(Method::GET, path, &[], "").await.expect("the server answers");
        assert_eq!(reply.status, StatusCode::OK, "{path}: {:?}", reply.body);
        serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{path}: {error}: {:?}", reply.body))
    }

    /// Sends one sample in JSON.
    pub async fn infer(&self, model: &str, sample: &[f32]) -> Reply {
        self.infer_with(model, sample, &json!({})).await
    }

    /// Sends one sample in JSON with request parameters.
    pub async fn infer_with(&self, model: &str, sample: &[f32], parameters: &Value) -> Reply {
        let path = format!("/v2/models/{model}/infer");
        let body = json_request(sample, parameters);
        self.send(Method::POST, &path, &[("content-type", "application/json")], body)
            .await
            .expect("the gateway answers")
    }
}

/// A request of one sample in JSON.
pub fn json_request(sample: &[f32], parameters: &Value) -> String {
    let input = json!({"name": "input", "shape": [1, sample.len()], "datatype": "FP32", "data": sample});
    json!({"inputs": [input], "parameters": parameters}).to_string()
}

/// A request of one sample in binary, and the length of its JSON part.
pub fn binary_request(sample: &[f32]) -> (Bytes, usize) {
    let size = size_of_val(sample);
    let input = json!({"name": "input", "shape": [1, sample.len()], "datatype": "FP32", "parameters": {"binary_data_size": size}});
    let mut body = json!({"inputs": [input], "parameters": {"binary_data_output": true}}).to_string().into_bytes();
    let header = body.len();
    body.extend(sample.iter().flat_map(|value| value.to_le_bytes()));
    (body.into(), header)
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The answer to a request of one sample; panics unless the status is 200.
    pub fn answer(&self) -> Answer {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        let body = self.json();
        let output = |name: &str| {
            let outputs = body["outputs"].as_array().expect("outputs");
            outputs.iter().find(|output| output["name"] == name).expect("the output")["data"][0].clone()
        };
        Answer {
            exit: output("exit").as_u64().expect("an exit"),
            class: output("class").as_u64().expect("a class"),
            confidence: output("confidence").as_f64().expect("a confidence"),
            parameters: body["parameters"].clone(),
        }
    }
}
