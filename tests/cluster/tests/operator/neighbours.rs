//! What others make and want beside a service.

use crate::SERVICE;
use crate::proxy::{EventFate, Fate, Faults, Proxy};
use crate::scene::{self, NAMESPACE, Scene};
use anyhow::ensure;
use cluster_tests::Test;
use hyper::Uri;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("what_others_have_made_is_left_alone", what_others_have_made_is_left_alone),
    ("what_others_make_at_the_same_moment_is_given_back", what_others_make_at_the_same_moment_is_given_back),
    (
        "another_operator_leaves_a_service_alone_whose_pool_is_gone",
        another_operator_leaves_a_service_alone_whose_pool_is_gone,
    ),
    ("what_others_change_is_set_back_and_what_they_add_stays", what_others_change_is_set_back_and_what_they_add_stays),
    ("what_is_paused_stays_while_others_are_planned_anew", what_is_paused_stays_while_others_are_planned_anew),
];

fn what_others_have_made_is_left_alone() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.kubectl(&["-n", NAMESPACE, "create", "service", "clusterip", "camera", "--tcp=80:80"])?;
    scene.kubectl(&[
        "-n",
        NAMESPACE,
        "create",
        "secret",
        "generic",
        "camera-certificates",
        "--from-literal=password=x",
    ])?;
    scene.apply_all()?;
    for (kind, name) in [("secret", "camera-certificates"), ("service", "camera")] {
        scene.wait_for(SERVICE, "Placed", "False", "NotApplied")?;
        scene.until("it says what is in the way", || {
            let said = scene.condition(SERVICE, "Placed").map(|(_, _, message)| message.to_lowercase());
            said.is_ok_and(|said| said.contains(&format!("{kind} {name} is there already")))
        })?;
        let there = scene.get(&format!("{kind}/{name}"))?;
        ensure!(there["metadata"]["ownerReferences"].is_null(), "{there:#}");
        ensure!(
            there["data"]["tls.key"].is_null() && there["spec"]["selector"]["eenn.dev/service"].is_null(),
            "{there:#}"
        );
        scene.kubectl(&["-n", NAMESPACE, "delete", kind, name])?;
    }
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

/// What happens to ServiceAccounts after they were listed is not told while the test goes on.
#[derive(Default, Clone)]
struct Untold {
    listed: Arc<AtomicBool>,
}

impl Faults for Untold {
    fn request(&self, _: &str, uri: &Uri) -> Fate {
        if is_of_accounts(uri) && uri.query().is_some_and(|query| query.contains("watch=true")) {
            self.listed.store(true, Ordering::SeqCst);
        }
        Fate::Passes
    }

    fn event(&self, uri: &Uri, _: &Value) -> EventFate {
        if is_of_accounts(uri) { EventFate::Late(Duration::from_secs(600)) } else { EventFate::Arrives }
    }
}

fn is_of_accounts(uri: &Uri) -> bool {
    uri.path().ends_with("/serviceaccounts")
}

fn what_others_make_at_the_same_moment_is_given_back() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let untold = Untold::default();
    let proxy = Proxy::start(&scene.plane, "operator", untold.clone())?;
    let _operator = scene.operator_with("operator", &proxy.kubeconfig(), &["--no-leader-election"])?;
    scene.until("accounts are listed", || untold.listed.load(Ordering::SeqCst))?;
    // Nothing in it contradicts what the operator wants, so that nothing is refused; and nothing is put down to whoever made it.
    scene.kubectl(&["-n", NAMESPACE, "create", "serviceaccount", "camera"])?;
    // Times of objects are in seconds: what was made in the same one cannot be told to be older.
    std::thread::sleep(Duration::from_secs(1));
    scene.apply_all()?;
    scene.wait_for(SERVICE, "Placed", "False", "NotApplied")?;
    scene.until("it says what is in the way", || {
        let said = scene.condition(SERVICE, "Placed").map(|(_, _, message)| message.to_lowercase());
        said.is_ok_and(|said| said.contains("serviceaccount camera is there already"))
    })?;
    let applied = scene.writes_of("operator")?;
    let accounts = format!("patch /api/v1/namespaces/{NAMESPACE}/serviceaccounts/camera");
    ensure!(applied.contains(&accounts), "nothing was applied, so that there is nothing to give back: {applied:#?}");
    let there: Value = serde_json::from_str(&scene.kubectl(&[
        "-n",
        NAMESPACE,
        "get",
        "serviceaccount/camera",
        "--show-managed-fields",
        "-o",
        "json",
    ])?)?;
    let metadata = &there["metadata"];
    let ours = ["ownerReferences", "labels", "annotations"].iter().any(|field| !metadata[field].is_null());
    ensure!(!ours && there["automountServiceAccountToken"].is_null(), "fields are left of the operator: {there:#}");
    let managers: Vec<&str> =
        metadata["managedFields"].as_array().into_iter().flatten().filter_map(|one| one["manager"].as_str()).collect();
    ensure!(!managers.contains(&"eenn-operator"), "{managers:?}");
    Ok(())
}

/// Fields of children that the operator sets are its own; all others are for whoever wants them.
fn what_others_change_is_set_back_and_what_they_add_stays() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    let labelled =
        scene.kubectl(&["-n", NAMESPACE, "get", "deployments", "-l", "eenn.dev/role=fragment", "-o", "name"])?;
    let policy =
        scene.names("networkpolicies")?.first().map(|name| format!("networkpolicy/{name}")).unwrap_or_default();
    let fragment = labelled.lines().next().unwrap_or_default();
    let image =
        r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/other:1"}]"#;
    let changes: [(&str, &str, &str); 6] = [
        (fragment, "/spec/replicas", r#"[{"op": "replace", "path": "/spec/replicas", "value": 3}]"#),
        (fragment, "/spec/template/spec/containers/0/image", image),
        (
            fragment,
            "/metadata/labels/eenn.dev~1role",
            r#"[{"op": "remove", "path": "/metadata/labels/eenn.dev~1role"}]"#,
        ),
        (&policy, "/spec/ingress", r#"[{"op": "replace", "path": "/spec/ingress", "value": []}]"#),
        (
            "service/camera",
            "/spec/ports/0/targetPort",
            r#"[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 1}]"#,
        ),
        (
            "serviceaccount/camera",
            "/automountServiceAccountToken",
            r#"[{"op": "replace", "path": "/automountServiceAccountToken", "value": true}]"#,
        ),
    ];
    for (object, field, patch) in changes {
        let now = || Ok::<Value, anyhow::Error>(scene.get(object)?.pointer(field).cloned().unwrap_or_default());
        let wanted = now()?;
        ensure!(!wanted.is_null(), "{object} has no {field}");
        scene.kubectl(&["-n", NAMESPACE, "annotate", "--overwrite", object, "example.com/note=theirs"])?;
        scene.kubectl(&["-n", NAMESPACE, "patch", object, "--type=json", "-p", patch])?;
        scene.until(&format!("{field} of {object} is {wanted} again"), || now().is_ok_and(|now| now == wanted))?;
        let note = scene.get(object)?["metadata"]["annotations"]["example.com/note"].clone();
        ensure!(note == "theirs", "an annotation of others is {note}");
    }
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn what_is_paused_stays_while_others_are_planned_anew() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    scene.add_door()?;
    let _operator = scene.operator("operator", &["--no-leader-election"])?;
    for service in [SERVICE, "eennservice/door"] {
        scene.wait_for(service, "Placed", "True", "Placed")?;
    }
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/paused=true"])?;
    scene.wait_for(SERVICE, "Active", "False", "Paused")?;
    let plan_of = |service: &str| Ok::<Value, anyhow::Error>(scene.get(service)?["status"]["planRef"]["name"].clone());
    let before = (plan_of(SERVICE)?, plan_of("eennservice/door")?, scene.names("deployments")?);
    // Both have no other place to be once the box takes no more pods.
    scene.kubectl(&["cordon", "box"])?;
    scene.until("the other one is planned anew", || plan_of("eennservice/door").is_ok_and(|plan| plan != before.1))?;
    scene.wait_for("eennservice/door", "Placed", "True", "Placed")?;
    ensure!(plan_of(SERVICE)? == before.0, "a service that is paused was planned anew");
    let of_camera = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| name.starts_with("camera-")).cloned().collect()
    };
    ensure!(of_camera(&scene.names("deployments")?) == of_camera(&before.2), "its pods were moved");
    scene.kubectl(&["-n", NAMESPACE, "annotate", SERVICE, "eenn.dev/paused-"])?;
    scene.until("it follows", || plan_of(SERVICE).is_ok_and(|plan| plan != before.0))?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")
}

fn another_operator_leaves_a_service_alone_whose_pool_is_gone() -> anyhow::Result<()> {
    let scene = Scene::with_service()?;
    let _first = scene.operator("first", &["--no-leader-election"])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    scene.kubectl(&["create", "namespace", "other"])?;
    let _second =
        scene.operator("second", &["--no-leader-election", "--name", "other", "--lease-namespace", "other"])?;
    scene.until("the second one works", || {
        scene.kubectl(&["-n", "other", "get", "secrets"]).is_ok_and(|all| all.lines().count() > 1)
    })?;
    let certificates = || scene.get("secret/camera-certificates").map(|secret| secret["data"].clone());
    let before = certificates()?;
    scene.kubectl(&["delete", "devicepool", "edge"])?;
    scene.wait_for(SERVICE, "Accepted", "False", "PoolNotFound")?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(certificates()? == before, "another operator has replaced the certificate");
    scene.kubectl(&["-n", NAMESPACE, "apply", "-f", &scene::manifest("two-tier.yaml")])?;
    scene.wait_for(SERVICE, "Placed", "True", "Placed")?;
    ensure!(certificates()? == before, "it is another certificate now");
    Ok(())
}
