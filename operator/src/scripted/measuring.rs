//! Models and classes that have to be measured, as caches hold them, and the pod of a Job.

use super::peer::{Peer, reach};
use super::scene::{self, put};
use super::server::Write;
use crate::cache::Key;
use crate::service::labels;
use crate::{Context, identity};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Of the model.
pub(super) fn key() -> Key {
    Key::new("edge", "fashion-mnist")
}

/// The model says only where it is, and where it can be left and cut; its exit table is elsewhere.
pub(super) fn unmeasured_model(context: &Context) {
    let mut model = scene::model();
    model["spec"].as_object_mut().expect("it has a spec").remove("profile");
    for cut in model["spec"]["cuts"].as_array_mut().expect("it has cuts") {
        cut.as_object_mut().expect("it is one").remove("bytes");
    }
    let table = json!({ "uri": "https://example.com/table.safetensors", "sha256": "b".repeat(64), "size": "2Mi" });
    model["spec"]["exitTable"] = table;
    model.as_object_mut().expect("it is one").remove("status");
    put::<api::EENNModel>(&context.caches.models, model);
}

/// Nobody knows how fast a class of the pool is.
pub(super) fn unmeasured_class(context: &Context) {
    let mut pool = scene::pool();
    pool["spec"]["classes"][0].as_object_mut().expect("it is one").remove("speedFactor");
    put::<api::DevicePool>(&context.caches.pools, pool);
}

/// The Job that was made is there, with this status. Returns its name.
pub(super) fn job(context: &Context, writes: &[Write], status: Value) -> String {
    let made = writes.iter().rfind(|write| write.what.starts_with("POST") && write.what.ends_with("/jobs"));
    let mut job = made.expect("a Job was made").body.clone();
    (job["metadata"]["uid"], job["status"]) = ("j1".into(), status);
    let name = job["metadata"]["name"].as_str().expect("it has a name").to_owned();
    put::<crate::outline::Job>(&context.caches.jobs, job);
    name
}

/// When it ended; long ago, if it is not said.
pub(super) fn failed(at: Option<&str>) -> Value {
    let at = at.unwrap_or("2026-01-01T00:00:00Z");
    let failed = json!({
        "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "", "lastTransitionTime": at,
    });
    json!({ "conditions": [failed] })
}

/// The pod of a Job, in this phase; `containers`: what its status says of them.
pub(super) fn pod(context: &Context, job: &str, phase: &str, containers: Value) {
    let labels = json!({ labels::WORKLOAD: job, labels::MODEL: "fashion-mnist" });
    put::<crate::outline::Pod>(
        &context.caches.pods,
        json!({
            "metadata": { "name": "measuring", "namespace": "edge", "labels": labels },
            "status": { "phase": phase, "containerStatuses": containers },
        }),
    );
}

/// The pod of a Job runs, and serves this result.
pub(super) async fn serving(context: &Context, job: &str, result: &Value) -> Peer {
    let peer = Peer::start(&context.identity, &identity::model_name("fashion-mnist", "edge")).await;
    peer.answer("GET /result", 200, result);
    peer.answer("POST /acknowledged", 200, "{}");
    reach(context, job, &peer.address());
    pod(context, job, "Running", json!([]));
    peer
}

/// What a Job finds out about the model.
pub(super) fn result() -> Value {
    let exits: Vec<Value> = (1..=6)
        .map(|exit| json!({ "name": format!("exit{exit}"), "segment": exit, "macs": 1, "weightBytes": 2 }))
        .collect();
    let time = json!({ "meanMicroseconds": 100.0, "scv": 0.03 });
    let segment = json!({ "macs": 1, "weightBytes": 2, "forwardBytes": 9408 });
    let table = STANDARD.encode(scene::exit_table());
    let table =
        json!({ "sha256": "b".repeat(64), "samples": 1, "samplesOfFile": 1, "largestError": 0.0, "file": table });
    json!({
        "sha256": "0".repeat(64), "machine": "a test", "exits": exits, "segments": vec![segment; 6],
        "profile": { "segments": vec![time.clone(); 6], "heads": vec![time; 6] }, "exitTable": table,
    })
}
