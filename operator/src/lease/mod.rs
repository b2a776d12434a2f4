//! Leader election by a Lease, with a client of its own: its requests must not wait behind others.
//!
//! * [`election`]: who leads, pure.
//! * [`Leadership`]: whether this process may write right now. Everything that writes asks before it does.

pub mod election;

use crate::clock;
use crate::metrics::Metrics;
use anyhow::Context;
use election::{Election, Record, Step, Timing};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::core::ObjectMeta;
use kube::{Api, Client, Config, api::PostParams};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether this process may write, and since how many leaders.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Microseconds on the process clock until which it leads; 0 when it never did.
    until: AtomicU64,
    transitions: AtomicU64,
}

impl Leadership {
    /// Whether it leads right now. After a pause of the process, however long, this is answered by the clock.
    pub fn leads(&self) -> bool {
        clock::now() < self.until.load(Ordering::Acquire) as f64 / 1e6
    }

    /// How often the leader changed: the first part of the version of every policy, so that those of a former leader lose.
    pub fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Acquire)
    }

    /// For a process that needs no election: it leads for ever.
    pub fn alone() -> Arc<Self> {
        Arc::new(Self { until: AtomicU64::new(u64::MAX), transitions: AtomicU64::new(0) })
    }

    fn extend(&self, until: f64, transitions: u64) {
        self.transitions.store(transitions, Ordering::Release);
        self.until.store((until * 1e6) as u64, Ordering::Release);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// The lease of this process.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    me: String,
    timing: Timing,
    election: Election,
    leadership: Arc<Leadership>,
    metrics: Arc<Metrics>,
}

impl Candidate {
    /// A candidate for the lease `name`. Its identity must be that of no other process.
    pub fn new(
        mut config: Config,
        namespace: &str,
        name: &str,
        me: String,
        timing: Timing,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        // A renewal that is late is of no use: no retries behind our back, and no waiting for an answer that does not come.
        config.default_retry = false;
        config.connect_timeout = Some(timing.retry);
        config.read_timeout = Some(timing.retry);
        config.reset_reader_on_write = true;
        let client = Client::try_from(config).context("no client for the lease")?;
        Ok(Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            election: Election::new(me.clone()),
            me,
            timing,
            leadership: Arc::default(),
            metrics,
        })
    }

    /// What everything that writes asks.
    pub fn leadership(&self) -> Arc<Leadership> {
        Arc::clone(&self.leadership)
    }

    /// Returns once this process leads.
    pub async fn win(&mut self) {
        loop {
            if self.attempt().await {
                self.metrics.leads(true);
                tracing::info!(lease = self.name, "leading");
                return;
            }
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// Renews for as long as that works; returns when this process leads no more, which it must not do anything after.
    pub async fn hold(&mut self) {
        while self.leadership.leads() {
            tokio::time::sleep(self.timing.retry).await;
            if !self.attempt().await {
                tracing::warn!(lease = self.name, "not renewed");
            }
        }
        self.metrics.leads(false);
    }

    /// Gives the lease up, so that another need not wait for it to run out.
    pub async fn resign(&mut self) {
        if !self.leadership.leads() {
            return;
        }
        self.leadership.end();
        self.metrics.leads(false);
        let given_up = async {
            let lease = self.api.get(&self.name).await?;
            match lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(&self.me) {
                true => self.write(lease, "", None).await.map(|_| ()),
                false => Ok(()),
            }
        };
        if let Err(error) = given_up.await {
            tracing::warn!("lease not given up, it runs out by itself: {error}");
        }
    }

    /// One look at the lease; whether this process leads afterwards.
    async fn attempt(&mut self) -> bool {
        // From before the request: when it was written in between, nobody knows.
        let began = clock::now();
        match self.renew(began).await {
            Ok(Some(transitions)) => {
                self.leadership.extend(began + self.timing.renew_within.as_secs_f64(), transitions);
                true
            }
            Ok(None) => {
                self.leadership.end();
                false
            }
            Err(error) => {
                tracing::debug!("lease: {error}");
                false
            }
        }
    }

    async fn renew(&mut self, now: f64) -> Result<Option<u64>, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let step = self.election.step(lease.as_ref().map(record), self.timing, now);
        let written = match (&step, lease) {
            (Step::Wait, _) => return Ok(None),
            (Step::Renew, Some(lease)) => self.write(lease, &self.me, None).await,
            (Step::Take(transitions), Some(lease)) => self.write(lease, &self.me, Some(*transitions)).await,
            (_, _) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..Default::default() };
                let lease = Lease { metadata, spec: Some(self.spec(LeaseSpec::default(), &self.me, Some(0))) };
                self.api.create(&PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => Ok(Some(u64::from(record(&lease).transitions.unsigned_abs()))),
            // Another was faster. Who holds it looks again: somebody may have but labelled it.
            Err(kube::Error::Api(status)) if status.code == 409 && !matches!(step, Step::Renew) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it only if nobody has since it was read.
    async fn write(&self, mut lease: Lease, holder: &str, transitions: Option<i32>) -> Result<Lease, kube::Error> {
        lease.spec = Some(self.spec(lease.spec.unwrap_or_default(), holder, transitions));
        self.api.replace(&self.name, &PostParams::default(), &lease).await
    }

    /// `transitions` where the holder changes.
    fn spec(&self, before: LeaseSpec, holder: &str, transitions: Option<i32>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: i32::try_from(self.timing.lasts.as_secs()).ok(),
            acquire_time: transitions.map(|_| now.clone()).or(before.acquire_time),
            lease_transitions: transitions.or(before.lease_transitions),
            renew_time: Some(now),
            ..before
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::sync::Mutex;
    use std::time::Duration;
    use tower::service_fn;

    /// A lease, and whether somebody else writes it between every look at it and the next write.
    #[derive(Default)]
    struct Server {
        lease: Option<Value>,
        somebody_writes: bool,
    }

    impl Server {
        fn answer(&mut self, method: &str, mut body: Value) -> (StatusCode, Value) {
            let refusal = |code: StatusCode, reason: &str| {
                let code_number = code.as_u16();
                let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code_number });
                (code, status)
            };
            match (method, &self.lease) {
                ("GET", None) => refusal(StatusCode::NOT_FOUND, "NotFound"),
                ("GET", Some(lease)) => (StatusCode::OK, lease.clone()),
                _ if self.somebody_writes => refusal(StatusCode::CONFLICT, "Conflict"),
                _ => {
                    body["metadata"]["resourceVersion"] = "1".into();
                    self.lease = Some(body.clone());
                    (StatusCode::OK, body)
                }
            }
        }
    }

    fn candidate(server: &Arc<Mutex<Server>>) -> Candidate {
        let server = Arc::clone(server);
        let service = service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (code, answer) = server.lock().expect("nothing panics").answer(head.method.as_str(), body);
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = code;
                Ok::<_, std::io::Error>(response)
            }
        });
        let second = Duration::from_secs(1);
        Candidate {
            api: Api::namespaced(Client::new(service, "default"), "default"),
            name: "operator".to_owned(),
            me: "a".to_owned(),
            timing: Timing { lasts: 15 * second, renew_within: 10 * second, retry: 2 * second },
            election: Election::new("a".to_owned()),
            leadership: Arc::default(),
            metrics: Arc::default(),
        }
    }

    #[tokio::test]
    async fn who_leads_goes_on_where_somebody_has_but_labelled_the_lease() {
        let server = Arc::default();
        let mut candidate = candidate(&server);
        assert!(candidate.attempt().await && candidate.leadership.leads());
        server.lock().expect("nothing panics").somebody_writes = true;
        assert!(!candidate.attempt().await, "it is not renewed");
        assert!(candidate.leadership.leads(), "until the time is over it was renewed for");
        server.lock().expect("nothing panics").somebody_writes = false;
        assert!(candidate.attempt().await);
    }

    #[tokio::test]
    async fn who_wants_to_lead_does_not_where_another_was_faster() {
        let server = Arc::new(Mutex::new(Server { somebody_writes: true, ..Server::default() }));
        let mut candidate = candidate(&server);
        assert!(!candidate.attempt().await && !candidate.leadership.leads());
    }
}
