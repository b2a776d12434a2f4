//! What every process of the data plane does alike: saying that it is ready, and knowing when to stop.

use anyhow::Context as _;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::registry::Registry;
use std::io::Write as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use wire::document::{ReadyDocument, TlsDocument};
use wire::metric::Metric;

/// Why a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was asked to: jobs in flight are finished.
    Drain,
    /// The parent is gone: nobody waits for anything.
    ParentGone,
}

/// Prints the line by which a parent learns the addresses.
pub(crate) fn say_ready(ready: &ReadyDocument) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, ready)?;
    writeln!(out)?;
    out.flush()
}

/// Waits for SIGTERM, SIGINT or, with `exit_with_parent`, the end of standard input.
pub(crate) async fn stopped(exit_with_parent: bool) -> std::io::Result<Stop> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => Stop::Drain,
        _ = interrupt.recv() => Stop::Drain,
        () = parent_gone(), if exit_with_parent => Stop::ParentGone,
    })
}

/// A thread reads standard input to its end: it holds up neither the reactor nor the end of the process.
async fn parent_gone() {
    let (gone, told) = tokio::sync::oneshot::channel();
    let watch = move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    };
    match std::thread::Builder::new().name("parent-watch".into()).spawn(watch) {
        Ok(_) => drop(told.await),
        Err(error) => tracing::warn!(%error, "failed to watch the parent"),
    }
}

/// Binds a listener, or says what could not be bound.
pub(crate) async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))
}

/// Binds the control endpoint of a process with certificates.
pub(crate) async fn listen_for_control(tls: Option<&TlsDocument>) -> anyhow::Result<Option<TcpListener>> {
    match tls {
        None => Ok(None),
        Some(tls) => listen(&tls.control.listen).await.map(Some),
    }
}

/// The address of a listener that there may be.
pub(crate) fn address(listener: Option<&TcpListener>) -> std::io::Result<Option<String>> {
    listener.map(|listener| Ok(listener.local_addr()?.to_string())).transpose()
}

/// A JSON answer.
pub(crate) fn json(value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("documents have string keys and serialise");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Metrics in the OpenMetrics text format.
pub(crate) fn exposition(registry: &Registry) -> Response {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("writing to a string does not fail");
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// Registers a metric under its name and help.
pub(crate) fn register(registry: &mut Registry, metric: Metric, what: impl prometheus_client::registry::Metric) {
    registry.register(metric.name, metric.help, what);
}
