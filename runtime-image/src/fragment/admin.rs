//! The process's side for operators: health and metrics for everybody, telemetry for whom it concerns.

use super::Device;
use crate::process;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

/// The device, once its models are loaded.
pub(super) type Loaded = Arc<OnceLock<Arc<Device>>>;

/// For everybody: probes and metrics; and telemetry, if that has no endpoint of its own.
pub(super) async fn serve(loaded: Loaded, listener: TcpListener) -> std::io::Result<()> {
    let open = Router::new()
        .route("/healthz", get(|| async { "live" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/telemetry", get(open_telemetry))
        .with_state(loaded);
    axum::serve(listener, open).await
}

/// For one peer: telemetry.
pub(super) fn control(loaded: &Loaded) -> Router {
    Router::new().route("/telemetry", get(telemetry)).with_state(Arc::clone(loaded))
}

async fn ready(State(loaded): State<Loaded>) -> Response {
    match loaded.get() {
        None => loading(),
        Some(device) if device.draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response(),
        Some(_) => "ready".into_response(),
    }
}

async fn metrics(State(loaded): State<Loaded>) -> Response {
    let Some(device) = loaded.get() else { return loading() };
    device.telemetry();
    if let Some(secured) = &device.secured {
        secured.refresh();
    }
    process::exposition(&device.metrics.registry)
}

async fn open_telemetry(loaded: State<Loaded>) -> Response {
    match loaded.get() {
        Some(device) if device.secured.is_some() => StatusCode::NOT_FOUND.into_response(),
        _ => telemetry(loaded).await,
    }
}

async fn telemetry(State(loaded): State<Loaded>) -> Response {
    match loaded.get() {
        Some(device) => process::json(&device.telemetry()),
        None => loading(),
    }
}

fn loading() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "loading models").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn while_models_are_loaded_the_process_is_live_and_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(Loaded::default(), listener));
        for (path, expected) in [
            ("/healthz", "200 OK"),
            ("/readyz", "503 Service Unavailable"),
            ("/metrics", "503 Service Unavailable"),
            ("/telemetry", "503 Service Unavailable"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: fragment\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{path}: {answer}");
        }
    }
}
