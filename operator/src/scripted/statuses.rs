//! What the status of a service says, by what is known of it.

use super::gateways::Stage;
use super::scene::{self, key};
use super::server::Server;
use crate::cache::Key;
use crate::controller::Controller;
use crate::gateways::observed::Said;
use crate::gateways::standing::Following;
use crate::service::report::{Seen, status};
use crate::service::standing::Standing;
use crate::service::{self, choice, references};
use crate::{Context, plan};
use api::EENNPlan;
use api::status::{Condition, ConditionStatus, EENNServiceStatus, Metrics};
use serde_json::{Value, json};
use std::sync::Arc;

/// The status of the service, by what its gateways say.
fn said(context: &Context, following: &Following, observed: &Said) -> EENNServiceStatus {
    told(context, &Standing::default(), following, observed)
}

fn told(context: &Context, standing: &Standing, following: &Following, observed: &Said) -> EENNServiceStatus {
    let service = context.caches.services.get(&key()).expect("it is there");
    let choice = choice::choose(&service, &choice::own(&service, context.caches.plans.within("edge")));
    let found = references::find(context, &service);
    let seen = Seen { found: &found, choice: &choice, standing: Some(standing), following, observed, paused: false };
    status(&service, &seen, None, "2026-01-01T00:00:00Z")
}

fn condition(status: &EENNServiceStatus, aspect: &str) -> (ConditionStatus, String, String) {
    let is_it = |one: &&Condition| one.r#type == aspect;
    let one = status.conditions.iter().find(is_it).expect("it is told");
    (one.status, one.reason.clone(), one.message.clone())
}

#[tokio::test]
async fn targets_are_not_said_to_be_kept_where_nothing_is_predicted() {
    let (stage, follows) = (Stage::new(), Following::Some(1, 1));
    let met = || condition(&said(&stage.context, &follows, &Said::Nothing), "QoSMet");
    scene::lost_node(&stage.context);
    let mut predicted = serde_json::to_value(&*stage.context.caches.plans.all()[0]).expect("JSON");
    predicted["spec"]["predicted"] = json!([{ "lossRatio": "0.001", "evaluator": "simulation" }]);
    scene::put::<EENNPlan>(&stage.context.caches.plans, predicted);
    assert_eq!((met().0, &*met().1), (ConditionStatus::True, "TargetsExpectedToBeKept"));
    let services = Controller::new("eennservice", Arc::default());
    plan::reconcile(&stage.context, "edge", &services, 0).await.expect("nothing is refused");
    scene::planned(&stage.context, &stage.server.writes());
    let (status, reason, message) = met();
    assert_eq!((status, &*reason), (ConditionStatus::Unknown, "NotPredicted"));
    assert_eq!(
        message,
        "nothing is predicted for EENNPlan camera-2 (box is gone: jobs take the other chains); the next plan says what to expect"
    );
}

#[tokio::test]
async fn ready_says_how_many_gateways_follow_where_they_do_not_suffice() {
    let stage = Stage::new();
    let ready = |following| condition(&said(&stage.context, &following, &Said::Nothing), "Ready");
    assert_eq!(ready(Following::Some(2, 2)).2, "gateways follow the plan in force and take jobs");
    let some = ready(Following::Some(1, 2));
    assert_eq!(some, ready(Following::Some(2, 2)), "one more that starts is no news");
    let part = ready(Following::Part(1, 2, "none on box: it refused".to_owned()));
    assert_eq!((part.0, &*part.1), (ConditionStatus::False, "PolicyNotAcknowledged"));
    assert_eq!(part.2, "1 of 2 gateways follow the plan in force, none on box: it refused");
}

/// Whoever reads them sends jobs there at once.
#[tokio::test]
async fn endpoints_are_those_whose_gateways_have_served() {
    let stage = Stage::new();
    let endpoints = |standing: &Standing| {
        let status = told(&stage.context, standing, &Following::Some(1, 1), &Said::Nothing);
        serde_json::to_value(status.endpoints).expect("JSON")
    };
    let starting = Standing::default();
    let serving = Standing { gateways_ready: true, ..Standing::default() };
    let refused = Standing { refusal: Some("no quota".to_owned()), ..serving.clone() };
    assert_eq!(endpoints(&starting), json!([]), "nothing answers there yet");
    assert_eq!(endpoints(&refused), json!([]), "not all of them are there");
    let now = endpoints(&serving);
    assert_eq!(now[0]["source"], "camera", "{now:#}");
    let mut service =
        serde_json::to_value(&*stage.context.caches.services.get(&key()).expect("it is there")).expect("JSON");
    let before = json!([{ "source": "camera", "url": "http://camera-old.edge:8080" }]);
    service["status"] = json!({ "endpoints": before });
    scene::put::<api::EENNService>(&stage.context.caches.services, service);
    assert_eq!(endpoints(&starting), before, "those that take its place do not serve yet");
    assert_eq!(endpoints(&refused), before);
    assert_eq!(endpoints(&serving), now, "they have taken over");
}

#[tokio::test]
async fn what_was_observed_long_ago_is_not_said_any_more() {
    let (stage, follows) = (Stage::new(), Following::Some(1, 1));
    let mut service =
        serde_json::to_value(&*stage.context.caches.services.get(&key()).expect("it is there")).expect("JSON");
    let counted = Metrics { loss_ratio: "0.3".parse().ok(), ..Metrics::default() };
    service["status"] = json!({ "observed": counted });
    scene::put::<api::EENNService>(&stage.context.caches.services, service);
    let observed = |observed| said(&stage.context, &follows, &observed).observed;
    assert_eq!(observed(Said::Nothing), Some(counted.clone()), "another process has said so");
    assert_eq!(observed(Said::TooFew), None);
    assert_eq!(observed(Said::Counted(counted.clone())), Some(counted));
}

/// An operator that has just started, on a pool of which a node is gone.
fn operator() -> (Arc<Server>, Context) {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    scene::lost_chain(&context);
    (server, context)
}

async fn planned(context: &Context) {
    let services = Controller::new("eennservice", Arc::default());
    plan::reconcile(context, "edge", &services, 0).await.expect("nothing is refused");
}

/// What the status is set to.
async fn set(server: &Server, context: &Context) -> Value {
    service::reconcile(context, &key()).await.expect("nothing is refused");
    let written = server.writes().into_iter().rfind(|write| write.what.ends_with("/eennservices/camera/status"));
    written.expect("it is told").body["status"].clone()
}

fn says(status: &Value, words: &str) -> bool {
    status["conditions"].as_array().is_some_and(|all| all.iter().any(|one| one["message"] == words))
}

/// The one that has stored the plan dies before it has told of it: nothing is planned anew, and the devices that are not used are told all the same.
#[tokio::test]
async fn what_was_found_out_with_a_plan_is_told_by_the_next_operator() {
    let (server, context) = operator();
    planned(&context).await;
    let mut plan = server.writes().pop().expect("a plan is stored").body;
    plan["metadata"]["uid"] = "p1".into();
    let (server, context) = operator();
    scene::put::<EENNPlan>(&context.caches.plans, plan);
    planned(&context).await;
    assert_eq!(server.writes().len(), 0, "nothing is left to plan");
    scene::ready(&context);
    let status = set(&server, &context).await;
    let why = "not ready, so that chain \"box\" is not used";
    assert_eq!(status["rejectedDevices"], json!([{ "name": "box", "reason": why }]), "{status:#}");
    assert!(says(&status, &format!("EENNPlan camera-1 is in force; not used: box ({why})")), "{status:#}");
}

/// The same of what kept it from making another one.
#[tokio::test]
async fn why_there_is_no_newer_plan_is_told_by_the_next_operator() {
    let operator = || {
        let (server, context) = operator();
        scene::nowhere(&context);
        scene::ready(&context);
        (server, context)
    };
    let (server, context) = operator();
    scene::plans(&context, 1);
    planned(&context).await;
    let patches: Vec<_> =
        server.writes().into_iter().filter(|write| write.what.ends_with("/eennplans/camera-1")).collect();
    let mut plan = scene::with_status("camera-1");
    plan["metadata"]["annotations"] = patches[0].body["metadata"]["annotations"].clone();
    let before = set(&server, &context).await;
    let (server, context) = operator();
    scene::put::<EENNPlan>(&context.caches.plans, plan);
    let status = set(&server, &context).await;
    let told = |status: &Value| status["conditions"][3]["message"].clone();
    assert_eq!(told(&status), told(&before));
    assert!(
        told(&status).as_str().is_some_and(|told| told.starts_with("EENNPlan camera-1 stays in force: ")),
        "{status:#}"
    );
}

/// Those of an operator of before carry nothing: what it has told stays until there is another plan.
#[tokio::test]
async fn what_was_told_of_a_plan_that_carries_nothing_stays() {
    let (server, context) = operator();
    scene::plans(&context, 1);
    scene::ready(&context);
    let mut service = serde_json::to_value(&*context.caches.services.get(&key()).expect("it is there")).expect("JSON");
    let told = json!([{ "name": "box", "reason": "it is slow" }]);
    service["status"]["rejectedDevices"] = told.clone();
    scene::put::<api::EENNService>(&context.caches.services, service);
    let status = set(&server, &context).await;
    assert_eq!(status["rejectedDevices"], told);
    assert!(says(&status, "EENNPlan camera-1 is in force; not used: box (it is slow)"), "{status:#}");
}

/// Several operators of a cluster tell of it, and only one of them has asked the gateways: otherwise they would contradict each other for ever.
#[tokio::test]
async fn what_was_observed_stays_while_a_pool_is_gone() {
    let stage = Stage::new();
    let context = &stage.context;
    let counted = Metrics { loss_ratio: "0.3".parse().ok(), ..Metrics::default() };
    let mut service = serde_json::to_value(&*context.caches.services.get(&key()).expect("it is there")).expect("JSON");
    service["status"] = json!({ "observed": counted, "observedGeneration": 1 });
    scene::put::<api::EENNService>(&context.caches.services, service);
    context.caches.pools.put(Key::new("", "edge"), None);
    service::reconcile(context, &key()).await.expect("nothing is refused");
    let writes = stage.server.writes();
    let told = writes.iter().rfind(|write| write.what.ends_with("/eennservices/camera/status")).expect("it is told");
    assert_eq!(told.body["status"]["observed"], json!(counted));
    assert_eq!(told.body["status"]["conditions"][1]["reason"], "PoolNotFound", "{:#}", told.body);
}
