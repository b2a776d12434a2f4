//! What becomes of a measurement where something goes wrong on its way: nothing is believed that is not certain, nothing is
//! acknowledged that is not stored, and people are told.

use super::measuring::{self, failed, job, key, pod, result, serving};
use super::peer::{Peer, reach};
use super::scene::{self, config_map};
use super::server::{CONFLICT, Fault, Server, Write};
use crate::cache::Key;
use crate::{Context, identity, measure, model, pool};
use serde_json::{Value, json};
use std::sync::Arc;

const STATUS: &str = "/eennmodels/fashion-mnist/status";
const ACKNOWLEDGED: &str = "POST /acknowledged";

/// A model whose Job is there.
struct Stage {
    server: Arc<Server>,
    context: Context,
    job: String,
}

impl Stage {
    /// With a Job of this status.
    async fn new(status: Value) -> Self {
        Self::with(config_map(), status).await
    }

    /// The same, where this is what a ConfigMap is.
    async fn with(config_map: Value, status: Value) -> Self {
        let server = Server::new(None, config_map);
        let context = scene::context(&server);
        measuring::unmeasured_model(&context);
        model::reconcile(&context, &key()).await.expect("nothing fails");
        let job = job(&context, &server.writes(), status);
        Self { server, context, job }
    }

    async fn reconcile(&self) -> Result<(), String> {
        model::reconcile(&self.context, &key()).await.map(drop).map_err(|failure| failure.to_string())
    }

    /// Reason and message of the condition Ready as it was last written.
    fn told(&self) -> (String, String) {
        let written = self.server.writes().into_iter().rfind(|write| write.what.ends_with(STATUS));
        let status = written.expect("it was written").body["status"].clone();
        let ready = status["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == "Ready").cloned();
        let ready = ready.expect("it is there");
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    fn written(&self, what: &str) -> Vec<Write> {
        self.server.writes().into_iter().filter(|write| write.what.starts_with(what)).collect()
    }
}

#[tokio::test]
async fn a_result_is_acknowledged_when_it_is_in_the_status_and_not_before() {
    let stage = Stage::new(json!({})).await;
    let peer = serving(&stage.context, &stage.job, &result()).await;
    stage.server.refuse(STATUS, Fault::Status(500, "InternalError"));
    let failure = stage.reconcile().await.expect_err("the status cannot be written");
    assert!(failure.contains("set status of EENNModel fashion-mnist"), "{failure}");
    assert_eq!((peer.count("GET /result"), peer.count(ACKNOWLEDGED)), (1, 0));
    stage.server.heal();
    stage.reconcile().await.expect("nothing fails");
    assert_eq!((peer.count("GET /result"), peer.count(ACKNOWLEDGED)), (2, 1));
    assert_eq!(stage.told().0, "Ready");
}

#[tokio::test]
async fn an_acknowledgement_that_fails_costs_nothing() {
    let stage = Stage::new(json!({})).await;
    let peer = serving(&stage.context, &stage.job, &result()).await;
    peer.answer(ACKNOWLEDGED, 500, "the disk is full");
    stage.reconcile().await.expect("the result is safe");
    assert_eq!((peer.count(ACKNOWLEDGED), stage.told().0), (1, "Ready".to_owned()));
    let written = stage.server.writes().into_iter().rfind(|write| write.what.ends_with(STATUS)).expect("it was");
    scene::change_model(&stage.context, |model| model["status"] = written.body["status"].clone());
    scene::bring_config_maps(&stage.context, &stage.server.writes());
    stage.reconcile().await.expect("nothing fails");
    let deleted = stage.written("DELETE");
    assert!(deleted.len() == 1 && deleted[0].what.ends_with(&stage.job), "{deleted:?}");
    assert_eq!(peer.count("GET /result"), 1, "it is not asked for again");
}

#[tokio::test]
async fn an_exit_table_that_somebody_has_changed_is_brought_again() {
    let mut emptied = config_map();
    emptied["binaryData"] = json!({});
    let stage = Stage::with(emptied, json!({})).await;
    let _peer = serving(&stage.context, &stage.job, &result()).await;
    stage.reconcile().await.expect("the result is stored");
    let written = stage.server.writes().into_iter().rfind(|write| write.what.ends_with(STATUS)).expect("it was");
    scene::change_model(&stage.context, |model| model["status"] = written.body["status"].clone());
    scene::bring_config_maps(&stage.context, &stage.server.writes());
    stage.reconcile().await.expect("nothing fails");
    let made = stage.written("POST /apis/batch");
    assert_eq!(made.len(), 2, "{made:?}");
    assert_ne!(made[0].body["metadata"]["name"], made[1].body["metadata"]["name"]);
    assert_eq!(stage.told().0, "BeingMeasured");
}

#[tokio::test]
async fn a_result_that_cannot_be_used_is_told_and_not_acknowledged() {
    let changed = |change: fn(&mut Value)| {
        let mut result = result();
        change(&mut result);
        result.to_string()
    };
    let results = [
        ("<html>".to_owned(), "cannot be read"),
        (changed(|result| result["sha256"] = "d".repeat(64).into()), "the file that was measured has SHA-256 dddd"),
        (changed(|result| result["exits"][0]["name"] = "other".into()), "are not those of the model"),
        (changed(|result| result["profile"] = Value::Null), "it measured no times"),
        (changed(|result| result["profile"]["segments"][0]["meanMicroseconds"] = json!(-1.0)), "is no time"),
        (changed(|result| result["exitTable"]["sha256"] = "c".repeat(64).into()), "the exit table has SHA-256 cccc"),
        (changed(|result| result["exitTable"]["file"] = "AAAA".into()), "the exit table"),
    ];
    for (result, why) in results {
        let stage = Stage::new(json!({})).await;
        let peer = serving(&stage.context, &stage.job, &Value::Null).await;
        peer.answer("GET /result", 200, &result);
        stage.reconcile().await.expect("nothing fails");
        let (reason, message) = stage.told();
        assert!(
            reason == "MeasurementFailed" && message.contains(why) && message.contains(" pi "),
            "{reason}: {message}"
        );
        assert_eq!((peer.count("GET /result"), peer.count(ACKNOWLEDGED)), (1, 0), "{why}");
        assert!(stage.written("PATCH /api/v1/namespaces/edge/configmaps").is_empty(), "{why}: nothing is stored");
        // It will not get better: the Job ends, and its words are still known.
        job(&stage.context, &stage.server.writes(), failed(Some(&crate::clock::timestamp())));
        stage.reconcile().await.expect("nothing fails");
        let (reason, message) = stage.told();
        assert!(reason == "MeasurementFailed" && message.contains(why) && message.contains("attempt 1"), "{message}");
    }
}

#[tokio::test]
async fn a_pod_that_has_no_result_yet_is_asked_again() {
    let stage = Stage::new(json!({})).await;
    let peer = serving(&stage.context, &stage.job, &result()).await;
    peer.answer("GET /result", 503, "it is still measuring");
    stage.reconcile().await.expect("nothing fails");
    assert_eq!(stage.told().0, "BeingMeasured");
    peer.answer("GET /result", 200, result());
    stage.reconcile().await.expect("nothing fails");
    assert_eq!((stage.told().0.as_str(), peer.count(ACKNOWLEDGED)), ("Ready", 1));
}

#[tokio::test]
async fn who_shows_another_certificate_is_asked_nothing() {
    let others = ["other.models.edge.svc".to_owned(), identity::service_name("fashion-mnist", "edge")];
    for name in others {
        let stage = Stage::new(json!({})).await;
        let peer = Peer::start(&stage.context.identity, &name).await;
        peer.answer("GET /result", 200, result());
        reach(&stage.context, &stage.job, &peer.address());
        pod(&stage.context, &stage.job, "Running", json!([]));
        stage.reconcile().await.expect("nothing fails");
        assert_eq!((peer.asked(), stage.told().0), (vec![], "BeingMeasured".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_job_of_another_operator_is_left_alone_while_the_pool_is_gone() {
    let stage = Stage::new(json!({})).await;
    stage.context.caches.pools.put(Key::new("", "edge"), None);
    let model = stage.context.caches.models.get(&key()).expect("it is there");
    assert!(measure::is_ours(&stage.context, &model), "whoever has made it goes on");
    let mut writes = stage.server.writes();
    let made = writes.iter_mut().rfind(|write| write.what.ends_with("/jobs")).expect("a Job was made");
    made.body["metadata"]["annotations"]["eenn.dev/operator"] = json!("another");
    job(&stage.context, &writes, json!({}));
    assert!(!measure::is_ours(&stage.context, &model));
    let before = stage.server.writes().len();
    stage.reconcile().await.expect("nothing fails");
    assert_eq!(stage.server.writes().len(), before);
}

#[tokio::test]
async fn a_failed_job_is_told_with_what_its_pod_said_and_tried_again_after_a_pause() {
    let stage = Stage::new(json!({})).await;
    let ended = json!({ "terminated": { "exitCode": 1, "message": "the file has SHA-256 ffff" } });
    let container = json!({
        "name": "inspect", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended,
    });
    pod(&stage.context, &stage.job, "Failed", json!([container]));
    job(&stage.context, &stage.server.writes(), failed(Some(&crate::clock::timestamp())));
    stage.reconcile().await.expect("nothing fails");
    let (reason, message) = stage.told();
    assert_eq!(reason, "MeasurementFailed");
    assert!(message.contains("BackoffLimitExceeded") && message.contains("the file has SHA-256 ffff"), "{message}");
    assert_eq!(stage.written("POST /apis/batch").len(), 1, "not before the pause is over");
    job(&stage.context, &stage.server.writes(), failed(None));
    stage.reconcile().await.expect("nothing fails");
    let made = stage.written("POST /apis/batch");
    assert_eq!((made.len(), &made[1].body["metadata"]["annotations"]["eenn.dev/attempt"]), (2, &json!("2")));
    let deleted = stage.written("DELETE");
    assert!(deleted.len() == 1 && deleted[0].what.ends_with(&stage.job), "{deleted:?}");
}

#[tokio::test]
async fn a_config_map_of_somebody_else_is_left_alone_and_told() {
    let stage = Stage::new(json!({})).await;
    let peer = serving(&stage.context, &stage.job, &result()).await;
    stage.server.refuse("/configmaps/", Fault::Taken);
    let failure = stage.reconcile().await.expect_err("the name is taken");
    assert!(failure.contains("apply ConfigMap fashion-mnist-exit-table-"), "{failure}");
    let (reason, message) = stage.told();
    assert!(reason == "NotApplied" && message.contains(CONFLICT), "{reason}: {message}");
    assert_eq!(peer.count(ACKNOWLEDGED), 0, "the result has to be asked for again");
    stage.server.heal();
    stage.reconcile().await.expect("nothing fails");
    assert_eq!((stage.told().0.as_str(), peer.count(ACKNOWLEDGED)), ("Ready", 1));
}

/// The nodes that Jobs were made for.
fn nodes_of(writes: &[Write]) -> Vec<String> {
    let made = writes.iter().filter(|write| write.what.starts_with("POST /apis/batch"));
    let node = |write: &Write| write.body["metadata"]["annotations"]["eenn.dev/node"].as_str().map(str::to_owned);
    made.filter_map(node).collect()
}

/// Two namespaces share a pool: what one of them has in Secrets is not told in the other.
#[tokio::test]
async fn a_measurement_names_the_pull_secrets_of_its_own_namespace() {
    for of_class in [false, true] {
        let server = Server::new(None, config_map());
        let context = scene::context(&server);
        match of_class {
            true => measuring::unmeasured_class(&context),
            false => measuring::unmeasured_model(&context),
        }
        scene::secretive(&context, "edge", "ours");
        scene::secretive(&context, "other", "theirs");
        match of_class {
            true => pool::reconcile(&context, "edge").await.map(drop).expect("nothing fails"),
            false => model::reconcile(&context, &key()).await.map(drop).expect("nothing fails"),
        }
        let made = server.writes().into_iter().find(|write| write.body["kind"] == "Job").expect("there is one").body;
        let secrets = &made["spec"]["template"]["spec"]["imagePullSecrets"];
        let own = if made["metadata"]["namespace"] == "edge" { "ours" } else { "theirs" };
        assert_eq!(secrets, &json!([{ "name": own }]), "of class: {of_class}: {made:#}");
    }
}

#[tokio::test]
async fn the_next_attempt_goes_to_another_node() {
    for of_class in [false, true] {
        let server = Server::new(None, config_map());
        let context = scene::context(&server);
        let step = async || match of_class {
            true => pool::reconcile(&context, "edge").await.map(drop).expect("nothing fails"),
            false => model::reconcile(&context, &key()).await.map(drop).expect("nothing fails"),
        };
        match of_class {
            true => measuring::unmeasured_class(&context),
            false => measuring::unmeasured_model(&context),
        }
        scene::second_node(&context, |_| {});
        for _ in 0..3 {
            step().await;
            job(&context, &server.writes(), failed(None));
        }
        let nodes = nodes_of(&server.writes());
        assert!(nodes.len() == 3 && nodes[0] != nodes[1] && nodes[0] == nodes[2], "of class: {of_class}: {nodes:?}");
    }
}

#[tokio::test]
async fn a_measurement_on_a_node_that_is_gone_goes_on_elsewhere_at_once() {
    for of_class in [false, true] {
        let server = Server::new(None, config_map());
        let context = scene::context(&server);
        let step = async || match of_class {
            true => pool::reconcile(&context, "edge").await.map(drop).expect("nothing fails"),
            false => model::reconcile(&context, &key()).await.map(drop).expect("nothing fails"),
        };
        match of_class {
            true => measuring::unmeasured_class(&context),
            false => measuring::unmeasured_model(&context),
        }
        scene::second_node(&context, |_| {});
        step().await;
        let first = job(&context, &server.writes(), json!({}));
        let node = nodes_of(&server.writes()).remove(0);
        step().await;
        assert_eq!(nodes_of(&server.writes()).len(), 1, "of class: {of_class}: it runs");
        context.caches.nodes.put(Key::new("", &*node), None);
        step().await;
        let writes = server.writes();
        let nodes = nodes_of(&writes);
        assert!(nodes.len() == 2 && nodes[1] != node, "of class: {of_class}: {nodes:?}");
        let mut deleted = writes.iter().filter(|write| write.what.starts_with("DELETE"));
        assert!(deleted.any(|write| write.what.ends_with(&first)), "of class: {of_class}");
    }
}

#[tokio::test]
async fn a_node_without_room_or_image_is_not_measured_on() {
    let too_small = |node: &mut Value| node["status"]["allocatable"]["memory"] = "64Mi".into();
    let of_others = |node: &mut Value| {
        node["status"]["nodeInfo"] = json!({
            "architecture": "riscv64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "",
            "systemUUID": "",
        });
    };
    let changes: [fn(&mut Value); 2] = [too_small, of_others];
    for change in changes {
        for of_class in [false, true] {
            let server = Server::new(None, config_map());
            let context = scene::context(&server);
            // The first one is gone.
            context.caches.nodes.put(crate::cache::Key::new("", "pi"), None);
            scene::second_node(&context, change);
            let path = match of_class {
                true => {
                    measuring::unmeasured_class(&context);
                    pool::reconcile(&context, "edge").await.expect("nothing fails");
                    "/devicepools/edge/status"
                }
                false => {
                    measuring::unmeasured_model(&context);
                    model::reconcile(&context, &key()).await.expect("nothing fails");
                    STATUS
                }
            };
            let writes = server.writes();
            assert_eq!(nodes_of(&writes), Vec::<String>::new());
            let told = writes.iter().find(|write| write.what.ends_with(path)).expect("it is told");
            assert!(told.body.to_string().contains("NoDevice"), "{told:?}");
        }
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_mount_images_is_asked_again() {
    let server = Server::new(None, config_map());
    let context = scene::context(&server);
    scene::change_model(&context, |model| {
        model["spec"]["artifact"]["uri"] = format!("oci://example.com/m@sha256:{}#m.onnx", "0".repeat(64)).into();
    });
    server.refuse("/deployments", Fault::Status(422, "Invalid"));
    let again = model::reconcile(&context, &key()).await.expect("nothing fails");
    let writes = server.writes();
    let told = writes.iter().find(|write| write.what.ends_with(STATUS)).expect("it is told");
    assert!(told.body.to_string().contains("ArtifactNotReachable"), "{told:?}");
    assert_eq!(again, Some(crate::image_volumes::HOLDS));
}

#[tokio::test]
async fn a_file_in_a_config_map_that_is_not_there_is_told_and_not_measured() {
    let server = Server::new(None, config_map());
    let context = scene::context(&server);
    measuring::unmeasured_model(&context);
    let mut model = api::EENNModel::clone(&context.caches.models.get(&key()).expect("it is there"));
    model.spec.artifact.uri = "configmap://gone/model.onnx".parse().expect("it is one");
    context.caches.models.put(key(), Some(Arc::new(model)));
    model::reconcile(&context, &key()).await.expect("nothing fails");
    let writes = server.writes();
    assert_eq!(nodes_of(&writes), Vec::<String>::new());
    let status = &writes.iter().rfind(|write| write.what.ends_with(STATUS)).expect("it is told").body["status"];
    let mut conditions = status["conditions"].as_array().expect("there are some").iter();
    let accepted = conditions.find(|one| one["type"] == "Accepted").expect("it is there");
    assert_eq!((&accepted["status"], &accepted["reason"]), (&json!("False"), &json!("ArtifactNotFound")));
    assert!(accepted["message"].as_str().is_some_and(|message| message.contains("\"gone\"")), "{accepted}");
}
