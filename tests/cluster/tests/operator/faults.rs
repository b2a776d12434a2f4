//! Things go wrong between operator and API server; in the end everything is as it would have been.

use crate::proxy::{EventFate, Fate, Faults, Proxy};
use crate::scene::Scene;
use crate::stage::{Props, Stage, whole};
use anyhow::{Context as _, ensure};
use cluster_tests::Test;
use hyper::Uri;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const TESTS: &[Test] =
    &[("whatever_goes_wrong_on_the_way_the_end_is_the_same", whatever_goes_wrong_on_the_way_the_end_is_the_same)];

const PATIENCE: Duration = Duration::from_secs(120);

/// How many faults there were: a test without any shows nothing.
#[derive(Debug, Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    /// The number of this one, from 1.
    fn up(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("watch=true"))
}

fn is_write(method: &str) -> bool {
    matches!(method, "POST" | "PATCH" | "PUT" | "DELETE")
}

fn is_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK"
}

/// Every fourth event never arrives; a second later the watch breaks, and cannot be taken up where it broke.
#[derive(Default)]
struct Lost {
    events: Count,
    faults: Count,
    /// Paths of watches that cannot be taken up.
    gone: Mutex<BTreeSet<String>>,
}

impl Faults for Lost {
    fn request(&self, _: &str, uri: &Uri) -> Fate {
        let gone = is_watch(uri) && self.gone.lock().is_ok_and(|mut gone| gone.remove(uri.path()));
        if gone { Fate::Refused(410) } else { Fate::Passes }
    }

    fn event(&self, uri: &Uri, event: &Value) -> EventFate {
        if is_bookmark(event) || !self.events.up().is_multiple_of(4) {
            return EventFate::Arrives;
        }
        self.faults.up();
        let _ = self.gone.lock().map(|mut gone| gone.insert(uri.path().to_owned()));
        EventFate::Lost(Duration::from_secs(1))
    }
}

/// Every fourth event breaks off in the middle.
#[derive(Default)]
struct Broken {
    events: Count,
    faults: Count,
}

impl Faults for Broken {
    fn event(&self, _: &Uri, event: &Value) -> EventFate {
        if is_bookmark(event) || !self.events.up().is_multiple_of(4) {
            return EventFate::Arrives;
        }
        self.faults.up();
        EventFate::Breaks
    }
}

/// What the operator sees is a second old, and more when much happens.
#[derive(Default)]
struct Late {
    faults: Count,
}

impl Faults for Late {
    fn event(&self, _: &Uri, event: &Value) -> EventFate {
        if is_bookmark(event) {
            return EventFate::Arrives;
        }
        self.faults.up();
        EventFate::Late(Duration::from_millis(1000))
    }
}

/// Every third request is refused, for another reason each time; watches too.
#[derive(Default)]
struct Refusing {
    requests: Count,
    faults: Count,
}

impl Faults for Refusing {
    fn request(&self, _: &str, uri: &Uri) -> Fate {
        let number = self.requests.up();
        if !number.is_multiple_of(3) {
            return Fate::Passes;
        }
        self.faults.up();
        let statuses = [429, 500, 503, 409];
        // Only of a watch it says that what was asked for is gone.
        if is_watch(uri) { Fate::Refused(410) } else { Fate::Refused(statuses[(number / 3 % 4) as usize]) }
    }
}

/// Every third write is carried out, but its answer never comes.
#[derive(Default)]
struct Unanswered {
    writes: Count,
    faults: Count,
}

impl Faults for Unanswered {
    fn request(&self, method: &str, _: &Uri) -> Fate {
        if !is_write(method) || !self.writes.up().is_multiple_of(3) {
            return Fate::Passes;
        }
        self.faults.up();
        Fate::AnswerLost
    }
}

/// No fault at all: what the others are compared with.
struct Nothing;

impl Faults for Nothing {}

fn whatever_goes_wrong_on_the_way_the_end_is_the_same() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let props = Props::one_chain(&scene)?;
    let wanted = {
        let stage = Stage::set(&scene, "undisturbed", &props)?;
        let proxy = Proxy::start(&scene.plane, &stage.name, Nothing)?;
        let _operator = scene.operator_with(&stage.name, &proxy.kubeconfig(), &stage.arguments())?;
        act(&stage)?;
        let wanted = stage.until_settled(whole, PATIENCE)?;
        stage.clear()?;
        wanted
    };
    let (lost, broken, late) = (Lost::default(), Broken::default(), Late::default());
    let (refusing, unanswered) = (Refusing::default(), Unanswered::default());
    let counts = [&lost.faults, &broken.faults, &late.faults, &refusing.faults, &unanswered.faults].map(Clone::clone);
    std::thread::scope(|scope| {
        let (scene, props, wanted) = (&scene, &props, &wanted);
        let runs = [
            ("lost-events", scope.spawn(move || under(scene, props, wanted, "lost-events", lost))),
            ("broken-watches", scope.spawn(move || under(scene, props, wanted, "broken-watches", broken))),
            ("late-events", scope.spawn(move || under(scene, props, wanted, "late-events", late))),
            ("refused-requests", scope.spawn(move || under(scene, props, wanted, "refused-requests", refusing))),
            ("lost-answers", scope.spawn(move || under(scene, props, wanted, "lost-answers", unanswered))),
        ];
        for ((name, run), count) in runs.into_iter().zip(&counts) {
            run.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked"))).context(name)?;
            ensure!(count.get() > 5, "{name}: only {} faults", count.get());
        }
        Ok(())
    })
}

fn under(scene: &Scene, props: &Props, wanted: &Value, name: &str, faults: impl Faults) -> anyhow::Result<()> {
    let proxy = Proxy::start(&scene.plane, name, faults)?;
    let stage = Stage::set(scene, name, props)?;
    let mut operator = scene.operator_with(name, &proxy.kubeconfig(), &stage.arguments())?;
    act(&stage)?;
    stage.until_like(whole, wanted, PATIENCE).with_context(|| operator.log())?;
    ensure!(operator.ended().is_none(), "it ended: {}", operator.log());
    stage.clear()
}

/// What a user does: waits for the service, changes how it is run, and deletes what is none of their business.
fn act(stage: &Stage<'_>) -> anyhow::Result<()> {
    let scene = stage.scene;
    let is_ready = || stage.state().is_ok_and(|state| crate::stage::ready(&state));
    scene.until(&format!("{} is ready", stage.name), is_ready)?;
    stage.patch(r#"{"spec": {"runtime": {"gatewayReplicas": 2}, "auditShare": "0.02"}}"#)?;
    let ours = "app.kubernetes.io/managed-by=eenn-operator";
    scene.kubectl(&["-n", &stage.name, "delete", "services,networkpolicies", "-l", ours])?;
    scene.until(&format!("{} is ready again", stage.name), is_ready).with_context(|| stage.service())
}
