//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Alive is who gets on with things: the loop that looks at objects turns. A plain outage of the API server is no reason to die, so it is
//! not asked here.

use crate::clock;
use crate::metrics::Metrics;
use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::TcpListener;

/// A heart that did not beat for so long has stopped.
const LONGEST_PAUSE: f64 = 60.0;

/// How the process is.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    /// Milliseconds on the process clock.
    beat: AtomicU64,
}

impl Health {
    /// Everything has been listed.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The runtime gets on with things.
    pub fn beat(&self) {
        self.beat.store((clock::now() * 1e3) as u64, Ordering::Release);
    }

    fn is_alive(&self) -> bool {
        clock::now() - self.beat.load(Ordering::Acquire) as f64 / 1e3 < LONGEST_PAUSE
    }
}

/// Listens. The result serves for ever.
pub async fn listen(
    address: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let app = Router::new()
        .route(
            "/healthz",
            get(|State((health, _)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                answer(health.is_alive(), "no progress")
            }),
        )
        .route(
            "/readyz",
            get(|State((health, _)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                answer(health.ready.load(Ordering::Acquire), "not everything has been listed yet")
            }),
        )
        .route(
            "/metrics",
            get(|State((_, metrics)): State<(Arc<Health>, Arc<Metrics>)>| async move {
                ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
            }),
        )
        .with_state((health, metrics));
    Ok(async move { serve(listener, app).await })
}

fn answer(good: bool, otherwise: &'static str) -> impl IntoResponse {
    if good { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, otherwise) }
}
