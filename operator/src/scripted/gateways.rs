//! Gateways that cannot be told, tell nonsense, or are not who they should be: what they follow stays, and is tried again.

use super::peer::{Peer, reach, reach_all};
use super::scene::{self, config_map, put};
use super::server::{Fault, Server};
use crate::cache::Key;
use crate::controller::Controller;
use crate::gateways::standing::{Following, Fragments, Gateway, Heard, Wanted};
use crate::gateways::{Follower, Pace, Round, follow, targets};
use crate::service::labels;
use crate::{Context, clock, identity};
use api::EENNPlan;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::document::{GatewayTelemetry, PolicyDocument, PolicyVersion, SourceTelemetry};

const WORKLOAD: &str = "camera-g-pi";
const TELEMETRY: &str = "GET /telemetry";
const POLICY: &str = "PUT /policy";
const PLANS: &str = "POST /apis/eenn.dev/v1alpha1/namespaces/edge/eennplans";

/// A service with a plan in force, and a gateway pod.
pub(super) struct Stage {
    pub(super) server: Arc<Server>,
    pub(super) context: Arc<Context>,
    follower: Follower,
    services: Arc<Controller<Key>>,
}

impl Stage {
    /// The pod is reached nowhere yet.
    pub(super) fn new() -> Self {
        let server = Server::new(None, config_map());
        let context = scene::context(&server);
        scene::demanding(&context);
        // One that knows nothing but the last exit: under more load any other is better.
        scene::plans(&context, 1);
        put::<crate::outline::Pod>(&context.caches.pods, pod());
        let services = Controller::new("eennservice", Arc::default());
        let stage = Self { server, context: Arc::new(context), follower: Follower::with(Pace::Looks), services };
        // Long ago, and followed then: nobody is given time any more.
        let (standings, long_ago) = (&stage.context.standings, clock::now() - 100.0);
        standings.want(&scene::key(), stage.wanted(), Fragments::Ready, long_ago);
        let heard = Some(Heard { at: long_ago, version: version(1) });
        let followed = Gateway { node: "pi".to_owned(), heard };
        standings.heard(&scene::key(), [("gateway".to_owned(), followed)].into(), None, long_ago);
        stage
    }

    /// With a gateway of this name that says this of itself.
    async fn with(name: &str, telemetry: impl ToString) -> (Self, Peer) {
        let stage = Self::new();
        let peer = Peer::start(&stage.context.identity, name).await;
        peer.answer(TELEMETRY, 200, telemetry);
        peer.answer(POLICY, 200, json!({ "version": version(1) }));
        reach(&stage.context, WORKLOAD, &peer.address());
        (stage, peer)
    }

    fn plan(&self) -> Arc<EENNPlan> {
        self.context.caches.plans.all().pop().expect("there is one")
    }

    pub(super) fn wanted(&self) -> Wanted {
        let plan = self.plan();
        let version = version(plan.spec.generation.unsigned_abs());
        let policy: PolicyDocument = serde_json::from_str(&plan.spec.policy).expect("it was planned");
        let policy = serde_json::to_string(&PolicyDocument { version, ..policy }).expect("it has no keys but text");
        let policies = BTreeMap::from([(WORKLOAD.to_owned(), Arc::from(policy))]);
        let nodes = ["pi".to_owned()].into();
        Wanted {
            pool: Key::new("", "edge"),
            plan,
            version,
            policies,
            fragments: vec![],
            placement: 0,
            nodes,
            held: false,
        }
    }

    fn round(&self) -> Round {
        let book = Arc::new(self.context.addresses.now());
        let mut targets = targets(&self.context.caches.pods.all(), &book);
        Round::of(&self.context, &Key::new("", "edge"), &mut targets, &book)
    }

    async fn look(&mut self) {
        let follower = std::mem::take(&mut self.follower);
        self.follower = follower.look(Arc::clone(&self.context), Arc::clone(&self.services), self.round()).await;
    }

    fn following(&self) -> Following {
        self.context.standings.following(&scene::key(), clock::now())
    }

    /// Why nobody follows the plan.
    fn trouble(&self) -> String {
        match self.following() {
            Following::None(why) => why,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn plans_stored(&self) -> usize {
        self.server.writes().iter().filter(|write| write.what == PLANS).count()
    }

    /// A second passes at a gateway that follows the plan, and `arrived` jobs have come by now.
    pub(super) async fn conclude(&mut self, now: f64, arrived: u64) {
        let source = SourceTelemetry { arrived, answered: arrived, ..SourceTelemetry::default() };
        let telemetry = GatewayTelemetry {
            service: "camera".to_owned(),
            policy: version(1),
            sources: [("camera".to_owned(), source)].into(),
            ..GatewayTelemetry::default()
        };
        let said = [(scene::key(), "gateway".to_owned(), telemetry)];
        self.follower.conclude(&self.context, &self.round(), &said, now).await;
    }
}

fn pod() -> Value {
    let labels = json!({ labels::ROLE: "gateway", labels::SERVICE: "camera", labels::WORKLOAD: WORKLOAD });
    json!({
        "metadata": { "name": "gateway", "namespace": "edge", "labels": labels, "annotations": { labels::NODE: "pi" } },
        "status": { "phase": "Running" },
    })
}

fn version(generation: u64) -> PolicyVersion {
    PolicyVersion { transitions: 0, generation }
}

fn name() -> String {
    identity::service_name("camera", "edge")
}

/// What a gateway says that follows this.
fn follows(policy: PolicyVersion) -> String {
    let telemetry = GatewayTelemetry { service: "camera".to_owned(), policy, ..GatewayTelemetry::default() };
    serde_json::to_string(&telemetry).expect("it has no keys but text")
}

#[tokio::test]
async fn a_gateway_is_told_what_to_follow_and_believed_when_it_does() {
    let (mut stage, peer) = Stage::with(&name(), follows(version(0))).await;
    stage.look().await;
    let told = peer.asked().into_iter().find(|(what, _)| what == POLICY).expect("it is told").1;
    assert_eq!(told["version"], json!(version(1)));
    assert_eq!(stage.following(), Following::Some(1, 1));
    peer.answer(TELEMETRY, 200, follows(version(1)));
    stage.look().await;
    assert_eq!((stage.following(), peer.count(POLICY)), (Following::Some(1, 1), 1), "once is enough");
}

#[tokio::test]
async fn a_gateway_that_does_not_take_its_policy_is_told_again() {
    let (mut stage, peer) = Stage::with(&name(), follows(version(0))).await;
    for (code, answer, why) in [
        (500, json!({ "error": "the disk is full" }).to_string(), "the disk is full"),
        (200, "<html>".to_owned(), "cannot be read"),
    ] {
        peer.answer(POLICY, code, answer);
        let before = peer.count(POLICY);
        stage.look().await;
        stage.look().await;
        assert_eq!(peer.count(POLICY) - before, 2);
        let trouble = stage.trouble();
        assert!(trouble.contains("the gateway on pi has not taken its policy"), "{trouble}");
        assert!(trouble.contains(why) || trouble.contains("the disk is full"), "the first words stay: {trouble}");
    }
    peer.answer(POLICY, 200, json!({ "version": version(1) }));
    stage.look().await;
    assert_eq!(stage.following(), Following::Some(1, 1));
}

#[tokio::test]
async fn a_gateway_that_refuses_is_told_of_although_others_follow() {
    const OTHER: &str = "camera-g-box";
    let (mut stage, follower) = Stage::with(&name(), follows(version(1))).await;
    let mut other = pod();
    other["metadata"]["name"] = "another".into();
    other["metadata"]["labels"][labels::WORKLOAD] = OTHER.into();
    other["metadata"]["annotations"][labels::NODE] = "box".into();
    put::<crate::outline::Pod>(&stage.context.caches.pods, other);
    let refuses = Peer::start(&stage.context.identity, &name()).await;
    refuses.answer(TELEMETRY, 200, follows(version(0)));
    refuses.answer(POLICY, 500, json!({ "error": "the disk is full" }));
    reach_all(&stage.context, &[(WORKLOAD, &follower.address()), (OTHER, &refuses.address())]);
    let (mut wanted, long_ago) = (stage.wanted(), clock::now() - 100.0);
    wanted.nodes.insert("box".to_owned());
    wanted.policies.insert(OTHER.to_owned(), wanted.policies[WORKLOAD].clone());
    stage.context.standings.want(&scene::key(), wanted, Fragments::Ready, long_ago);
    let gateway = |node: &str| Gateway { node: node.to_owned(), heard: None };
    let both = [("another".to_owned(), gateway("box")), ("gateway".to_owned(), gateway("pi"))].into();
    stage.context.standings.heard(&scene::key(), both, None, long_ago);
    stage.look().await;
    let Following::Part(1, 2, why) = stage.following() else { panic!("{:?}", stage.following()) };
    assert!(why.starts_with("none on box: the gateway on box has not taken its policy"), "{why}");
    refuses.answer(POLICY, 200, json!({ "version": version(1) }));
    stage.look().await;
    assert_eq!(stage.following(), Following::Some(2, 2));
}

#[tokio::test]
async fn a_gateway_that_is_not_reached_is_counted_told_and_reached_when_it_is_back() {
    let (mut stage, peer) = Stage::with(&name(), follows(version(1))).await;
    let there = peer.address();
    reach(&stage.context, WORKLOAD, &nobody());
    stage.look().await;
    let trouble = stage.trouble();
    assert!(trouble.contains("the gateway on pi was not reached: no connection to"), "{trouble}");
    let metrics = stage.context.metrics.text();
    assert!(metrics.contains("eenn_operator_pods{pool=\"edge\",reached=\"no\"} 1"), "{metrics}");
    reach(&stage.context, WORKLOAD, &there);
    stage.look().await;
    assert_eq!(stage.following(), Following::Some(1, 1));
    // The same pod, at the same address, is left alone for a second after each failure.
    drop(peer);
    stage.follower = Follower::default();
    stage.look().await;
    let _ = stage.trouble();
}

#[tokio::test]
async fn who_shows_another_certificate_is_neither_asked_nor_told() {
    for other in ["other.edge.svc", "camera.yard.svc", "fashion-mnist.models.edge.svc"] {
        let (mut stage, peer) = Stage::with(other, follows(version(0))).await;
        stage.look().await;
        assert_eq!(peer.asked(), vec![], "{other}");
        let trouble = stage.trouble();
        assert!(trouble.contains("was not reached") && trouble.contains("certificate"), "{other}: {trouble}");
    }
}

#[tokio::test]
async fn telemetry_that_makes_no_sense_decides_nothing() {
    let unreadable = ["<html>", "{}", "[]", "{\"service\": \"camera\", \"policy\": {\"generation\": -1}}"];
    for telemetry in unreadable {
        let (mut stage, peer) = Stage::with(&name(), telemetry).await;
        stage.look().await;
        let trouble = stage.trouble();
        assert!(trouble.contains("was not reached") && trouble.contains("cannot be read"), "{telemetry}: {trouble}");
        assert_eq!((peer.count(POLICY), stage.plans_stored()), (0, 0), "{telemetry}");
    }
    let far = PolicyVersion { transitions: u64::MAX, generation: u64::MAX };
    let (mut stage, peer) = Stage::with(&name(), follows(far)).await;
    stage.look().await;
    let standings = &stage.context.standings;
    assert_eq!((standings.transitions(&scene::key()), standings.highest_heard(&scene::key())), (0, 1));
    assert_eq!(peer.count(POLICY), 0, "it would not take it");
    let _ = stage.trouble();
}

#[tokio::test]
async fn counters_that_jump_are_no_panic() {
    let mut stage = Stage::new();
    for (now, arrived) in [0, u64::MAX, 3, u64::MAX - 1, 0, 7].into_iter().enumerate() {
        stage.conclude(now as f64, arrived).await;
    }
    assert_eq!(stage.wanted().version, stage.context.standings.of_pool(&Key::new("", "edge"))[&scene::key()].version);
}

#[tokio::test]
async fn a_renewed_plan_that_cannot_be_stored_changes_nothing_and_is_made_again() {
    let mut stage = Stage::new();
    stage.server.refuse("/eennplans", Fault::Status(403, "Forbidden"));
    let (mut now, mut arrived) = (0.0, 0);
    // Far more than is planned for.
    const LONGEST: f64 = 20_000.0;
    for expected in [1, 2] {
        while stage.plans_stored() < expected {
            assert!(now < LONGEST, "{expected}: no plan");
            (now, arrived) = (now + 1.0, arrived + 60);
            stage.conclude(now, arrived).await;
        }
        let wanted = stage.context.standings.of_pool(&Key::new("", "edge"))[&scene::key()].clone();
        assert_eq!(wanted, stage.wanted(), "gateways keep what they follow");
        assert_eq!(stage.context.caches.plans.all().len(), 1);
    }
    stage.server.heal();
    while stage.plans_stored() < 3 {
        assert!(now < LONGEST, "no plan after that");
        (now, arrived) = (now + 1.0, arrived + 60);
        stage.conclude(now, arrived).await;
    }
    let stored = stage.server.writes().into_iter().rfind(|write| write.what == PLANS).expect("it is stored");
    assert_eq!((&stored.body["spec"]["generation"], &stored.body["metadata"]["name"]), (&json!(2), &json!("camera-2")));
    // It is followed by what has been stored, not made once more.
    for _ in 0..5 {
        (now, arrived) = (now + 1.0, arrived + 60);
        stage.conclude(now, arrived).await;
    }
    assert_eq!(stage.plans_stored(), 3);
}

#[tokio::test]
async fn a_pool_that_is_gone_is_not_counted_any_more() {
    let stage = Stage::new();
    let counted = || stage.context.metrics.text().contains("eenn_operator_pods{pool=\"edge\"");
    let following = tokio::spawn(follow(Arc::clone(&stage.context), Arc::clone(&stage.services)));
    until("it is counted", &counted).await;
    stage.context.caches.pools.put(Key::new("", "edge"), None);
    until("it is not any more", || !counted()).await;
    following.abort();
}

/// Waits until something holds that takes two looks or so.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute: {what}");
}

/// Where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("it is bound").to_string()
}
