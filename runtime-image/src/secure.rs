//! Mutual TLS of a process: whom its hops and its control endpoint let in, and whom it sends jobs to.

use crate::hop::Stream;
use crate::process::register;
use anyhow::Context as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transport::tls::{Acceptor, Connector, HandshakeError, Tls};
use wire::document::TlsDocument;
use wire::metric;

/// A peer that has not shown its certificate after so long is none.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections of peers that are not known yet, at a time and endpoint; further ones wait in the backlog of the kernel.
const MOST_HANDSHAKES: usize = 64;
/// The folder of certificates is looked at so often. A kubelet takes about a minute to mount what has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Of one endpoint at most one failure is logged in so long; all are counted.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The certificates of a process, and who its peers are.
#[derive(Debug)]
pub(crate) struct Secured {
    tls: Arc<Tls>,
    service: String,
    control: String,
    failures: Family<Vec<(&'static str, String)>, Counter>,
    behind: Gauge,
}

/// An endpoint that lets in known peers only.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    acceptor: Acceptor,
    handshakes: Arc<Semaphore>,
    failures: Failures,
}

/// Connects to fragments of the own service.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    connector: Connector,
    failures: Failures,
}

/// Counts failures of an endpoint, and logs some.
#[derive(Debug, Clone)]
struct Failures {
    endpoint: &'static str,
    counters: Family<Vec<(&'static str, String)>, Counter>,
    logged: Arc<Mutex<Option<Instant>>>,
}

impl Secured {
    /// Reads the folder and sees to it that new connections use what is newest in it.
    pub(crate) fn open(document: &TlsDocument, registry: &mut Registry) -> anyhow::Result<Self> {
        let secured = Self::read(document).with_context(|| format!("failed to use {}", document.folder))?;
        register(registry, metric::HANDSHAKES_FAILED, secured.failures.clone());
        register(registry, metric::TLS_BEHIND, secured.behind.clone());
        let tls = Arc::clone(&secured.tls);
        tokio::spawn(async move { tls.follow(LOOK_EVERY).await });
        Ok(secured)
    }

    fn read(document: &TlsDocument) -> anyhow::Result<Self> {
        let tls = Tls::open(Path::new(&document.folder))?;
        tls.expect_name(&document.name)?;
        // Asked for once, so that a name that nobody can have is refused at the start.
        tls.connector(&document.name)?;
        Ok(Self {
            tls,
            service: document.name.clone(),
            control: document.control.peer.clone(),
            failures: Family::default(),
            behind: Gauge::default(),
        })
    }

    /// Takes jobs from gateways and fragments of the service.
    pub(crate) fn hops(&self) -> Guard {
        Guard::new(self.tls.acceptor(&[&self.service]), self.failures("hops"))
    }

    /// Takes orders from one peer.
    pub(crate) fn control(&self) -> Guard {
        Guard::new(self.tls.acceptor(&[&self.control]), self.failures("control"))
    }

    /// Sends jobs to fragments of the service.
    pub(crate) fn dialler(&self) -> Dialler {
        let connector = self.tls.connector(&self.service).expect("the name was checked at the start");
        Dialler { connector, failures: self.failures("next-hop") }
    }

    /// Brings gauges up to date.
    pub(crate) fn refresh(&self) {
        self.behind.set(self.tls.is_behind().into());
    }

    fn failures(&self, endpoint: &'static str) -> Failures {
        Failures { endpoint, counters: self.failures.clone(), logged: Arc::default() }
    }
}

impl Guard {
    fn new(acceptor: Acceptor, failures: Failures) -> Self {
        Self { acceptor, handshakes: Arc::new(Semaphore::new(MOST_HANDSHAKES)), failures }
    }

    /// An endpoint without metrics.
    pub(crate) fn unmeasured(endpoint: &'static str, acceptor: Acceptor) -> Self {
        let failures = Failures { endpoint, counters: Family::default(), logged: Arc::default() };
        Self::new(acceptor, failures)
    }

    /// Waits until one more peer may be asked who it is.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.handshakes).acquire_owned().await.ok()
    }

    /// Finds out who has connected; `None` if it is nobody who may. Frees the slot.
    pub(crate) async fn secure(&self, stream: TcpStream, slot: Option<OwnedSemaphorePermit>) -> Option<Stream> {
        let address = stream.peer_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
        let accepted = self.acceptor.accept(stream, HANDSHAKE).await;
        drop(slot);
        match accepted {
            Ok(stream) => Some(Stream::Secured(Box::new(stream.into()))),
            Err(error) => {
                self.failures.add(&address, &error);
                None
            }
        }
    }
}

impl Dialler {
    /// Makes sure of the peer; it makes sure of this process meanwhile.
    pub(crate) async fn secure(&self, stream: TcpStream) -> Result<Stream, HandshakeError> {
        Ok(Stream::Secured(Box::new(self.connector.connect(stream).await?.into())))
    }

    /// There is no connection to `address`.
    pub(crate) fn failed(&self, address: &str, error: &HandshakeError) {
        self.failures.add(address, error);
    }
}

impl Failures {
    fn add(&self, address: &str, error: &HandshakeError) {
        let labels = vec![("endpoint", self.endpoint.to_owned()), ("reason", error.reason.word().to_owned())];
        self.counters.get_or_create(&labels).inc();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!(endpoint = self.endpoint, address, "no connection: {error}");
        }
    }
}
