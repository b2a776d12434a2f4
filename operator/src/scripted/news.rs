//! Transitions are told as events of the object that they are of.

use super::scene::{self, key};
use super::server::{Server, Write};
use crate::cache::Key;
use crate::{Context, service, target};
use api::{EENNPlan, QoSTarget};
use serde_json::{Value, json};

/// Events of a kind of object: of which one, type and reason.
fn events(writes: &[Write], kind: &str) -> Vec<[String; 3]> {
    let told = writes.iter().filter(|write| write.tells() && write.body["regarding"]["kind"] == kind);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    told.map(|write| [&write.body["regarding"]["name"], &write.body["type"], &write.body["reason"]].map(text)).collect()
}

#[tokio::test]
async fn a_target_that_limits_nothing_any_more_is_told() {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    let key = scene::target(&context);
    target::reconcile(&context, &key).await.expect("nothing is refused");
    assert_eq!(events(&server.writes(), "QoSTarget"), Vec::<[String; 3]>::new(), "it is well from the beginning");
    let written = server.writes();
    let mut target = serde_json::to_value(&*context.caches.targets.get(&key).expect("it is there")).expect("JSON");
    target["status"] = written[0].body["status"].clone();
    target["spec"] = json!({});
    scene::put::<QoSTarget>(&context.caches.targets, target);
    target::reconcile(&context, &key).await.expect("nothing is refused");
    assert_eq!(events(&server.writes(), "QoSTarget"), [["interactive", "Normal", "NoLimits"]]);
}

/// A plan has a condition.
fn in_force(context: &Context, plan: &str, status: &str, reason: &str) {
    let key = Key::new("edge", plan);
    let mut plan = serde_json::to_value(&*context.caches.plans.get(&key).expect("it is there")).expect("JSON");
    plan["status"] = json!({ "observedGeneration": 1, "conditions": [{
        "type": "InForce", "status": status, "reason": reason, "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] });
    scene::put::<EENNPlan>(&context.caches.plans, plan);
}

#[tokio::test]
async fn a_plan_that_is_followed_no_more_is_told_and_how_a_plan_begins_is_not() {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    scene::plans(&context, 1);
    in_force(&context, "camera-1", "True", "InForce");
    scene::spare_chain(&context, 2);
    service::reconcile(&context, &key()).await.expect("nothing is refused");
    assert_eq!(events(&server.writes(), "EENNPlan"), [["camera-1", "Normal", "Superseded"]]);
}
