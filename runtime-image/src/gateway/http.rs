//! The gateway's side for clients: the Open Inference Protocol over HTTP/1.1.

use super::Gateway;
use super::job::{Answered, Ask, End, run};
use crate::memory::Reservation;
use crate::oip::{self, Parameter, Request, Response as Body};
use axum::Router;
use axum::body::Body as Stream;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::frame::{Failure, Refusal};

/// The one version of every model: a new model file is a new service or a new plan.
const VERSION: &str = "1";
/// Samples of one request; each is a job.
const MOST_SAMPLES: usize = 1024;
/// A client has so long to send its body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Connections at a time. A client that sends many jobs at once opens one for each.
const MOST_CONNECTIONS: usize = 8192;
/// A connection that is idle, or sends the head of a request, may take so long.
const IDLE: Duration = Duration::from_secs(75);
/// Bytes that a connection reads ahead, beside the bodies that the region counts.
const CONNECTION_BUFFER: usize = 16 * 1024;
/// What a lost job is told to wait, in seconds: the least that the header can say.
const RETRY_SECONDS: &str = "1";
/// Names the source of a job.
const SOURCE: &str = "eenn-source";

type Shared = State<Arc<Gateway>>;

/// Accepts connections until the gateway drains, then waits for their requests.
pub(super) async fn serve(gateway: Arc<Gateway>, listener: TcpListener) {
    let service = TowerToHyperService::new(router(Arc::clone(&gateway)));
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            // Never closed. Clients beyond the limit wait in the backlog of the kernel.
            let slot = Arc::clone(&connections).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = gateway.drain_begun() => break,
        };
        let stream = match accepted {
            // Answers are small and awaited: they must not wait for more bytes.
            Ok((stream, _)) => stream.set_nodelay(true).map(|()| stream),
            Err(error) => Err(error),
        };
        match stream {
            Ok(stream) => {
                let connection = connection_settings().serve_connection(TokioIo::new(stream), service.clone());
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                    drop(slot);
                });
            }
            // Out of file descriptors, most likely: wait for some to be freed rather than spin.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

fn connection_settings() -> http1::Builder {
    let mut settings = http1::Builder::new();
    settings.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(CONNECTION_BUFFER);
    settings
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route(
            "/v2",
            get(|| async { json(StatusCode::OK, oip::body::server_metadata("eenn", env!("CARGO_PKG_VERSION"))) }),
        )
        .route("/v2/health/live", get(|| async { json(StatusCode::OK, oip::body::live()) }))
        .route("/v2/health/ready", get(ready))
        .route(
            "/v2/models",
            get(|State(gateway): Shared| async move { json(StatusCode::OK, oip::body::models(&[&gateway.service])) }),
        )
        .route("/v2/models/{name}", get(metadata))
        .route("/v2/models/{name}/ready", get(model_ready))
        .route("/v2/models/{name}/infer", post(infer))
        .route("/v2/models/{name}/versions/{version}", get(metadata))
        .route("/v2/models/{name}/versions/{version}/ready", get(model_ready))
        .route("/v2/models/{name}/versions/{version}/infer", post(infer))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "there is no such path; models are at /v2/models") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .with_state(gateway)
}

#[derive(Debug, serde::Deserialize)]
struct Target {
    name: String,
    version: Option<String>,
}

async fn ready(State(gateway): Shared) -> Response {
    let ready = gateway.ready();
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, oip::body::ready(ready))
}

async fn model_ready(State(gateway): Shared, Path(target): Path<Target>) -> Response {
    if let Err(refused) = gateway.check(&target) {
        return *refused;
    }
    let ready = gateway.ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, oip::body::model_ready(&gateway.service, ready))
}

async fn metadata(State(gateway): Shared, Path(target): Path<Target>) -> Response {
    match gateway.check(&target) {
        Err(refused) => *refused,
        Ok(()) => {
            let body = oip::body::model_metadata(&gateway.service, &[VERSION], &gateway.input, gateway.classes);
            json(StatusCode::OK, body)
        }
    }
}

async fn infer(State(gateway): Shared, Path(target): Path<Target>, headers: HeaderMap, body: Stream) -> Response {
    let reject = |refused| {
        gateway.ledger.reject();
        refused
    };
    if let Err(refused) = gateway.check(&target) {
        return reject(*refused);
    }
    if gateway.draining() {
        return unavailable("the gateway is stopping", "failed", "gateway", "draining");
    }
    let (body, memory) = match read(&gateway, &headers, body).await {
        Ok(read) => read,
        Err(ReadFailure::Rejected(status, message)) => return reject(error(status, &message)),
        Err(ReadFailure::Full) => {
            // Its bytes were not read, so the jobs in it cannot be told: it counts as one.
            gateway.ledger.source(source(&headers)).arrive().lost("gateway", Refusal::GatewayMemory);
            return lost("gateway", Refusal::GatewayMemory, 1, 1);
        }
    };
    let header_length = match headers.get(oip::HEADER_LENGTH).map(|value| value.to_str().ok()?.trim().parse().ok()) {
        None => None,
        Some(Some(length)) => Some(length),
        Some(None) => return reject(error(StatusCode::BAD_REQUEST, "Inference-Header-Content-Length is not a number")),
    };
    match oip::decode(&body, header_length, &gateway.input, MOST_SAMPLES) {
        Err(bad) => reject(error(StatusCode::BAD_REQUEST, &bad.to_string())),
        Ok(request) => {
            // JSON text is not needed any more; the tensor keeps what it is a part of.
            drop(body);
            let ask = Ask {
                source: gateway.ledger.source(request.source.as_deref().or(source(&headers))),
                deadline: request.deadline,
                traceparent: text(&headers, "traceparent").unwrap_or_default().to_owned(),
            };
            let ends = run_all(&gateway, &request, &ask).await;
            drop(memory);
            respond(&gateway, &target, &request, ends)
        }
    }
}

/// Runs the samples of a request as jobs side by side; their ends come in the order of the samples.
async fn run_all(gateway: &Arc<Gateway>, request: &Request, ask: &Ask) -> Vec<End> {
    if request.samples == 1 {
        return vec![run(gateway, request.sample(0), ask).await];
    }
    let mut jobs = JoinSet::new();
    for index in 0..request.samples {
        let (gateway, sample, ask) = (Arc::clone(gateway), request.sample(index), ask.clone());
        jobs.spawn(async move { (index, run(&gateway, sample, &ask).await) });
    }
    let mut ends = jobs.join_all().await;
    ends.sort_by_key(|(index, _)| *index);
    ends.into_iter().map(|(_, end)| end).collect()
}

/// A response has answers for all its samples; if one of them has none, it says what became of that one.
fn respond(gateway: &Gateway, target: &Target, request: &Request, ends: Vec<End>) -> Response {
    let samples = ends.len();
    let mut answered = Vec::with_capacity(samples);
    let mut unanswered = vec![];
    for end in ends {
        match end {
            End::Answered(one) => answered.push(one),
            other => unanswered.push(other),
        }
    }
    match unanswered.first() {
        Some(End::Lost { place, reason }) => lost(place, *reason, unanswered.len(), samples),
        Some(End::Failed { place, reason }) => failed(place, *reason, unanswered.len(), samples),
        _ => answer(gateway, target, request, answered),
    }
}

fn answer(gateway: &Gateway, target: &Target, request: &Request, answered: Vec<Answered>) -> Response {
    let parameters = parameters(&answered);
    let answers: Vec<_> = answered
        .into_iter()
        .map(|Answered { answer, .. }| oip::Answer {
            probabilities: answer.probabilities,
            class: answer.class,
            exit: usize::from(answer.exit) + 1,
            confidence: answer.confidence,
        })
        .collect();
    let body = Body {
        model_name: &gateway.service,
        model_version: target.version.as_deref(),
        id: request.id.as_deref(),
        parameters: &parameters,
        answers: &answers,
    };
    let encoded = oip::encode(&body, &request.outputs);
    let mut response = ([(CONTENT_TYPE, encoded.content_type())], encoded.body).into_response();
    if let Some(length) = encoded.header_length {
        response.headers_mut().insert(oip::HEADER_LENGTH, length.into());
    }
    response
}

/// Exit, confidence, chain and times are those of the job, so only a request of one job has them here.
fn parameters(answered: &[Answered]) -> Vec<(&'static str, Parameter)> {
    let micros = |time: Duration| Parameter::Integer(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let mut parameters = vec![];
    if let Some(first) = answered.first() {
        parameters.push(("policy_generation", Parameter::Integer(i64::try_from(first.generation).unwrap_or(i64::MAX))));
    }
    if let [one] = answered {
        parameters.extend([
            ("exit", Parameter::Integer(i64::from(one.answer.exit) + 1)),
            ("confidence", Parameter::Double(f64::from(one.answer.confidence))),
            ("chain", Parameter::Text(one.chain.clone())),
            ("answered_on_overflow", Parameter::Boolean(one.answer.on_overflow)),
            ("wait_microseconds", micros(one.waited)),
            ("service_microseconds", micros(one.service)),
            ("latency_microseconds", micros(one.latency)),
        ]);
    }
    parameters
}

enum ReadFailure {
    Rejected(StatusCode, String),
    Full,
}

/// Reads a body whose size has been reserved, and expands it.
async fn read(gateway: &Gateway, headers: &HeaderMap, body: Stream) -> Result<(Bytes, Vec<Reservation>), ReadFailure> {
    let limit = gateway.max_body;
    let too_large =
        || ReadFailure::Rejected(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"));
    let announced = text(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let reserve = |bytes: usize| gateway.region.reserve(bytes as u64).ok_or(ReadFailure::Full);
    let mut memory = vec![reserve(announced.unwrap_or(0))?];
    let mut read = BytesMut::with_capacity(announced.unwrap_or(0));
    let reading = async {
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|_| ReadFailure::Rejected(StatusCode::BAD_REQUEST, "the body ended early".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > limit {
                return Err(too_large());
            }
            if announced.is_none() {
                memory.push(reserve(data.len())?);
            }
            read.extend_from_slice(&data);
        }
        Ok(())
    };
    let late = || ReadFailure::Rejected(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".into());
    timeout(BODY_PATIENCE, reading).await.unwrap_or_else(|_| Err(late()))?;
    let encoding = text(headers, CONTENT_ENCODING.as_str()).unwrap_or_default();
    let compressed = read.len();
    let body = oip::decompress(encoding, &read.freeze(), limit).map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        ReadFailure::Rejected(status, error.to_string())
    })?;
    memory.push(reserve(body.len().saturating_sub(compressed))?);
    Ok((body, memory))
}

impl Gateway {
    /// Whether a request is for what is served here.
    fn check(&self, target: &Target) -> Result<(), Box<Response>> {
        if target.name != self.service {
            let message = format!("there is no model {:?} here, only {:?}", target.name, self.service);
            return Err(Box::new(error(StatusCode::NOT_FOUND, &message)));
        }
        match target.version.as_deref() {
            None | Some(VERSION) => Ok(()),
            Some(other) => {
                let message = format!("model {:?} has version {VERSION:?} only, not {other:?}", self.service);
                Err(Box::new(error(StatusCode::NOT_FOUND, &message)))
            }
        }
    }
}

fn source(headers: &HeaderMap) -> Option<&str> {
    text(headers, SOURCE)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn lost(place: &str, reason: Refusal, lost: usize, samples: usize) -> Response {
    let message = format!("{} lost at {place}: {reason}", count(lost, samples));
    unavailable(&message, "lost", place, reason.word())
}

fn failed(place: &str, reason: Failure, failed: usize, samples: usize) -> Response {
    let message = format!("{} failed at {place}: {reason}", count(failed, samples));
    match reason {
        Failure::Deadline => outcome(StatusCode::GATEWAY_TIMEOUT, &message, "failed", place, reason.word()),
        Failure::Unreachable | Failure::HopDied => unavailable(&message, "failed", place, reason.word()),
        _ => outcome(StatusCode::INTERNAL_SERVER_ERROR, &message, "failed", place, reason.word()),
    }
}

fn count(some: usize, samples: usize) -> String {
    if samples == 1 { "job".to_owned() } else { format!("{some} of {samples} jobs") }
}

fn unavailable(message: &str, what: &str, place: &str, reason: &str) -> Response {
    let mut response = outcome(StatusCode::SERVICE_UNAVAILABLE, message, what, place, reason);
    response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_SECONDS));
    response
}

fn outcome(status: StatusCode, message: &str, outcome: &str, place: &str, reason: &str) -> Response {
    let body = serde_json::json!({"error": message, "outcome": outcome, "place": place, "reason": reason});
    json(status, body.to_string().into_bytes())
}

fn error(status: StatusCode, message: &str) -> Response {
    json(status, oip::body::error(message))
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
