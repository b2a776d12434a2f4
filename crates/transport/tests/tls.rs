//! Two processes in one: who is let in, who is not, and what both sides say about it.

#![expect(clippy::unwrap_used, reason = "all of it is test, its helpers as well")]

#[expect(unreachable_pub, reason = "the file is shared with the system tests, where it is public")]
#[path = "../../../tests/src/authority.rs"]
mod authority;

use authority::{Authority, Certified, mount};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use transport::client::{ClientError, GatewayClient, ResultClient};
use transport::tls::{Acceptor, Connector, HandshakeError, Pem, Reason, Tls, TlsError};

const PATIENCE: Duration = Duration::from_secs(5);

fn pem(certified: &Certified, authorities: &[&Authority]) -> Pem {
    let authorities: String = authorities.iter().map(|authority| authority.pem()).collect();
    Pem {
        certificate: certified.certificate.clone().into(),
        key: certified.key.clone().into(),
        authorities: authorities.into(),
    }
}

fn tls(certified: &Certified, authorities: &[&Authority]) -> Arc<Tls> {
    Tls::of(&pem(certified, authorities)).unwrap()
}

/// Both sides of one connection; the dialling one reads a word that the listening one writes.
async fn meet(acceptor: &Acceptor, connector: &Connector) -> (Result<(), HandshakeError>, Result<(), HandshakeError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream, PATIENCE).await?;
        stream.write_all(b"word").await.unwrap();
        stream.shutdown().await.unwrap();
        Ok(())
    };
    let dialling = async {
        let mut stream = connector.connect(TcpStream::connect(address).await.unwrap()).await?;
        let mut word = vec![];
        stream.read_to_end(&mut word).await.map_err(HandshakeError::from)?;
        assert_eq!(word, b"word");
        Ok(())
    };
    tokio::join!(listening, dialling)
}

/// Panics unless the listening and the dialling side fail, each for its reason.
async fn check_refused((server, client): (&Arc<Tls>, &Arc<Tls>), listening: (Reason, &str), dialling: (Reason, &str)) {
    let (at_server, at_client) = meet(&server.acceptor(&["gateway.a"]), &client.connector("fragment.a").unwrap()).await;
    for (error, (reason, text)) in [(at_server.unwrap_err(), listening), (at_client.unwrap_err(), dialling)] {
        assert_eq!(error.reason, reason, "{error}");
        assert!(error.to_string().contains(text), "{error} does not say {text:?}");
    }
}

#[tokio::test]
async fn peers_of_one_authority_and_the_expected_names_meet() {
    let authority = Authority::new("ours");
    let server = tls(&authority.issue("fragment.a"), &[&authority]);
    let client = tls(&authority.issue("gateway.a"), &[&authority]);
    let names = ["other.a", "Gateway.A"];
    let (listening, dialling) = meet(&server.acceptor(&names), &client.connector("fragment.a").unwrap()).await;
    listening.unwrap();
    dialling.unwrap();
}

#[tokio::test]
async fn everybody_else_is_refused_and_both_sides_say_why() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = tls(&ours.issue("fragment.a"), &[&ours]);
    let refused = Reason::RefusedByPeer;

    let stranger = tls(&ours.issue("gateway.b"), &[&ours]);
    let who = (Reason::OtherName, "peer is gateway.b, only gateway.a may connect");
    check_refused((&server, &stranger), who, (refused, "it expects somebody else")).await;

    let wildcard = tls(&ours.issue("*.a"), &[&ours]);
    let who = (Reason::OtherName, "peer is nobody (no DNS name without wildcard), only gateway.a may connect");
    check_refused((&server, &wildcard), who, (refused, "it expects somebody else")).await;

    let foreign = tls(&theirs.issue("gateway.a"), &[&ours]);
    let who = (Reason::UnknownAuthority, "an authority that is not in ca.crt");
    check_refused((&server, &foreign), who, (refused, "does not know the authority")).await;

    let expired = tls(&ours.issue_until("gateway.a", 2020), &[&ours]);
    check_refused((&server, &expired), (Reason::NotValidNow, "expired"), (refused, "has expired")).await;

    // The same from the other side: a server that is not who it should be is sent nothing.
    let client = tls(&ours.issue("gateway.a"), &[&ours]);
    let impostor = tls(&ours.issue("fragment.b"), &[&ours]);
    let who = (Reason::OtherName, "not valid for name \"fragment.a\"");
    check_refused((&impostor, &client), (refused, "BadCertificate"), who).await;

    let foreign = tls(&theirs.issue("fragment.a"), &[&ours]);
    let who = (Reason::UnknownAuthority, "an authority that is not in ca.crt");
    check_refused((&foreign, &client), (refused, "does not know the authority"), who).await;

    let expired = tls(&ours.issue_until("fragment.a", 2020), &[&ours]);
    check_refused((&expired, &client), (refused, "has expired"), (Reason::NotValidNow, "expired")).await;
}

/// What a server says to bytes that are not from a client with a certificate.
async fn heard(server: &Arc<Tls>, client: impl AsyncFnOnce(TcpStream)) -> HandshakeError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = server.acceptor(&["gateway.a"]);
    let listening = async { acceptor.accept(listener.accept().await.unwrap().0, PATIENCE).await };
    let (accepted, ()) = tokio::join!(listening, async { client(TcpStream::connect(address).await.unwrap()).await });
    accepted.unwrap_err()
}

#[tokio::test]
async fn peers_without_certificate_or_without_tls_are_told_apart() {
    let authority = Authority::new("ours");
    let server = tls(&authority.issue("fragment.a"), &[&authority]);
    let nobody = heard(&server, async |stream: TcpStream| {
        let mut roots = rustls::RootCertStore::empty();
        let pem = authority.pem();
        let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("fragment.a".try_into().unwrap(), stream).await.unwrap();
        let error = HandshakeError::from(stream.read_u8().await.unwrap_err());
        assert!(error.to_string().contains("it wants a certificate"), "{error}");
    });
    assert_eq!(nobody.await.reason, Reason::NoCertificate);

    let plain = heard(&server, async |mut stream: TcpStream| {
        stream.write_all(b"GET /telemetry HTTP/1.1\r\nhost: fragment\r\n\r\n").await.unwrap();
        let mut answer = vec![];
        stream.read_to_end(&mut answer).await.expect("the connection ends, and is not reset");
    });
    assert_eq!(plain.await.reason, Reason::NotTls);

    let silent = server.acceptor(&["gateway.a"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _quiet = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stream = listener.accept().await.unwrap().0;
    assert_eq!(silent.accept(stream, Duration::from_millis(10)).await.unwrap_err().reason, Reason::Broken);
}

/// Answers every connection with a body of so many blanks.
async fn blanks(length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]).await;
            // Whoever has had enough hangs up.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b' '; length]).await;
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_is_far_too_long_is_not_kept() {
    let small = GatewayClient::new(blanks(1 << 20).await, None).telemetry().await.unwrap_err();
    assert!(matches!(small, ClientError::Unreadable { .. }), "{small:?}");
    let large = blanks((1 << 20) + 1).await;
    let telemetry = GatewayClient::new(&large, None).telemetry().await.unwrap_err();
    assert!(matches!(telemetry, ClientError::Broken { .. }), "{telemetry:?}");
    let result = ResultClient::new(&large, None).result::<u32>().await.unwrap_err();
    assert!(matches!(result, ClientError::Unreadable { .. }), "{result:?}");
}

#[tokio::test]
async fn a_plain_client_fails_cleanly_and_a_secured_one_says_who_refused() {
    let authority = Authority::new("ours");
    let server = tls(&authority.issue("fragment.a"), &[&authority]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let acceptor = server.acceptor(&["gateway.a"]);
        while let Ok((stream, _)) = listener.accept().await {
            assert!(acceptor.accept(stream, PATIENCE).await.is_err());
        }
    });
    let error = GatewayClient::new(&address, None).telemetry().await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    let stranger = tls(&authority.issue("gateway.b"), &[&authority]).connector("fragment.a").unwrap();
    for _ in 0..20 {
        let error = GatewayClient::new(&address, Some(stranger.clone())).telemetry().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{address}: peer refused the connection: it expects somebody else than this certificate names")
        );
    }
}

#[tokio::test]
async fn authorities_overlap_while_they_are_exchanged() {
    let (old, new) = (Authority::new("one name"), Authority::new("one name"));
    let server = tls(&old.issue("fragment.a"), &[&old]);
    let client = tls(&old.issue("gateway.a"), &[&old]);
    let (acceptor, connector) = (server.acceptor(&["gateway.a"]), client.connector("fragment.a").unwrap());
    let (from, to) = (&[&old, &new], &[&new]);
    // Trust first, certificates next, and only then the end of the old authority; in no step has everybody to move at once.
    let steps: [(&Arc<Tls>, Pem); 6] = [
        (&server, pem(&old.issue("fragment.a"), from)),
        (&client, pem(&old.issue("gateway.a"), from)),
        (&server, pem(&new.issue("fragment.a"), from)),
        (&client, pem(&new.issue("gateway.a"), from)),
        (&server, pem(&new.issue("fragment.a"), to)),
        (&client, pem(&new.issue("gateway.a"), to)),
    ];
    for (step, (side, pem)) in steps.iter().enumerate() {
        side.replace(pem).unwrap();
        let (listening, dialling) = meet(&acceptor, &connector).await;
        listening.unwrap_or_else(|error| panic!("step {step}: {error}"));
        dialling.unwrap_or_else(|error| panic!("step {step}: {error}"));
    }
    let late = tls(&old.issue("gateway.a"), from);
    check_refused(
        (&server, &late),
        (Reason::UnknownAuthority, "not in ca.crt"),
        (Reason::RefusedByPeer, "does not know the authority"),
    )
    .await;
}

fn check_bad(folder: &Path, expected: &str) {
    let error = Tls::open(folder).unwrap_err();
    assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
}

#[test]
fn bad_folders_are_named_with_what_is_wrong() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.issue("fragment.a"), authority.issue("fragment.a"));
    let folder = tempfile::tempdir().unwrap();
    check_bad(folder.path(), "tls.crt");
    let files = |certificate: &str, key: &str, bundle: &str| {
        for (name, content) in [("tls.crt", certificate), ("tls.key", key), ("ca.crt", bundle)] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
    };
    files(&one.certificate, &other.key, &authority.pem());
    check_bad(folder.path(), "the key (tls.key) does not belong to the certificate (tls.crt)");
    files(&one.certificate, "", &authority.pem());
    check_bad(folder.path(), "the key (tls.key) cannot be read as PEM");
    files(&one.certificate, &one.key, "");
    check_bad(folder.path(), "the bundle of authorities (ca.crt) cannot be read as PEM: there is no certificate in it");
    files("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &one.key, &authority.pem());
    check_bad(folder.path(), "the certificate (tls.crt) cannot be used");
    files(&one.certificate, &one.key, &authority.pem());
    let tls = Tls::open(folder.path()).unwrap();
    tls.expect_name("fragment.a").unwrap();
    let error = tls.expect_name("fragment.b").unwrap_err();
    assert_eq!(error.to_string(), "the certificate (tls.crt) is for fragment.a, not for fragment.b");
    assert!(matches!(tls.connector("no name").unwrap_err(), TlsError::NoName { .. }));
    std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
    check_bad(folder.path(), "ca.crt");
}

#[tokio::test]
async fn a_folder_is_followed_and_a_bad_one_leaves_what_was_there() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), &authority.issue("first.a"), &[&authority]);
    let tls = Tls::open(folder.path()).unwrap();
    let following = tokio::spawn({
        let tls = Arc::clone(&tls);
        async move { tls.follow(Duration::from_millis(1)).await }
    });
    let becomes = async |name: &str, behind: bool| {
        while tls.names() != [name] || tls.is_behind() != behind {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    mount(folder.path(), &authority.issue("second.a"), &[&authority]);
    becomes("second.a", false).await;
    let (one, other) = (authority.issue("third.a"), authority.issue("third.a"));
    let mixed = Certified { key: other.key.clone(), ..one };
    mount(folder.path(), &mixed, &[&authority]);
    becomes("second.a", true).await;
    mount(folder.path(), &other, &[&authority]);
    becomes("third.a", false).await;
    following.abort();
}
