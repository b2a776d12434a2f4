//! A gateway process: takes requests, decides for each job by the policy, sends it, answers, and keeps the books.

mod admin;
mod body;
mod dispatch;
mod http;
mod job;
mod ledger;
mod linger;
mod response;
mod routes;
mod store;

use crate::control;
use crate::hop::{Paces, Patience, Peers};
use crate::memory::Region;
use crate::model::read_description;
use crate::oip::InputSpec;
use crate::process::{self, Stop};
use crate::secure::Secured;
use dispatch::Queues;
use ledger::Ledger;
use policy::Place;
use prometheus_client::registry::Registry;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use routes::Avoided;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::Notify;
use wire::document::{GatewayDocument, GatewayTelemetry, ReadyDocument, RowTelemetry};

/// Longest time a stopping gateway finishes its requests, once it takes no more.
const DRAIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Gateway {
    service: String,
    input: InputSpec,
    classes: Option<usize>,
    max_body: usize,
    region: Arc<Region>,
    store: Store,
    ledger: Ledger,
    queues: Queues,
    peers: Arc<Peers>,
    paces: Paces,
    avoided: Mutex<Avoided>,
    rng: Mutex<ChaCha8Rng>,
    registry: Registry,
    /// Where the process has certificates.
    secured: Option<Secured>,
    /// Told to stop: whoever can should send requests elsewhere.
    leaving: AtomicBool,
    /// Takes no more requests.
    draining: AtomicBool,
    drain: Notify,
}

/// Runs a gateway process until it is told to stop.
pub fn run(document: GatewayDocument, exit_with_parent: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(document, exit_with_parent))
}

async fn serve(document: GatewayDocument, exit_with_parent: bool) -> anyhow::Result<()> {
    let requests = process::listen(&document.listen).await?;
    let admin = process::listen(&document.admin_listen).await?;
    let orders = process::listen_for_control(document.tls.as_ref()).await?;
    let last_requests = Duration::from_millis(document.last_requests_milliseconds);
    let gateway = Arc::new(start(document)?);
    gateway.prepare();
    process::say_ready(&ReadyDocument {
        address: requests.local_addr()?.to_string(),
        metrics: admin.local_addr()?.to_string(),
        control: process::address(orders.as_ref())?,
    })?;
    tokio::spawn(admin::serve(Arc::clone(&gateway), admin));
    if let (Some(secured), Some(orders)) = (&gateway.secured, orders) {
        tokio::spawn(control::serve(orders, secured.control(), admin::control(Arc::clone(&gateway))));
    }
    let serving = tokio::spawn(http::serve(Arc::clone(&gateway), requests));
    if process::stopped(exit_with_parent).await? == Stop::Drain {
        gateway.leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(last_requests).await;
        gateway.draining.store(true, Ordering::Relaxed);
        gateway.drain.notify_waiters();
        if tokio::time::timeout(DRAIN, serving).await.is_err() {
            tracing::warn!(jobs = gateway.ledger.in_flight(), "stopping with jobs unfinished after {DRAIN:?}");
        }
    }
    Ok(())
}

fn start(document: GatewayDocument) -> anyhow::Result<Gateway> {
    let model = read_description(document.model)?;
    let mut registry = Registry::default();
    let ledger = Ledger::new(document.source, model.exits.len(), &mut registry);
    let file = document.policy_file.map(PathBuf::from);
    let store = Store::open(&document.policy, model.exits.len(), model.segments(), file)?;
    ledger.set_generation(store.active().version.generation);
    let secured = document.tls.map(|tls| Secured::open(&tls, &mut registry)).transpose()?;
    Ok(Gateway {
        service: document.policy.service,
        input: InputSpec { name: model.input, sample_shape: model.input_shape },
        classes: document.classes,
        max_body: usize::try_from(document.max_body_bytes).unwrap_or(usize::MAX),
        region: Region::new(document.memory_budget_bytes),
        store,
        ledger,
        queues: Queues::default(),
        peers: Peers::new(Patience::default(), secured.as_ref().map(Secured::dialler)),
        paces: Paces::new(&document.links)?,
        avoided: Mutex::default(),
        rng: Mutex::new(ChaCha8Rng::from_rng(&mut rand::rng())),
        registry,
        secured,
        leaving: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        drain: Notify::new(),
    })
}

impl Gateway {
    /// Connects to all devices, so that the first job does not wait for it, and opens the books of all sources.
    fn prepare(&self) {
        for (source, _) in &self.store.active().policy.sources {
            self.ledger.source(Some(source));
        }
        for place in self.store.active().places.iter().flatten() {
            self.peers.usable(&place.address);
        }
    }

    /// Whether all devices of a chain are there, as far as is known. Later hops are connected to as well: a connection
    /// that breaks says sooner than a lost job that a device is away.
    fn whole(&self, places: &[Place]) -> bool {
        let (avoided, now) = (lock(&self.avoided), Instant::now());
        places.iter().all(|place| avoided.usable(&place.device, now) && self.peers.usable(&place.address))
    }

    /// Whether jobs can be sent on a chain at all: some leave before a later device is needed, and what becomes of the
    /// others is the policy's to say.
    fn reachable(&self, places: &[Place]) -> bool {
        self.peers.usable(&places[0].address)
    }

    fn try_devices(&self, places: &[Place]) {
        let (mut avoided, now) = (lock(&self.avoided), Instant::now());
        for place in places {
            avoided.try_again(&place.device, now);
        }
    }

    /// A job came back that was at the first `hops` of these places, and found the device `away` missing.
    fn heard_of(&self, places: &[Place], hops: usize, away: Option<&str>) {
        let (mut avoided, now) = (lock(&self.avoided), Instant::now());
        for (index, place) in places.iter().enumerate() {
            if away == Some(&place.device) {
                tracing::debug!(place.device, "avoiding");
                avoided.failed(&place.device, now);
            } else if index < hops {
                avoided.worked(&place.device);
            } else {
                avoided.not_reached(&place.device, now);
            }
        }
    }

    fn rng(&self) -> MutexGuard<'_, ChaCha8Rng> {
        lock(&self.rng)
    }

    /// Returns when the gateway is told to stop.
    async fn drain_begun(&self) {
        let notified = self.drain.notified();
        if !self.draining() {
            notified.await;
        }
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Ready when jobs can be sent on some chain.
    fn ready(&self) -> bool {
        !self.leaving() && self.store.active().places.iter().any(|places| self.reachable(places))
    }

    fn telemetry(&self) -> GatewayTelemetry {
        let active = self.store.active();
        let away = |place: &&Place| !self.peers.usable(&place.address);
        let mut avoided: std::collections::BTreeMap<String, String> =
            lock(&self.avoided).list(Instant::now()).map(|device| (device.to_owned(), "failed".to_owned())).collect();
        for place in active.places.iter().flatten().filter(away) {
            let why = || match self.peers.why_down(&place.address) {
                Some(why) => format!("not connected: {why}"),
                None => "not connected".to_owned(),
            };
            avoided.entry(place.device.clone()).or_insert_with(why);
        }
        let (row, reactive_exit) = self.decides();
        GatewayTelemetry {
            service: self.service.clone(),
            policy: active.version,
            sources: self.ledger.telemetry(),
            rejected: self.ledger.rejected(),
            avoided,
            audits: self.ledger.audits(),
            row,
            reactive_exit,
        }
    }

    /// What the policy in force has found out by itself.
    fn decides(&self) -> (Option<RowTelemetry>, Option<u64>) {
        let active = self.store.active();
        let (row, exit) = {
            let mut keeper = active.keeper();
            (keeper.row(self.store.now()), keeper.reactive_exit())
        };
        let row = row.zip(active.policy.rates.as_ref()).map(|(in_force, table)| RowTelemetry {
            row: in_force.row as u64 + 1,
            rows: table.rows.len() as u64,
            up_to: in_force.up_to,
            forecast: table.forecast.get(),
            measured: in_force.rate.get(),
            burst_probability: in_force.burst.map(domain::Probability::get),
        });
        (row, exit.map(|exit| exit as u64 + 1))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
