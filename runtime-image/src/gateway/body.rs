//! Reads bodies of requests, after memory has been reserved for them.

use super::Gateway;
use super::http::text;
use crate::memory::Reservation;
use crate::oip;
use axum::body::Body as Stream;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// A client has so long to send its body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The request is malformed, too large or too slow.
    Rejected(StatusCode, String),
    /// The gateway's memory is full.
    Full,
}

/// Reads a body whose size has been reserved, and expands it.
pub(super) async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Stream,
) -> Result<(Bytes, Vec<Reservation>), ReadFailure> {
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
