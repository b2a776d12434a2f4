//! Certificates for tests.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::path::Path;

/// An authority that certifies whom it is asked to.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one; several may have one name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certifies a peer with one name.
    pub fn issue(&self, name: &str) -> Certified {
        self.issue_until(name, 4000)
    }

    /// Certifies one whose time was over at the start of `year`.
    pub fn issue_until(&self, name: &str, year: i32) -> Certified {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a DNS name");
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Certified { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Writes a folder as a Secret is mounted: all files change at once.
pub fn mount(folder: &Path, certified: &Certified, authorities: &[&Authority]) {
    let version = tempfile::Builder::new().prefix("..").tempdir_in(folder).expect("a version").keep();
    let bundle: String = authorities.iter().map(|authority| authority.pem()).collect();
    let files = [("tls.crt", &certified.certificate), ("tls.key", &certified.key), ("ca.crt", &bundle)];
    for (name, content) in files {
        std::fs::write(version.join(name), content).expect("a file of the version");
        let link = folder.join(name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).expect("a link to the file");
        }
    }
    std::os::unix::fs::symlink(version.file_name().expect("a folder has a name"), folder.join("..next"))
        .expect("a link to the version");
    std::fs::rename(folder.join("..next"), folder.join("..data")).expect("the version can be swapped in");
}
