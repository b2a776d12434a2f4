use super::scene::{self, key};
use super::server::{Server, Write};
use crate::outline;
use crate::service::labels;
use crate::{Context, service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names of objects of a kind, by its plural, that were applied.
fn applied(writes: &[Write], kind: &str) -> BTreeSet<String> {
    let patched = writes.iter().filter_map(|write| write.what.strip_prefix("PATCH "));
    let of_kind = patched.filter_map(|path| path.split_once(&format!("/{kind}/")).map(|(_, name)| name));
    of_kind.filter(|name| !name.contains('/')).map(str::to_owned).collect()
}

/// A service that serves, with fragments and a gateway that are ready, and what was written for it.
async fn serving() -> (Arc<Server>, Context, Vec<Write>) {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    scene::plans(&context, 1);
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    let (before, server) = (server.writes(), Server::new(None, scene::config_map()));
    let context = scene::context(&server);
    scene::plans(&context, 1);
    scene::grown(&context, &before);
    (server, context, before)
}

fn is_gateway(name: &str) -> bool {
    name.starts_with("camera-g-")
}

#[tokio::test]
async fn a_gateway_that_serves_is_replaced_after_its_fragments() {
    let (server, context, before) = serving().await;
    assert!(
        applied(&before, "deployments").iter().any(|name| is_gateway(name)),
        "the first one waits for nobody: {before:?}"
    );
    // All fragments are other ones, and so are gateways.
    scene::change_model(&context, |model| model["spec"]["artifact"]["size"] = "8Mi".into());
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    let writes = server.writes();
    for kind in ["deployments", "configmaps"] {
        let names = applied(&writes, kind);
        assert!(!names.is_empty() && !names.iter().any(|name| is_gateway(name)), "{kind}: {names:?}");
        assert!(names.is_disjoint(&applied(&before, kind)), "{kind}: {names:?}");
    }
    assert!(!writes.iter().any(|write| write.what.starts_with("DELETE")), "{writes:?}");
    // Fragments are ready.
    scene::grown(&context, &writes);
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    let writes = server.writes().split_off(writes.len());
    for kind in ["deployments", "configmaps"] {
        assert!(applied(&writes, kind).iter().any(|name| is_gateway(name)), "{kind}: {writes:?}");
    }
}

/// Names of Deployments that were deleted.
fn deleted(writes: &[Write]) -> BTreeSet<String> {
    let paths = writes.iter().filter_map(|write| write.what.strip_prefix("DELETE "));
    paths.filter_map(|path| path.split_once("/deployments/").map(|(_, name)| name.to_owned())).collect()
}

#[tokio::test]
async fn fragments_outlive_gateways_that_may_send_them_jobs() {
    let (server, context, before) = serving().await;
    let old = applied(&before, "deployments");
    let gateway = old.iter().find(|name| is_gateway(name)).expect("there is a gateway").clone();
    let fragments: BTreeSet<String> = old.iter().filter(|name| !is_gateway(name)).cloned().collect();
    scene::gateway_pod(&context, &gateway, false);
    scene::change_model(&context, |model| model["spec"]["artifact"]["size"] = "8Mi".into());
    // Fragments first, then the gateway.
    for _ in 0..2 {
        service::reconcile(&context, &key()).await.expect("nothing is refused");
        scene::grown(&context, &server.writes());
    }
    let drained = || context.drains.begun(&key(), &old.iter().cloned().collect::<Vec<_>>());
    let goes = async || {
        let seen = server.writes().len();
        drained();
        service::reconcile(&context, &key()).await.expect("nothing is refused");
        deleted(&server.writes()[seen..]).intersection(&old).cloned().collect::<BTreeSet<_>>()
    };
    assert_eq!(goes().await, BTreeSet::from([gateway.clone()]), "its pod serves until it is told to stop");
    scene::gateway_is_gone(&context, &gateway, false);
    scene::gateway_pod(&context, &gateway, true);
    assert_eq!(goes().await, BTreeSet::new(), "it answers what it has");
    scene::gateway_is_gone(&context, &gateway, true);
    assert_eq!(goes().await, fragments);
}

#[tokio::test]
async fn what_no_job_goes_to_keeps_nothing_of_before() {
    let (server, context, before) = serving().await;
    // A plan with a second chain, which no job takes: its fragments find no room.
    scene::spare_chain(&context, 2);
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    let spare: BTreeSet<String> =
        applied(&server.writes(), "deployments").difference(&applied(&before, "deployments")).cloned().collect();
    assert!(!spare.is_empty(), "{:?}", server.writes());
    let seen = server.writes().len();
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    assert_eq!(deleted(&server.writes()[seen..]), BTreeSet::from(["old-pods".to_owned()]));
}

/// Fragments that were written are there with this status, and gateways are ready, as they need no model. Returns names of the fragments.
fn there(context: &Context, writes: &[Write], fragments: &Value) -> BTreeSet<String> {
    let made = writes.iter().filter(|write| write.body["kind"] == "Deployment");
    let name = |write: &Write| write.body["metadata"]["name"].as_str().expect("it has a name").to_owned();
    let (gateways, all): (Vec<&Write>, Vec<&Write>) = made.partition(|write| is_gateway(&name(write)));
    let ready = json!({ "availableReplicas": 2, "updatedReplicas": 2, "observedGeneration": 1 });
    gateways.iter().for_each(|write| scene::rolled(context, write, ready.clone()));
    all.iter().for_each(|write| scene::rolled(context, write, fragments.clone()));
    all.into_iter().map(name).collect()
}

/// The only pod of a fragment, whose container that fetches the model, or which serves it, is in this state.
fn pod_of(context: &Context, workload: &str, phase: &str, state: &Value) {
    let labels = json!({ labels::SERVICE: "camera", labels::ROLE: "fragment", labels::WORKLOAD: workload });
    let container =
        json!({ "name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 3, "state": state });
    scene::put::<outline::Pod>(
        &context.caches.pods,
        json!({
            "metadata": { "name": "one", "namespace": "edge", "labels": labels },
            "status": { "phase": phase, "initContainerStatuses": [container] },
        }),
    );
}

#[tokio::test]
async fn what_never_served_does_not_keep_its_repair_from_its_room() {
    let crashes = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "the file has SHA-256 ffff" } });
    let runs = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
    let never = json!({ "availableReplicas": 0, "updatedReplicas": 1, "observedGeneration": 1 });
    for (status, phase, state, goes) in [
        (&never, "Pending", &crashes, true),
        (&never, "Running", &crashes, true),
        (&never, "Running", &runs, false),
        (&scene::away(), "Running", &crashes, false),
    ] {
        let server = Server::new(None, scene::config_map());
        let context = scene::context(&server);
        scene::plans(&context, 1);
        service::reconcile(&context, &key()).await.expect("nothing is refused");
        let fragments = there(&context, &server.writes(), status);
        fragments.iter().for_each(|name| pod_of(&context, name, phase, state));
        // The file is put right.
        scene::change_model(&context, |model| model["spec"]["artifact"]["sha256"] = "1".repeat(64).into());
        let seen = server.writes().len();
        service::reconcile(&context, &key()).await.expect("nothing is refused");
        let want = if goes { fragments } else { BTreeSet::new() };
        assert_eq!(deleted(&server.writes()[seen..]), want, "{status} {phase} {state}");
    }
}

#[tokio::test]
async fn nothing_is_made_of_a_plan_for_other_segments() {
    let (server, context, _) = serving().await;
    scene::ready(&context);
    scene::change_model(&context, |model| {
        for field in ["exits", "cuts"] {
            model["spec"][field].as_array_mut().expect("there are some").pop();
        }
    });
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    let writes = server.writes();
    let more: Vec<&Write> = writes.iter().filter(|write| !write.tells() && !write.what.contains("/secrets")).collect();
    assert!(more.is_empty(), "{more:?}");
    let status = writes.iter().find(|write| write.what.ends_with("/eennservices/camera/status")).expect("it is told");
    assert!(status.body["status"]["conditions"].to_string().contains("WaitsForPlan"), "{status:?}");
}
