//! Both sides of a handshake, and why one failed.

use super::Tls;
use super::material::PROVIDER;
use super::verifier::{Expected, UnknownPeer};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, OtherError, ServerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// A peer that was refused has so long, and so many bytes, to read why.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 * 1024;

/// The listening side.
#[derive(Debug, Clone)]
pub struct Acceptor {
    tls: Arc<Tls>,
    names: Arc<[String]>,
}

/// The dialling side.
#[derive(Debug, Clone)]
pub struct Connector {
    tls: Arc<Tls>,
    peer: ServerName<'static>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct HandshakeError {
    /// The kind, for metrics.
    pub reason: Reason,
    what: String,
}

/// Kinds of failed handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The peer showed no certificate.
    NoCertificate,
    /// No authority of the bundle has signed the peer's certificate.
    UnknownAuthority,
    /// The peer is somebody else.
    OtherName,
    /// The peer's certificate is not valid any more, or not yet.
    NotValidNow,
    /// The peer's certificate is wrong in another way.
    BadCertificate,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer refused this process.
    RefusedByPeer,
    /// The peer said nothing in time, or the connection broke.
    Broken,
}

impl Reason {
    /// Word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Reason::NoCertificate => "no-certificate",
            Reason::UnknownAuthority => "unknown-authority",
            Reason::OtherName => "other-name",
            Reason::NotValidNow => "not-valid-now",
            Reason::BadCertificate => "bad-certificate",
            Reason::NotTls => "not-tls",
            Reason::RefusedByPeer => "refused-by-peer",
            Reason::Broken => "broken",
        }
    }
}

impl Acceptor {
    pub(super) fn new(tls: Arc<Tls>, names: &[&str]) -> Self {
        Self { tls, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// Shows the certificate of this process and verifies that of the peer, all within `patience`.
    pub async fn accept(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Result<server::TlsStream<TcpStream>, HandshakeError> {
        let accepting = TlsAcceptor::from(self.config()).accept(stream).into_fallible();
        match timeout(patience, accepting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err((error, stream))) => {
                tokio::spawn(timeout(FAREWELL, farewell(stream)));
                Err(error.into())
            }
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    fn config(&self) -> Arc<ServerConfig> {
        let material = self.tls.material();
        let authorities = Arc::clone(&material.authorities);
        let authorities = WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(&PROVIDER))
            .build()
            .expect("there is at least one authority and no revocation list");
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_client_cert_verifier(Arc::new(Expected { authorities, names: self.names.to_vec() }))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.key))));
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

/// Closing at once would reset the connection, and the alert that says why would be lost with it.
async fn farewell(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = stream.take(FAREWELL_BYTES);
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
}

impl Connector {
    pub(super) fn new(tls: Arc<Tls>, peer: ServerName<'static>) -> Self {
        Self { tls, peer }
    }

    /// Verifies the peer's certificate and shows that of this process. Whether the peer accepts it is known with the first
    /// bytes that are read; [`HandshakeError`] says why not, made of the error of that read.
    pub async fn connect(&self, stream: TcpStream) -> Result<client::TlsStream<TcpStream>, HandshakeError> {
        Ok(TlsConnector::from(self.config()).connect(self.peer.clone(), stream).await?)
    }

    fn config(&self) -> Arc<ClientConfig> {
        let material = self.tls.material();
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_root_certificates(Arc::clone(&material.authorities))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&material.key))));
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

impl HandshakeError {
    /// If an error of reading or writing is one of TLS: what it says.
    pub fn of_tls(error: &io::Error) -> Option<Self> {
        let (reason, what) = in_words(error.get_ref()?.downcast_ref::<rustls::Error>()?);
        Some(Self { reason, what })
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::of_tls(&error).unwrap_or_else(|| Self { reason: Reason::Broken, what: error.to_string() })
    }
}

fn in_words(error: &rustls::Error) -> (Reason, String) {
    use rustls::Error;
    match error {
        Error::NoCertificatesPresented => (Reason::NoCertificate, "peer shows no certificate".to_owned()),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => (Reason::NotTls, format!("peer does not speak TLS: {error}")),
        Error::AlertReceived(alert) => (Reason::RefusedByPeer, refused(*alert)),
        error => (Reason::Broken, error.to_string()),
    }
}

fn of_certificate(error: &CertificateError) -> (Reason, String) {
    use CertificateError as E;
    let reason = match error {
        E::Other(OtherError(other)) if other.is::<UnknownPeer>() => return (Reason::OtherName, other.to_string()),
        E::NotValidForName | E::NotValidForNameContext { .. } => Reason::OtherName,
        // Of two authorities with one name, the wrong one may be tried.
        E::UnknownIssuer | E::BadSignature => {
            return (
                Reason::UnknownAuthority,
                "peer's certificate is of an authority that is not in ca.crt".to_owned(),
            );
        }
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => Reason::NotValidNow,
        _ => Reason::BadCertificate,
    };
    (reason, format!("peer's certificate is refused: {error}"))
}

/// Alerts as our listening side sends them.
fn refused(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::CertificateUnknown | AlertDescription::AccessDenied => {
            "it expects somebody else than this certificate names"
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "it does not know the authority of this certificate"
        }
        AlertDescription::CertificateExpired => "this certificate has expired, or is not valid yet",
        AlertDescription::CertificateRequired => "it wants a certificate",
        other => return format!("peer refused the connection: {other:?}"),
    };
    format!("peer refused the connection: {why}")
}
