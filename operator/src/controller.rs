//! Looks at objects whenever something about them has changed: a queue, workers, a deadline and a back-off.
//!
//! Not the controller of kube-runtime: that merges all watches behind one back-off, so that one that fails holds up the others,
//! and its shared streams are silent about deletions.

use crate::clock;
use crate::metrics::Metrics;
use crate::queue::{Outcome, Queue};
use futures::FutureExt;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// An object is looked at for so long at most: an API server that does not answer must not hold it for ever.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A queue of keys, and who works on it.
#[derive(Debug)]
pub struct Controller<K> {
    /// What it looks at, for logs and metrics: `service`.
    pub name: &'static str,
    queue: Mutex<Queue<K>>,
    added: Notify,
    metrics: Arc<Metrics>,
}

/// Why an object could not be brought to where it should be.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API server said no, or did not answer.
    #[error("{action}: {}", said(source))]
    Api {
        /// What was tried.
        action: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// Somebody else has an object of this name.
    #[error(
        "{kind} {name} is there already, and is not of this service; delete it, or give the EENNService another name"
    )]
    Taken {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// A certificate could not be issued.
    #[error(transparent)]
    Certificate(crate::identity::certificate::Unissued),
    /// It took too long.
    #[error("not done after {} s", DEADLINE.as_secs())]
    Deadline,
    /// This process does not lead any more, so it must not write.
    #[error("another operator leads")]
    NotLeading,
}

/// What the API server said, in its own words; anything else as it is.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl<K: Ord + Clone + Debug + Send + Sync + 'static> Controller<K> {
    /// One with an empty queue.
    pub fn new(name: &'static str, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { name, queue: Mutex::default(), added: Notify::new(), metrics })
    }

    /// Something about an object has changed.
    pub fn add(&self, key: K) {
        self.queue().add(key, clock::now());
        self.metrics.added(self.name);
        self.added.notify_one();
    }

    /// Works for ever, with so many objects at a time. Dropping it ends what is being done.
    pub async fn run<F, R>(self: Arc<Self>, workers: usize, reconcile: F)
    where
        F: Fn(K) -> R,
        R: Future<Output = Result<Option<Duration>, Failure>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        self.queue().start(clock::now());
        loop {
            while running.len() < workers {
                let Some((key, waited)) = self.queue().pop(clock::now()) else { break };
                self.metrics.started(self.name, waited);
                let span = tracing::info_span!(
                    "reconcile",
                    controller = self.name,
                    object = ?key,
                    outcome = Empty,
                    otel.status_code = Empty
                );
                running.spawn(Arc::clone(&self).work(key.clone(), reconcile(key)).instrument(span));
            }
            self.show();
            let next = self.queue().next().filter(|_| running.len() < workers);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep(clock::until(next)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.added.notified() => {}
                () = due => {}
                Some(_) = running.join_next(), if !running.is_empty() => {}
            }
        }
    }

    async fn work<R>(self: Arc<Self>, key: K, reconcile: R)
    where
        R: Future<Output = Result<Option<Duration>, Failure>>,
    {
        let began = clock::now();
        let bounded = tokio::time::timeout(DEADLINE, reconcile).map(|done| done.unwrap_or(Err(Failure::Deadline)));
        let outcome = match AssertUnwindSafe(bounded).catch_unwind().await {
            Ok(Ok(later)) => {
                let outcome = if later.is_some() { "requeue_after" } else { "success" };
                self.metrics.finished(self.name, outcome);
                Span::current().record("outcome", outcome);
                Outcome::Done(later.map(|later| later.as_secs_f64()))
            }
            Ok(Err(failure)) => {
                tracing::warn!("{failure}; tried again later");
                self.metrics.finished(self.name, "error");
                Span::current().record("outcome", "error").record("otel.status_code", "ERROR");
                failure.outcome()
            }
            // The panic hook has said where. One object must not take the others with it.
            Err(_) => {
                tracing::error!("stopped by a panic; tried again later");
                self.metrics.panicked(self.name);
                Span::current().record("outcome", "panic").record("otel.status_code", "ERROR");
                Outcome::Failed
            }
        };
        let now = clock::now();
        self.metrics.took(self.name, now - began);
        self.queue().finish(key, outcome, now, rand::random());
        self.added.notify_one();
    }

    /// Objects that wait to be looked at.
    pub fn waiting(&self) -> usize {
        self.queue().len(clock::now())
    }

    /// Seconds for which nothing has moved although something should have.
    pub fn standstill(&self, now: f64) -> f64 {
        self.queue().standstill(now)
    }

    fn show(&self) {
        let queue = self.queue();
        self.metrics.queue(self.name, queue.len(clock::now()), queue.running());
    }

    fn queue(&self) -> MutexGuard<'_, Queue<K>> {
        self.queue.lock().expect("nothing panics while it holds the queue")
    }
}

impl Failure {
    /// From what the API server said to an action, such as "create EENNPlan a/b".
    pub fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { action: action.into(), source: Box::new(source) }
    }

    /// When it is to be tried again.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Api { .. } if self.refusal().is_none() || self.is_internal() => Outcome::Interrupted,
            _ => Outcome::Failed,
        }
    }

    /// Whether it is the trouble of the API server itself, of its store or of a webhook: users have to know, and it may be over soon.
    fn is_internal(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code >= 500))
    }

    /// Whether the API server has given this reason, such as `NotFound`.
    pub fn is(&self, reason: &str) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(status) if status.reason == reason))
    }

    /// What the API server said, where it answered and would say the same again: users have to know. `None` where it did not answer, was
    /// too busy, or where somebody else wrote at the same time.
    pub fn refusal(&self) -> Option<String> {
        if let Self::Taken { .. } = self {
            return Some(self.to_string());
        }
        let Self::Api { action, source } = self else { return None };
        let kube::Error::Api(status) = &**source else { return None };
        // Of conflicts these stay.
        if status.reason == "AlreadyExists" || status.message.starts_with("Apply failed") {
            return Some(format!("cannot {action}: {}", status.message));
        }
        let passes = matches!(status.code, 401 | 408 | 409 | 429 | 502..=504);
        (!passes).then(|| format!("cannot {action}: {}", status.message))
    }
}
