//! What is asked of the API server, and in which order, against a script of answers.

use super::super::cluster::{Cluster, ClusterOptions};
use super::super::example;
use super::approve;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// An API server that gives these answers in this order. Its thread returns the first line and the body of every request.
fn scripted(answers: Vec<(u16, Value)>) -> (Cluster, JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{ "name": "a", "user": {} }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
        "clusters": [{ "name": "a", "cluster": { "server": format!("http://{address}") } }],
    });
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let options = ClusterOptions { namespace: Some("edge".to_owned()), kubeconfig: Some(file), context: None };
    (options.connect().unwrap_or_else(|failure| panic!("{failure}")), server)
}

fn serve(listener: &TcpListener, (code, answer): &(u16, Value)) -> (String, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length =
        lines.iter().filter_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()).next();
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nContent-Length: {}", text.len());
    write!(stream, "{head}\r\nConnection: close\r\n\r\n{text}").unwrap();
    (lines[0].clone(), String::from_utf8(body).unwrap())
}

fn conflict() -> (u16, Value) {
    (409, json!({ "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "modified" }))
}

fn gone(name: &str) -> (u16, Value) {
    let details = json!({ "name": name, "kind": "eennplans" });
    (
        404,
        json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "", "details": details }),
    )
}

fn object(object: &impl serde::Serialize) -> (u16, Value) {
    (200, serde_json::to_value(object).unwrap())
}

#[test]
fn a_status_that_changes_meanwhile_does_not_matter() {
    let (service, plan) = (example::service(), example::plans().remove(2));
    let mut later = service.clone();
    later.metadata.resource_version = Some("71".to_owned());
    let answers = vec![object(&plan), conflict(), object(&later), object(&plan), object(&later)];
    let (cluster, server) = scripted(answers);
    approve(&cluster, service, &plan).unwrap_or_else(|failure| panic!("{failure}"));
    let requests = server.join().unwrap();
    let patches: Vec<_> = requests.iter().filter(|(line, _)| line.starts_with("PATCH ")).collect();
    assert!(patches[0].0.contains("fieldManager=kubectl-eenn"), "{patches:?}");
    let patch = |index: usize| serde_json::from_str::<Value>(&patches[index].1).unwrap();
    let want = |version: &str| json!({ "metadata": { "uid": "u1", "resourceVersion": version }, "spec": { "approvedPlan": "camera-3" } });
    assert_eq!([patch(0), patch(1)], [want("70"), want("71")]);
}

#[test]
fn a_spec_that_changes_meanwhile_is_not_approved() {
    let (service, plan) = (example::service(), example::plans().remove(2));
    let mut changed = service.clone();
    changed.metadata.generation = Some(4);
    let (cluster, server) = scripted(vec![object(&plan), conflict(), object(&changed)]);
    let refused = approve(&cluster, service, &plan).unwrap_err().to_string();
    assert_eq!(refused, "error: service \"camera\" was changed meanwhile; nothing was approved, ask again");
    server.join().unwrap();
}

#[test]
fn a_plan_that_is_gone_or_another_by_now_is_not_approved() {
    let (service, plan) = (example::service(), example::plans().remove(2));
    let mut another = plan.clone();
    another.metadata.uid = Some("p9".to_owned());
    for answer in [gone(&plan.name_any()), object(&another)] {
        let (cluster, server) = scripted(vec![answer]);
        let refused = approve(&cluster, service.clone(), &plan).unwrap_err().to_string();
        assert_eq!(refused, "error: plan camera-3 is gone; ask for what waits now");
        assert_eq!(server.join().unwrap().len(), 1, "nothing is written");
    }
}
