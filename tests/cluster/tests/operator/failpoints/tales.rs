//! What happens while operators die, and what has to be the same at its end.

use crate::measurements;
use crate::mutation::fields::Mutation;
use crate::scene::Scene;
use crate::stage::{Props, Stage, View, whole};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Step = fn(&Stage<'_>) -> anyhow::Result<()>;

/// What operators do that die in the middle of it.
pub(super) struct Tale {
    /// What users have made.
    pub(super) props: fn(&Scene) -> anyhow::Result<Props>,
    /// What has happened before, each until nothing changes any more. None: there was no operator before.
    pub(super) before: &'static [Step],
    /// What operators find when they come.
    pub(super) begins: Step,
    /// Waits until an operator has come to the end, where that is not seen by whether the service is placed.
    pub(super) end: Step,
    /// It takes more writes than these.
    pub(super) few: u64,
    /// What is compared at the end.
    pub(super) view: View,
}

const NOTHING: Step = |_| Ok(());

pub(super) const PLACED: Tale =
    Tale { props: Props::one_chain, before: &[], begins: NOTHING, end: NOTHING, few: 15, view: whole };

/// From the box to the other device: what is new is made, and what was there goes.
pub(super) const MOVED: Tale = Tale { before: &[NOTHING], begins: to_the_other_device, few: 8, ..PLACED };

/// An earlier plan is in force again, as a new one: gateways take only what is newer.
pub(super) const APPROVED: Tale = Tale {
    before: &[
        |stage| change(stage, &[("/planning", json!("Manual")), ("/approvedPlan", json!("camera-1"))]),
        |stage| {
            to_the_other_device(stage)?;
            until(stage, "camera-2 waits for approval", |state| service(state)["proposedPlanRef"]["name"] == "camera-2")
        },
        |stage| {
            change(stage, &[("/approvedPlan", json!("camera-2"))])?;
            until(stage, "camera-2 is in force", |state| service(state)["planRef"]["name"] == "camera-2")
        },
    ],
    begins: |stage| change(stage, &[("/approvedPlan", json!("camera-1"))]),
    end: |stage| until(stage, "another plan is in force", |state| service(state)["planRef"]["name"] == "camera-3"),
    few: 8,
    ..PLACED
};

/// A node is gone from the pool: gateways are told at once to do without it, and then it is planned anew.
pub(super) const LOST: Tale = Tale {
    props: |scene| {
        let mut props = Props::two_tier(scene)?;
        let exit_last = json!({ "type": "ExitLast" });
        props.mutate(&Mutation { plural: "eennservices", path: "/scheduler".to_owned(), value: Some(exit_last) })?;
        Ok(props)
    },
    before: &[NOTHING],
    begins: |stage| {
        let only = json!({ "example.com/pool": "edge", "node.kubernetes.io/instance-type": "pi4" });
        let pool = Mutation { plural: "devicepools", path: "/nodeSelector/matchLabels".to_owned(), value: Some(only) };
        ensure!(stage.change(&pool)?, "the API server refuses {pool}");
        Ok(())
    },
    end: |stage| until(stage, "it is planned anew", |state| service(state)["planRef"]["name"] == "camera-3"),
    few: 4,
    view: without_the_way,
};

/// A model that says little of itself is measured, and the service placed.
pub(super) const MEASURED: Tale = Tale { props: Props::to_be_measured, few: 20, view: measured, ..PLACED };

/// A class that says no speed is measured.
pub(super) const CALIBRATED: Tale = Tale {
    props: |scene| {
        let mut props = Props::one_chain(scene)?;
        let class = json!({
            "name": "lab", "tier": "NearEdge", "memoryBudget": "256Ki",
            "matchLabels": { "node.kubernetes.io/instance-type": "lab" },
        });
        let digest = measurements::sha256("model.onnx")?.into();
        for (plural, path, value) in [("devicepools", "/classes/-", class), ("eennmodels", "/artifact/sha256", digest)]
        {
            props.mutate(&Mutation { plural, path: path.to_owned(), value: Some(value) })?;
        }
        Ok(props)
    },
    end: |stage| until(stage, "the class is measured", |state| state["pool"]["classes"][0]["name"] == "lab"),
    few: 18,
    view: measured,
    ..PLACED
};

/// The authority will end, and everybody hears of the next one.
pub(super) const CERTIFIED: Tale = Tale {
    before: &[NOTHING],
    begins: |stage| {
        let secret = authorities_of(stage);
        let mut found = stage.scene.plane.api().get(&secret)?;
        let mut document: Value = serde_json::from_slice(&file(&found, "authorities.json")?)?;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        document[0]["ends"] = (now + 100 * 86_400).into();
        found["data"]["authorities.json"] =
            base64::engine::general_purpose::STANDARD.encode(document.to_string()).into();
        let reply = stage.scene.plane.api().send("PUT", &secret, Some(&found))?;
        ensure!(reply.status == 200, "{}", String::from_utf8_lossy(&reply.body));
        Ok(())
    },
    end: |stage| until_in(certified, stage, "two are known", |state| state["authorities"]["known"] == 2),
    few: 1,
    view: certified,
    ..PLACED
};

fn to_the_other_device(stage: &Stage<'_>) -> anyhow::Result<()> {
    let chain = json!([{"chain": "pi", "fragments": [{"node": "pi", "firstSegment": 1, "lastSegment": 6}]}]);
    change(stage, &[("/placement/pinned", chain)])
}

/// Changes fields of the service, one after the other.
fn change(stage: &Stage<'_>, fields: &[(&str, Value)]) -> anyhow::Result<()> {
    for (path, value) in fields {
        let one = Mutation { plural: "eennservices", path: (*path).to_owned(), value: Some(value.clone()) };
        ensure!(stage.change(&one)?, "the API server refuses {one}");
    }
    Ok(())
}

fn service(state: &Value) -> &Value {
    &state["eennservices/camera"]["status"]
}

fn until(stage: &Stage<'_>, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    until_in(whole, stage, what, holds)
}

fn until_in(view: View, stage: &Stage<'_>, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let state = view(stage)?;
        if holds(&state) {
            return Ok(());
        }
        ensure!(began.elapsed() < super::PATIENCE, "{}: not yet: {what}: {state:#}", stage.name);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Everything but whether the plan on the way was ever in force, which is told as it was.
fn without_the_way(stage: &Stage<'_>) -> anyhow::Result<Value> {
    let mut state = whole(stage)?;
    state["eennplans/camera-2"]["status"]["conditions"].take();
    Ok(state)
}

/// Everything but times that were measured and what follows from them, and Jobs, of which none should be left.
fn measured(stage: &Stage<'_>) -> anyhow::Result<Value> {
    let mut state = stage.state()?;
    for (name, object) in state.as_object_mut().into_iter().flatten() {
        if name.starts_with("eennmodels/") {
            object["status"]["profile"].take();
            object["status"]["measured"]["measuredTime"].take();
        }
        if name.starts_with("eennplans/") {
            object["spec"]["predicted"].take();
            object["spec"]["missed"].take();
        }
        if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
            conditions.retain(|condition| condition["type"] != "QoSMet");
        }
        if name.starts_with("configmaps/") {
            object["data"].take();
        }
        object["status"]["predicted"].take();
        if name == "pool" {
            object["classes"].as_array_mut().into_iter().flatten().for_each(without_speed);
            object["devices"].as_array_mut().into_iter().flatten().for_each(without_speed);
        }
    }
    for (api, plural) in [("/apis/batch/v1", "jobs"), ("/api/v1", "secrets")] {
        let names = stage.list(api, plural)?.into_iter().map(|mut one| one["metadata"]["name"].take());
        state[plural] = names.collect();
    }
    Ok(state)
}

/// What was measured of a class or device, and with whose model.
fn without_speed(measured: &mut Value) {
    for field in ["measuredTime", "speedFactor", "model"] {
        measured[field].take();
    }
}

/// Everything, and what pods are told of authorities.
fn certified(stage: &Stage<'_>) -> anyhow::Result<Value> {
    let mut state = stage.state()?;
    let api = stage.scene.plane.api();
    let authorities = api.get(&authorities_of(stage))?;
    let own = api.get(&format!("/api/v1/namespaces/{}/secrets/camera-certificates", stage.name))?;
    let bundle = String::from_utf8(file(&authorities, "ca.crt")?)?;
    state["authorities"] = json!({
        "known": bundle.matches("BEGIN CERTIFICATE").count(),
        "pods know them": bundle.as_bytes() == file(&own, "ca.crt")?,
    });
    Ok(state)
}

/// The Secret in which the operator of a stage keeps its authorities.
fn authorities_of(stage: &Stage<'_>) -> String {
    format!("/api/v1/namespaces/eenn-system/secrets/eenn-operator-{}-authorities", stage.name)
}

fn file(secret: &Value, name: &str) -> anyhow::Result<Vec<u8>> {
    let text = secret["data"][name].as_str().with_context(|| format!("there is no {name}"))?;
    Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
}
