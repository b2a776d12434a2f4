//! A small client of the API server, for what a test harness asks itself. Tests of clients bring their own.

use crate::certificates::{Authority, Identity};
use crate::error::Error;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// For connecting, and for every read: the API server answers its slowest requests within it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Talks to one port of loopback as one user; a connection per request.
#[derive(Debug, Clone)]
pub struct Api {
    port: u16,
    tls: Arc<ClientConfig>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body; JSON for everything but health checks.
    pub body: Vec<u8>,
}

impl Api {
    pub(crate) fn new(port: u16, authority: &Authority, identity: &Identity) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![identity.certificate.der().clone()], key)?;
        Ok(Self { port, tls: Arc::new(tls) })
    }

    /// The same user at another program of the control plane.
    pub(crate) fn at(&self, port: u16) -> Self {
        Self { port, tls: self.tls.clone() }
    }

    /// Reads an object or a list.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.expect("GET", path, None)
    }

    /// Creates an object.
    pub fn post(&self, path: &str, object: &Value) -> Result<Value, Error> {
        self.expect("POST", path, Some(object))
    }

    /// Sends a request and returns the answer, whatever its status.
    pub fn send(&self, method: &str, path: &str, object: Option<&Value>) -> Result<Reply, Error> {
        self.exchange(method, path, object)
            .map_err(|source| Error::NoAnswer { request: format!("{method} {path}"), source })
    }

    fn expect(&self, method: &str, path: &str, object: Option<&Value>) -> Result<Value, Error> {
        let reply = self.send(method, path, object)?;
        let request = || format!("{method} {path}");
        if !(200..300).contains(&reply.status) {
            return Err(Error::Refused { request: request(), status: reply.status, message: reply.message() });
        }
        serde_json::from_slice(&reply.body)
            .map_err(|error| Error::NoAnswer { request: request(), source: error.into() })
    }

    fn exchange(&self, method: &str, path: &str, object: Option<&Value>) -> io::Result<Reply> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let tls = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        let body = object.map(Value::to_string).unwrap_or_default();
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Reply::parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
    }
}

impl Reply {
    fn parse(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: answer[end + 4..].to_vec() })
    }

    /// The message of a Status object, or the body as it is.
    pub(crate) fn message(&self) -> String {
        let status: Option<Value> = serde_json::from_slice(&self.body).ok();
        let message = status.as_ref().and_then(|status| status["message"].as_str()).map(str::to_owned);
        message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_split_into_status_and_body() {
        let reply = Reply::parse(b"HTTP/1.0 409 Conflict\r\nA: b\r\n\r\n{\"message\": \"it exists\"}").unwrap();
        assert_eq!((reply.status, reply.message()), (409, "it exists".to_owned()));
        assert_eq!(Reply::parse(b"HTTP/1.0 200 OK\r\n\r\nok").unwrap().message(), "ok");
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        for answer in [&b""[..], b"\x15\x03\x01", b"HTTP/1.0 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n"] {
            assert_eq!(Reply::parse(answer), None, "{answer:?}");
        }
    }
}
