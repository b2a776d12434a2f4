//! HTTP/1.1 connections to a gateway, and how its answers read.

use crate::measure::Fate;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::sync::Mutex;
use tokio::net::TcpStream;

/// A pool of connections to one address. A connection carries one request at a time.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no connection to {address}")]
    Connect {
        /// Whom.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("connection broke")]
    Broken(#[from] hyper::Error),
}

/// Idle connections kept; more are closed after a peak.
const MOST_IDLE: usize = 1024;

impl Client {
    /// Connects to `host:port` when there is something to send.
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), idle: Mutex::default() }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        while let Some(mut connection) = self.take_idle() {
            match connection.try_send_request(request).await {
                Ok(response) => return self.finish(connection, response).await,
                Err(mut error) => match error.take_message() {
                    // The gateway had closed the connection before anything was sent.
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request).await?;
        self.finish(connection, response).await
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        // The last one used: at low load the others go unused instead of in turn, and stay out of the cache.
        let mut idle = self.idle.lock().expect("nothing panics under this lock");
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.is_closed())
    }

    async fn finish(
        &self,
        connection: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let mut idle = self.idle.lock().expect("nothing panics under this lock");
        if idle.len() < MOST_IDLE && !connection.is_closed() {
            idle.push(connection);
        }
        Ok((status, body))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let failed = |source| ClientError::Connect { address: self.address.clone(), source };
        let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[derive(Deserialize)]
struct Answer {
    outputs: Vec<Output>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    data: Vec<i64>,
}

#[derive(Deserialize, Default)]
struct Parameters {
    #[serde(default)]
    answered_on_overflow: bool,
}

#[derive(Deserialize, Default)]
struct Refusal {
    /// `lost` or `failed`.
    outcome: Option<String>,
    reason: Option<String>,
    place: Option<String>,
}

/// What an answer says about its job.
pub(crate) fn fate(status: StatusCode, body: &[u8], label: Option<u16>) -> Fate {
    if status == StatusCode::OK {
        return answered(body, label).unwrap_or_else(|| failed("an answer that cannot be read"));
    }
    let Refusal { outcome, reason, place } = serde_json::from_slice(body).unwrap_or_default();
    let reason = reason.unwrap_or_else(|| format!("status {}", status.as_u16()));
    match (outcome.as_deref(), place) {
        (Some("lost"), place) => Fate::Lost { place: place.unwrap_or(reason) },
        (_, Some(place)) => failed(&format!("{reason} at {place}")),
        (_, None) => failed(&reason),
    }
}

fn answered(body: &[u8], label: Option<u16>) -> Option<Fate> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let output = |name| answer.outputs.iter().find(|output| output.name == name)?.data.first().copied();
    let class = output("class")?;
    let exit = usize::try_from(output("exit")?).ok()?.checked_sub(1)?;
    Some(Fate::Answered {
        exit,
        correct: label.map(|label| class == i64::from(label)),
        on_overflow: answer.parameters.answered_on_overflow,
    })
}

fn failed(reason: &str) -> Fate {
    Fate::Failed { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, want: Fate) {
        assert_eq!(fate(StatusCode::from_u16(status).unwrap(), body.as_bytes(), Some(3)), want, "{status} {body}");
    }

    #[test]
    fn every_answer_is_a_fate() {
        let answer = |class, exit| {
            format!(
                r#"{{"model_name":"m","parameters":{{"answered_on_overflow":true,"confidence":0.5}},"outputs":[
                {{"name":"class","datatype":"INT64","shape":[1],"data":[{class}]}},{{"name":"exit","data":[{exit}]}}]}}"#
            )
        };
        check(200, &answer(3, 1), Fate::Answered { exit: 0, correct: Some(true), on_overflow: true });
        check(200, &answer(4, 6), Fate::Answered { exit: 5, correct: Some(false), on_overflow: true });
        check(200, &answer(4, 0), failed("an answer that cannot be read"));
        check(200, "{}", failed("an answer that cannot be read"));
        let refusal = |outcome| format!(r#"{{"error":"x","outcome":"{outcome}","place":"edge-1","reason":"memory"}}"#);
        check(503, &refusal("lost"), Fate::Lost { place: "edge-1".into() });
        check(503, &refusal("failed"), failed("memory at edge-1"));
        check(504, r#"{"error":"late","outcome":"failed","reason":"deadline"}"#, failed("deadline"));
        check(400, "no json", failed("status 400"));
    }
}
