//! `eenn-runtime fetch` against servers that do what servers do.

#![expect(clippy::unwrap_used, reason = "all of it is test, its helpers as well")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use system_tests::authority::Authority;
use system_tests::binary;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

const SIZE: usize = 1_000_000;
const LIMIT: &str = "1000000";

fn content() -> Vec<u8> {
    (0..SIZE).map(|index| (index % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One answer for each connection, in order.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(certified: Option<&Authority>, answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heads) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let (acceptor, told) = (certified.map(acceptor), Arc::clone(&heads));
        tokio::spawn(async move {
            for answer in answers {
                let stream = listener.accept().await.unwrap().0;
                match &acceptor {
                    None => reply(stream, &answer, &told).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            reply(stream, &answer, &told).await;
                        }
                    }
                }
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let certified = authority.issue("localhost");
    let chain = vec![CertificateDer::from_pem_slice(certified.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], heads: &Mutex<Vec<String>>) {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    // A client that does not want all of it closes the connection.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// `body`, of which only the first `sent` bytes come.
fn ok(body: &[u8], sent: usize) -> Vec<u8> {
    answer("200 OK", &format!("content-length: {}\r\n", body.len()), &body[..sent])
}

/// One run of `fetch`.
struct Run {
    folder: TempDir,
    output: Output,
}

impl Run {
    fn said(&self) -> String {
        let Output { stdout, stderr, .. } = &self.output;
        String::from_utf8_lossy(stdout).into_owned() + &String::from_utf8_lossy(stderr)
    }

    fn check_fetched(&self) {
        assert!(self.output.status.success(), "{}", self.said());
        assert!(std::fs::read(self.folder.path().join("model.onnx")).unwrap() == content());
        self.check_alone(1);
    }

    fn check_failed(&self, expected: &str) {
        assert_eq!(self.output.status.code(), Some(1), "{}", self.said());
        assert!(self.said().contains(expected), "{} does not say {expected:?}", self.said());
        self.check_alone(0);
    }

    /// Nothing half is left behind.
    fn check_alone(&self, files: usize) {
        let left: Vec<_> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left.len(), files, "{left:?}");
    }
}

async fn fetch(uri: &str, authority: Option<&Authority>, limit: &str, environment: &[(&str, &str)]) -> Run {
    let (folder, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = Command::new(binary("eenn-runtime"));
    command.args(["fetch", "--uri", uri, "--sha256", &sha256(&content()), "--limit", limit]);
    command.args(["--pause-milliseconds", "1", "--attempts", "3", "--to"]).arg(folder.path().join("model.onnx"));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    if let Some(authority) = authority {
        let file = trusted.path().join("ca.crt");
        std::fs::write(&file, authority.pem()).unwrap();
        command.arg("--ca-file").arg(file);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Run { folder, output }
}

/// Fetches over https from a server with these answers; how it went, and what the server was asked.
async fn https(answers: Vec<Vec<u8>>, limit: &str) -> (Run, Vec<String>) {
    let authority = Authority::new("files");
    let server = Server::start(Some(&authority), answers).await;
    let uri = format!("https://localhost:{}/a/model.onnx", server.port);
    (fetch(&uri, Some(&authority), limit, &[]).await, server.heads())
}

#[tokio::test]
async fn a_file_comes_whole_and_only_once() {
    let authority = Authority::new("files");
    let server = Server::start(Some(&authority), vec![ok(&content(), SIZE)]).await;
    let uri = format!("https://localhost:{}/model.onnx", server.port);
    let run = fetch(&uri, Some(&authority), LIMIT, &[]).await;
    run.check_fetched();
    assert!(run.said().contains("1000000 bytes with the right sha256"), "{}", run.said());
    let there = run.folder.path().join("model.onnx").display().to_string();
    let again = Command::new(binary("eenn-runtime"))
        .args(["fetch", "--uri", &uri, "--sha256", &sha256(&content()), "--limit", LIMIT, "--to", &there])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains("is there already"));
    fetch(&there, None, LIMIT, &[]).await.check_fetched();
    fetch(&format!("file://{there}"), None, "1000", &[]).await.check_failed("more bytes than the limit of 1000");
}

#[tokio::test]
async fn what_broke_off_goes_on_where_it_stopped() {
    let rest = &content()[400_000..];
    let headers = format!("content-length: {}\r\ncontent-range: bytes 400000-999999/1000000\r\n", rest.len());
    let answers = vec![ok(&content(), 400_000), answer("206 Partial Content", &headers, rest)];
    let (run, heads) = https(answers, LIMIT).await;
    run.check_fetched();
    assert!(heads[1].contains("range: bytes=400000-"), "{heads:?}");
    // A server that cannot go on begins anew, and so does the file.
    https(vec![ok(&content(), 400_000), ok(&content(), SIZE)], LIMIT).await.0.check_fetched();
    // One whose file has changed meanwhile is asked for all of it.
    let other = answer("206 Partial Content", &headers, &vec![7; rest.len()]);
    https(vec![ok(&content(), 400_000), other, ok(&content(), SIZE)], LIMIT).await.0.check_fetched();
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again_and_given_up_after_some_attempts() {
    let trouble = || answer("503 Service Unavailable", "content-length: 4\r\n", b"busy");
    https(vec![trouble(), trouble(), ok(&content(), SIZE)], LIMIT).await.0.check_fetched();
    let (run, heads) = https(vec![trouble(), trouble(), trouble(), ok(&content(), SIZE)], LIMIT).await;
    run.check_failed("the server failed with status 503: busy");
    assert_eq!(heads.len(), 3);
    fetch("https://localhost:1/x", None, LIMIT, &[]).await.check_failed("there is no connection");
}

#[tokio::test]
async fn what_cannot_get_better_is_said_at_once() {
    let (run, heads) = https(vec![answer("404 Not Found", "content-length: 0\r\n", b"")], LIMIT).await;
    run.check_failed("it does not exist (status 404)");
    assert_eq!(heads.len(), 1);
    let (run, _) = https(vec![ok(&content(), SIZE)], "999999").await;
    run.check_failed("it has 1000000 bytes, more than the limit of 999999");
    let chunked = answer("200 OK", "transfer-encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\n\r\n");
    https(vec![chunked], "4").await.0.check_failed("it has more bytes than the limit of 4");
    let (run, _) = https(vec![ok(b"other", 5)], LIMIT).await;
    run.check_failed(&format!("its sha256 is {}, not {}", sha256(b"other"), sha256(&content())));
    let (authority, stranger) = (Authority::new("files"), Authority::new("others"));
    let server = Server::start(Some(&authority), vec![ok(&content(), SIZE)]).await;
    let uri = format!("https://localhost:{}/model.onnx", server.port);
    fetch(&uri, Some(&stranger), LIMIT, &[]).await.check_failed("the server's certificate is refused");
    fetch("http://localhost/x", None, LIMIT, &[]).await.check_failed("it is not secured: use https");
}

#[tokio::test]
async fn redirections_are_followed_as_long_as_they_are_secured() {
    let moved = |to: &str| answer("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n"), b"");
    let (run, heads) = https(vec![moved("/b?token=secret"), ok(&content(), SIZE)], LIMIT).await;
    run.check_fetched();
    assert!(heads[1].starts_with("GET /b?token=secret HTTP/1.1"), "{heads:?}");
    let (run, _) = https(vec![moved("http://user:secret@localhost/b?token=secret")], LIMIT).await;
    run.check_failed("it is redirected to http://localhost/b, which is not secured");
    assert!(!run.said().contains("secret"));
}

#[tokio::test]
async fn object_stores_are_asked_with_signatures() {
    let denied = b"<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>";
    let denied = answer("403 Forbidden", &format!("content-length: {}\r\n", denied.len()), denied);
    let server = Server::start(None, vec![ok(&content(), SIZE), denied]).await;
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let environment = [
        ("AWS_ENDPOINT_URL", &*endpoint),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "very-secret"),
        ("AWS_REGION", "edge-1"),
    ];
    fetch("s3://models/a/b.onnx", None, LIMIT, &environment).await.check_fetched();
    let run = fetch("s3://models/a/b.onnx", None, LIMIT, &environment[..1]).await;
    run.check_failed("the server refused with status 403: AccessDenied: not yours");
    let heads = server.heads();
    assert!(heads[0].starts_with("GET /models/a/b.onnx?X-Amz-Algorithm=AWS4-HMAC-SHA256&"), "{heads:?}");
    assert!(heads[0].contains("X-Amz-Signature=") && heads[0].contains("%2Fedge-1%2Fs3%2F"), "{heads:?}");
    assert!(heads[1].starts_with("GET /models/a/b.onnx HTTP/1.1"), "{heads:?}");
    assert!(!heads.concat().contains("very-secret"));
}

#[test]
fn a_full_disk_is_said_and_nothing_half_stays() {
    let folder = tempfile::tempdir().unwrap();
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), content()).unwrap();
    // A limit on the size of files fails as a full disk does.
    let script =
        "trap '' XFSZ; ulimit -f 100; exec \"$0\" fetch --uri \"$1\" --sha256 \"$2\" --to \"$3\" --limit 1000000";
    let to = folder.path().join("model.onnx");
    let output = Command::new("sh")
        .args(["-c", script])
        .args([&binary("eenn-runtime"), source.path(), Path::new(&sha256(&content())), &to])
        .output()
        .unwrap();
    Run { folder, output }.check_failed("there is no space left for");
}
