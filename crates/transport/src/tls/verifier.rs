//! Who may connect: a certificate of one of the authorities that carries one of the expected names.

use super::material::{dns_names, list};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use std::sync::Arc;

/// A peer whose certificate is right, and who is none of those expected.
#[derive(Debug, thiserror::Error)]
#[error("peer is {}, only {} may connect", list(peer), list(expected))]
pub(super) struct UnknownPeer {
    peer: Vec<String>,
    expected: Vec<String>,
}

/// Verifies as `authorities` does, and then looks at the name. Wildcards in certificates match nothing here.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) authorities: Arc<dyn ClientCertVerifier>,
    pub(super) names: Vec<String>,
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.authorities.verify_client_cert(certificate, intermediates, now)?;
        let peer = dns_names(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let expected = |name: &String| self.names.iter().any(|expected| expected.eq_ignore_ascii_case(name));
        if peer.iter().any(expected) {
            return Ok(verified);
        }
        let unknown = UnknownPeer { peer, expected: self.names.clone() };
        Err(CertificateError::Other(OtherError(Arc::new(unknown))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
