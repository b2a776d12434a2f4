//! A pod as the operator reaches it: a process with a certificate that answers what the test says.

use crate::Context;
use crate::gateways::address::Addresses;
use crate::identity::{self, Identity};
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::serve::Listener;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use transport::tls::{Acceptor, Tls};

/// The process; it ends with its owner.
pub(super) struct Peer {
    address: SocketAddr,
    said: Arc<Said>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Said {
    answers: Mutex<BTreeMap<String, (u16, String)>>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl Peer {
    /// Shows a certificate of this name, and lets the operator in.
    pub(super) async fn start(identity: &Identity, name: &str) -> Self {
        let pem = identity.of_name(name, "u", identity::now()).expect("it can be certified");
        let tls = Tls::of(&pem).expect("what was issued can be used");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let secured = Secured { listener, acceptor: tls.acceptor(&[&identity::operator_name("eenn")]) };
        let said = Arc::new(Said::default());
        let answering = Arc::clone(&said);
        let app = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let answer = answering.answer(format!("{method} {}", uri.path()), &body);
            async move { answer }
        });
        let task = tokio::spawn(async move {
            let _ = axum::serve(secured, app).await;
        });
        Self { address, said, task }
    }

    /// Answers `GET /path` and the like with this from now on; what nobody has said is answered with 404.
    pub(super) fn answer(&self, what: &str, code: u16, body: impl ToString) {
        let mut answers = self.said.answers.lock().expect("nothing panics while it holds answers");
        answers.insert(what.to_owned(), (code, body.to_string()));
    }

    /// What it was asked, with what was sent along.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        self.said.asked.lock().expect("nothing panics while it holds requests").clone()
    }

    /// How often it was asked this.
    pub(super) fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|(asked, _)| asked == what).count()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Said {
    fn answer(&self, what: String, body: &[u8]) -> (StatusCode, String) {
        let answers = self.answers.lock().expect("nothing panics while it holds answers");
        let (code, text) = answers.get(&what).cloned().unwrap_or((404, String::new()));
        let sent = serde_json::from_slice(body).unwrap_or_default();
        self.asked.lock().expect("nothing panics while it holds requests").push((what, sent));
        (StatusCode::from_u16(code).expect("it is a status"), text)
    }
}

/// Takes connections of those only who show the right certificate.
struct Secured {
    listener: TcpListener,
    acceptor: Acceptor,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener for Secured {
    type Io = Box<dyn Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream, Duration::from_secs(5)).await {
                return (Box::new(stream), address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A file that says where pods are; it goes with its owner.
#[derive(Debug)]
pub(super) struct Book(PathBuf);

impl Default for Book {
    /// Knows nobody.
    fn default() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("eenn-operator-{}-{number}.json", std::process::id())))
    }
}

impl Book {
    /// For a [`Context`].
    pub(super) fn addresses(&self) -> Addresses {
        Addresses::Mapped(self.0.clone())
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The pod of a workload is reached there from now on, and no other.
pub(super) fn reach(context: &Context, workload: &str, address: &str) {
    reach_all(context, &[(workload, address)]);
}

/// Those of these workloads, and no others.
pub(super) fn reach_all(context: &Context, pods: &[(&str, &str)]) {
    let Addresses::Mapped(book) = &context.addresses else { panic!("contexts of these tests have a book") };
    let pods: BTreeMap<&str, &str> = pods.iter().copied().collect();
    std::fs::write(book, json!(pods).to_string()).expect("there is room for a small file");
}
