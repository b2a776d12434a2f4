//! Mutual TLS 1.3: every process shows a certificate, and every process says whose it accepts.
//!
//! A process has one [`Tls`]: its certificate with key, and the authorities it trusts. [`Acceptor`]s and [`Connector`]s are made
//! of it, and take what is newest for each connection. Peers are dialled by address and known by name: their certificate has
//! to chain to one of the authorities and to carry the expected DNS name.
//!
//! Sessions are not resumed: a resumed one would be let in by a certificate that is no longer looked at.

mod folder;
mod handshake;
mod material;
mod verifier;

pub use folder::{AUTHORITIES, CERTIFICATE, KEY};
pub use handshake::{Acceptor, Connector, HandshakeError, Reason};
pub use material::{Pem, TlsError};

use arc_swap::ArcSwap;
use folder::Folder;
use material::Material;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Certificate, key and authorities of this process, exchanged as a whole.
#[derive(Debug)]
pub struct Tls {
    current: ArcSwap<Material>,
    folder: Option<Folder>,
}

impl Tls {
    /// Takes what is in `folder`: `tls.crt`, `tls.key` and `ca.crt`, as a Secret is mounted. [`Tls::follow`] keeps up with it.
    pub fn open(folder: &Path) -> Result<Arc<Self>, TlsError> {
        let folder = Folder::new(folder);
        let material = Material::read(&folder.read()?)?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(material), folder: Some(folder) }))
    }

    /// Takes material that the caller holds, and renews it by [`Tls::replace`].
    pub fn of(pem: &Pem) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(Material::read(pem)?), folder: None }))
    }

    /// New connections use `pem`; on an error they go on with what was there.
    pub fn replace(&self, pem: &Pem) -> Result<(), TlsError> {
        self.current.store(Arc::new(Material::read(pem)?));
        Ok(())
    }

    /// Looks into the folder every so often, for ever. New connections use what is newest of what is right.
    pub async fn follow(&self, every: Duration) {
        let Some(folder) = &self.folder else { return };
        loop {
            tokio::time::sleep(every).await;
            match folder.changed() {
                Ok(None) => {}
                Ok(Some(pem)) => match self.replace(&pem) {
                    Ok(()) => tracing::info!(%folder, names = ?self.names(), "new certificate and authorities"),
                    Err(error) => folder.complain(&error),
                },
                Err(error) => folder.complain(&error),
            }
        }
    }

    /// Whether the folder holds something that cannot be used, so that what it held before still is.
    pub fn is_behind(&self) -> bool {
        self.folder.as_ref().is_some_and(Folder::is_bad)
    }

    /// DNS names in the certificate of this process.
    pub fn names(&self) -> Vec<String> {
        self.current.load().names.clone()
    }

    /// Refuses a certificate that does not carry `name`: peers would not let this process in.
    pub fn expect_name(&self, name: &str) -> Result<(), TlsError> {
        let names = self.names();
        if names.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        Err(TlsError::OtherName { names, expected: name.to_owned() })
    }

    /// Lets in peers that carry one of `names`.
    pub fn acceptor(self: &Arc<Self>, names: &[&str]) -> Acceptor {
        Acceptor::new(Arc::clone(self), names)
    }

    /// Connects to peers that carry `name`.
    pub fn connector(self: &Arc<Self>, name: &str) -> Result<Connector, TlsError> {
        let bad = |_| TlsError::NoName { name: name.to_owned() };
        Ok(Connector::new(Arc::clone(self), ServerName::try_from(name.to_owned()).map_err(bad)?))
    }

    fn material(&self) -> Arc<Material> {
        self.current.load_full()
    }
}
