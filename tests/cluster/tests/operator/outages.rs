//! An API server that is not there, or takes requests and never answers: an operator that could do nothing about it must not be
//! ended, and catches up by itself.

use crate::SERVICE;
use crate::proxy::{EventFate, Fate, Faults, Proxy};
use crate::scene::{NAMESPACE, Operator, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use hyper::Uri;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("an_api_server_that_was_away_is_caught_up_with", an_api_server_that_was_away_is_caught_up_with),
    ("an_api_server_that_never_answers_is_caught_up_with", an_api_server_that_never_answers_is_caught_up_with),
];

/// How long the API server is away. Watches and reconciles begin to fail within it.
const AWAY: Duration = Duration::from_secs(20);

fn an_api_server_that_was_away_is_caught_up_with() -> anyhow::Result<()> {
    let mut scene = Scene::with_service()?;
    let listen = free_address()?;
    let mut operator = scene.operator("operator", &["--no-leader-election", "--listen", &listen.to_string()])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.plane.kill_api_server();
    stays_alive(&mut operator, listen)?;
    scene.plane.start_api_server().map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    change(&scene)?;
    scene.wait_for(SERVICE, "Accepted", "False", "QoSTargetNotFound")
}

/// Breaks watches when something comes, and never answers a request, while the flag is up.
struct Hanging(Arc<AtomicBool>);

impl Faults for Hanging {
    fn request(&self, _: &str, _: &Uri) -> Fate {
        if self.0.load(Ordering::Acquire) { Fate::NeverAnswered } else { Fate::Passes }
    }

    fn event(&self, _: &Uri, _: &Value) -> EventFate {
        if self.0.load(Ordering::Acquire) { EventFate::Breaks } else { EventFate::Arrives }
    }
}

fn an_api_server_that_never_answers_is_caught_up_with() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let hangs = Arc::new(AtomicBool::new(false));
    let proxy = Proxy::start(&scene.plane, "operator", Hanging(Arc::clone(&hangs)))?;
    let listen = free_address()?;
    let arguments = ["--no-leader-election", "--listen", &listen.to_string()];
    let mut operator = scene.operator_with("operator", &proxy.kubeconfig(), &arguments)?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    hangs.store(true, Ordering::Release);
    // What tells of it breaks, and what is asked then is never answered: it has to be given up, and asked anew.
    change(&scene)?;
    stays_alive(&mut operator, listen)?;
    let (status, ..) = scene.condition(SERVICE, "Accepted")?;
    ensure!(status.is_empty(), "it cannot know yet: {status}");
    hangs.store(false, Ordering::Release);
    scene.wait_for(SERVICE, "Accepted", "False", "QoSTargetNotFound")?;
    ensure!(healthz(listen)?.starts_with("HTTP/1.1 200"), "{}", healthz(listen)?);
    Ok(())
}

fn change(scene: &Scene) -> anyhow::Result<()> {
    let other = r#"{"spec": {"qosTargetRef": {"name": "other"}}}"#;
    scene.kubectl(&["-n", NAMESPACE, "patch", SERVICE, "--type=merge", "-p", other]).map(drop)
}

/// A kubelet would not end it.
fn stays_alive(operator: &mut Operator, listen: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < AWAY {
        ensure!(operator.ended().is_none(), "an outage is no reason to die: {}", operator.log());
        let answer = healthz(listen)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "an outage is no reason to be ended: {answer}");
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// The answer, head and all.
fn healthz(listen: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(listen)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Nobody else takes it in between, most likely.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
