use super::measuring;
use super::peer::Peer;
use super::scene::{self, key};
use super::server::{CONFLICT, Fault, REFUSED, Server, Write};
use crate::cache::Key;
use crate::controller::{Controller, Failure};
use crate::identity::authority::Authorities;
use crate::identity::certificate;
use crate::queue::Outcome;
use crate::{Context, identity, model, plan, pool, service, target};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a request may be answered with, and whether users have to know: the answer will be the same when it is tried again.
const FAULTS: [(Fault, bool); 13] = [
    (Fault::Status(400, "BadRequest"), true),
    (Fault::Status(403, "Forbidden"), true),
    (Fault::Status(404, "NotFound"), true),
    (Fault::Status(409, "Conflict"), false),
    (Fault::Taken, true),
    (Fault::Replaced, false),
    (Fault::Status(413, "RequestEntityTooLarge"), true),
    (Fault::Status(422, "Invalid"), true),
    (Fault::Status(429, "TooManyRequests"), false),
    (Fault::Status(500, "InternalError"), true),
    (Fault::Status(503, "ServiceUnavailable"), false),
    (Fault::Garbage, false),
    (Fault::TimedOut, false),
];

/// What a reconcile did.
struct Run {
    result: Result<(), Failure>,
    writes: Vec<Write>,
}

/// A reconciler, and the caches that it starts with.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Case {
    Pool,
    Model,
    Target,
    Measurement,
    NextMeasurement,
    Measured,
    Calibration,
    NextCalibration,
    Calibrated,
    FirstPlan,
    SamePlan,
    LostNode,
    NewService,
    GrownService,
    ImpatientService,
    PlanOfBefore,
}

const CASES: [Case; 16] = [
    Case::Pool,
    Case::Model,
    Case::Target,
    Case::Measurement,
    Case::NextMeasurement,
    Case::Measured,
    Case::Calibration,
    Case::NextCalibration,
    Case::Calibrated,
    Case::FirstPlan,
    Case::SamePlan,
    Case::LostNode,
    Case::NewService,
    Case::GrownService,
    Case::ImpatientService,
    Case::PlanOfBefore,
];

impl Case {
    async fn run(self, fault: Option<(usize, Fault)>, before: &[Write]) -> Run {
        let server = Server::new(fault, scene::config_map());
        let context = scene::context(&server);
        let result = self.reconcile(&context, before).await;
        Run { result, writes: server.writes() }
    }

    /// `before`: what there is, for those cases where something is there.
    async fn reconcile(self, context: &Context, before: &[Write]) -> Result<(), Failure> {
        match self {
            Self::Pool => pool::reconcile(context, "edge").await.map(drop),
            Self::Model => model::reconcile(context, &Key::new("edge", "fashion-mnist")).await.map(drop),
            Self::Target => target::reconcile(context, &scene::target(context)).await,
            Self::Measurement | Self::NextMeasurement | Self::Measured => self.measure(context, before).await,
            Self::Calibration | Self::NextCalibration | Self::Calibrated => self.calibrate(context, before).await,
            Self::FirstPlan => {
                plan::reconcile(context, "edge", &Controller::new("eennservice", Arc::default()), 0).await.map(drop)
            }
            Self::SamePlan => {
                scene::planned(context, before);
                plan::reconcile(context, "edge", &Controller::new("eennservice", Arc::default()), 0).await.map(drop)
            }
            Self::LostNode => {
                scene::lost_node(context);
                plan::reconcile(context, "edge", &Controller::new("eennservice", Arc::default()), 0).await.map(drop)
            }
            Self::NewService => {
                scene::plans(context, 1);
                service::reconcile(context, &key()).await.map(drop)
            }
            Self::GrownService => {
                scene::plans(context, 7);
                scene::grown(context, before);
                service::reconcile(context, &key()).await.map(drop)
            }
            // Its pods are other ones, and those of before need not wait for them.
            Self::ImpatientService => {
                scene::plans(context, 1);
                scene::grown(context, before);
                scene::breaks_first(context);
                scene::change_model(context, |model| model["spec"]["artifact"]["size"] = "8Mi".into());
                service::reconcile(context, &key()).await.map(drop)
            }
            Self::PlanOfBefore => {
                scene::back(context);
                service::reconcile(context, &key()).await.map(drop)
            }
        }
    }

    async fn measure(self, context: &Context, before: &[Write]) -> Result<(), Failure> {
        measuring::unmeasured_model(context);
        let _pod = self.job(context, before).await;
        model::reconcile(context, &measuring::key()).await.map(drop)
    }

    async fn calibrate(self, context: &Context, before: &[Write]) -> Result<(), Failure> {
        measuring::unmeasured_class(context);
        let _pod = self.job(context, before).await;
        pool::reconcile(context, "edge").await.map(drop)
    }

    /// The Job of before: failed long ago, or with a result.
    async fn job(self, context: &Context, before: &[Write]) -> Option<Peer> {
        match self {
            Self::NextMeasurement | Self::NextCalibration => {
                measuring::job(context, before, measuring::failed(None));
                None
            }
            Self::Measured | Self::Calibrated => {
                let job = measuring::job(context, before, Value::Null);
                Some(measuring::serving(context, &job, &measuring::result()).await)
            }
            _ => None,
        }
    }

    /// Whose status tells of what is refused, and in which conditions; with which kinds of writes.
    fn tells(self) -> Option<(&'static str, &'static [&'static str], &'static [&'static str])> {
        match self {
            Self::NewService | Self::GrownService | Self::ImpatientService => {
                Some(("/eennservices/camera/status", &["Placed", "Ready"], &["PATCH", "PUT"]))
            }
            Self::Measurement | Self::NextMeasurement | Self::Measured => {
                Some(("/eennmodels/fashion-mnist/status", &["Ready"], &["PATCH", "POST", "DELETE"]))
            }
            Self::Calibration | Self::NextCalibration | Self::Calibrated => {
                Some(("/devicepools/edge/status", &["Calibrated"], &["PATCH", "POST", "DELETE"]))
            }
            _ => None,
        }
    }

    /// Whether it does not wait for what was refused: all services of a pool are planned for, and what runs is certified.
    fn goes_on_with(self, write: &Write) -> bool {
        match self {
            Self::LostNode => write.what.ends_with("/eennplans"),
            Self::PlanOfBefore => write.what.contains("/secrets"),
            _ => false,
        }
    }

    /// What the case starts with.
    async fn before(self) -> Vec<Write> {
        match self {
            Self::SamePlan => Self::FirstPlan.run(None, &[]).await.writes,
            Self::NextMeasurement | Self::Measured => Self::Measurement.run(None, &[]).await.writes,
            Self::NextCalibration | Self::Calibrated => Self::Calibration.run(None, &[]).await.writes,
            Self::GrownService | Self::ImpatientService => {
                let server = Server::new(None, scene::config_map());
                let context = scene::context(&server);
                scene::plans(&context, if self == Self::GrownService { 7 } else { 1 });
                service::reconcile(&context, &key()).await.expect("nothing fails");
                server.writes()
            }
            _ => vec![],
        }
    }
}

#[tokio::test]
async fn there_is_something_to_refuse() {
    let counts = |writes: &[Write], method: &str| writes.iter().filter(|write| write.what.starts_with(method)).count();
    for (case, patches, posts, deletes) in [
        (Case::Pool, 1, 0, 0),
        (Case::Model, 1, 0, 0),
        (Case::Target, 1, 0, 0),
        // A Job and an event.
        (Case::Measurement, 1, 2, 0),
        (Case::NextMeasurement, 1, 2, 1),
        // Certificate, wall, table, status; of calibrations there are events, too.
        (Case::Measured, 3, 1, 0),
        (Case::Calibration, 1, 2, 0),
        (Case::NextCalibration, 1, 2, 1),
        (Case::Calibrated, 2, 2, 0),
        (Case::FirstPlan, 0, 1, 0),
        (Case::SamePlan, 1, 0, 0),
        (Case::LostNode, 0, 1, 0),
        (Case::PlanOfBefore, 0, 1, 0),
    ] {
        let run = case.run(None, &case.before().await).await;
        run.result.expect("nothing fails");
        let found = (counts(&run.writes, "PATCH"), counts(&run.writes, "POST"), counts(&run.writes, "DELETE"));
        assert_eq!(found, (patches, posts, deletes), "{case:?}: {:?}", run.writes);
    }
    let new = Case::NewService.run(None, &[]).await.writes;
    assert!(counts(&new, "PATCH") > 8 && counts(&new, "DELETE") == 0, "{new:?}");
    let grown = Case::GrownService.run(None, &Case::GrownService.before().await).await.writes;
    // Two plans too many, old pods, their configuration and address, a budget.
    assert_eq!(counts(&grown, "DELETE"), 6, "{grown:?}");
    let impatient = Case::ImpatientService.run(None, &Case::ImpatientService.before().await).await.writes;
    // Fragment and gateway of before, and older pods.
    assert_eq!(counts(&impatient, "DELETE"), 3, "{impatient:?}");
}

#[tokio::test]
async fn every_write_may_fail_in_every_way() {
    for case in CASES {
        let before = case.before().await;
        let good = case.run(None, &before).await.writes;
        for (number, write) in good.iter().enumerate() {
            for (fault, users_must_know) in &FAULTS {
                let run = case.run(Some((number, *fault)), &before).await;
                let what = format!("{case:?}: {} answered with {fault:?}", write.what);
                check(case, &what, write, *fault, *users_must_know, &run, &good[..number]);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_guessed() {
    let mut read = vec![];
    for case in CASES {
        let before = case.before().await;
        for (fault, _) in FAULTS.iter().filter(|(fault, _)| *fault != Fault::Taken) {
            let server = Server::new(None, scene::config_map());
            let context = scene::context(&server);
            server.hide(*fault);
            let result = case.reconcile(&context, &before).await;
            if server.reads() == 0 {
                break;
            }
            read.push(case);
            let (what, writes) = (format!("{case:?}: reads answered with {fault:?}"), server.writes());
            // What is not there is no failure: there is nothing to plan with, and whoever waits for it is told. A node is done without all the same.
            let is_gone = *fault == Fault::Status(404, "NotFound");
            assert_eq!(result.is_ok(), is_gone, "{what}: {result:?}");
            let named = result.err().map(|failure| failure.to_string());
            assert!(named.is_none_or(|named| named.contains("get ConfigMap edge/fashion-mnist")), "{what}");
            let mut guessed: Vec<&Write> = writes.iter().filter(|write| !write.tells()).collect();
            guessed.retain(|_| !(is_gone && case == Case::LostNode));
            assert!(guessed.is_empty(), "{what}: {guessed:?}");
        }
    }
    read.dedup();
    assert_eq!(read, [Case::Model, Case::FirstPlan, Case::SamePlan, Case::LostNode], "these read something");
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_not_made_anew() {
    for (fault, _) in FAULTS.iter().filter(|(fault, _)| *fault != Fault::Taken) {
        let server = Server::new(None, Value::Null);
        let context = scene::context(&server);
        server.hide(*fault);
        let looked = identity::look(&context.cluster, "eenn-system", "eenn", None).await;
        let is_gone = *fault == Fault::Status(404, "NotFound");
        assert_eq!(looked.is_ok(), is_gone, "{fault:?}: {looked:?}");
        assert_eq!(server.writes().len(), usize::from(is_gone), "{fault:?}: they are made where there are none");
        let said = looked.err().map(|error| error.to_string());
        assert!(
            said.is_none_or(|said| said.contains("get Secret eenn-system/eenn-operator-eenn-authorities")),
            "{fault:?}"
        );
    }
}

/// The Secret of authorities of which one is about to end.
fn old_authorities() -> Value {
    let then = identity::now() - 300 * 24 * 3600;
    let made = Authorities::default().at(then, || certificate::authority(then)).expect("it can be made");
    let document = ByteString(serde_json::to_vec(&made).expect("it is text and numbers"));
    let metadata = json!({ "name": "eenn-operator-eenn-authorities", "namespace": "eenn-system" });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": { "authorities.json": document } })
}

#[tokio::test]
async fn authorities_that_cannot_be_stored_are_not_used() {
    let gone = Fault::Status(404, "NotFound");
    for (is_there, action) in [(true, "PUT"), (false, "POST")] {
        for (fault, _) in std::iter::once(&(None, true)).chain(&FAULTS.map(|(fault, known)| (Some(fault), known))) {
            let server = Server::new(fault.map(|fault| (0, fault)), old_authorities());
            let context = scene::context(&server);
            if !is_there {
                server.hide(gone);
            }
            let looked = identity::look(&context.cluster, "eenn-system", "eenn", None).await;
            let writes = server.writes();
            assert!(writes.len() == 1 && writes[0].what.starts_with(action), "{fault:?}: {writes:?}");
            assert_eq!(looked.is_ok(), fault.is_none(), "{action} answered with {fault:?}: {looked:?}");
            let said = looked.err().map(|error| error.to_string());
            assert!(said.is_none_or(|said| said.contains("Secret eenn-operator-eenn-authorities")), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_given_back_is_told() {
    for (fault, users_must_know) in &FAULTS {
        let run = async |fault| {
            let server = Server::new(fault, scene::config_map());
            server.is_of_others("/serviceaccounts/");
            let context = scene::context(&server);
            scene::plans(&context, 1);
            let result = service::reconcile(&context, &key()).await;
            (result.expect_err("somebody else has made it"), server.writes())
        };
        let (failure, writes) = run(None).await;
        assert!(matches!(failure, Failure::Taken { .. }), "{failure}");
        let of_account = writes.iter().enumerate().filter(|(_, write)| write.what.contains("/serviceaccounts/"));
        let numbers: Vec<usize> = of_account.map(|(number, _)| number).collect();
        assert_eq!(numbers.len(), 2, "it is applied, and released: {writes:?}");
        assert!(writes[numbers[1]].body["metadata"]["labels"].is_null(), "nothing of it is set any more");
        let (failure, writes) = run(Some((numbers[1], *fault))).await;
        assert!(failure.to_string().contains("release ServiceAccount camera"), "{fault:?}: {failure}");
        assert_eq!(failure.refusal().is_some(), *users_must_know, "{fault:?}");
        assert!(!writes.iter().any(|write| write.what.contains("/deployments/")), "{fault:?}: {writes:?}");
    }
}

fn check(case: Case, what: &str, failed: &Write, fault: Fault, users_must_know: bool, run: &Run, before: &[Write]) {
    let name = |write: &Write| write.what.clone();
    let same = run.writes.iter().zip(before).all(|(a, b)| a.what == b.what);
    assert!(same, "{what}: what comes before is the same");
    let after = &run.writes[before.len() + 1..];
    // Gone since: nobody is left to tell, and nothing left to delete.
    let settled = matches!(fault, Fault::Status(404, _) | Fault::Replaced)
        && (failed.what.ends_with("/status") || failed.what.starts_with("DELETE"));
    // A Job of this name is the one that was to be made.
    let settled = settled
        || failed.what.ends_with("/jobs") && matches!(fault, Fault::Status(409, _) | Fault::Taken | Fault::Replaced);
    if failed.what.contains("/events") || settled {
        assert!(run.result.is_ok(), "{what}: {:?}", run.result);
        return;
    }
    // A Secret that is not there is made; one that does not take the type of ours is somebody else's.
    if failed.what.contains("/secrets/")
        && let Fault::Status(code @ (404 | 422), _) = fault
    {
        assert_eq!(run.result.is_ok(), code == 404, "{what}: {:?}", run.result);
        return;
    }
    let Err(failure) = &run.result else { panic!("{what}: not noticed") };
    let in_path = failed.what.trim_end_matches("/status").rsplit('/').next().expect("a path");
    let created = failed.body["metadata"]["name"].as_str().filter(|_| failed.what.starts_with("POST"));
    let named = failure.to_string();
    assert!(named.contains(created.unwrap_or(in_path)), "{what}: {named}");
    assert_eq!(failure.refusal().is_some(), users_must_know, "{what}: {named}");
    let passes = !users_must_know || matches!(fault, Fault::Status(500.., _));
    let again = if passes { Outcome::Interrupted } else { Outcome::Failed };
    assert_eq!(failure.outcome(), again, "{what}: {named}");
    // Only what is applied at the same time, and nothing that waits for it.
    let beside = |write: &Write| stage(failed).is_some() && stage(write) == stage(failed);
    let after: Vec<&Write> = after.iter().filter(|write| !beside(write) && !case.goes_on_with(write)).collect();
    let more: Vec<String> = after.iter().filter(|write| !write.tells()).map(|write| name(write)).collect();
    assert!(more.is_empty(), "{what}: written afterwards: {more:?}");
    if let Some((path, conditions, methods)) = case.tells()
        && !failed.tells()
        && methods.iter().any(|method| failed.what.starts_with(method))
    {
        let said = if fault == Fault::Taken { CONFLICT } else { REFUSED };
        told(what, users_must_know.then_some(said), (path, conditions), &after);
    }
}

/// Which children of a service a write is of: those of one stage do not wait for each other.
fn stage(write: &Write) -> Option<usize> {
    const STAGES: [&[&str]; 3] = [
        &["serviceaccounts", "networkpolicies", "configmaps", "services"],
        &["deployments"],
        &["poddisruptionbudgets"],
    ];
    let kind = write.what.strip_prefix("PATCH ")?.rsplit('/').nth(1)?;
    STAGES.iter().position(|kinds| kinds.contains(&kind))
}

/// Users learn it from conditions; `said`: what the API server said, if it is for them.
fn told(what: &str, said: Option<&str>, (path, aspects): (&str, &[&str]), after: &[&Write]) {
    let Some(said) = said else {
        // Of a new service how far it is, at most.
        assert!(after.iter().all(|write| write.what.ends_with("/status")), "{what}: {after:?}");
        return;
    };
    let status = after.iter().find(|write| write.what.ends_with(path));
    let status = status.unwrap_or_else(|| panic!("{what}: the status says nothing: {after:?}"));
    let conditions = status.body["status"]["conditions"].as_array().expect("it has conditions");
    for aspect in aspects {
        let found: Vec<&Value> = conditions.iter().filter(|one| one["type"] == *aspect).collect();
        assert_eq!((&found[0]["status"], &found[0]["reason"]), (&"False".into(), &"NotApplied".into()), "{what}");
        assert!(found[0]["message"].as_str().is_some_and(|message| message.contains(said)), "{what}: {found:?}");
    }
    assert!(after.iter().any(|write| write.what.contains("/events")), "{what}: no event: {after:?}");
}

#[tokio::test]
async fn a_plan_that_cannot_be_stored_is_told() {
    let server = Server::new(Some((0, Fault::Status(403, "Forbidden"))), scene::config_map());
    let context = scene::context(&server);
    let failure = Case::FirstPlan.reconcile(&context, &[]).await.expect_err("it is refused");
    assert!(failure.to_string().contains("create EENNPlan camera-1"), "{failure}");
    service::reconcile(&context, &key()).await.expect("nothing fails");
    let writes = server.writes();
    let status = writes.iter().find(|write| write.what.ends_with("/eennservices/camera/status")).expect("it is told");
    let conditions = status.body["status"]["conditions"].to_string();
    assert!(conditions.contains("NoPlan") && conditions.contains(REFUSED), "{conditions}");
}

#[tokio::test]
async fn names_of_plans_that_are_not_the_services_own_are_passed_over() {
    let server = Server::new(None, scene::config_map());
    let context = scene::context(&server);
    // As `kubectl delete --cascade=orphan` leaves it, and as a service of before had it.
    for (generation, owners) in [
        (1, Value::Null),
        (
            2,
            serde_json::json!([{
                "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "name": "camera", "uid": "u0", "controller": true,
            }]),
        ),
    ] {
        scene::owned_plan(&context, generation, owners);
    }
    Case::FirstPlan.reconcile(&context, &[]).await.expect("nothing is refused");
    let stored = server.writes().into_iter().find(|write| write.body["kind"] == "EENNPlan").expect("there is a plan");
    assert_eq!((&stored.body["metadata"]["name"], &stored.body["spec"]["generation"]), (&"camera-3".into(), &3.into()));
}

#[tokio::test]
async fn who_does_not_lead_writes_nothing() {
    for case in CASES {
        let before = case.before().await;
        let server = Server::new(None, scene::config_map());
        let mut context = scene::context(&server);
        context.cluster = crate::cluster::Cluster::new(server.client(), Arc::default(), Arc::default());
        let result = case.reconcile(&context, &before).await;
        assert!(matches!(result, Err(Failure::NotLeading)), "{case:?}: {result:?}");
        assert!(server.writes().is_empty(), "{case:?}");
    }
}
