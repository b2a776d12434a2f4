//! HTTP for one known peer: orders, telemetry, results.

use crate::hop::Stream;
use crate::secure::Guard;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// One peer, maybe twice while its leader changes, and a person who looks.
pub(crate) const MOST_CONNECTIONS: usize = 32;
/// A connection that is idle, or sends the head of a request, may take so long.
const IDLE: Duration = Duration::from_secs(75);

/// Serves `router` to the peers that `guard` lets in, for ever.
pub(crate) async fn serve(listener: TcpListener, guard: Guard, router: Router) {
    serve_within(listener, guard, router, Arc::new(Semaphore::new(MOST_CONNECTIONS))).await;
}

/// Each connection holds one of `connections`.
pub(crate) async fn serve_within(listener: TcpListener, guard: Guard, router: Router, connections: Arc<Semaphore>) {
    let service = TowerToHyperService::new(router);
    loop {
        let slot = guard.slot().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream.set_nodelay(true).map(|()| stream),
            Err(error) => Err(error),
        };
        let stream = match stream {
            Ok(stream) => stream,
            // Out of file descriptors, most likely: wait for some to be freed rather than spin.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (guard, service, connections) = (guard.clone(), service.clone(), Arc::clone(&connections));
        tokio::spawn(async move {
            let Some(Stream::Secured(stream)) = guard.secure(stream, slot).await else { return };
            let Ok(_connection) = connections.try_acquire() else {
                return tracing::warn!("more than {MOST_CONNECTIONS} connections for control");
            };
            let mut settings = http1::Builder::new();
            settings.timer(TokioTimer::new()).header_read_timeout(IDLE);
            if let Err(error) = settings.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}
