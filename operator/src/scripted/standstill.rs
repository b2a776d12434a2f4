//! What waits while a service moves, is paused or has lost a node, although its load changes.

use super::gateways::Stage;
use super::scene::{self, key};
use super::server::Server;
use crate::cache::Key;
use crate::controller::Controller;
use crate::gateways::standing::{Fragments, Wanted};
use crate::{clock, plan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Seconds after which a service is planned anew with far more load than it was planned for, at most.
const LONGEST: u64 = 4;

/// Has far more jobs come, from one second to another; whether there is a new plan.
async fn is_planned(stage: &mut Stage, seconds: std::ops::Range<u64>) -> bool {
    for second in seconds {
        stage.conclude(second as f64, 60 * second).await;
        if stage.plans_stored() > 0 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn no_policy_is_made_for_a_placement_that_is_left_or_is_to_stay() {
    assert!(is_planned(&mut Stage::new(), 0..LONGEST).await, "or this test shows nothing");
    for is_paused in [true, false] {
        let mut stage = Stage::new();
        // It is known by then.
        assert!(!is_planned(&mut stage, 0..1).await);
        match is_paused {
            true => scene::paused(&stage.context),
            false => scene::spare_chain(&stage.context, 2),
        }
        assert!(!is_planned(&mut stage, 1..LONGEST).await, "paused: {is_paused}; it moves otherwise");
    }
}

#[tokio::test]
async fn no_policy_is_made_for_who_is_held() {
    for held in [false, true] {
        let mut stage = Stage::new();
        let wanted = Wanted { held, ..stage.wanted() };
        stage.context.standings.want(&key(), wanted, Fragments::Ready, clock::now());
        assert_eq!(is_planned(&mut stage, 0..LONGEST).await, !held);
    }
}

#[tokio::test]
async fn gateways_are_told_of_a_lost_node_before_anything_is_planned() {
    let stage = Stage::new();
    scene::lost_node(&stage.context);
    let reconcile = async || {
        let services = Controller::new("eennservice", Arc::default());
        plan::reconcile(&stage.context, "edge", &services, 0).await.expect("nothing is refused")
    };
    let wait = reconcile().await;
    let writes = stage.server.writes();
    let reasons: Vec<_> = writes.iter().map(|write| write.body["spec"]["reason"].clone()).collect();
    assert_eq!(reasons, ["box is gone: jobs take the other chains"]);
    assert!(wait.is_some(), "it is not planned yet");
    scene::planned(&stage.context, &writes);
    assert!(reconcile().await.is_some(), "gateways follow the plan of before");
    stage.context.standings.want(&key(), stage.wanted(), Fragments::Ready, clock::now());
    assert_eq!((reconcile().await, stage.server.writes().len() > writes.len()), (None, true));
}

#[tokio::test]
async fn what_waits_for_approval_is_held_against_what_is_in_force() {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    scene::plans(&context, 1);
    scene::spare_chain(&context, 2);
    let pool = context.caches.pools.get(&Key::new("", "edge")).expect("it is there");
    let generations = async || {
        let gathered = plan::gather(&context, &pool, &BTreeMap::new()).await.expect("nothing fails");
        let inputs = gathered.expect("there is a service").inputs;
        let newest = plan::newest(&context, &inputs);
        let followed = plan::followed(&context, &inputs, &newest);
        (newest["camera"].spec.generation, followed["camera"].spec.generation)
    };
    assert_eq!(generations().await, (2, 2));
    scene::manual(&context);
    assert_eq!(generations().await, (2, 1), "the second one waits");
}
