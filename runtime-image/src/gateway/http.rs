//! The gateway's side for clients: the Open Inference Protocol over HTTP/1.1.

use super::Gateway;
use super::body::{Decoded, ReadFailure, read};
use super::job::{Ask, End, run};
use super::linger::lingering;
use super::response::{error, json, lost, respond, unavailable};
use crate::oip::{self, Request};
use axum::Router;
use axum::body::Body as Stream;
use axum::extract::{Path, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::frame::Refusal;

/// The one version of every model: a new model file is a new service or a new plan.
const VERSION: &str = "1";
/// Connections at a time. A client that sends many jobs at once opens one for each.
const MOST_CONNECTIONS: usize = 8192;
/// A connection that is idle, or sends the head of a request, may take so long.
const IDLE: Duration = Duration::from_secs(75);
/// Bytes that a connection reads ahead, beside the bodies that the region counts.
const CONNECTION_BUFFER: usize = 16 * 1024;
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
        .layer(axum::middleware::from_fn(lingering))
        .layer(axum::middleware::map_response_with_state(Arc::clone(&gateway), parting))
        .with_state(gateway)
}

/// A client that keeps its connection finds another gateway for its next request, once this one is to stop.
async fn parting(State(gateway): Shared, mut response: Response) -> Response {
    if gateway.leaving() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) version: Option<String>,
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
        return reject(unavailable("the gateway is stopping", "failed", "gateway", "draining"));
    }
    let header_length = match headers.get(oip::HEADER_LENGTH).map(|value| value.to_str().ok()?.trim().parse().ok()) {
        None => None,
        Some(Some(length)) => Some(length),
        Some(None) => return reject(error(StatusCode::BAD_REQUEST, "Inference-Header-Content-Length is not a number")),
    };
    let decoded = read(&gateway, &headers, body).await.and_then(|held| held.decode(&gateway, header_length));
    match decoded {
        Err(ReadFailure::Rejected(status, message)) => reject(error(status, &message)),
        Err(ReadFailure::Full) => {
            // Nothing has been read, so the jobs in it cannot be told: it counts as one.
            gateway.ledger.source(source(&headers)).arrive().lost("gateway", Refusal::GatewayMemory);
            gateway.store.active().keeper().lost_unseen(gateway.store.now());
            lost("gateway", Refusal::GatewayMemory, 1, 1)
        }
        Ok(Decoded { request, memory }) => {
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

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
