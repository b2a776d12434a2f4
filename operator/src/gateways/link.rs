//! The connection to one pod: asks how it is, and tells a gateway what to follow.

use super::address::Book;
use crate::cache::Key;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use transport::client::{ClientError, FragmentClient, GatewayClient, Pushed};
use transport::tls::Connector;
use wire::document::{DeviceTelemetry, GatewayTelemetry, PolicyDocument, PolicyVersion};

/// A pod that does not answer within this holds up the others of its pool so long and no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// A policy may have to be written to a slow disk.
const TAKE_WITHIN: Duration = Duration::from_secs(5);
/// Longest time between two attempts to reach a pod, in seconds.
const LONGEST_WAIT: f64 = 30.0;
/// Devices are asked so often, in seconds: their speed changes slowly.
const DEVICES_EVERY: f64 = 5.0;

/// A pod to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its service.
    pub service: Key,
    /// Its name.
    pub pod: String,
    /// The Deployment that it belongs to.
    pub workload: String,
    /// Its node.
    pub node: String,
    /// `host:port` of its control endpoint.
    pub address: String,
    /// What it does.
    pub role: Role,
}

/// What a pod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes requests.
    Gateway,
    /// Serves jobs.
    Fragment,
}

#[derive(Debug)]
enum Client {
    Gateway(GatewayClient),
    Fragment(FragmentClient),
}

/// The connection to a pod, and what is known of it.
#[derive(Debug)]
pub struct Link {
    /// Whom it leads to.
    pub target: Target,
    client: Client,
    /// Whether it answered last.
    reached: bool,
    failures: i32,
    /// Not before this.
    next: f64,
    /// What a gateway follows, and when it said so.
    pub follows: Option<(f64, PolicyVersion)>,
    /// Why it was not reached last, or did not take its policy.
    pub trouble: Option<String>,
}

/// What a pod has said.
#[derive(Debug, Clone)]
pub enum Reading {
    /// A gateway.
    Gateway(Box<GatewayTelemetry>),
    /// A fragment.
    Fragment(Box<DeviceTelemetry>),
}

impl Link {
    /// Connects when there is something to say.
    pub fn new(target: Target, connector: Connector) -> Self {
        let client = match target.role {
            Role::Gateway => Client::Gateway(GatewayClient::new(&target.address, Some(connector))),
            Role::Fragment => Client::Fragment(FragmentClient::new(&target.address, Some(connector))),
        };
        Self { target, client, reached: false, failures: 0, next: 0.0, follows: None, trouble: None }
    }

    /// Whether the pod is to be asked now: not one that was not reached lately.
    pub fn is_due(&self, now: f64) -> bool {
        now >= self.next
    }

    /// Whether it answered last.
    pub fn is_reached(&self) -> bool {
        self.reached
    }

    /// Whether nothing may come before it: it answered last, or is a gateway that nobody has asked yet.
    pub fn is_urgent(&self) -> bool {
        self.reached || (self.failures == 0 && self.target.role == Role::Gateway)
    }

    /// Who comes before others that are due: gateways, then who has waited longest.
    pub fn urgency(&self) -> (bool, f64) {
        (self.target.role == Role::Fragment, self.next)
    }

    /// Asks the pod how it is, and tells a gateway to follow `wanted` if it follows something older.
    pub async fn look(&mut self, wanted: Option<(PolicyVersion, &Arc<str>)>, book: &Book, now: f64) -> Option<Reading> {
        let asked = match &self.client {
            Client::Gateway(gateway) => {
                timeout(ANSWER_WITHIN, gateway.telemetry()).await.map(|said| said.map(|it| Reading::Gateway(it.into())))
            }
            Client::Fragment(fragment) => {
                self.next = now + DEVICES_EVERY;
                timeout(ANSWER_WITHIN, fragment.telemetry())
                    .await
                    .map(|said| said.map(|it| Reading::Fragment(it.into())))
            }
        };
        let reading = match asked {
            Ok(Ok(reading)) => reading,
            Ok(Err(error)) => return self.failed(in_words(&error), now),
            Err(_) => return self.failed("no answer within a second".to_owned(), now),
        };
        (self.reached, self.failures, self.trouble) = (true, 0, None);
        if let Reading::Gateway(telemetry) = &reading {
            self.follows = Some((now, telemetry.policy));
            if let Some((version, policy)) = wanted.filter(|(version, _)| *version > telemetry.policy) {
                let span = tracing::info_span!(
                    "push policy",
                    service = %self.target.service,
                    pod = self.target.pod,
                    transitions = version.transitions,
                    generation = version.generation,
                    outcome = Empty,
                    otel.status_code = Empty
                );
                match serde_json::from_str::<PolicyDocument>(policy) {
                    Ok(policy) => self.tell(&book.hops(&policy), now).instrument(span).await,
                    // Of a plan that somebody has written: numbers that are none.
                    Err(error) => self.refused(&format!("it cannot be read: {error}")),
                }
            }
        }
        Some(reading)
    }

    async fn tell(&mut self, policy: &PolicyDocument, now: f64) {
        let Client::Gateway(gateway) = &self.client else { return };
        match timeout(TAKE_WITHIN, gateway.push(policy)).await {
            Ok(Ok(pushed)) => {
                let (outcome, version) = match pushed {
                    Pushed::Applied(version) => ("applied", version),
                    Pushed::Stale(version) => ("stale", version),
                };
                Span::current().record("outcome", outcome);
                self.follows = Some((now, version));
            }
            Ok(Err(error)) => self.refused(&in_words(&error)),
            Err(_) => self.refused("no answer"),
        }
    }

    /// It will be told again with the next look.
    fn refused(&mut self, why: &str) {
        Span::current().record("outcome", "refused").record("otel.status_code", "ERROR");
        let trouble = format!("the gateway on {} has not taken its policy: {why}", self.target.node);
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(service = %self.target.service, pod = self.target.pod, "{trouble}");
        }
        self.trouble = Some(trouble);
    }

    /// Asked again later, each time later.
    fn failed(&mut self, why: String, now: f64) -> Option<Reading> {
        let (node, role) = (&self.target.node, self.target.role.word());
        tracing::debug!(service = %self.target.service, pod = self.target.pod, "not reached: {why}");
        self.trouble = Some(format!("the {role} on {node} was not reached: {why}"));
        self.reached = false;
        self.next = now + 2f64.powi(self.failures.min(10)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        None
    }
}

impl Role {
    /// As labels say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Fragment => "fragment",
        }
    }
}

/// An error and what caused it, on one line.
fn in_words(error: &ClientError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    // Messages that hold their cause already.
    words.dedup_by(|cause, error| error.contains(&*cause));
    words.join(": ")
}
