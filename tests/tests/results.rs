//! `inspect` and `profile` as jobs of a cluster: their result waits for the one peer that may have it.

#![expect(clippy::unwrap_used, reason = "all of it is test, its helpers as well")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use system_tests::authority::{Authority, mount};
use system_tests::{binary, build};
use transport::client::{ClientError, ResultClient};
use transport::tls::{Connector, Tls};

const JOB: &str = "job.shop.eenn.dev";
const OPERATOR: &str = "operator.system.eenn.dev";

fn runtime(arguments: &[&str], folder: Option<&Path>) -> Command {
    let mut command = Command::new(binary("eenn-runtime"));
    command.args(arguments).arg(build::file("models/two-exits.onnx")).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(folder) = folder {
        command.args(["--serve", "127.0.0.1:0", "--peer", OPERATOR, "--tls-dir"]).arg(folder);
    }
    command
}

/// The address at which it serves.
fn address(job: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(job.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    ready["address"].as_str().unwrap().to_owned()
}

fn connector(authority: &Authority, own: &str) -> Connector {
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), &authority.issue(own), &[authority]);
    Tls::open(folder.path()).unwrap().connector(JOB).unwrap()
}

async fn check(arguments: &[&str], has: &str) {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), &authority.issue(JOB), &[&authority]);
    let mut job = runtime(arguments, Some(folder.path())).spawn().unwrap();
    let address = address(&mut job);
    let stranger = ResultClient::new(&address, Some(connector(&authority, "other.shop.eenn.dev")));
    assert!(matches!(stranger.acknowledge().await.unwrap_err(), ClientError::Handshake { .. }));
    let operator = ResultClient::new(&address, Some(connector(&authority, OPERATOR)));
    for _ in 0..2 {
        let result: Value = operator.result().await.unwrap();
        assert!(!result[has].is_null(), "{result}");
    }
    assert!(job.try_wait().unwrap().is_none(), "it waits for as long as nobody acknowledges");
    operator.acknowledge().await.unwrap();
    let status = tokio::task::spawn_blocking(move || job.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn results_are_served_to_the_one_peer_until_acknowledged() {
    check(&["inspect"], "recommendedCuts").await;
    check(&["profile", "--repetitions", "1"], "profile").await;
}

#[tokio::test]
async fn what_is_served_is_what_would_be_printed() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), &authority.issue(JOB), &[&authority]);
    let printed: Value = serde_json::from_slice(&runtime(&["inspect"], None).output().unwrap().stdout).unwrap();
    let mut job = runtime(&["inspect"], Some(folder.path())).spawn().unwrap();
    let operator = ResultClient::new(address(&mut job), Some(connector(&authority, OPERATOR)));
    assert_eq!(operator.result::<Value>().await.unwrap(), printed);
    job.kill().unwrap();
    job.wait().unwrap();
}

#[test]
fn a_result_that_nobody_acknowledges_ends_with_a_code_of_its_own() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let mut job = runtime(&["inspect"], Some(folder.path()));
    let output = job.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("tls.crt"), "{}: {said}", output.status);
    mount(folder.path(), &authority.issue(JOB), &[&authority]);
    let output = runtime(&["inspect", "--serve-seconds", "0"], Some(folder.path())).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && said.contains("nobody has acknowledged"), "{}: {said}", output.status);
}
