//! An API server that says yes to everything, but for one request.

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tower::service_fn;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The API server refuses it, with this status and reason.
    Status(u16, &'static str),
    /// The answer is no JSON.
    Garbage,
    /// The connection breaks, or nothing is heard in time.
    TimedOut,
}

/// What a refusal says.
pub(super) const REFUSED: &str = "exceeded quota: edge, requested: 1, used: 7, limited: 7";

/// A request that changes something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    /// `PATCH /apis/…`, without the query.
    pub(super) what: String,
    /// What was sent.
    pub(super) body: Value,
}

impl Write {
    /// Whether it only tells: a status or an event.
    pub(super) fn tells(&self) -> bool {
        self.what.ends_with("/status") || self.what.contains("/events")
    }
}

/// The script, and what was asked.
#[derive(Debug, Default)]
pub(super) struct Server {
    writes: Mutex<Vec<Write>>,
    /// The number of the write that fails, from 0.
    fault: Option<(usize, Fault)>,
    /// Answers to reads: the one ConfigMap that is read.
    config_map: Value,
}

impl Server {
    /// Says yes to everything but the write with this number.
    pub(super) fn new(fault: Option<(usize, Fault)>, config_map: Value) -> Arc<Self> {
        Arc::new(Self { fault, config_map, ..Self::default() })
    }

    /// All writes so far.
    pub(super) fn writes(&self) -> Vec<Write> {
        self.writes.lock().expect("nothing panics while it holds writes").clone()
    }

    /// A client of it.
    pub(super) fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
                server.answer(
                    parts.method.as_str(),
                    parts.uri.path(),
                    serde_json::from_slice(&body).unwrap_or_default(),
                )
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &str, path: &str, body: Value) -> std::io::Result<Response<Body>> {
        if method == "GET" {
            return Ok(said(200, &self.config_map.to_string()));
        }
        let number = {
            let mut writes = self.writes.lock().expect("nothing panics while it holds writes");
            writes.push(Write { what: format!("{method} {path}"), body: body.clone() });
            writes.len() - 1
        };
        match self.fault.filter(|(at, _)| *at == number) {
            None => Ok(said(200, &done(method, path, body).to_string())),
            Some((_, Fault::Garbage)) => Ok(said(200, "<html>a proxy speaks</html>")),
            Some((_, Fault::TimedOut)) => Err(std::io::ErrorKind::TimedOut.into()),
            Some((_, Fault::Status(code, reason))) => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": REFUSED, "reason": reason,
                    "code": code,
                });
                Ok(said(code, &status.to_string()))
            }
        }
    }
}

/// The object as it is afterwards.
fn done(method: &str, path: &str, mut body: Value) -> Value {
    if method == "DELETE" {
        return json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200 });
    }
    if method == "PATCH" && path.contains("/secrets/") {
        return json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "name": "camera-certificates" } });
    }
    if path.ends_with("/status") || (method == "PATCH" && path.contains("/eennplans/")) {
        return super::scene::with_status(path);
    }
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let metadata = &mut body["metadata"];
    if metadata["name"].is_null() {
        metadata["name"] = name.into();
    }
    metadata["uid"] = format!("uid of {path}").into();
    metadata["resourceVersion"] = "1".into();
    body
}

fn said(code: u16, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.as_bytes().to_vec()));
    *response.status_mut() = http::StatusCode::from_u16(code).expect("it is a status");
    response
}
