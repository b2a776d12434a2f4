//! A device process: hosts fragments, admits jobs by memory, serves them, answers or sends them on.

mod admin;
mod connection;
mod job;
mod lane;
mod metrics;

use crate::control;
use crate::executor::Executor;
use crate::hop::{Outbox, Paces, Patience, Peers, ReadError, Stream};
use crate::memory::Region;
use crate::process::{self, Stop};
use crate::secure::{Guard, Secured};
use anyhow::ensure;
use lane::{Computed, Hosted, Task};
use metrics::DeviceMetrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use wire::document::{DeviceDocument, DeviceTelemetry, ReadyDocument};
use wire::frame::Frame;

/// Longest time a stopping process finishes its jobs.
const DRAIN: Duration = Duration::from_secs(30);
/// A stopping process still takes jobs until none has come for so long …
const QUIET: Duration = Duration::from_millis(200);
/// … or for at most so long.
const LAST_ARRIVALS: Duration = Duration::from_secs(2);
/// Longest time the last answers have to leave.
const FLUSH: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Device {
    name: String,
    cores: f64,
    started: Instant,
    hosted: Vec<Hosted>,
    region: Option<Arc<Region>>,
    executor: Executor<Task, Computed>,
    runtime: Handle,
    peers: Arc<Peers>,
    paces: Paces,
    metrics: DeviceMetrics,
    /// Where the process has certificates.
    secured: Option<Secured>,
    open: Open,
    outboxes: Outboxes,
    draining: AtomicBool,
}

/// Counts open jobs, so that a drain knows when it is done.
#[derive(Debug, Default)]
struct Open(Arc<()>);

impl Open {
    fn enter(&self) -> Arc<()> {
        Arc::clone(&self.0)
    }

    fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Outboxes of all living connections.
#[derive(Debug, Default)]
struct Outboxes(Mutex<Vec<Weak<Outbox>>>);

impl Outboxes {
    fn add(&self, outbox: &Arc<Outbox>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|outbox| outbox.strong_count() > 0);
        all.push(Arc::downgrade(outbox));
    }

    fn living(&self) -> Vec<Arc<Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Runs a device process until it is told to stop.
pub fn run(document: DeviceDocument, exit_with_parent: bool) -> anyhow::Result<()> {
    // One thread for I/O: inference has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(document, exit_with_parent))
}

async fn serve(document: DeviceDocument, exit_with_parent: bool) -> anyhow::Result<()> {
    let jobs = process::listen(&document.listen).await?;
    let admin = process::listen(&document.metrics_listen).await?;
    let orders = process::listen_for_control(document.tls.as_ref()).await?;
    let ready = ReadyDocument {
        address: jobs.local_addr()?.to_string(),
        metrics: admin.local_addr()?.to_string(),
        control: process::address(orders.as_ref())?,
    };
    // Probes are answered while models are loaded, which takes seconds on a small device.
    let loaded = admin::Loaded::default();
    tokio::spawn(admin::serve(Arc::clone(&loaded), admin));
    let device = Arc::new(tokio::task::spawn_blocking(move || start(&document)).await??);
    let _ = loaded.set(Arc::clone(&device));
    if let (Some(secured), Some(orders)) = (&device.secured, orders) {
        tokio::spawn(control::serve(orders, secured.control(), admin::control(&loaded)));
    }
    tokio::spawn(accept(Arc::clone(&device), jobs));
    process::say_ready(&ready)?;
    if process::stopped(exit_with_parent).await? == Stop::Drain {
        drain(&device).await;
    }
    Ok(())
}

fn start(document: &DeviceDocument) -> anyhow::Result<Device> {
    ensure!(!document.fragments.is_empty(), "device {:?} hosts no fragment", document.device);
    let mut metrics = DeviceMetrics::new();
    let secured = document.tls.as_ref().map(|tls| Secured::open(tls, &mut metrics.registry)).transpose()?;
    let (mut hosted, mut lanes) = (vec![], vec![]);
    for fragment in &document.fragments {
        let (host, lane) = lane::host(fragment, document.emulate, &metrics)?;
        ensure!(hosted.iter().all(|other: &Hosted| other.name != host.name), "two fragments are named {:?}", host.name);
        hosted.push(host);
        lanes.push(lane);
    }
    let workers: usize = lanes.iter().map(|lane| lane.workers).sum();
    let real = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // An emulated device may have more workers than this machine has cores; computing more at a time gains nothing.
    let threads = if document.emulate.is_some() { workers.min(real) } else { workers };
    let emulated_cores = document.emulate.map(|emulate| emulate.cores);
    Ok(Device {
        name: document.device.clone(),
        cores: emulated_cores.unwrap_or(real as f64),
        started: Instant::now(),
        hosted,
        region: document.memory_budget_bytes.map(Region::new),
        executor: Executor::start(lanes, emulated_cores, threads)?,
        runtime: Handle::current(),
        peers: Peers::new(Patience::default(), secured.as_ref().map(Secured::dialler)),
        paces: Paces::new(&document.links)?,
        metrics,
        secured,
        open: Open::default(),
        outboxes: Outboxes::default(),
        draining: AtomicBool::new(false),
    })
}

async fn accept(device: Arc<Device>, listener: TcpListener) {
    let guard = device.secured.as_ref().map(Secured::hops);
    loop {
        let slot = match &guard {
            Some(guard) => guard.slot().await,
            None => None,
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (device, guard) = (Arc::clone(&device), guard.clone());
                tokio::spawn(async move {
                    if let Err(error) = receive(device, stream, guard, slot).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                });
            }
            // Out of file descriptors, most likely: wait for some to be freed rather than spin.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn receive(
    device: Arc<Device>,
    stream: TcpStream,
    guard: Option<Guard>,
    slot: Option<OwnedSemaphorePermit>,
) -> Result<(), ReadError> {
    stream.set_nodelay(true)?;
    let secured = match guard {
        None => Some(Stream::Plain(stream)),
        Some(guard) => guard.secure(stream, slot).await,
    };
    match secured {
        Some(stream) => connection::run(device, stream).await,
        None => Ok(()),
    }
}

/// Tells senders, takes what is still on its way, then refuses, finishes what it holds and lets the answers leave.
async fn drain(device: &Device) {
    for outbox in device.outboxes.living() {
        outbox.push(&Frame::Draining);
    }
    let start = Instant::now();
    let mut entered = device.entered();
    while start.elapsed() < LAST_ARRIVALS {
        tokio::time::sleep(QUIET).await;
        if entered == device.entered() {
            break;
        }
        entered = device.entered();
    }
    device.draining.store(true, Ordering::Relaxed);
    let finished = async {
        while device.open.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(DRAIN, finished).await.is_err() {
        tracing::warn!(jobs = device.open.count(), "stopping with jobs unfinished after {DRAIN:?}");
    }
    for outbox in device.outboxes.living() {
        outbox.close();
    }
    let flushed = async {
        while !device.outboxes.living().iter().all(|outbox| outbox.is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(FLUSH, flushed).await;
}

impl Device {
    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Jobs admitted since the start.
    fn entered(&self) -> u64 {
        self.hosted.iter().map(|hosted| hosted.metrics.entered()).sum()
    }

    fn telemetry(&self) -> DeviceTelemetry {
        let load = self.executor.load();
        self.metrics.busy.set(load.busy_core_seconds);
        let fragments = self.hosted.iter().zip(load.waiting);
        DeviceTelemetry {
            device: self.name.clone(),
            cores: self.cores,
            busy_core_seconds: load.busy_core_seconds,
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            fragments: fragments
                .map(|(hosted, waiting)| {
                    (hosted.name.clone(), hosted.metrics.snapshot(&hosted.region, waiting, hosted.profiled()))
                })
                .collect(),
        }
    }
}
