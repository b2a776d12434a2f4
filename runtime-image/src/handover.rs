//! A result that is served to one peer until that has said that it is safe: jobs of a cluster have no other way to answer.

use crate::control::{self, MOST_CONNECTIONS};
use crate::process;
use crate::secure::Guard;
use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::routing::{get, post};
use clap::Args;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use transport::tls::Tls;

/// The last answer has so long to leave.
const FLUSH: Duration = Duration::from_secs(2);
/// The folder of certificates is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whom a result is given to.
#[derive(Debug, Args)]
pub(crate) struct Handover {
    /// Serve the result at this `host:port` instead of printing it: `GET /result`, until `POST /acknowledged`. The address
    /// is printed as JSON when the result is there
    #[arg(long, value_name = "ADDRESS", requires = "tls_dir", requires = "peer")]
    serve: Option<String>,
    /// Folder with tls.crt, tls.key and ca.crt
    #[arg(long, value_name = "FOLDER", requires = "serve")]
    tls_dir: Option<PathBuf>,
    /// DNS name in the certificate of the only peer that may have the result
    #[arg(long, value_name = "NAME", requires = "serve")]
    peer: Option<String>,
    /// Give up after so long, with exit code 3
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "serve")]
    serve_seconds: u64,
}

/// A result was served for as long as allowed.
#[derive(Debug, thiserror::Error)]
#[error("nobody has acknowledged the result within {0} s")]
pub(crate) struct NotAcknowledged(u64);

/// All that can be known before there is a result.
pub(crate) struct Prepared {
    listener: std::net::TcpListener,
    tls: Arc<Tls>,
    peer: String,
    seconds: u64,
}

impl Handover {
    /// `None` if the result is to be printed.
    pub(crate) fn prepare(&self) -> anyhow::Result<Option<Prepared>> {
        let (Some(address), Some(folder), Some(peer)) = (&self.serve, &self.tls_dir, &self.peer) else {
            return Ok(None);
        };
        let tls = Tls::open(folder).with_context(|| format!("failed to use {}", folder.display()))?;
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("failed to listen on {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(Some(Prepared { listener, tls, peer: peer.clone(), seconds: self.serve_seconds }))
    }
}

impl Prepared {
    /// Serves the result until it is acknowledged.
    pub(crate) fn serve(self, result: &impl Serialize) -> anyhow::Result<()> {
        let result = serde_json::to_vec(result)?.into();
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.wait(result))
    }

    async fn wait(self, result: Bytes) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let address = listener.local_addr()?;
        let acknowledged = Arc::new(Notify::new());
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let guard = Guard::unmeasured("result", self.tls.acceptor(&[&self.peer]));
        let router = router(result, Arc::clone(&acknowledged));
        tokio::spawn(control::serve_within(listener, guard, router, Arc::clone(&connections)));
        tokio::spawn(async move { self.tls.follow(LOOK_EVERY).await });
        writeln!(std::io::stdout(), "{}", serde_json::json!({"address": address.to_string()}))?;
        if timeout(Duration::from_secs(self.seconds), acknowledged.notified()).await.is_err() {
            return Err(NotAcknowledged(self.seconds).into());
        }
        let _ = timeout(FLUSH, connections.acquire_many(MOST_CONNECTIONS as u32)).await;
        Ok(())
    }
}

fn router(result: Bytes, acknowledged: Arc<Notify>) -> Router {
    let acknowledge = move || async move {
        acknowledged.notify_one();
        // The connection ends with this answer, and then the process.
        ([(CONNECTION, "close")], process::json(&serde_json::json!({})))
    };
    Router::new()
        .route("/result", get(move || async move { ([(CONTENT_TYPE, "application/json")], result) }))
        .route("/acknowledged", post(acknowledge))
}
