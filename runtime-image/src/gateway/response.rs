//! What clients are answered: outputs, or what became of their jobs instead.

use super::Gateway;
use super::http::Target;
use super::job::{Answered, End};
use crate::oip::{self, Parameter, Request, Response as Body};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use std::time::Duration;
use wire::frame::{Failure, Refusal};

/// What a lost job is told to wait, in seconds: the least that the header can say.
const RETRY_SECONDS: &str = "1";

/// A response has answers for all its samples; if one of them has none, it says what became of that one.
pub(super) fn respond(gateway: &Gateway, target: &Target, request: &Request, ends: Vec<End>) -> Response {
    let samples = ends.len();
    let mut answered = Vec::with_capacity(samples);
    let mut unanswered = vec![];
    for end in ends {
        match end {
            End::Answered(one) => answered.push(one),
            other => unanswered.push(other),
        }
    }
    match unanswered.first() {
        Some(End::Lost { place, reason }) => lost(place, *reason, unanswered.len(), samples),
        Some(End::Failed { place, reason }) => failed(place, *reason, unanswered.len(), samples),
        _ => answer(gateway, target, request, answered),
    }
}

fn answer(gateway: &Gateway, target: &Target, request: &Request, answered: Vec<Answered>) -> Response {
    let parameters = parameters(&answered);
    let answers: Vec<_> = answered
        .into_iter()
        .map(|Answered { answer, .. }| oip::Answer {
            probabilities: answer.probabilities,
            class: answer.class,
            exit: usize::from(answer.exit) + 1,
            confidence: answer.confidence,
        })
        .collect();
    let body = Body {
        model_name: &gateway.service,
        model_version: target.version.as_deref(),
        id: request.id.as_deref(),
        parameters: &parameters,
        answers: &answers,
    };
    let encoded = oip::encode(&body, &request.outputs);
    let mut response = ([(CONTENT_TYPE, encoded.content_type())], encoded.body).into_response();
    if let Some(length) = encoded.header_length {
        response.headers_mut().insert(oip::HEADER_LENGTH, length.into());
    }
    response
}

/// Exit, confidence, chain and times are those of the job, so only a request of one job has them here.
fn parameters(answered: &[Answered]) -> Vec<(&'static str, Parameter)> {
    let micros = |time: Duration| Parameter::Integer(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let mut parameters = vec![];
    if let Some(first) = answered.first() {
        parameters.push(("policy_generation", Parameter::Integer(i64::try_from(first.generation).unwrap_or(i64::MAX))));
    }
    if let [one] = answered {
        parameters.extend([
            ("exit", Parameter::Integer(i64::from(one.answer.exit) + 1)),
            ("confidence", Parameter::Double(f64::from(one.answer.confidence))),
            ("chain", Parameter::Text(one.chain.clone())),
            ("answered_on_overflow", Parameter::Boolean(one.answer.on_overflow)),
            ("wait_microseconds", micros(one.waited)),
            ("service_microseconds", micros(one.service)),
            ("latency_microseconds", micros(one.latency)),
        ]);
    }
    parameters
}

pub(super) fn lost(place: &str, reason: Refusal, lost: usize, samples: usize) -> Response {
    let message = format!("{} lost at {place}: {reason}", count(lost, samples));
    unavailable(&message, "lost", place, reason.word())
}

fn failed(place: &str, reason: Failure, failed: usize, samples: usize) -> Response {
    let message = format!("{} failed at {place}: {reason}", count(failed, samples));
    match reason {
        Failure::Deadline => outcome(StatusCode::GATEWAY_TIMEOUT, &message, "failed", place, reason.word()),
        Failure::Unreachable | Failure::HopDied => unavailable(&message, "failed", place, reason.word()),
        _ => outcome(StatusCode::INTERNAL_SERVER_ERROR, &message, "failed", place, reason.word()),
    }
}

fn count(some: usize, samples: usize) -> String {
    if samples == 1 { "job".to_owned() } else { format!("{some} of {samples} jobs") }
}

pub(super) fn unavailable(message: &str, what: &str, place: &str, reason: &str) -> Response {
    let mut response = outcome(StatusCode::SERVICE_UNAVAILABLE, message, what, place, reason);
    response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_SECONDS));
    response
}

fn outcome(status: StatusCode, message: &str, outcome: &str, place: &str, reason: &str) -> Response {
    let body = serde_json::json!({"error": message, "outcome": outcome, "place": place, "reason": reason});
    json(status, body.to_string().into_bytes())
}

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    json(status, oip::body::error(message))
}

pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
