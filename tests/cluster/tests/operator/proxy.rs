//! A way to the API server on which things go wrong: what a test decides for each request and each event of a watch.
//!
//! Plain HTTP on the side of the operator, so that nothing has to be decrypted; TLS with the client certificate of the operator's
//! user on the other side.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use bytes::Bytes;
use control_plane::ControlPlane;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered by the API server.
    Passes,
    /// It is answered with this status instead, and never gets there.
    Refused(u16),
    /// It is carried out, but the connection breaks before the answer comes.
    AnswerLost,
    /// It is taken, and nothing more is ever heard of it.
    NeverAnswered,
}

/// What becomes of an event of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventFate {
    /// It arrives.
    Arrives,
    /// It arrives so much later, and all that follow wait behind it.
    Late(Duration),
    /// It never arrives; so much later the connection breaks.
    Lost(Duration),
    /// Half of it arrives, and then the connection breaks.
    Breaks,
}

/// Decides; asked from one thread.
pub(crate) trait Faults: Send + Sync + 'static {
    /// For a request: method, path and query.
    fn request(&self, _method: &str, _uri: &Uri) -> Fate {
        Fate::Passes
    }

    /// For an event of a watch at this path.
    fn event(&self, _uri: &Uri, _event: &Value) -> EventFate {
        EventFate::Arrives
    }
}

/// Listens until it is dropped.
pub(crate) struct Proxy {
    port: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

type Upstream = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type Failed = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Failed>;

struct Way<F> {
    upstream: Upstream,
    authority: String,
    faults: F,
}

impl Proxy {
    /// To the API server of a control plane, as an administrator of this name.
    pub(crate) fn start(plane: &ControlPlane, user: &str, faults: impl Faults) -> anyhow::Result<Self> {
        let kubeconfig =
            plane.kubeconfig_for(user, Some("system:masters")).map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        let authority = plane.url().replace("https://", "");
        let way = Arc::new(Way { upstream: upstream(&plane.authority(), &kubeconfig)?, authority, faults });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, way) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { port, stop: Some(stop), thread: Some(thread) })
    }

    /// For an operator that takes this way.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1
kind: Config
current-context: proxy
contexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]
clusters: [{{name: proxy, cluster: {{server: \"http://127.0.0.1:{}\"}}}}]
users: [{{name: proxy, user: {{}}}}]
",
            self.port
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn upstream(authority: &str, kubeconfig: &str) -> anyhow::Result<Upstream> {
    let field = |name: &str| {
        let line =
            kubeconfig.lines().find_map(|line| line.trim().strip_prefix(name)).context("a field of kubeconfig")?;
        Ok::<_, anyhow::Error>(base64::engine::general_purpose::STANDARD.decode(line.trim())?)
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let certificate = CertificateDer::from_pem_slice(&field("client-certificate-data:")?)?;
    let key = PrivateKeyDer::from_pem_slice(&field("client-key-data:")?)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    ensure!(tls.alpn_protocols.is_empty(), "the connector sets them");
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn accept<F: Faults>(listener: TcpListener, way: Arc<Way<F>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(Arc::clone(&way), request));
            // A failure is one that was asked for: the connection breaks.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer<F: Faults>(way: Arc<Way<F>>, request: Request<Incoming>) -> Result<Response<Body>, Failed> {
    let fate = way.faults.request(request.method().as_str(), request.uri());
    if let Fate::Refused(status) = fate {
        return Ok(refusal(status));
    }
    if fate == Fate::NeverAnswered {
        std::future::pending::<()>().await;
    }
    let uri = request.uri().clone();
    let answer = forward(&way, request).await?;
    if fate == Fate::AnswerLost {
        let _ = answer.into_body().collect().await?;
        return Err("the answer is lost".into());
    }
    let is_watch = uri.query().is_some_and(|query| query.contains("watch=true"));
    if !is_watch || !answer.status().is_success() {
        return Ok(answer.map(|body| body.map_err(Failed::from).boxed_unsync()));
    }
    Ok(answer.map(|body| events(way, uri, body)))
}

async fn forward<F>(way: &Way<F>, request: Request<Incoming>) -> Result<Response<Incoming>, Failed> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("https://{}{path}", way.authority).parse()?;
    parts.headers.remove(header::HOST);
    // What is looked into must be readable.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let body = Full::new(body.collect().await?.to_bytes());
    Ok(way.upstream.request(Request::from_parts(parts, body)).await?)
}

/// As the API server says it.
fn refusal(status: u16) -> Response<Body> {
    let reason = match status {
        410 => "Expired",
        429 => "TooManyRequests",
        409 => "Conflict",
        _ => "InternalError",
    };
    let status_object = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status, "reason": reason,
        "message": "the proxy of a test refuses this",
    });
    let body = Full::new(Bytes::from(status_object.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if status == 429 {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// A watch: one event a line.
struct Events<F> {
    way: Arc<Way<F>>,
    uri: Uri,
    body: Incoming,
    read: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
    broken: bool,
}

fn events<F: Faults>(way: Arc<Way<F>>, uri: Uri, body: Incoming) -> Body {
    let events = Events { way, uri, body, read: vec![], lines: VecDeque::new(), broken: false };
    let frames = stream::unfold(events, |mut events| async move { events.next().await.map(|frame| (frame, events)) });
    StreamBody::new(frames).boxed_unsync()
}

impl<F: Faults> Events<F> {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Failed>> {
        loop {
            if self.broken {
                return Some(Err("the connection breaks".into()));
            }
            if let Some(line) = self.lines.pop_front() {
                let event = serde_json::from_slice(&line).unwrap_or(Value::Null);
                match self.way.faults.event(&self.uri, &event) {
                    EventFate::Lost(wait) => {
                        tokio::time::sleep(wait).await;
                        self.broken = true;
                        return Some(Err("the connection breaks".into()));
                    }
                    EventFate::Late(wait) => tokio::time::sleep(wait).await,
                    EventFate::Arrives => {}
                    EventFate::Breaks => {
                        self.broken = true;
                        return Some(Ok(Frame::data(Bytes::from(line[..line.len() / 2].to_vec()))));
                    }
                }
                return Some(Ok(Frame::data(Bytes::from(line))));
            }
            match self.body.frame().await? {
                Ok(frame) => self.read(frame),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    fn read(&mut self, frame: Frame<Bytes>) {
        let Ok(data) = frame.into_data() else { return };
        self.read.extend_from_slice(&data);
        while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
            self.lines.push_back(self.read.drain(..=end).collect());
        }
    }
}
