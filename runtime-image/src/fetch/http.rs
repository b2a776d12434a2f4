//! HTTP/1.1 with public or own authorities: one request, its redirections, and where its body begins.

use super::error::FetchError;
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_RANGE, LOCATION, RANGE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// A server that says nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const MOST_REDIRECTIONS: usize = 5;
/// Read of an answer that refuses.
const LONGEST_REFUSAL: usize = 4096;

/// What fetches.
#[derive(Debug)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Http {
    /// Trusts public authorities, and those in `authorities`.
    pub(super) fn new(authorities: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = authorities {
            let place = file.display();
            let own = CertificateDer::pem_file_iter(file).with_context(|| format!("failed to read {place}"))?;
            for own in own {
                roots.add(own.with_context(|| format!("{place} is not PEM"))?)?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp))))
    }

    /// Asks for what is behind the first `from` bytes. Answers the body and how many bytes lie before it: none, if the server
    /// begins anew.
    pub(super) async fn get(
        &self,
        url: Url,
        from: u64,
        redirections: bool,
    ) -> Result<(Response<Incoming>, u64), FetchError> {
        let mut url = url;
        for _ in 0..=MOST_REDIRECTIONS {
            let response = self.ask(&url, from).await?;
            match response.status() {
                StatusCode::OK => return Ok((response, 0)),
                StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(from) => return Ok((response, from)),
                // What is there cannot be continued: all of it is asked for.
                StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if from > 0 => {
                    return Box::pin(self.get(url, 0, redirections)).await;
                }
                status if status.is_redirection() && redirections => url = target(&url, &response)?,
                status => return Err(refusal(status, response).await),
            }
        }
        Err(FetchError::TooManyRedirections(MOST_REDIRECTIONS))
    }

    async fn ask(&self, url: &Url, from: u64) -> Result<Response<Incoming>, FetchError> {
        let mut request = Request::get(url.as_str()).header(USER_AGENT, concat!("eenn/", env!("CARGO_PKG_VERSION")));
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Empty::new()).map_err(|error| FetchError::Connect(error.to_string()))?;
        let response = timeout(SILENCE, self.0.request(request)).await;
        response.map_err(|_| FetchError::Silent(SILENCE.as_secs()))?.map_err(|error| no_answer(&error))
    }
}

fn begins_at(response: &Response<Incoming>) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn target(url: &Url, response: &Response<Incoming>) -> Result<Url, FetchError> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| url.join(location).ok());
    let status = response.status().as_u16();
    let target = target.ok_or(FetchError::Refused { status, why: "it is redirected to nowhere".to_owned() })?;
    if target.scheme() == "https" { Ok(target) } else { Err(FetchError::Unsecured(bare(&target))) }
}

/// Without what may be secret.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

async fn refusal(status: StatusCode, response: Response<Incoming>) -> FetchError {
    if status == StatusCode::NOT_FOUND {
        return FetchError::NotFound;
    }
    let body = timeout(SILENCE, Limited::new(response.into_body(), LONGEST_REFUSAL).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let (status, why) = (status.as_u16(), reason(&String::from_utf8_lossy(&body)));
    match status {
        408 | 425 | 429 | 500.. => FetchError::Server { status, why },
        _ => FetchError::Refused { status, why },
    }
}

/// What an answer says, in a line: the code and message of an object store, or the first words of a text.
fn reason(body: &str) -> String {
    let tag = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    };
    match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ if body.trim_start().starts_with('<') => String::new(),
        _ => body.lines().next().unwrap_or_default().chars().take(200).collect(),
    }
}

fn no_answer(error: &(dyn Error + 'static)) -> FetchError {
    match of_tls(error) {
        Some(rustls::Error::InvalidCertificate(why)) => FetchError::Untrusted(why.to_string()),
        Some(why) => FetchError::Connect(why.to_string()),
        None => FetchError::Connect(deepest(error).to_string()),
    }
}

/// An error of TLS among the causes; one of reading or writing hides what it is about from [`Error::source`].
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let hidden = hidden.and_then(|hidden| of_tls(hidden as &'a (dyn Error + 'static)));
    error.downcast_ref().or(hidden).or_else(|| of_tls(error.source()?))
}

fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().map_or(error, deepest)
}
