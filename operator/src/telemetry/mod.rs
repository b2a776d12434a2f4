//! What the process tells of itself while it runs: log lines, and spans for a collector of OpenTelemetry where one is named.
//!
//! * [`start`]: sets both up. [`LogFormat`]: how lines look.
//! * `queue`: spans that wait to be sent, bounded, and who sends them. `client`: the way to the collector.
//! * `settings`: what the environment says, by the names of the OpenTelemetry specification.
//!
//! Without a collector nothing of this is there: no queue, no task, no layer.

mod client;
mod queue;
mod settings;

use crate::metrics::Metrics;
use client::Http;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanExporter as _};
use queue::{Pace, Queue};
use settings::Settings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// What is left to send when the process ends has so long: less than a pod is given.
const LAST_CHANCE: Duration = Duration::from_secs(3);
/// Spans are those of this crate: what libraries do is not told to collectors.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What was set up, to be closed in the end.
#[derive(Debug, Default)]
pub struct Telemetry(Option<Exporting>);

/// Who sends spans.
#[derive(Debug)]
struct Exporting {
    provider: SdkTracerProvider,
    sender: JoinHandle<()>,
    stop: Arc<Notify>,
}

/// Log lines of `level` and above go to stderr from now on, and spans to the collector that the environment names. Once per process, and
/// inside a runtime of tokio.
pub fn start(format: LogFormat, level: LevelFilter, instance: &str, metrics: &Arc<Metrics>) -> Telemetry {
    let exporting = match Settings::of_environment(|name| std::env::var(name).ok()) {
        Ok(Some(settings)) => Exporting::start(&settings, instance, metrics).map(Some),
        Ok(None) => Ok(None),
        Err(wrong) => Err(wrong),
    };
    let (exporting, trouble) = match exporting {
        Ok(exporting) => (exporting, None),
        Err(trouble) => (None, Some(trouble)),
    };
    let spans = exporting.as_ref().map(|exporting| {
        let ours = Targets::new().with_target(OURS, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracer(exporting.tracer())
            .with_filter(ours)
    });
    tracing_subscriber::registry().with(lines(format).with_filter(level)).with(spans).init();
    if let Some(trouble) = trouble {
        // What is told of the control plane must not stop it.
        tracing::error!("no spans are exported: {trouble:#}");
    }
    Telemetry(exporting)
}

fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

impl Telemetry {
    /// Sends what is left, for some seconds at most.
    pub async fn close(self) {
        let Some(exporting) = self.0 else { return };
        exporting.stop.notify_one();
        let (Exporting { provider, sender, .. }, mut late) = (exporting, false);
        let abort = sender.abort_handle();
        if tokio::time::timeout(LAST_CHANCE, sender).await.is_err() {
            abort.abort();
            late = true;
        }
        // Nothing waits any more: this only marks it as closed.
        let _ = provider.shutdown();
        if late {
            tracing::warn!(
                "the last spans were not sent: the collector did not answer within {} s",
                LAST_CHANCE.as_secs()
            );
        }
    }
}

impl Exporting {
    fn start(settings: &Settings, instance: &str, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        let client = Http::new(settings.timeout, settings.authorities.as_deref())?;
        let mut exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
        let resource = settings::resource(instance);
        exporter.set_resource(&resource);
        let (queue, waiting) = Queue::new(settings.capacity, Arc::clone(metrics));
        let stop = Arc::new(Notify::new());
        let pace = Pace { every: settings.every, batch: settings.batch, capacity: settings.capacity };
        let sender = tokio::spawn(queue::send(exporter, waiting, pace, Arc::clone(&stop), Arc::clone(metrics)));
        let provider = SdkTracerProvider::builder().with_span_processor(queue).with_resource(resource).build();
        Ok(Self { provider, sender, stop })
    }

    fn tracer(&self) -> SdkTracer {
        self.provider.tracer("eenn-operator")
    }
}
