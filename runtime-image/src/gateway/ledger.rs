//! Every job accounted for: arrived = answered + lost + failed + in flight, at any time.

use crate::process::register;
use hdrhistogram::Histogram;
use policy::RateEstimator;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wire::document::{AuditTelemetry, ConfidenceTelemetry, LatencyTelemetry, SourceTelemetry};
use wire::frame::{Answer, AuditRecord, Failure, Refusal};
use wire::metric;

/// Sources that are told apart; jobs of further ones count for the gateway's own.
const SOURCES: usize = 64;
/// Longest name of a source, as Kubernetes has it for labels.
const SOURCE_NAME: usize = 63;
/// The arrival rate is measured over so long.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// 1 ms to 16 s in doublings: a head at the gateway to a queue on a slow device.
const LATENCY_BUCKETS: [f64; 15] =
    [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
/// Latencies are kept from 1 µs to an hour with two digits.
const HIGHEST_MICROS: u64 = 3_600_000_000;

type Metric<T> = Family<Vec<(&'static str, String)>, T>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSource {
    source: String,
}

#[derive(Debug, Clone, Copy)]
struct LatencyBuckets;

impl MetricConstructor<histogram::Histogram> for LatencyBuckets {
    fn new_metric(&self) -> histogram::Histogram {
        histogram::Histogram::new(LATENCY_BUCKETS)
    }
}

/// The books of a gateway.
#[derive(Debug)]
pub(crate) struct Ledger {
    own_source: String,
    exits: usize,
    started: Instant,
    sources: Mutex<BTreeMap<String, Arc<Source>>>,
    audits: Mutex<Vec<AuditTelemetry>>,
    metrics: Metrics,
}

#[derive(Debug, Clone)]
struct Metrics {
    arrived: Family<OfSource, Counter>,
    answered: Metric<Counter>,
    lost: Metric<Counter>,
    failed: Metric<Counter>,
    rejected: Counter,
    latency: Family<OfSource, histogram::Histogram, LatencyBuckets>,
    in_flight: Family<OfSource, Gauge>,
    rate: Family<OfSource, Gauge<f64, AtomicU64>>,
    generation: Gauge,
}

/// The books of one source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    started: Instant,
    books: Mutex<Books>,
    metrics: Metrics,
    arrived: Counter,
    latency: histogram::Histogram,
}

#[derive(Debug)]
struct Books {
    arrived: u64,
    answered: u64,
    answered_on_overflow: u64,
    lost: BTreeMap<(String, Refusal), u64>,
    failed: BTreeMap<Failure, u64>,
    exits: Vec<u64>,
    confidences: Vec<ConfidenceTelemetry>,
    chains: BTreeMap<String, u64>,
    latency: Histogram<u64>,
    rate: RateEstimator,
}

/// A job that has arrived. It ends by one of the three methods, or, when dropped, as failed: the client went away.
#[derive(Debug)]
pub(crate) struct Arrival {
    source: Arc<Source>,
    at: Instant,
    open: bool,
}

impl Ledger {
    pub(crate) fn new(own_source: String, exits: usize, registry: &mut Registry) -> Self {
        let metrics = Metrics {
            arrived: Family::default(),
            answered: Family::default(),
            lost: Family::default(),
            failed: Family::default(),
            rejected: Counter::default(),
            latency: Family::new_with_constructor(LatencyBuckets),
            in_flight: Family::default(),
            rate: Family::default(),
            generation: Gauge::default(),
        };
        register(registry, metric::ARRIVED, metrics.arrived.clone());
        register(registry, metric::ANSWERED, metrics.answered.clone());
        register(registry, metric::LOST, metrics.lost.clone());
        register(registry, metric::FAILED, metrics.failed.clone());
        register(registry, metric::REJECTED, metrics.rejected.clone());
        register(registry, metric::LATENCY, metrics.latency.clone());
        register(registry, metric::IN_FLIGHT, metrics.in_flight.clone());
        register(registry, metric::ARRIVAL_RATE, metrics.rate.clone());
        register(registry, metric::POLICY_GENERATION, metrics.generation.clone());
        Self {
            own_source,
            exits,
            started: Instant::now(),
            sources: Mutex::default(),
            audits: Mutex::new(vec![AuditTelemetry::default(); exits]),
            metrics,
        }
    }

    /// The books of a source; of the gateway's own if none is named or there are too many.
    pub(crate) fn source(&self, name: Option<&str>) -> Arc<Source> {
        let mut sources = lock(&self.sources);
        let name = name.unwrap_or(&self.own_source);
        let fits = sources.len() < SOURCES && name.len() <= SOURCE_NAME;
        let name = if fits || sources.contains_key(name) { name } else { &self.own_source };
        if let Some(source) = sources.get(name) {
            return Arc::clone(source);
        }
        let source = Arc::new(self.open(name));
        sources.insert(name.to_owned(), Arc::clone(&source));
        source
    }

    fn open(&self, name: &str) -> Source {
        let books = Books {
            arrived: 0,
            answered: 0,
            answered_on_overflow: 0,
            lost: BTreeMap::new(),
            failed: BTreeMap::new(),
            exits: vec![0; self.exits],
            confidences: vec![ConfidenceTelemetry::default(); self.exits],
            chains: BTreeMap::new(),
            latency: Histogram::new_with_max(HIGHEST_MICROS, 2).expect("the bounds are right"),
            rate: RateEstimator::new(RATE_WINDOW, self.started.elapsed()),
        };
        Source {
            name: name.to_owned(),
            started: self.started,
            books: Mutex::new(books),
            arrived: self.metrics.arrived.get_or_create_owned(&OfSource { source: name.to_owned() }),
            metrics: self.metrics.clone(),
            latency: self.metrics.latency.get_or_create_owned(&OfSource { source: name.to_owned() }),
        }
    }

    /// A request was malformed.
    pub(crate) fn reject(&self) {
        self.metrics.rejected.inc();
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.metrics.rejected.get()
    }

    pub(crate) fn set_generation(&self, generation: u64) {
        self.metrics.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Compares what the exits of an audit job said with what the last one did.
    pub(crate) fn audit(&self, records: &[AuditRecord]) {
        let last = records.iter().find(|record| usize::from(record.exit) + 1 == self.exits);
        let Some(last) = last else { return };
        let mut audits = lock(&self.audits);
        for record in records {
            if let Some(audit) = audits.get_mut(usize::from(record.exit)) {
                audit.compared += 1;
                audit.agreed += u64::from(record.class == last.class);
            }
        }
    }

    pub(crate) fn audits(&self) -> Vec<AuditTelemetry> {
        lock(&self.audits).clone()
    }

    /// Reads all books out and refreshes the gauges.
    pub(crate) fn telemetry(&self) -> BTreeMap<String, SourceTelemetry> {
        let sources: Vec<_> = lock(&self.sources).values().cloned().collect();
        sources.iter().map(|source| (source.name.clone(), source.telemetry())).collect()
    }

    /// Jobs in flight, of all sources.
    pub(crate) fn in_flight(&self) -> u64 {
        lock(&self.sources).values().map(|source| lock(&source.books).in_flight()).sum()
    }
}

impl Source {
    /// A job arrives.
    pub(crate) fn arrive(self: &Arc<Self>) -> Arrival {
        let mut books = lock(&self.books);
        books.arrived += 1;
        books.rate.arrive(1, self.started.elapsed());
        self.arrived.inc();
        Arrival { source: Arc::clone(self), at: Instant::now(), open: true }
    }

    fn telemetry(&self) -> SourceTelemetry {
        let mut books = lock(&self.books);
        let of = OfSource { source: self.name.clone() };
        let rate = books.rate.rate(self.started.elapsed());
        self.metrics.rate.get_or_create(&of).set(rate);
        self.metrics.in_flight.get_or_create(&of).set(books.in_flight() as i64);
        let milliseconds = |micros: u64| micros as f64 / 1e3;
        let latency = &books.latency;
        SourceTelemetry {
            arrived: books.arrived,
            answered: books.answered,
            answered_on_overflow: books.answered_on_overflow,
            lost: books.lost.iter().map(|((place, reason), count)| (format!("{place}: {reason}"), *count)).collect(),
            failed: books.failed.iter().map(|(reason, count)| (reason.word().to_owned(), *count)).collect(),
            in_flight: books.in_flight(),
            exits: books.exits.clone(),
            confidences: books.confidences.clone(),
            chains: books.chains.clone(),
            arrival_rate: rate,
            latency_milliseconds: LatencyTelemetry {
                mean: latency.mean() / 1e3,
                p50: milliseconds(latency.value_at_quantile(0.5)),
                p95: milliseconds(latency.value_at_quantile(0.95)),
                p99: milliseconds(latency.value_at_quantile(0.99)),
            },
        }
    }
}

impl Books {
    fn in_flight(&self) -> u64 {
        self.arrived - self.answered - self.lost.values().sum::<u64>() - self.failed.values().sum::<u64>()
    }
}

impl Arrival {
    /// Name of its source.
    pub(crate) fn source(&self) -> &str {
        &self.source.name
    }

    /// When the job arrived.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Since the job arrived.
    pub(crate) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    pub(crate) fn answered(mut self, answer: &Answer, chain: &str) {
        self.open = false;
        let source = &self.source;
        let age = self.at.elapsed();
        source.latency.observe(age.as_secs_f64());
        let labels =
            vec![("source", source.name.clone()), ("exit", (answer.exit + 1).to_string()), ("chain", chain.to_owned())];
        source.metrics.answered.get_or_create(&labels).inc();
        let mut books = lock(&source.books);
        books.answered += 1;
        books.answered_on_overflow += u64::from(answer.on_overflow);
        if let Some(exit) = books.exits.get_mut(usize::from(answer.exit)) {
            *exit += 1;
        }
        // One that is no number would spoil the sum for good, and it comes from another process.
        let confidence = books.confidences.get_mut(usize::from(answer.exit)).filter(|_| answer.confidence.is_finite());
        if let Some(confidence) = confidence {
            confidence.count += 1;
            confidence.sum += f64::from(answer.confidence);
        }
        match books.chains.get_mut(chain) {
            Some(count) => *count += 1,
            None => drop(books.chains.insert(chain.to_owned(), 1)),
        }
        books.latency.saturating_record(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn lost(mut self, place: &str, reason: Refusal) {
        self.open = false;
        let source = &self.source;
        let labels =
            vec![("source", source.name.clone()), ("place", place.to_owned()), ("reason", reason.word().to_owned())];
        source.metrics.lost.get_or_create(&labels).inc();
        *lock(&source.books).lost.entry((place.to_owned(), reason)).or_default() += 1;
    }

    pub(crate) fn failed(mut self, reason: Failure) {
        self.fail(reason);
    }

    fn fail(&mut self, reason: Failure) {
        self.open = false;
        let source = &self.source;
        let labels = vec![("source", source.name.clone()), ("reason", reason.word().to_owned())];
        source.metrics.failed.get_or_create(&labels).inc();
        *lock(&source.books).failed.entry(reason).or_default() += 1;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.open {
            self.fail(Failure::Disconnect);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
