//! A folder as a Secret is mounted: read as a whole, and again when it changes.

use super::material::{Pem, TlsError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Certificate of the process, and intermediate ones behind it.
pub const CERTIFICATE: &str = "tls.crt";
/// Its private key.
pub const KEY: &str = "tls.key";
/// Authorities of peers.
pub const AUTHORITIES: &str = "ca.crt";

/// The link that a kubelet swaps when it replaces all files of a Secret at once.
const SWAPPED: &str = "..data";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was read last, right or not.
    read: Option<Pem>,
    /// What was said last about what is wrong; empty when all is right.
    complaint: String,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: Mutex::default() }
    }

    pub(super) fn read(&self) -> Result<Pem, TlsError> {
        // One version of the folder, although its link may be swapped between two files.
        let version = self.path.join(SWAPPED).canonicalize().unwrap_or_else(|_| self.path.clone());
        let read = |name: &str| {
            std::fs::read(version.join(name)).map_err(|source| TlsError::Read { file: self.path.join(name), source })
        };
        let pem = Pem { certificate: read(CERTIFICATE)?, key: read(KEY)?, authorities: read(AUTHORITIES)? };
        self.state().read = Some(pem.clone());
        Ok(pem)
    }

    /// What is in the folder, if it is something else than before. The files are small, and in memory where a kubelet
    /// mounts them.
    pub(super) fn changed(&self) -> Result<Option<Pem>, TlsError> {
        let before = self.state().read.take();
        let pem = self.read()?;
        let same = before.as_ref() == Some(&pem);
        if !same {
            self.state().complaint.clear();
        }
        Ok((!same).then_some(pem))
    }

    /// Says once what is wrong.
    pub(super) fn complain(&self, error: &TlsError) {
        let complaint = chain(error);
        let mut state = self.state();
        if state.complaint != complaint {
            tracing::warn!(folder = %self, "still using the certificate of before: {complaint}");
            state.complaint = complaint;
        }
    }

    pub(super) fn is_bad(&self) -> bool {
        !self.state().complaint.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
