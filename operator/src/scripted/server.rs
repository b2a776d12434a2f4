//! An API server that says yes to everything but what a test wants refused.

use super::peer::Book;
use crate::service::labels;
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
    /// Somebody else has set a field that was to be set.
    Taken,
    /// Another object of that name is there now.
    Replaced,
}

/// What is said then.
pub(super) const CONFLICT: &str =
    "Apply failed with 1 conflict: conflict with \"kubectl-create\" using v1: .binaryData.exit-table.safetensors";

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
    /// Whether it only tells: a status, an event, or what a plan carries.
    pub(super) fn tells(&self) -> bool {
        let annotations = self.body["metadata"]["annotations"].as_object();
        let carries = annotations.is_some_and(|all| all.keys().eq([labels::FOUND]));
        self.what.ends_with("/status") || self.what.contains("/events") || (self.what.starts_with("PATCH") && carries)
    }
}

/// The script, and what was asked.
#[derive(Debug, Default)]
pub(super) struct Server {
    writes: Mutex<Vec<Write>>,
    /// The number of the write that fails, from 0.
    fault: Option<(usize, Fault)>,
    /// Writes whose paths hold this fail.
    refused: Mutex<Option<(&'static str, Fault)>>,
    /// What is applied at such paths has been made by somebody else.
    of_others: Mutex<Option<&'static str>>,
    /// Answers to reads: the one ConfigMap that is read.
    config_map: Value,
    /// How many there were, and how they fail.
    reads: Mutex<(usize, Option<Fault>)>,
    /// Where pods are reached.
    pub(super) book: Book,
}

impl Server {
    /// Says yes to everything but the write with this number.
    pub(super) fn new(fault: Option<(usize, Fault)>, config_map: Value) -> Arc<Self> {
        Arc::new(Self { fault, config_map, ..Self::default() })
    }

    /// From now on refuses writes whose paths hold `what`.
    pub(super) fn refuse(&self, what: &'static str, fault: Fault) {
        *self.refused.lock().expect("nothing panics while it holds it") = Some((what, fault));
    }

    /// From now on somebody else has made what is applied at paths that hold `what`.
    pub(super) fn is_of_others(&self, what: &'static str) {
        *self.of_others.lock().expect("nothing panics while it holds it") = Some(what);
    }

    /// From now on nothing can be read.
    pub(super) fn hide(&self, fault: Fault) {
        self.reads.lock().expect("nothing panics while it holds reads").1 = Some(fault);
    }

    /// Reads so far.
    pub(super) fn reads(&self) -> usize {
        self.reads.lock().expect("nothing panics while it holds reads").0
    }

    /// And from now on does not.
    pub(super) fn heal(&self) {
        *self.refused.lock().expect("nothing panics while it holds it") = None;
    }

    fn fault(&self, number: usize, path: &str) -> Option<Fault> {
        let refused = *self.refused.lock().expect("nothing panics while it holds it");
        let refused = refused.filter(|(what, _)| path.contains(what)).map(|(_, fault)| fault);
        refused.or(self.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault))
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
            let mut reads = self.reads.lock().expect("nothing panics while it holds reads");
            reads.0 += 1;
            return reads.1.map_or_else(|| Ok(said(200, &self.config_map.to_string())), failing);
        }
        let number = {
            let mut writes = self.writes.lock().expect("nothing panics while it holds writes");
            writes.push(Write { what: format!("{method} {path}"), body: body.clone() });
            writes.len() - 1
        };
        match self.fault(number, path) {
            None => Ok(said(200, &self.made(path, done(method, path, body)).to_string())),
            Some(fault) => failing(fault),
        }
    }
}

impl Server {
    /// An object with who has made it.
    fn made(&self, path: &str, mut object: Value) -> Value {
        let of_others = *self.of_others.lock().expect("nothing panics while it holds it");
        if of_others.is_some_and(|what| path.contains(what)) {
            object["metadata"]["managedFields"] = json!([{ "manager": "kubectl-create", "operation": "Update" }]);
        }
        object
    }
}

fn failing(fault: Fault) -> std::io::Result<Response<Body>> {
    match fault {
        Fault::Garbage => Ok(said(200, "<html>a proxy speaks</html>")),
        Fault::TimedOut => Err(std::io::ErrorKind::TimedOut.into()),
        Fault::Status(code, reason) => Ok(refusal(code, reason, REFUSED)),
        Fault::Taken => Ok(refusal(409, "Conflict", CONFLICT)),
        Fault::Replaced => {
            Ok(refusal(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"))
        }
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    });
    said(code, &status.to_string())
}

/// The object as it is afterwards.
fn done(method: &str, path: &str, mut body: Value) -> Value {
    if method == "DELETE" {
        return json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200 });
    }
    if method == "PUT" && path.contains("/secrets/") {
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
