//! The data plane with certificates: who may send jobs, push policies and read telemetry, and what rotation does to jobs.

#![expect(clippy::unwrap_used, reason = "all of it is test, its helpers as well")]

use hyper::{Method, StatusCode};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system_tests::authority::{Authority, mount};
use system_tests::{Client, Process, assert_balanced, build, fill_addresses};
use tempfile::TempDir;
use tokio::time::sleep;
use transport::client::{ClientError, FragmentClient, GatewayClient, Pushed};
use transport::tls::{Connector, Tls};
use wire::document::{ControlDocument, DeviceDocument, GatewayDocument, PolicyVersion, TlsDocument};

const TWO: &str = "two-exits";
/// In the certificates of the service's processes.
const SERVICE: &str = "two-exits.shop.eenn.dev";
/// In the certificate of who controls them.
const OPERATOR: &str = "operator.system.eenn.dev";

/// A service whose processes have certificates, one folder each.
struct Secured {
    authority: Authority,
    folders: BTreeMap<&'static str, TempDir>,
    devices: BTreeMap<String, Process>,
    gateway: Process,
}

fn document(folder: &Path) -> TlsDocument {
    TlsDocument {
        folder: folder.display().to_string(),
        name: SERVICE.to_owned(),
        control: ControlDocument { listen: "127.0.0.1:0".to_owned(), peer: OPERATOR.to_owned() },
    }
}

impl Secured {
    /// A gateway, `near` and `far`; `who` is certified otherwise than the rest.
    fn start(thresholds: &[f32], special: impl Fn(&Authority, &'static str, &Path)) -> Self {
        let authority = Authority::new("ours");
        let folders: BTreeMap<_, _> =
            ["gateway", "near", "far"].map(|who| (who, tempfile::tempdir().unwrap())).into_iter().collect();
        for (who, folder) in &folders {
            mount(folder.path(), &authority.issue(SERVICE), &[&authority]);
            special(&authority, who, folder.path());
        }
        let (devices, mut gateway) = build::near_and_far(thresholds);
        let start = |mut device: DeviceDocument| {
            device.tls = Some(document(folders[&*device.device].path()));
            (device.device.clone(), Process::start("fragment", &device))
        };
        let devices: BTreeMap<_, _> = devices.into_iter().map(start).collect();
        fill_addresses(&mut gateway, &devices);
        gateway.tls = Some(document(folders["gateway"].path()));
        let gateway = Process::start("gateway", &gateway);
        Self { authority, folders, devices, gateway }
    }

    fn connector(&self, own: &str) -> Connector {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), &self.authority.issue(own), &[&self.authority]);
        Tls::open(folder.path()).unwrap().connector(SERVICE).unwrap()
    }

    fn operator(&self) -> GatewayClient {
        GatewayClient::new(control(&self.gateway), Some(self.connector(OPERATOR)))
    }

    fn client(&self) -> Client {
        Client::new(&self.gateway.ready.address)
    }
}

fn control(process: &Process) -> &str {
    process.ready.control.as_deref().expect("a process with certificates has a control endpoint")
}

async fn metrics(process: &Process) -> String {
    let reply = Client::new(&process.ready.metrics).send(Method::GET, "/metrics", &[], "").await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Waits for a condition of the running system; a condition that never holds fails the test.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn jobs_policies_and_telemetry_travel_secured_from_end_to_end() {
    let secured = Secured::start(&[1.0], |_, _, _| {});
    let client = secured.client();
    for index in 0..20 {
        assert_eq!(client.infer(TWO, &build::sample(index)).await.answer().exit, 2);
    }
    let operator = secured.operator();
    let telemetry = operator.telemetry().await.unwrap();
    assert_eq!(telemetry.sources[build::SOURCE].exits, [0, 20]);
    let far = &secured.devices["far"];
    let device = FragmentClient::new(control(far), Some(secured.connector(OPERATOR)));
    assert_eq!(device.telemetry().await.unwrap().fragments["two-exits-2-2"].entered, 20);
    // A policy that lets all jobs leave at the first exit.
    let (_, mut gateway) = build::near_and_far(&[0.0]);
    fill_addresses(&mut gateway, &secured.devices);
    gateway.policy.version = PolicyVersion { transitions: 0, generation: 2 };
    assert_eq!(operator.push(&gateway.policy).await.unwrap(), Pushed::Applied(gateway.policy.version));
    assert_eq!(client.infer(TWO, &build::sample(1)).await.answer().exit, 1);
    assert_eq!(operator.push(&gateway.policy).await.unwrap(), Pushed::Stale(gateway.policy.version));
    gateway.policy.version.generation = 3;
    gateway.policy.default[0].thresholds.clear();
    let error = operator.push(&gateway.policy).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 400, .. }), "{error:?}");
}

#[tokio::test]
async fn probes_and_metrics_need_no_certificate_and_control_needs_the_right_one() {
    let secured = Secured::start(&[1.0], |_, _, _| {});
    for process in [&secured.gateway, &secured.devices["near"]] {
        let open = Client::new(&process.ready.metrics);
        for (path, status) in [("/healthz", 200), ("/metrics", 200), ("/telemetry", 404), ("/policy", 404)] {
            let reply = open.send(Method::GET, path, &[], "").await.unwrap();
            assert_eq!(reply.status.as_u16(), status, "{path}");
        }
        eventually("it is ready", || async {
            open.send(Method::GET, "/readyz", &[], "").await.unwrap().status == StatusCode::OK
        })
        .await;
        // Processes of the service may send jobs, and nothing else.
        let colleague = GatewayClient::new(control(process), Some(secured.connector(SERVICE)));
        let error = colleague.telemetry().await.unwrap_err();
        assert!(matches!(error, ClientError::Handshake { .. }), "{error:?}");
        let plain = GatewayClient::new(control(process), None).telemetry().await.unwrap_err();
        assert!(matches!(plain, ClientError::Broken { .. }), "{plain:?}");
        let text = metrics(process).await;
        for reason in ["other-name", "not-tls"] {
            let line = format!("eenn_tls_handshakes_failed_total{{endpoint=\"control\",reason=\"{reason}\"}} 1");
            assert!(text.contains(&line), "no {line} in\n{text}");
        }
        assert!(text.contains("\neenn_tls_folder_bad 0\n"), "{text}");
    }
    // Nor may who controls send jobs.
    let near = &secured.devices["near"];
    let stranger = FragmentClient::new(&near.ready.address, Some(secured.connector(OPERATOR)));
    assert!(matches!(stranger.telemetry().await.unwrap_err(), ClientError::Handshake { .. }));
    let line = "eenn_tls_handshakes_failed_total{endpoint=\"hops\",reason=\"other-name\"} 1";
    assert!(metrics(near).await.contains(line));
}

#[tokio::test]
async fn a_hop_to_somebody_else_is_refused_and_the_gateway_says_why() {
    let theirs = Authority::new("theirs");
    let special = |authority: &Authority, who, folder: &Path| match who {
        // Another service of the same cluster behind an address that this one believes to be its own.
        "near" => mount(folder, &authority.issue_until(SERVICE, 2020), &[authority]),
        "far" => mount(folder, &theirs.issue(SERVICE), &[&theirs]),
        _ => {}
    };
    let secured = Secured::start(&[1.0], special);
    let operator = secured.operator();
    eventually("both hops are refused", || async {
        let avoided = operator.telemetry().await.unwrap().avoided;
        let says = |device: &str, text: &str| avoided.get(device).is_some_and(|why| why.contains(text));
        says("near", "expired") && says("far", "an authority that is not in ca.crt")
    })
    .await;
    let reply = secured.client().infer(TWO, &build::sample(1)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = metrics(&secured.gateway).await;
    for reason in ["not-valid-now", "unknown-authority"] {
        let series = format!("eenn_tls_handshakes_failed_total{{endpoint=\"next-hop\",reason=\"{reason}\"}}");
        assert!(text.contains(&series), "no {series} in\n{text}");
    }
}

#[tokio::test]
async fn authorities_are_exchanged_while_jobs_flow_and_none_is_lost() {
    let secured = Secured::start(&[1.0], |_, _, _| {});
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (client, stop) = (secured.client(), Arc::clone(&stop));
        async move {
            let mut jobs = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.infer(TWO, &build::sample(jobs)).await.answer().exit, 2);
                jobs += 1;
            }
            jobs
        }
    });
    let Secured { authority: old, folders, mut devices, gateway } = secured;
    let new = Authority::new("ours");
    // Steps as an operator takes them. A step is taken when every process shows what the last one gave it.
    let issue = |authority: &Authority, trusted: &[&Authority]| {
        for folder in folders.values() {
            mount(folder.path(), &authority.issue(SERVICE), trusted);
        }
    };
    let addresses = [&gateway, &devices["near"], &devices["far"]].map(|process| control(process).to_owned());
    let everybody = |operator: Arc<Tls>| {
        let addresses = addresses.clone();
        async move {
            for address in addresses {
                eventually("all take the step", || async {
                    let fresh = GatewayClient::new(&address, Some(operator.connector(SERVICE).unwrap()));
                    !matches!(fresh.telemetry().await, Err(ClientError::Handshake { .. } | ClientError::Broken { .. }))
                })
                .await;
            }
        }
    };
    // Trusts only what is in force after the step, and shows what only then is let in.
    let operator = |certified: &Authority, trusted: &[&Authority]| {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), &certified.issue(OPERATOR), trusted);
        Tls::open(folder.path()).unwrap()
    };
    everybody(operator(&old, &[&old])).await;
    issue(&old, &[&old, &new]);
    everybody(operator(&new, &[&old])).await;
    issue(&new, &[&old, &new]);
    everybody(operator(&new, &[&new])).await;
    issue(&new, &[&new]);
    // A fragment that starts now knows only the new authority: connections to it are new, and so is its certificate.
    stop.store(true, Ordering::Relaxed);
    let jobs = load.await.unwrap();
    assert!(jobs > 20, "{jobs} jobs");
    let (documents, _) = build::near_and_far(&[1.0]);
    let mut far = documents.into_iter().find(|device| device.device == "far").unwrap();
    far.listen = devices.remove("far").unwrap().ready.address.clone();
    far.tls = Some(document(folders["far"].path()));
    devices.insert("far".to_owned(), Process::start("fragment", &far));
    let client = Client::new(&gateway.ready.address);
    eventually("jobs reach it", || async { client.infer(TWO, &build::sample(1)).await.status == StatusCode::OK }).await;
    let operator = operator(&new, &[&new]).connector(SERVICE).unwrap();
    let telemetry = GatewayClient::new(control(&gateway), Some(operator)).telemetry().await.unwrap();
    assert_balanced(&telemetry.sources[build::SOURCE]);
    assert!(telemetry.sources[build::SOURCE].answered > jobs);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let (_, gateway) = build::near_and_far(&[1.0]);
    let gateway = GatewayDocument { tls: Some(document(folder.path())), ..gateway };
    let says = |expected: &str| {
        let (status, text) = Process::refuses_to_start("gateway", &gateway);
        assert!(!status.success() && text.contains(expected), "{status}: {text} does not say {expected:?}");
    };
    says("failed to read");
    mount(folder.path(), &authority.issue("other.shop.eenn.dev"), &[&authority]);
    says("the certificate (tls.crt) is for other.shop.eenn.dev, not for two-exits.shop.eenn.dev");
}
