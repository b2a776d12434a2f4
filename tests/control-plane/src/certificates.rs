//! A certificate authority for one control plane, and kubeconfigs with client certificates of it.

use crate::error::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Signs for clients and servers.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    pub(crate) key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Error> {
        let subject = "control-plane-ca";
        let failed = |source| Error::Certificate { subject: subject.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate, key_pem: key.serialize_pem(), issuer: Issuer::new(params, key) })
    }

    /// For whoever serves under one of `names`, which may be addresses.
    pub(crate) fn server(&self, names: &[&str]) -> Result<Identity, Error> {
        let failed = |source| Error::Certificate { subject: names.join(", "), source };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth).map_err(failed)
    }

    /// For a user of the API server: Kubernetes takes the name from CN and the group from O.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, Error> {
        let failed = |source| Error::Certificate { subject: user.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth).map_err(failed)
    }

    /// A kubeconfig of one user, complete in itself.
    pub(crate) fn kubeconfig(&self, server: &str, identity: &Identity) -> String {
        let authority = STANDARD.encode(self.certificate.pem());
        let certificate = STANDARD.encode(identity.certificate.pem());
        let key = STANDARD.encode(identity.key.serialize_pem());
        format!(
            "apiVersion: v1
kind: Config
current-context: control-plane
contexts:
- name: control-plane
  context: {{cluster: control-plane, user: control-plane}}
clusters:
- name: control-plane
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: control-plane
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
        )
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Identity, rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        Ok(Identity { certificate: params.signed_by(&key, &self.issuer)?, key })
    }
}
