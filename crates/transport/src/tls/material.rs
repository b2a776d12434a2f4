//! Certificate, key and authorities: read from PEM and held against each other.

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// The cryptography that everything here uses.
pub(super) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// Material as it is written down, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// Certificate of this process, and the intermediate ones behind it.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// Authorities of peers, one or more.
    pub authorities: Vec<u8>,
}

/// Keys are not for logs.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

/// Why material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or unreadable.
    #[error("failed to read {}", file.display())]
    Read {
        /// Which one.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is not PEM, or holds nothing of the kind.
    #[error("{what} cannot be read as PEM: {why}")]
    Pem {
        /// Which of the three.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The certificate, or the one of an authority, is none.
    #[error("{what} cannot be used: {why}")]
    Unusable {
        /// Which of the three.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The key belongs to another certificate.
    #[error("the key (tls.key) does not belong to the certificate (tls.crt): both have to be replaced together")]
    KeyMismatch,
    /// The certificate is for somebody else.
    #[error("the certificate (tls.crt) is for {}, not for {expected}", list(names))]
    OtherName {
        /// For whom.
        names: Vec<String>,
        /// Who this is.
        expected: String,
    },
    /// A peer is expected under a name that none can have.
    #[error("{name:?} is no DNS name")]
    NoName {
        /// The name.
        name: String,
    },
}

const CERTIFICATE: &str = "the certificate (tls.crt)";
const KEY: &str = "the key (tls.key)";
const AUTHORITIES: &str = "the bundle of authorities (ca.crt)";

/// Material that has been checked.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) authorities: Arc<RootCertStore>,
    /// DNS names in the certificate.
    pub(super) names: Vec<String>,
}

impl Material {
    pub(super) fn read(pem: &Pem) -> Result<Self, TlsError> {
        let chain = certificates(CERTIFICATE, &pem.certificate)?;
        let names = dns_names(&chain[0]).map_err(|error| unusable(CERTIFICATE, &error))?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|error| TlsError::Pem { what: KEY, why: error.to_string() })?;
        let key = CertifiedKey::from_der(chain, key, &PROVIDER).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch,
            error => unusable(KEY, &error),
        })?;
        let mut authorities = RootCertStore::empty();
        for authority in certificates(AUTHORITIES, &pem.authorities)? {
            authorities.add(authority).map_err(|error| unusable(AUTHORITIES, &error))?;
        }
        Ok(Self { key: Arc::new(key), authorities: Arc::new(authorities), names })
    }
}

/// At least one certificate.
fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| TlsError::Pem { what, why: error.to_string() })?;
    if all.is_empty() {
        return Err(TlsError::Pem { what, why: "there is no certificate in it".to_owned() });
    }
    Ok(all)
}

fn unusable(what: &'static str, error: &dyn std::error::Error) -> TlsError {
    TlsError::Unusable { what, why: error.to_string() }
}

/// DNS names that a certificate carries.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let certificate = webpki::EndEntityCert::try_from(certificate)?;
    Ok(certificate.valid_dns_names().map(str::to_owned).collect())
}

/// Names as a sentence has them.
pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody (no DNS name without wildcard)".to_owned() } else { names.join(", ") }
}
