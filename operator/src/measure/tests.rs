use super::attempt::{Standing, pause, standing, trouble};
use super::known::{self, Missing};
use super::numbers::{Numbers, numbers};
use super::place::{Place, choose};
use super::*;
use crate::outline;
use crate::pool::survey::survey;
use crate::service::build::Operator;
use api::DevicePool;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use wire::document::{ProfileDocument, TimeDocument};
use wire::measurement::{ExitMeasurement, MeasurementDocument, SegmentMeasurement};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is well formed")
}

/// A model that says only where it is and where it can be left and cut.
fn model(change: impl FnOnce(&mut Value)) -> EENNModel {
    let mut model = json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNModel", "metadata": { "name": "m", "namespace": "edge", "uid": "u1" },
        "spec": {
            "artifact": { "uri": "https://example.com/m.onnx", "sha256": "a".repeat(64), "size": "4Mi" },
            "input": { "name": "$(x)", "shape": [1, 28, 28] },
            "exits": [{ "name": "e1", "tensor": "e1" }, { "name": "e2", "tensor": "e2" }], "cuts": [{ "tensor": "c1" }],
            "exitTable": { "uri": "configmap://t/k" },
        },
    });
    change(&mut model);
    read(model)
}

fn pool(classes: Value) -> Arc<DevicePool> {
    Arc::new(read(json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": { "name": "p" },
        "spec": { "classes": classes, "tolerations": [{ "key": "edge" }] },
    })))
}

fn class(name: &str, speed: Option<&str>) -> Value {
    let mut class = json!({ "name": name, "tier": "Gateway", "matchLabels": { "class": name } });
    if let Some(speed) = speed {
        class["speedFactor"] = speed.into();
    }
    class
}

fn node(name: &str, class: &str, ready: bool) -> Arc<Node> {
    Arc::new(read(json!({
        "metadata": { "name": name, "labels": { "class": class } },
        "status": {
            "capacity": { "cpu": "4", "memory": "4Gi" }, "allocatable": { "cpu": "4", "memory": "4Gi" },
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        },
    })))
}

fn chosen(classes: Value, nodes: &[Arc<Node>]) -> Option<(String, f64)> {
    let pool = pool(classes);
    let survey = survey(&pool, nodes);
    choose(&[(pool, survey)], |_| true, 1).map(|place| (place.node, place.speed_factor))
}

#[test]
fn every_attempt_goes_to_the_next_node_that_is_large_enough() {
    let nodes = [node("a", "one", true), node("b", "slow", true), node("c", "one", true)];
    let pool = pool(json!([class("slow", Some("0.1")), class("one", Some("1"))]));
    let survey = survey(&pool, &nodes);
    let places = [(pool, survey)];
    let chosen = |too_small: &str, attempt| choose(&places, |node| node != too_small, attempt).map(|place| place.node);
    let attempts = |too_small: &str| (1..=4).map(|attempt| chosen(too_small, attempt).unwrap()).collect::<Vec<_>>();
    assert_eq!(attempts(""), ["a", "c", "b", "a"], "the best ones first");
    assert_eq!(attempts("a"), ["c", "b", "c", "b"]);
    assert_eq!(choose(&places, |_| false, 1), None);
}

#[test]
fn it_is_measured_on_the_machine_of_profiles_or_else_the_fastest_that_is_usable() {
    let nodes = [node("a", "slow", true), node("b", "fast", true), node("c", "one", true), node("d", "new", true)];
    let classes = |new: Option<&str>| {
        json!([class("slow", Some("0.1")), class("fast", Some("4")), class("one", Some("1")), class("new", new)])
    };
    assert_eq!(chosen(classes(None), &nodes), Some(("c".to_owned(), 1.0)));
    let unready = [node("c", "one", false), node("a", "slow", true), node("b", "fast", true), node("d", "new", true)];
    assert_eq!(chosen(classes(None), &unready), Some(("b".to_owned(), 4.0)));
    // How fast it is compared with the others nobody knows.
    assert_eq!(chosen(classes(None), &[node("d", "new", true)]), None);
    // Where nobody knows of any, it is what the others are compared with.
    assert_eq!(chosen(json!([class("new", None)]), &[node("d", "new", true)]), Some(("d".to_owned(), 1.0)));
    assert_eq!(chosen(classes(Some("2")), &[node("d", "new", true)]), Some(("d".to_owned(), 2.0)));
}

fn place() -> Place {
    let pool = pool(json!([class("slow", Some("0.5"))]));
    Place { pool, node: "pi-3.local".to_owned(), class: "slow".to_owned(), speed_factor: 0.5 }
}

fn built(model: &EENNModel, missing: Missing, attempt: u32) -> batch::Job {
    let (place, operator) = (place(), Operator { name: "eenn", namespace: "eenn-system" });
    let pull_secrets = ["registry".to_owned()];
    let (what, image, pull_secrets) = ("w", "runtime:1", &pull_secrets[..]);
    build::job(&build::Blueprint { model, place: &place, missing, what, attempt, operator, image, pull_secrets })
}

fn all() -> Missing {
    Missing { costs: true, times: true, table: true }
}

fn elsewhere(model: &mut Value) {
    model["spec"]["exitTable"] = json!({ "uri": "s3://bucket/table", "sha256": "b".repeat(64), "size": "8Mi" });
}

#[test]
fn the_job_is_pinned_locked_down_and_goes_with_the_model() {
    let job = serde_json::to_value(built(&model(elsewhere), all(), 1)).unwrap();
    assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u1");
    let (spec, pod) = (&job["spec"], &job["spec"]["template"]["spec"]);
    assert!(spec["activeDeadlineSeconds"].is_i64() && spec["ttlSecondsAfterFinished"].is_i64(), "{spec:#}");
    assert_eq!((&spec["backoffLimit"], &pod["restartPolicy"]), (&json!(1), &json!("Never")));
    let pinned =
        "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0";
    assert_eq!(pod.pointer(pinned).unwrap()["values"], json!(["pi-3.local"]));
    let short = json!({ "key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule" });
    assert_eq!(pod["tolerations"], json!([short, { "key": "edge", "operator": "Exists" }]));
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "registry" }]));
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["securityContext"]["runAsNonRoot"]),
        (&json!(false), &json!(true))
    );
    let containers = pod["initContainers"].as_array().unwrap().iter().chain(pod["containers"].as_array().unwrap());
    for container in containers {
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]), "{container:#}");
        assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{container:#}");
    }
}

#[test]
fn its_process_is_told_what_to_find_out_and_who_may_know() {
    let arguments = |missing| {
        let job = serde_json::to_value(built(&model(elsewhere), missing, 1)).unwrap();
        let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap().clone();
        arguments.iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let whole = arguments(all());
    let after = |name: &str| {
        let at = whole.iter().position(|argument| argument == name).unwrap_or_else(|| panic!("{name} in {whole:?}"));
        whole[at + 1].as_str()
    };
    assert_eq!(whole[..2], ["inspect", "/model/model.onnx"]);
    assert_eq!((after("--sha256"), after("--exit-table-sha256")), (&*"a".repeat(64), &*"b".repeat(64)));
    assert_eq!(
        (after("--exit-table"), after("--peer")),
        ("/exit-table/exit-table.safetensors", "eenn.operator.eenn.dev")
    );
    assert!(whole.contains(&"--times".to_owned()));
    // The kubelet would put a variable there.
    assert!(after("--description").contains(r#""name":"$$(x)""#), "{}", after("--description"));
    let few = arguments(Missing { costs: true, ..Missing::default() });
    assert!(!few.iter().any(|one| one == "--times" || one == "--exit-table"), "{few:?}");
}

#[test]
fn attempts_and_measurements_have_names_of_their_own() {
    let (first, second) = (built(&model(|_| {}), all(), 1), built(&model(|_| {}), all(), 2));
    assert_ne!(first.metadata.name, second.metadata.name);
    let long = model(|model| model["metadata"]["name"] = "a".repeat(200).into());
    let job = built(&long, all(), 1);
    assert!(job.name_any().len() <= 63 && job.labels().values().all(|value| value.len() <= 63), "{job:?}");
    assert!(known::table_name(&model(elsewhere)).unwrap().len() <= 63);
    let name = identity::model_name(&long.name_any(), "edge");
    assert!(name.ends_with(".models.edge.svc") && name.split('.').all(|label| label.len() <= 63), "{name}");
}

#[test]
fn its_certificate_and_its_wall_go_with_the_job_and_only_the_operator_gets_in() {
    let mut job = built(&model(|_| {}), all(), 1);
    job.metadata.uid = Some("j1".to_owned());
    let policy = serde_json::to_value(build::network_policy(&job, "eenn-system")).unwrap();
    assert_eq!(policy["metadata"]["ownerReferences"][0]["uid"], "j1");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], json!({ "eenn.dev/workload": job.name_any() }));
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    let from = &rules[0]["from"][0];
    assert_eq!(from["namespaceSelector"]["matchLabels"], json!({ "kubernetes.io/metadata.name": "eenn-system" }));
    assert_eq!((&rules[0]["ports"][0]["port"], rules[0]["from"].as_array().unwrap().len()), (&json!(9443), 1));
}

fn document() -> MeasurementDocument {
    let time = |mean_microseconds| TimeDocument { mean_microseconds, scv: 0.25 };
    let exit = |name: &str, segment| ExitMeasurement { name: name.to_owned(), segment, macs: 7, weight_bytes: 8 };
    let segment = |forward_bytes| SegmentMeasurement { macs: 1, weight_bytes: 2, forward_bytes };
    MeasurementDocument {
        sha256: "a".repeat(64),
        machine: "a Cortex".to_owned(),
        exits: vec![exit("e1", 1), exit("e2", 2)],
        segments: vec![segment(512), segment(0)],
        profile: Some(ProfileDocument { segments: vec![time(100.0), time(200.0)], heads: vec![time(10.0), time(0.0)] }),
        exit_table: None,
    }
}

fn measured(model: &EENNModel, missing: Missing) -> EENNModel {
    let found = numbers(model, missing, &built(model, missing, 1), &document(), "2026-01-01T00:00:00Z").unwrap();
    EENNModel { status: Some(found.status), ..model.clone() }
}

#[test]
fn times_become_those_of_the_machine_of_profiles_and_fill_what_the_spec_leaves_out() {
    let model = model(|_| {});
    let missing = known::missing(&model);
    assert_eq!(missing, Missing { costs: true, times: true, table: false });
    let measured = measured(&model, missing);
    assert!(!known::missing(&measured).any());
    let status = measured.status.as_ref().unwrap();
    let on = status.measured.as_ref().unwrap();
    assert_eq!((on.node.as_str(), on.class.as_str(), on.speed_factor.as_str()), ("pi-3.local", "slow", "0.5"));
    let known = known::model(&measured).spec;
    let profile = known.profile.unwrap();
    // A device of half the speed took twice as long.
    assert_eq!(profile.segments[0].mean_microseconds.as_str(), "50");
    assert_eq!(profile.machine.as_deref(), Some("as if of speed 1: a Cortex on pi-3.local, times 0.5"));
    assert_eq!((known.cuts[0].bytes, known.exits[1].segment), (Some(512), Some(2)));
}

#[test]
fn what_the_spec_says_goes_before_what_was_measured() {
    let measured = measured(&model(|_| {}), all_but_table());
    let mut own = measured.clone();
    own.spec.cuts[0].bytes = Some(7);
    own.spec.profile = Some(read(json!({ "segments": [{ "meanMicroseconds": "1" }, { "meanMicroseconds": "2" }] })));
    let known = known::model(&own).spec;
    assert_eq!((known.cuts[0].bytes, &known.profile), (Some(7), &own.spec.profile));
}

fn all_but_table() -> Missing {
    Missing { table: false, ..all() }
}

#[test]
fn numbers_of_another_file_or_of_other_tensors_are_not_used() {
    let measured = measured(&model(|_| {}), all_but_table());
    let changes: [fn(&mut api::EENNModelSpec); 4] = [
        |spec| spec.artifact.sha256 = "c".repeat(64).parse().ok(),
        |spec| spec.cuts[0].tensor = "c2".parse().unwrap(),
        |spec| spec.exits[0].tensor = "e9".parse().unwrap(),
        |spec| spec.input.shape = vec![3, 28, 28],
    ];
    for change in changes {
        let mut other = measured.clone();
        change(&mut other.spec);
        assert_eq!(known::missing(&other), Missing { costs: true, times: true, table: false });
        assert_eq!(known::model(&other).spec.profile, None);
    }
    // What only says how much room to set aside is no other model.
    let mut same = measured.clone();
    same.spec.artifact.size = "128Mi".parse().unwrap();
    assert!(!known::missing(&same).any());
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let model = model(|_| {});
    let job = built(&model, all(), 1);
    let refused = |missing, change: fn(&mut MeasurementDocument)| {
        let mut document = document();
        change(&mut document);
        numbers(&model, missing, &job, &document, "").unwrap_err()
    };
    let digest = refused(all_but_table(), |document| document.sha256 = "d".repeat(64));
    assert!(digest.starts_with("the file that was measured has SHA-256 dddd"), "{digest}");
    let others = refused(all_but_table(), |document| document.exits[0].name = "x".to_owned());
    assert_eq!(others, "the exits and segments that were measured are not those of the model");
    assert_eq!(refused(all_but_table(), |document| document.profile = None), "it measured no times");
    let nan = refused(all_but_table(), |document| {
        document.profile.as_mut().unwrap().segments[0].mean_microseconds = f64::NAN;
    });
    assert!(nan.contains("is no time"), "{nan}");
    assert_eq!(refused(all(), |_| {}), "it brought no exit table along");
}

#[test]
fn an_exit_table_from_elsewhere_is_planned_with_once_it_was_brought() {
    let model = model(elsewhere);
    assert!(known::missing(&model).table);
    let folder = std::env::temp_dir().join(format!("eenn-measure-{}", std::process::id()));
    let table = ExitTableFile::write(&folder);
    let mut document = document();
    document.exit_table = Some(wire::measurement::ExitTableMeasurement {
        sha256: "b".repeat(64),
        samples: 2,
        samples_of_file: 4,
        largest_error: 7.6e-6,
        file: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &table),
    });
    let Numbers { status, table: stored } = numbers(&model, all(), &built(&model, all(), 1), &document, "").unwrap();
    assert_eq!((stored, status.accuracy.as_ref().map(|it| it.as_str())), (Some(table), Some("0.5")));
    let how = "2 of 4 samples, confidences rounded to 16 bits, by at most 7.6e-6";
    assert_eq!(status.exit_table.as_deref(), Some(how));
    let known = known::model(&EENNModel { status: Some(status), ..model.clone() });
    let name = known::table_name(&model).unwrap();
    let uri = known.spec.exit_table.unwrap().uri;
    assert_eq!(uri.as_str(), format!("configmap://{name}/exit-table.safetensors"));
    document.exit_table.as_mut().unwrap().sha256 = "e".repeat(64);
    let error = numbers(&model, all(), &built(&model, all(), 1), &document, "").unwrap_err();
    assert!(error.starts_with("the exit table has SHA-256 eeee"), "{error}");
}

/// A table of two exits and two samples.
struct ExitTableFile;

impl ExitTableFile {
    fn write(path: &std::path::Path) -> Vec<u8> {
        let table = domain::ExitTable::new(2, vec![0.1, 0.2, 0.3, 1.0], vec![0, 1, 2, 3], vec![1, 4]).unwrap();
        let metadata = api::exit_table::ExitTableMetadata {
            model_sha256: "a".repeat(64),
            exits: vec!["e1".to_owned(), "e2".to_owned()],
            confidence: api::Confidence::MaxSoftmax,
            source: String::new(),
        };
        api::exit_table::write(path, &table, &metadata).unwrap();
        let bytes = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        bytes
    }
}

fn with_condition(job: batch::Job, condition: Option<Value>) -> Arc<Job> {
    Arc::new(Job::new(job.metadata, condition.map(|condition| read(json!({ "conditions": [condition] })))))
}

#[test]
fn the_last_attempt_counts_and_tells_how_it_ended() {
    let model = model(|_| {});
    let job = |attempt, condition| with_condition(built(&model, all(), attempt), condition);
    let failed = json!({
        "type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline",
        "lastTransitionTime": "1970-01-01T00:01:00Z",
    });
    assert_eq!(standing(&[], "w"), Standing::New);
    let runs = job(2, None);
    assert_eq!(standing(&[job(1, Some(failed.clone())), Arc::clone(&runs)], "w"), Standing::Runs(runs.clone()));
    assert_eq!(standing(&[runs], "of another file"), Standing::New);
    let Standing::Over { attempt, at, why, .. } = standing(&[job(3, Some(failed))], "w") else { panic!("it is over") };
    assert_eq!((attempt, at), (3, 60));
    assert_eq!(why, "DeadlineExceeded: Job was active longer than specified deadline");
    let complete = json!({ "type": "Complete", "status": "True" });
    assert!(
        matches!(standing(&[job(1, Some(complete))], "w"), Standing::Over { why, .. } if why == "it ended without a result")
    );
}

#[test]
fn attempts_become_rarer() {
    let seconds: Vec<u64> = [1, 2, 3, 7, 8, 9, u32::MAX].map(|attempt| pause(attempt).as_secs()).to_vec();
    assert_eq!(seconds, [30, 60, 120, 1920, 3600, 3600, 3600]);
}

#[test]
fn what_is_wrong_with_a_pod_is_told() {
    let told = |status: Value| {
        let labels = json!({ labels::MODEL: "fashion-mnist" });
        let pod: outline::Pod = read(json!({ "metadata": { "labels": labels }, "status": status }));
        trouble(&pod.into()).map(|trouble| (trouble.reason, trouble.message))
    };
    let container = |state: Value| json!({ "name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
    let waits = |reason: &str| container(json!({ "waiting": { "reason": reason, "message": "why" } }));
    assert_eq!(told(json!({ "containerStatuses": [waits("ContainerCreating")] })), None);
    let image = told(json!({ "initContainerStatuses": [waits("ErrImagePull")] })).unwrap();
    assert_eq!(image, ("ImagePull", "fetch waits: ErrImagePull: why".to_owned()));
    assert_eq!(
        told(json!({ "containerStatuses": [waits("CreateContainerConfigError")] })).unwrap().0,
        "MeasurementWaits"
    );
    let ended = |code: i32| container(json!({ "terminated": { "exitCode": code, "message": "wrong digest\n" } }));
    assert_eq!(told(json!({ "containerStatuses": [ended(0)] })), None);
    let failed = told(json!({ "initContainerStatuses": [ended(1)] })).unwrap();
    assert_eq!(failed, ("MeasurementFailed", "fetch ended with code 1: wrong digest".to_owned()));
    let unscheduled = json!({ "type": "PodScheduled", "status": "False", "message": "Insufficient memory" });
    let unscheduled = told(json!({ "conditions": [unscheduled] })).unwrap();
    assert_eq!(unscheduled.1, "its pod has no node: Insufficient memory");
}

#[test]
fn what_was_written_is_waited_for() {
    let (measuring, key) = (Measuring::default(), Key::new("edge", "m"));
    let before = model(|_| {});
    let after = measured(&before, all_but_table());
    let (before, after) = (time_of(before.status.as_ref()), time_of(after.status.as_ref()));
    assert!(!measuring.is_old(&key, before, 0.0));
    measuring.wrote(&key, after, 0.0);
    assert!(measuring.is_old(&key, before, 1.0));
    assert!(!measuring.is_old(&key, after, 2.0) && !measuring.is_old(&key, before, 3.0), "it has come");
    measuring.wrote(&key, after, 10.0);
    assert!(!measuring.is_old(&key, before, 50.0), "it never will");
}

#[test]
fn a_class_is_as_fast_as_its_device_was_against_the_profile() {
    let profile = |heads: Value| -> api::Profile {
        let segments = json!([{ "meanMicroseconds": "100" }, { "meanMicroseconds": "200" }]);
        read(json!({ "segments": segments, "heads": heads }))
    };
    let time = |mean_microseconds| TimeDocument { mean_microseconds, scv: 0.0 };
    let measured = |scale: f64| ProfileDocument {
        segments: vec![time(100.0 * scale), time(200.0 * scale)],
        heads: vec![time(20.0 * scale), time(0.0)],
    };
    let heads = json!([{ "meanMicroseconds": "20" }, { "meanMicroseconds": "0" }]);
    let speed = |profile, scale| calibrate::speed(&profile, &measured(scale)).map(|speed| speed.to_string());
    assert_eq!(speed(profile(heads.clone()), 4.0).as_deref(), Some("0.25"));
    assert_eq!(
        speed(profile(json!([])), 0.5).as_deref(),
        Some("2"),
        "heads that cost nothing are left out on both sides"
    );
    assert_eq!((speed(profile(heads.clone()), 0.0), speed(profile(heads), f64::NAN)), (None, None));
}

#[test]
fn the_class_of_the_first_model_is_what_others_are_compared_with() {
    let measured = Arc::new(measured(&model(|_| {}), all_but_table()));
    let first = |measured: &Arc<EENNModel>, classes: Value| {
        let pool = pool(classes);
        calibrate::reference(&pool, &calibrate::kept(&pool), &[Arc::clone(measured)])
    };
    // Times that were multiplied are not its own.
    assert_eq!(first(&measured, json!([class("slow", None)])), None);
    let mut own = EENNModel::clone(&measured);
    own.status.as_mut().unwrap().measured.as_mut().unwrap().speed_factor = "1".parse().unwrap();
    let own = Arc::new(own);
    let found = first(&own, json!([class("slow", None), class("fast", None)])).unwrap();
    assert_eq!((found.name.as_str(), found.speed_factor.as_str(), &*found.model), ("slow", "1", "edge/m"));
    assert_eq!(first(&own, json!([class("slow", None), class("fast", Some("3"))])), None);
}

#[test]
fn speeds_that_were_measured_count_until_the_spec_says_another() {
    let known = |speed: Option<&str>| {
        let mut pool = DevicePool::clone(&pool(json!([class("slow", speed), class("new", None)])));
        let found = json!({ "name": "slow", "speedFactor": "0.5", "node": "n", "model": "a/m", "measuredTime": "t" });
        let gone = json!({ "name": "gone", "speedFactor": "0.5", "node": "n", "model": "a/m", "measuredTime": "t" });
        pool.status = Some(read(json!({ "classes": [found, gone] })));
        let kept = calibrate::kept(&pool);
        let unknown: Vec<String> =
            calibrate::unknown(&pool, &kept).iter().map(|class| class.name.to_string()).collect();
        let speed = known::pool(&pool).classes[0].speed_factor.as_ref().map(ToString::to_string);
        (kept.len(), unknown, speed)
    };
    assert_eq!(known(None), (1, vec!["new".to_owned()], Some("0.5".to_owned())));
    assert_eq!(known(Some("3")), (0, vec!["new".to_owned()], Some("3".to_owned())));
}
