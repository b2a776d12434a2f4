//! What the operator counts, under the names that dashboards of controllers know.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Times of reconciles, in seconds: the buckets of controller-runtime.
const TIMES: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByController {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByQueue {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPool {
    pool: String,
    reached: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ByResult, Counter>,
    errors: Family<ByController, Counter>,
    panics: Family<ByController, Counter>,
    times: Times<ByController>,
    active: Family<ByController, Gauge>,
    depth: Family<ByQueue, Gauge>,
    adds: Family<ByQueue, Counter>,
    retries: Family<ByQueue, Counter>,
    waits: Times<ByQueue>,
    work: Times<ByQueue>,
    writes: Family<ByKind, Counter>,
    watch_errors: Family<ByKind, Counter>,
    invalid: Family<ByKind, Gauge>,
    leader: Gauge,
    /// When each watch last brought something, on the process clock.
    heard: Mutex<BTreeMap<&'static str, f64>>,
    pods: Family<ByPool, Gauge>,
    drift_plans: Counter,
    spans: Family<ByOutcome, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let times = || Histogram::new(TIMES);
        let mut metrics = Self {
            registry: Registry::default(),
            reconciles: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            times: Family::new_with_constructor(times),
            active: Family::default(),
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            waits: Family::new_with_constructor(times),
            work: Family::new_with_constructor(times),
            writes: Family::default(),
            watch_errors: Family::default(),
            invalid: Family::default(),
            leader: Gauge::default(),
            heard: Mutex::default(),
            pods: Family::default(),
            drift_plans: Counter::default(),
            spans: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("controller_runtime_reconcile", "Reconciles", self.reconciles.clone());
        r.register("controller_runtime_reconcile_errors", "Reconciles that failed", self.errors.clone());
        r.register("controller_runtime_reconcile_panics", "Reconciles that a panic ended", self.panics.clone());
        r.register("controller_runtime_reconcile_time_seconds", "Time of a reconcile", self.times.clone());
        r.register("controller_runtime_active_workers", "Objects being looked at", self.active.clone());
        r.register("workqueue_depth", "Objects that wait to be looked at", self.depth.clone());
        r.register("workqueue_adds", "Changes that objects are to be looked at for", self.adds.clone());
        r.register("workqueue_retries", "Reconciles to be tried again", self.retries.clone());
        r.register("workqueue_queue_duration_seconds", "Time that an object waited", self.waits.clone());
        r.register("workqueue_work_duration_seconds", "Time that an object was looked at", self.work.clone());
        r.register("eenn_operator_writes", "Writes to the API server", self.writes.clone());
        r.register("eenn_operator_watch_errors", "Watches that broke off", self.watch_errors.clone());
        r.register("eenn_operator_invalid_objects", "Objects that cannot be read", self.invalid.clone());
        r.register("eenn_operator_pods", "Gateways and fragments, by whether they answer", self.pods.clone());
        r.register(
            "eenn_operator_drift_plans",
            "Plans made because loads, devices or inputs have changed",
            self.drift_plans.clone(),
        );
        r.register("eenn_operator_spans", "Spans for the collector, by what became of them", self.spans.clone());
        r.register("leader_election_master_status", "1 while this process leads", self.leader.clone());
    }

    /// Everything, in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn added(&self, name: &'static str) {
        self.adds.get_or_create(&ByQueue { name }).inc();
    }

    pub(crate) fn started(&self, name: &'static str, waited: f64) {
        self.waits.get_or_create(&ByQueue { name }).observe(waited);
    }

    pub(crate) fn finished(&self, controller: &'static str, result: &'static str) {
        self.reconciles.get_or_create(&ByResult { controller, result }).inc();
        if result == "error" {
            self.errors.get_or_create(&ByController { controller }).inc();
            self.retries.get_or_create(&ByQueue { name: controller }).inc();
        }
    }

    pub(crate) fn panicked(&self, controller: &'static str) {
        self.panics.get_or_create(&ByController { controller }).inc();
        self.finished(controller, "error");
    }

    pub(crate) fn took(&self, controller: &'static str, seconds: f64) {
        self.times.get_or_create(&ByController { controller }).observe(seconds);
        self.work.get_or_create(&ByQueue { name: controller }).observe(seconds);
    }

    pub(crate) fn queue(&self, name: &'static str, depth: usize, active: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.depth.get_or_create(&ByQueue { name }).set(number(depth));
        self.active.get_or_create(&ByController { controller: name }).set(number(active));
    }

    pub(crate) fn wrote(&self, kind: &'static str) {
        self.writes.get_or_create(&ByKind { kind }).inc();
    }

    /// A watch has brought something, be it that it cannot.
    pub(crate) fn heard(&self, kind: &'static str, now: f64) {
        self.heard.lock().expect("nothing panics while it holds times").insert(kind, now);
    }

    /// When each watch last brought something.
    pub(crate) fn last_heard(&self) -> Vec<(&'static str, f64)> {
        let heard = self.heard.lock().expect("nothing panics while it holds times");
        heard.iter().map(|(kind, at)| (*kind, *at)).collect()
    }

    pub(crate) fn watch_broke(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&ByKind { kind }).inc();
    }

    pub(crate) fn invalid(&self, kind: &'static str, count: usize) {
        self.invalid.get_or_create(&ByKind { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Pods of a pool that answer, and those that do not.
    pub(crate) fn links(&self, pool: &str, (reached, unreached): (usize, usize)) {
        for (reached, count) in [("yes", reached), ("no", unreached)] {
            let labels = ByPool { pool: pool.to_owned(), reached };
            self.pods.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A pool is gone, or is not for this operator any more.
    pub(crate) fn unlinked(&self, pool: &str) {
        for reached in ["yes", "no"] {
            self.pods.remove(&ByPool { pool: pool.to_owned(), reached });
        }
    }

    pub(crate) fn replanned(&self, services: usize) {
        self.drift_plans.inc_by(services as u64);
    }

    /// What became of spans: `sent`, `failed` or `dropped`.
    pub(crate) fn spans(&self, outcome: &'static str, count: usize) {
        self.spans.get_or_create(&ByOutcome { outcome }).inc_by(count as u64);
    }

    /// Spans that ended with what became of them.
    pub(crate) fn spans_so_far(&self, outcome: &'static str) -> u64 {
        self.spans.get(&ByOutcome { outcome }).map_or(0, |count| count.get())
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}
