//! A collector of OpenTelemetry that takes spans over HTTP and remembers them.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// A span as a test looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Vec<u8>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Of the process that tells.
    pub(crate) resource: BTreeMap<String, String>,
    /// When it began and ended, in nanoseconds of that process's clock.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

impl Span {
    /// Whether it has this name and this attribute.
    pub(crate) fn is(&self, name: &str, attribute: &str, value: &str) -> bool {
        self.name == name && self.attributes.get(attribute).is_some_and(|there| there == value)
    }
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// Listens until it is dropped.
pub(crate) struct Collector {
    spans: Spans,
    port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Collector {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (spans, (stop, stopped)) = (Spans::default(), tokio::sync::oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let taken = Arc::clone(&spans);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, taken) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { spans, port, stop: Some(stop), thread: Some(thread) })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has come so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, spans: Spans) {
    while let Ok((socket, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(Arc::clone(&spans), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// As the specification has it: anything but protobuf at `/v1/traces` is refused.
async fn answer(spans: Spans, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let is_protobuf = request.headers().get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let is_right = request.method() == "POST" && request.uri().path() == "/v1/traces" && is_protobuf;
    let body = request.into_body().collect().await?.to_bytes();
    let status = match ExportTraceServiceRequest::decode(body) {
        Ok(request) if is_right => {
            spans.lock().unwrap_or_else(PoisonError::into_inner).extend(read(request));
            StatusCode::OK
        }
        _ => StatusCode::BAD_REQUEST,
    };
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    Ok(answer)
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = vec![];
    for one in request.resource_spans {
        let resource = one.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        for span in one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Span {
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                attributes: texts(span.attributes),
                resource: resource.clone(),
                began: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
            });
        }
    }
    all
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let read = attributes.into_iter().map(|one| (one.key, one.value.and_then(|value| value.value).map(text)));
    read.map(|(key, value)| (key, value.unwrap_or_default())).collect()
}
