//! The client of processes of the data plane: pushes policies, reads telemetry, fetches what a job has measured.
//!
//! Plain towards local mode, with a [`Connector`] in a cluster. Every wait is bounded; nothing is sent
//! twice unless it had not been sent at all.

mod http;

pub use http::ClientError;

use crate::tls::Connector;
use bytes::Bytes;
use http::Http;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use wire::document::{DeviceTelemetry, GatewayTelemetry, PolicyDocument, PolicyVersion};

/// For what is at hand. A process that is busy answers late, and is asked again soon.
const QUICK: Duration = Duration::from_secs(2);
/// For what has to be read, checked and written to a disk.
const SLOW: Duration = Duration::from_secs(10);

/// Bytes of an answer, at most: telemetry and what is said of a policy are some kilobytes, exit tables and reports on large models stay far
/// below the other. Whoever answers may be somebody else's pod.
const LARGEST_TELEMETRY: usize = 1 << 20;
const LARGEST_RESULT: usize = 64 << 20;

/// A gateway's control endpoint.
#[derive(Debug)]
pub struct GatewayClient(Http);

/// A fragment's control endpoint.
#[derive(Debug)]
pub struct FragmentClient(Http);

/// A process that serves what it has measured until somebody has it.
#[derive(Debug)]
pub struct ResultClient(Http);

/// What became of a pushed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in force.
    Applied(PolicyVersion),
    /// One that is as new or newer is in force: this one.
    Stale(PolicyVersion),
}

#[derive(Deserialize)]
struct InForce {
    version: PolicyVersion,
}

impl GatewayClient {
    /// Connects to `host:port` when there is something to say.
    pub fn new(address: impl Into<String>, tls: Option<Connector>) -> Self {
        Self(Http::new(address.into(), tls, LARGEST_TELEMETRY))
    }

    /// Puts a policy in force, unless the gateway has a newer one.
    pub async fn push(&self, policy: &PolicyDocument) -> Result<Pushed, ClientError> {
        let body = serde_json::to_vec(policy).expect("policy documents have string keys and serialise");
        let (status, answer) = self.0.send(Method::PUT, "/policy", body.into(), SLOW).await?;
        match status {
            StatusCode::OK => Ok(Pushed::Applied(self.in_force(&answer)?)),
            StatusCode::CONFLICT => Ok(Pushed::Stale(self.in_force(&answer)?)),
            status => Err(self.0.refused(status, &answer)),
        }
    }

    /// What the gateway says about itself.
    pub async fn telemetry(&self) -> Result<GatewayTelemetry, ClientError> {
        get(&self.0, "/telemetry", QUICK).await
    }

    fn in_force(&self, answer: &[u8]) -> Result<PolicyVersion, ClientError> {
        self.0.read::<InForce>(answer).map(|in_force| in_force.version)
    }
}

impl FragmentClient {
    /// Connects to `host:port` when there is something to ask.
    pub fn new(address: impl Into<String>, tls: Option<Connector>) -> Self {
        Self(Http::new(address.into(), tls, LARGEST_TELEMETRY))
    }

    /// What the process says about its device and fragments.
    pub async fn telemetry(&self) -> Result<DeviceTelemetry, ClientError> {
        get(&self.0, "/telemetry", QUICK).await
    }
}

impl ResultClient {
    /// Connects to `host:port` when there is something to ask.
    pub fn new(address: impl Into<String>, tls: Option<Connector>) -> Self {
        Self(Http::new(address.into(), tls, LARGEST_RESULT))
    }

    /// What was measured, in JSON.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        get(&self.0, "/result", SLOW).await
    }

    /// Says that the result is safe: the process may end.
    pub async fn acknowledge(&self) -> Result<(), ClientError> {
        match self.0.send(Method::POST, "/acknowledged", Bytes::new(), QUICK).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, answer) => Err(self.0.refused(status, &answer)),
        }
    }
}

async fn get<T: DeserializeOwned>(http: &Http, path: &'static str, within: Duration) -> Result<T, ClientError> {
    match http.send(Method::GET, path, Bytes::new(), within).await? {
        (StatusCode::OK, answer) => http.read(&answer),
        (status, answer) => Err(http.refused(status, &answer)),
    }
}
