//! Metrics of a device process. Labels are resolved once; the hot path touches plain counters.

use crate::memory::Region;
use crate::process::register;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use wire::document::FragmentTelemetry;
use wire::frame::Refusal;
use wire::metric;

/// 0.1 ms to 6.5 s in doublings: a head on a fast core to a queue on a slow one.
const TIME_BUCKETS: [f64; 17] = buckets();
/// Tenths, and what is close to certain.
const CONFIDENCE_BUCKETS: [f64; 12] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];

const fn buckets() -> [f64; 17] {
    let mut all = [1e-4; 17];
    let mut i = 1;
    while i < all.len() {
        all[i] = all[i - 1] * 2.0;
        i += 1;
    }
    all
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFragment {
    fragment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithReason {
    fragment: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithOutcome {
    fragment: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithSegment {
    fragment: String,
    segment: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithExit {
    fragment: String,
    exit: u64,
}

#[derive(Debug, Clone, Copy)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// All families of a device.
#[derive(Debug)]
pub(crate) struct DeviceMetrics {
    pub(crate) registry: Registry,
    pub(crate) busy: Gauge<f64, AtomicU64>,
    entered: Family<OfFragment, Counter>,
    refused: Family<WithReason, Counter>,
    left: Family<WithOutcome, Counter>,
    late: Family<OfFragment, Counter>,
    budget: Family<OfFragment, Gauge>,
    held: Family<OfFragment, Gauge>,
    queue: Family<OfFragment, Gauge>,
    wait: Family<OfFragment, Histogram, Buckets>,
    segment: Family<WithSegment, Histogram, Buckets>,
    head: Family<WithExit, Histogram, Buckets>,
    confidence: Family<WithExit, Histogram, Buckets>,
}

/// How a job left a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Answered here.
    Answered,
    /// Taken over by the next fragment.
    Forwarded,
    /// Lost, failed or answered because the next fragment was full or away.
    Dropped,
}

/// The entry of one job in the books of a fragment: it leaves once, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Entry {
    metrics: Arc<FragmentMetrics>,
    open: bool,
}

impl Entry {
    pub(crate) fn new(metrics: &Arc<FragmentMetrics>) -> Self {
        metrics.entered.inc();
        Self { metrics: Arc::clone(metrics), open: true }
    }

    pub(crate) fn leave(mut self, how: Left) {
        self.open = false;
        self.metrics.leave(how);
    }
}

impl Drop for Entry {
    /// A job whose bytes never came, or whose end nobody wrote down.
    fn drop(&mut self) {
        if self.open {
            self.metrics.leave(Left::Dropped);
        }
    }
}

/// Metrics of one fragment.
#[derive(Debug)]
pub(crate) struct FragmentMetrics {
    entered: Counter,
    refused: Vec<(Refusal, Counter)>,
    left: [Counter; 3],
    pub(crate) late: Counter,
    pub(crate) wait: Histogram,
    pub(crate) segments: Vec<Histogram>,
    heads: Vec<(usize, Histogram, Histogram)>,
    held: Gauge,
    queue: Gauge,
}

impl DeviceMetrics {
    pub(crate) fn new() -> Self {
        let times = || Family::new_with_constructor(Buckets(&TIME_BUCKETS));
        let mut metrics = Self {
            registry: Registry::default(),
            busy: Gauge::default(),
            entered: Family::default(),
            refused: Family::default(),
            left: Family::default(),
            late: Family::default(),
            budget: Family::default(),
            held: Family::default(),
            queue: Family::default(),
            wait: times(),
            segment: Family::new_with_constructor(Buckets(&TIME_BUCKETS)),
            head: Family::new_with_constructor(Buckets(&TIME_BUCKETS)),
            confidence: Family::new_with_constructor(Buckets(&CONFIDENCE_BUCKETS)),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        register(registry, metric::JOBS_ENTERED, self.entered.clone());
        register(registry, metric::JOBS_REFUSED, self.refused.clone());
        register(registry, metric::JOBS_LEFT, self.left.clone());
        register(registry, metric::LATE, self.late.clone());
        register(registry, metric::MEMORY_BUDGET, self.budget.clone());
        register(registry, metric::MEMORY_HELD, self.held.clone());
        register(registry, metric::QUEUE_LENGTH, self.queue.clone());
        register(registry, metric::WAIT, self.wait.clone());
        register(registry, metric::SEGMENT_TIME, self.segment.clone());
        register(registry, metric::HEAD_TIME, self.head.clone());
        register(registry, metric::CONFIDENCE, self.confidence.clone());
        register(registry, metric::BUSY, self.busy.clone());
    }

    /// Resolves the labels of a fragment with these segments and exits (numbered from 0 here, from 1 in labels).
    pub(crate) fn fragment(&self, name: &str, budget: u64, segments: &[usize], exits: &[usize]) -> FragmentMetrics {
        let fragment = || name.to_owned();
        let of = OfFragment { fragment: fragment() };
        self.budget.get_or_create(&of).set(i64::try_from(budget).unwrap_or(i64::MAX));
        let left = |outcome: &str| {
            self.left.get_or_create_owned(&WithOutcome { fragment: fragment(), outcome: outcome.into() })
        };
        let refused = |reason: Refusal| {
            let labels = WithReason { fragment: fragment(), reason: reason.word().into() };
            (reason, self.refused.get_or_create_owned(&labels))
        };
        FragmentMetrics {
            entered: self.entered.get_or_create_owned(&of),
            refused: Refusal::ALL.iter().copied().map(refused).collect(),
            left: [left("answered"), left("forwarded"), left("dropped")],
            late: self.late.get_or_create_owned(&of),
            wait: self.wait.get_or_create_owned(&of),
            held: self.held.get_or_create_owned(&of),
            queue: self.queue.get_or_create_owned(&of),
            segments: segments
                .iter()
                .map(|segment| {
                    self.segment
                        .get_or_create_owned(&WithSegment { fragment: fragment(), segment: *segment as u64 + 1 })
                })
                .collect(),
            heads: exits
                .iter()
                .map(|exit| {
                    let labels = WithExit { fragment: fragment(), exit: *exit as u64 + 1 };
                    (*exit, self.head.get_or_create_owned(&labels), self.confidence.get_or_create_owned(&labels))
                })
                .collect(),
        }
    }
}

impl FragmentMetrics {
    pub(crate) fn refuse(&self, why: Refusal) {
        if let Some((_, counter)) = self.refused.iter().find(|(reason, _)| *reason == why) {
            counter.inc();
        }
    }

    fn leave(&self, how: Left) {
        self.left[how as usize].inc();
    }

    pub(crate) fn exit(&self, exit: usize, head_seconds: f64, confidence: f32) {
        if let Some((_, time, confidences)) = self.heads.iter().find(|(number, ..)| *number == exit) {
            time.observe(head_seconds);
            confidences.observe(f64::from(confidence));
        }
    }

    /// Jobs admitted since the start.
    pub(crate) fn entered(&self) -> u64 {
        self.entered.get()
    }

    /// Sets gauges and reads everything out.
    pub(crate) fn snapshot(&self, region: &Region, waiting: usize, profiled: Duration) -> FragmentTelemetry {
        self.held.set(i64::try_from(region.held()).unwrap_or(i64::MAX));
        self.queue.set(waiting as i64);
        let [answered, forwarded, dropped] = [0, 1, 2].map(|how| self.left[how].get());
        let refused = self.refused.iter().filter(|(_, counter)| counter.get() > 0);
        let entered = self.entered.get();
        FragmentTelemetry {
            entered,
            refused: refused.map(|(reason, counter)| (reason.word().to_owned(), counter.get())).collect(),
            answered,
            forwarded,
            dropped,
            held: entered.saturating_sub(answered + forwarded + dropped),
            held_bytes: region.held(),
            budget_bytes: region.budget(),
            waiting: waiting as u64,
            late: self.late.get(),
            profiled_core_seconds: profiled.as_secs_f64(),
        }
    }
}
