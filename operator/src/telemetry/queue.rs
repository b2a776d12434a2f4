//! Spans that wait to be sent. Whoever ends a span never waits: where the queue is full, the span is dropped and counted.

use crate::clock;
use crate::metrics::Metrics;
use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A collector that is away is told of so often, in seconds.
const TOLD_EVERY: f64 = 300.0;

/// Where spans that have ended wait.
///
/// The processor of the SDK has a thread that must not use a client of tokio, and counts only for its own log.
#[derive(Debug)]
pub(super) struct Queue {
    spans: Sender<SpanData>,
    metrics: Arc<Metrics>,
}

/// When spans are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// So long after the first of a batch at the latest.
    pub(super) every: Duration,
    /// Spans of a batch, at most.
    pub(super) batch: usize,
    /// Spans that wait, at most: for what is said of it.
    pub(super) capacity: usize,
}

impl Queue {
    /// One with room for so many spans, and where they come out.
    pub(super) fn new(capacity: usize, metrics: Arc<Metrics>) -> (Self, Receiver<SpanData>) {
        let (spans, waiting) = channel(capacity);
        (Self { spans, metrics }, waiting)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Nothing is logged here: this is called by what logs.
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.metrics.spans("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("spans are sent by a task, at its own pace".to_owned()))
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends what waits, until it is told to stop; then what is left.
pub(super) async fn send<E: SpanExporter>(
    exporter: E,
    mut waiting: Receiver<SpanData>,
    pace: Pace,
    stop: Arc<Notify>,
    metrics: Arc<Metrics>,
) {
    let mut said = Said::default();
    loop {
        let batch = next(&mut waiting, &pace, &stop).await;
        if batch.is_empty() {
            return;
        }
        let count = batch.len();
        let outcome = exporter.export(batch).await;
        metrics.spans(if outcome.is_ok() { "sent" } else { "failed" }, count);
        said.outcome(outcome, clock::now());
        said.dropped(metrics.spans_so_far("dropped"), pace.capacity);
    }
}

/// The next spans to send; none once everything has been sent after the end.
async fn next(waiting: &mut Receiver<SpanData>, pace: &Pace, stop: &Notify) -> Vec<SpanData> {
    let mut batch = vec![];
    // Without spans there is nothing to wake up for.
    tokio::select! {
        _ = waiting.recv_many(&mut batch, pace.batch) => {}
        () = stop.notified() => {
            waiting.close();
            waiting.recv_many(&mut batch, pace.batch).await;
        }
    }
    let full = tokio::time::sleep(pace.every);
    tokio::pin!(full);
    while !batch.is_empty() && batch.len() < pace.batch {
        let room = pace.batch - batch.len();
        tokio::select! {
            more = waiting.recv_many(&mut batch, room) => if more == 0 { break },
            () = stop.notified() => waiting.close(),
            () = &mut full => break,
        }
    }
    batch
}

/// What has been said of it: not the same with every batch.
#[derive(Debug, Default)]
struct Said {
    /// When it was said that the collector is away.
    away: Option<f64>,
    full: bool,
}

impl Said {
    fn outcome(&mut self, outcome: OTelSdkResult, now: f64) {
        if !self.is_news(outcome.is_ok(), now) {
            return;
        }
        match outcome {
            Ok(()) => tracing::info!("the collector takes spans again"),
            Err(error) => tracing::warn!("spans were not taken by the collector, and are lost: {error}"),
        }
    }

    fn is_news(&mut self, sent: bool, now: f64) -> bool {
        let is_news = match (sent, self.away) {
            (true, away) => away.is_some(),
            (false, away) => away.is_none_or(|at| now - at >= TOLD_EVERY),
        };
        self.away = match (sent, is_news) {
            (true, _) => None,
            (false, true) => Some(now),
            (false, false) => self.away,
        };
        is_news
    }

    fn dropped(&mut self, dropped: u64, capacity: usize) {
        if dropped > 0 && !std::mem::replace(&mut self.full, true) {
            tracing::warn!(
                "spans end faster than the collector takes them: beyond the {capacity} that wait they are dropped, and counted in eenn_operator_spans_total; said once"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::sync::Mutex;

    /// A collector that remembers sizes of batches, and refuses as many as it is told to.
    #[derive(Debug, Clone, Default)]
    struct Collector {
        batches: Arc<Mutex<Vec<usize>>>,
        refuses: bool,
    }

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.batches.lock().unwrap().push(batch.len());
            match self.refuses {
                true => Err(OTelSdkError::InternalFailure("away".to_owned())),
                false => Ok(()),
            }
        }
    }

    /// Ends so many spans before anybody sends, then sends and stops. Sizes of batches, and what was counted as sent, failed and dropped.
    async fn after(spans: usize, capacity: usize, batch: usize, refuses: bool) -> (Vec<usize>, [u64; 3]) {
        let metrics = Arc::new(Metrics::default());
        let (queue, waiting) = Queue::new(capacity, Arc::clone(&metrics));
        let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
        let tracer = provider.tracer("test");
        for _ in 0..spans {
            drop(tracer.start("span"));
        }
        let (collector, stop) = (Collector { refuses, ..Collector::default() }, Arc::new(Notify::new()));
        stop.notify_one();
        let pace = Pace { every: Duration::from_secs(3600), batch, capacity };
        send(collector.clone(), waiting, pace, stop, Arc::clone(&metrics)).await;
        let batches = collector.batches.lock().unwrap().clone();
        (batches, ["sent", "failed", "dropped"].map(|outcome| metrics.spans_so_far(outcome)))
    }

    #[tokio::test]
    async fn what_waits_is_sent_in_batches_before_the_end() {
        assert_eq!(after(0, 8, 4, false).await, (vec![], [0, 0, 0]));
        assert_eq!(after(7, 8, 3, false).await, (vec![3, 3, 1], [7, 0, 0]));
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        assert_eq!(after(20, 8, 8, false).await, (vec![8], [8, 0, 12]));
    }

    #[tokio::test]
    async fn spans_of_a_collector_that_refuses_are_counted_as_failed() {
        assert_eq!(after(5, 8, 2, true).await, (vec![2, 2, 1], [0, 5, 0]));
    }

    #[test]
    fn a_collector_that_stays_away_is_told_of_every_five_minutes() {
        let mut said = Said::default();
        let news: Vec<bool> = [0.0, 5.0, 299.0, 300.0, 305.0].map(|now| said.is_news(false, now)).to_vec();
        assert_eq!(news, [true, false, false, true, false]);
        assert_eq!(
            [said.is_news(true, 310.0), said.is_news(true, 315.0), said.is_news(false, 320.0)],
            [true, false, true]
        );
    }
}
