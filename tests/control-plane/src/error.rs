//! What can go wrong, phrased to read after "failed to".

use crate::{Binary, Program};
use std::path::PathBuf;

/// Why there is no control plane, or why it did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Go is missing or too old. The one error that a test may skip for; see [`unavailable`](crate::unavailable).
    #[error(
        "build {binary} with Go: {reason}; install Go 1.26 or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a \
         folder that holds {binary}"
    )]
    NoGo {
        /// What was to be built.
        binary: Binary,
        /// What Go said, or that there is none.
        reason: String,
    },
    /// Go is there, but its build failed.
    #[error("build {binary} with `{command}`: {complaint}")]
    Build {
        /// What was to be built.
        binary: Binary,
        /// The command that repeats it.
        command: String,
        /// What Go said.
        complaint: String,
    },
    /// The operating system refused.
    #[error("{attempt}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No cache folder can be named.
    #[error("find a cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// A program ended although it should run.
    #[error("keep {program} running: it ended; the last lines of {}:\n{tail}", log.display())]
    Ended {
        /// Which.
        program: Program,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// A program runs but does not become ready.
    #[error("wait for {program}: not ready after {seconds} s ({last}); the last lines of {}:\n{tail}", log.display())]
    NotReady {
        /// Which.
        program: Program,
        /// How long it was waited for.
        seconds: u64,
        /// What the last look gave.
        last: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// A certificate could not be made.
    #[error("make a certificate for {subject}")]
    Certificate {
        /// For whom.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
    /// No TLS with this certificate.
    #[error("set up TLS with the API server")]
    Tls(#[from] rustls::Error),
    /// The API server did not answer, or not in HTTP.
    #[error("{request}: no answer")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// Why.
        source: std::io::Error,
    },
    /// The API server said no.
    #[error("{request}: {status}: {message}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
}

impl Error {
    /// For `map_err`: what was attempted when the operating system refused.
    pub(crate) fn io(attempt: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Io { attempt, source }
    }
}
