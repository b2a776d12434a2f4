//! Why a file could not be fetched.

use std::io;

/// Phrased to read after "failed to fetch …".
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it does not exist (status 404)")]
    NotFound,
    #[error("the server refused with status {status}{}", said(why))]
    Refused { status: u16, why: String },
    #[error("the server failed with status {status}{}", said(why))]
    Server { status: u16, why: String },
    #[error("more than {0} redirections")]
    TooManyRedirections(usize),
    #[error("it is redirected to {0}, which is not secured")]
    Unsecured(String),
    #[error("there is no connection: {0}")]
    Connect(String),
    #[error("the server's certificate is refused: {0}")]
    Untrusted(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("nothing came for {0} s")]
    Silent(u64),
    #[error("it has {size} bytes, more than the limit of {limit}")]
    Larger { size: u64, limit: u64 },
    #[error("it has more bytes than the limit of {limit}")]
    Endless { limit: u64 },
    #[error("its sha256 is {found}, not {expected}")]
    Digest { expected: String, found: String },
    #[error("there is no space left for {file}")]
    NoSpace { file: String },
    #[error("failed to read {file}: {source}")]
    Read { file: String, source: io::Error },
    #[error("failed to write {file}: {source}")]
    Write { file: String, source: io::Error },
}

fn said(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

impl FetchError {
    /// Whether it may go better in a moment.
    pub(super) fn is_transient(&self) -> bool {
        use FetchError as E;
        matches!(self, E::Server { .. } | E::Connect(_) | E::Broken(_) | E::Silent(_))
    }
}
