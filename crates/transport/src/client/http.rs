//! One HTTP/1.1 connection to one address, kept while it lives.

use crate::tls::{Connector, HandshakeError};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For connecting, and again for shaking hands.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Of an answer that refuses, as much is passed on.
const LONGEST_REASON: usize = 1024;

/// Why there is no answer, or not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or nobody can be reached.
    #[error("no connection to {address}")]
    Connect {
        /// Whom.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// One of the two did not accept the other.
    #[error("{address}: {source}")]
    Handshake {
        /// Whom.
        address: String,
        /// Why.
        source: HandshakeError,
    },
    /// The connection broke before the answer.
    #[error("the connection to {address} broke")]
    Broken {
        /// Whom.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came in time.
    #[error("{address} did not answer within {} s", .within.as_secs())]
    Late {
        /// Who.
        address: String,
        /// In what time.
        within: Duration,
    },
    /// The answer is a refusal.
    #[error("{address} refused with status {status}: {reason}")]
    Refused {
        /// Who.
        address: String,
        /// With which status.
        status: u16,
        /// Why.
        reason: String,
    },
    /// The answer is not what was asked for.
    #[error("{address} sent what cannot be read")]
    Unreadable {
        /// Who.
        address: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// A connection, and the task that keeps it; that one knows why it ended.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

#[derive(Debug)]
pub(super) struct Http {
    address: String,
    tls: Option<Connector>,
    /// Bytes of an answer, at most: a peer may be somebody else's, and many are asked at a time.
    largest: usize,
    /// Held while a request is under way: they go one after the other, each with its time limits.
    idle: Mutex<Option<Connection>>,
}

impl Http {
    pub(super) fn new(address: String, tls: Option<Connector>, largest: usize) -> Self {
        Self { address, tls, largest, idle: Mutex::default() }
    }

    /// Sends a request and reads the answer to its end, all `within` a time.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut idle = self.idle.lock().await;
        let late = |_| ClientError::Late { address: self.address.clone(), within };
        let kept = idle.take();
        let exchange = self.exchange(kept, method, path, body);
        let (connection, answer) = timeout(within, exchange).await.map_err(late)??;
        *idle = Some(connection);
        Ok(answer)
    }

    async fn exchange(
        &self,
        kept: Option<Connection>,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<(Connection, (StatusCode, Bytes)), ClientError> {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        let mut request = request.body(Full::new(body)).map_err(|error| self.broken(error))?;
        if let Some(mut kept) = kept.filter(|kept| !kept.sender.is_closed()) {
            match kept.sender.try_send_request(request).await {
                Ok(answer) => return Ok((kept, self.read_to_end(answer).await?)),
                Err(mut error) => match error.take_message() {
                    // The connection was closed before anything was sent on it.
                    Some(unsent) => request = unsent,
                    None => return Err(self.broken(error.into_error())),
                },
            }
        }
        let mut fresh = self.connect().await?;
        match fresh.sender.send_request(request).await {
            Ok(answer) => Ok((fresh, self.read_to_end(answer).await?)),
            Err(error) => Err(self.explained(fresh, error).await),
        }
    }

    async fn read_to_end(&self, answer: Response<Incoming>) -> Result<(StatusCode, Bytes), ClientError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), self.largest).collect().await;
        let body = body.map_err(|source| ClientError::Broken { address: self.address.clone(), source })?;
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let failed = |source| ClientError::Connect { address: self.address.clone(), source };
        let late = |_| failed(io::ErrorKind::TimedOut.into());
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(&self.address)).await.map_err(late)?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(tls) = &self.tls else { return self.handshake(stream).await };
        let stream = timeout(CONNECT_WITHIN, tls.connect(stream)).await.map_err(late)?;
        let stream = stream.map_err(|source| ClientError::Handshake { address: self.address.clone(), source })?;
        self.handshake(stream).await
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Connection, ClientError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        // Ends with the sender.
        Ok(Connection { sender, task: tokio::spawn(connection) })
    }

    /// A peer that refuses this process says so with its first bytes, maybe before the request was written.
    async fn explained(&self, Connection { sender, task }: Connection, error: hyper::Error) -> ClientError {
        drop(sender);
        let ended = task.await.ok().and_then(Result::err);
        let refusal = ended.as_ref().and_then(refusal).or_else(|| refusal(&error));
        match refusal {
            Some(source) => ClientError::Handshake { address: self.address.clone(), source },
            None => self.broken(error),
        }
    }

    fn broken(&self, source: impl std::error::Error + Send + Sync + 'static) -> ClientError {
        ClientError::Broken { address: self.address.clone(), source: source.into() }
    }

    /// An answer in JSON.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(answer)
            .map_err(|source| ClientError::Unreadable { address: self.address.clone(), source })
    }

    /// An answer that refuses.
    pub(super) fn refused(&self, status: StatusCode, answer: &[u8]) -> ClientError {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let text = || String::from_utf8_lossy(&answer[..answer.len().min(LONGEST_REASON)]).into_owned();
        let reason = serde_json::from_slice(answer).map_or_else(|_| text(), |refusal: Refusal| refusal.error);
        ClientError::Refused { address: self.address.clone(), status: status.as_u16(), reason }
    }
}

fn refusal(error: &hyper::Error) -> Option<HandshakeError> {
    HandshakeError::of_tls(error.source()?.downcast_ref::<io::Error>()?)
}
