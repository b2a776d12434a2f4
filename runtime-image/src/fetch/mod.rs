//! A file is brought here, whole and with the right digest, or not at all: what an init container does before a fragment starts.
//!
//! Interrupted transfers go on where they stopped, if the server can; the digest is of all that was written. Addresses with
//! signatures are made anew for each attempt, and appear in no message.

mod error;
mod http;
mod partial;
mod source;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use error::FetchError;
use http::{Http, SILENCE};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
pub(crate) use partial::digest;
use partial::{CHUNK, Partial};
use source::Source;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Time between two lines about progress.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to fetch.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Address: https://…, s3://BUCKET/KEY, file:///… or a path. S3 takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL from the environment
    #[arg(long)]
    uri: String,
    /// What its sha256 must be
    #[arg(long, value_name = "HEX", value_parser = parse_digest)]
    sha256: String,
    /// Where it goes
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Bytes that it may have at most
    #[arg(long, value_name = "BYTES")]
    limit: u64,
    /// Authorities to trust beside the public ones, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Attempts in a row that may fail without a byte gained
    #[arg(long, default_value_t = 6)]
    attempts: u32,
    /// Pause before the second attempt; it doubles with each, up to 30 s
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    pause_milliseconds: u64,
}

/// A sha256 in hexadecimal digits.
pub(crate) fn parse_digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let right = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if right { Ok(hex.to_ascii_lowercase()) } else { Err("a sha256 has 64 hexadecimal digits".to_owned()) }
}

/// Fetches, or says why not.
pub(crate) fn run(options: &Fetch) -> anyhow::Result<()> {
    let what = || format!("failed to fetch {}", options.uri);
    if partial::digest(&options.to).is_ok_and(|found| found == options.sha256) {
        return say(&format!("{} is there already", options.to.display()));
    }
    let source = Source::read(&options.uri, |name| std::env::var(name).ok()).with_context(what)?;
    let partial = Partial::create(&options.to, options.limit).with_context(what)?;
    let size = match &source {
        Source::File(file) => copy(file, partial, options),
        Source::Https(_) | Source::S3(_) => {
            let http = Http::new(options.ca_file.as_deref())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(fetch(&http, &source, partial, options))
        }
    };
    say(&format!("fetched {}: {} bytes with the right sha256", options.uri, size.with_context(what)?))
}

fn copy(file: &Path, mut partial: Partial, options: &Fetch) -> Result<u64, FetchError> {
    let failed = |source| FetchError::Read { file: file.display().to_string(), source };
    let mut from = std::fs::File::open(file).map_err(failed)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => partial.write(&buffer[..read])?,
        }
    }
    partial.check(&options.sha256)?;
    partial.finish()
}

/// Tries until there is a file, or no hope.
async fn fetch(http: &Http, source: &Source, mut partial: Partial, options: &Fetch) -> Result<u64, FetchError> {
    let first = Duration::from_millis(options.pause_milliseconds);
    let (mut failures, mut pause) = (0, first);
    loop {
        let before = partial.size();
        let error = match attempt(http, source, &mut partial).await.and_then(|()| partial.check(&options.sha256)) {
            Ok(()) => return partial.finish(),
            Err(error) => error,
        };
        // The file may have changed between two parts of it.
        let mixed = matches!(error, FetchError::Digest { .. }) && before > 0;
        if mixed {
            partial.restart()?;
        } else if partial.size() > before {
            (failures, pause) = (0, first);
        }
        failures += 1;
        if failures >= options.attempts || !(mixed || error.is_transient()) {
            return Err(error);
        }
        let _ = say(&format!("{error}; trying again in {} ms, with {} bytes", pause.as_millis(), partial.size()));
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(http: &Http, source: &Source, partial: &mut Partial) -> Result<(), FetchError> {
    let url = source.url().expect("files are copied");
    let (response, begins) = http.get(url, partial.size(), source.follows_redirections()).await?;
    if begins < partial.size() {
        partial.restart()?;
    }
    let mut body = response.into_body();
    let whole = body.size_hint().exact().map(|rest| partial.size() + rest);
    if let Some(whole) = whole {
        partial.announce(whole)?;
    }
    let mut said = Instant::now();
    while let Some(bytes) = next(&mut body).await? {
        partial.write(&bytes)?;
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            let of = whole.map_or_else(String::new, |whole| format!(" of {whole}"));
            let _ = say(&format!("{}{of} bytes", partial.size()));
        }
    }
    Ok(())
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, FetchError> {
    let frame = timeout(SILENCE, body.frame()).await.map_err(|_| FetchError::Silent(SILENCE.as_secs()))?;
    let frame = frame.transpose().map_err(|error| FetchError::Broken(error.to_string()))?;
    Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

fn say(what: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{what}")?)
}
