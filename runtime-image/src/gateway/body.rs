//! Reads bodies of requests, after memory has been reserved for them.

use super::Gateway;
use super::http::text;
use crate::memory::Reservation;
use crate::oip::{self, Request};
use axum::body::Body as Stream;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// A client has so long to send its body …
const WHOLE_PATIENCE: Duration = Duration::from_secs(30);
/// … and so long to send some of it.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(2);
/// Samples of one request; each is a job.
const MOST_SAMPLES: usize = 1024;
/// Decoding holds at most so many times the body beside the body itself: in JSON `0,` is two bytes and becomes four, in a
/// buffer that doubles; in binary a UINT8 becomes four bytes.
const DECODE_GROWTH: usize = 4;
/// What a job needs beside its tensor until it is answered.
const JOB_STATE: usize = 4 * 1024;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The request is malformed, too large or too slow.
    Rejected(StatusCode, String),
    /// The gateway's memory is full.
    Full,
}

/// A body with the memory it holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) body: Bytes,
    pub(super) memory: Reservation,
}

/// Reads a body whose size has been reserved, and expands it.
pub(super) async fn read(gateway: &Gateway, headers: &HeaderMap, body: Stream) -> Result<Held, ReadFailure> {
    let limit = gateway.max_body;
    let announced = text(headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let memory = gateway.region.reserve(announced.unwrap_or(0) as u64).ok_or(ReadFailure::Full)?;
    let mut held = Held { body: Bytes::new(), memory };
    let reading = receive(&mut held, body, announced, limit);
    timeout(WHOLE_PATIENCE, reading).await.unwrap_or_else(|_| Err(late()))?;
    expand(held, text(headers, CONTENT_ENCODING.as_str()).unwrap_or_default(), limit)
}

async fn receive(held: &mut Held, mut body: Stream, announced: Option<usize>, limit: usize) -> Result<(), ReadFailure> {
    let mut read = BytesMut::with_capacity(announced.unwrap_or(0));
    while let Some(frame) = timeout(PROGRESS_PATIENCE, body.frame()).await.map_err(|_| late())? {
        let frame = frame.map_err(|_| ReadFailure::Rejected(StatusCode::BAD_REQUEST, "the body ended early".into()))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if announced.is_none() && !held.memory.grow(data.len() as u64) {
            return Err(ReadFailure::Full);
        }
        read.extend_from_slice(&data);
    }
    held.body = read.freeze();
    Ok(())
}

/// Expands a compressed body; what it may become at most is reserved first.
fn expand(mut held: Held, encoding: &str, limit: usize) -> Result<Held, ReadFailure> {
    if matches!(encoding, "" | "identity") {
        return Ok(held);
    }
    if !held.memory.grow(limit as u64) {
        return Err(ReadFailure::Full);
    }
    held.body = oip::decompress(encoding, &held.body, limit).map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        ReadFailure::Rejected(status, error.to_string())
    })?;
    held.memory.shrink_to(held.body.len() as u64);
    Ok(held)
}

impl Held {
    /// Reads the request in it. Afterwards only what its tensor needs is held.
    pub(super) fn decode(mut self, gateway: &Gateway, header_length: Option<usize>) -> Result<Decoded, ReadFailure> {
        if !self.memory.grow((DECODE_GROWTH * self.body.len()) as u64) {
            return Err(ReadFailure::Full);
        }
        let request = oip::decode(&self.body, header_length, &gateway.input, MOST_SAMPLES)
            .map_err(|bad| ReadFailure::Rejected(StatusCode::BAD_REQUEST, bad.to_string()))?;
        // A binary FP32 tensor is a part of the body and keeps all of it; any other stands alone.
        let body = if header_length.is_some() { self.body.len() } else { 0 };
        let needed = (body.max(request.tensor.len()) + JOB_STATE * request.samples) as u64;
        drop(self.body);
        self.memory.shrink_to(needed);
        if !self.memory.grow(needed.saturating_sub(self.memory.bytes())) {
            return Err(ReadFailure::Full);
        }
        Ok(Decoded { request, memory: self.memory })
    }
}

/// A request with the memory it holds until it is answered.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) request: Request,
    pub(super) memory: Reservation,
}

fn too_large(limit: usize) -> ReadFailure {
    ReadFailure::Rejected(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

fn late() -> ReadFailure {
    ReadFailure::Rejected(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".into())
}
