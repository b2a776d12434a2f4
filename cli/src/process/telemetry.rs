//! What processes say about themselves: `GET /telemetry`.

use crate::load::client::Client;
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A process that is busy answers late; the next poll is due soon.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks for the telemetry of a process.
pub(crate) async fn fetch<T: DeserializeOwned>(client: &Client, address: &str) -> anyhow::Result<T> {
    let request = Request::get("/telemetry").header("host", address).body(Full::new(Bytes::new()))?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, client.send(request)).await.context("no answer in time")?;
    match answer? {
        (hyper::StatusCode::OK, body) => Ok(serde_json::from_slice(&body)?),
        (status, _) => bail!("status {status}"),
    }
}
