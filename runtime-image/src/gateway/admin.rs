//! The gateway's side for operators: metrics, telemetry, health, and new policies.

use super::Gateway;
use super::store::{PushError, Pushed};
use crate::process;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use wire::document::PolicyDocument;

/// A policy with a million threshold values of some ten characters each stays below.
const LARGEST_POLICY: usize = 16 << 20;

/// For everybody: probes and metrics; and what controls the gateway, if that has no endpoint of its own.
pub(super) async fn serve(gateway: Arc<Gateway>, listener: TcpListener) -> std::io::Result<()> {
    let open = Router::new()
        .route("/healthz", get(|| async { "live" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(&gateway));
    let router = if gateway.secured.is_some() { open } else { open.merge(control(gateway)) };
    axum::serve(listener, router).await
}

/// For one peer: telemetry, and new policies.
pub(super) fn control(gateway: Arc<Gateway>) -> Router {
    let telemetry = |State(gateway): State<Arc<Gateway>>| async move { process::json(&gateway.telemetry()) };
    Router::new()
        .route("/telemetry", get(telemetry))
        .route("/policy", put(push))
        .layer(DefaultBodyLimit::max(LARGEST_POLICY))
        .with_state(gateway)
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.ready() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") }
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    gateway.ledger.telemetry();
    if let Some(secured) = &gateway.secured {
        secured.refresh();
    }
    process::exposition(&gateway.registry)
}

/// Answers what is in force afterwards, so that a sender of a stale policy learns the version to exceed.
async fn push(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    // Large tables take a while to read, and a disk to write: jobs do not wait for either.
    let storing = Arc::clone(&gateway);
    let pushed = tokio::task::spawn_blocking(move || {
        serde_json::from_slice::<PolicyDocument>(&body).map(|document| storing.store.push(&document))
    });
    let pushed = match pushed.await {
        Ok(Ok(pushed)) => pushed,
        Ok(Err(error)) => return refuse(StatusCode::BAD_REQUEST, &error),
        Err(error) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
    };
    match pushed {
        Ok(pushed) => {
            let version = gateway.store.active().version;
            gateway.ledger.set_generation(version.generation);
            gateway.prepare();
            let status = if pushed == Pushed::Applied { StatusCode::OK } else { StatusCode::CONFLICT };
            (status, process::json(&json!({"applied": pushed == Pushed::Applied, "version": version}))).into_response()
        }
        Err(error @ PushError::Keep { .. }) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error),
    }
}

fn refuse(status: StatusCode, error: &dyn std::error::Error) -> Response {
    (status, process::json(&json!({"error": error.to_string()}))).into_response()
}
