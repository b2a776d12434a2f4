//! What the operator and its users may do, asked of the authorizer of a real API server.

use crate::{NAMESPACE, NEEDED, RELEASE, chart, values};
use anyhow::{Context as _, ensure};
use cluster_tests::{Test, Tools, eventually, start};
use control_plane::{ControlPlane, Options};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[
    ("operator_of_the_cluster_may_do_its_work_and_no_more", operator_of_the_cluster_may_do_its_work_and_no_more),
    ("operator_of_a_namespace_may_do_nothing_beside_it", operator_of_a_namespace_may_do_nothing_beside_it),
    ("users_may_what_their_roles_of_kubernetes_say", users_may_what_their_roles_of_kubernetes_say),
];

/// Verbs, resource with its group, that the operator needs in namespaces that it serves.
const WORK: &[(&[&str], &str, &str)] = &[
    (&["list", "watch"], "eenn.dev", "eennservices"),
    (&["list", "watch"], "eenn.dev", "eennmodels"),
    (&["list", "watch"], "eenn.dev", "qostargets"),
    (&["create", "patch", "delete", "list", "watch"], "eenn.dev", "eennplans"),
    (&["patch"], "eenn.dev", "eennservices/status"),
    (&["patch"], "eenn.dev", "eennmodels/status"),
    (&["patch"], "eenn.dev", "eennplans/status"),
    (&["patch"], "eenn.dev", "qostargets/status"),
    (&["create", "patch", "delete", "list", "watch"], "apps", "deployments"),
    (&["create", "delete", "list", "watch"], "batch", "jobs"),
    (&["create", "patch", "delete", "list", "watch", "get"], "", "configmaps"),
    (&["create", "patch", "delete", "list", "watch"], "", "services"),
    (&["create", "update"], "", "secrets"),
    (&["list", "watch"], "", "pods"),
    (&["create", "patch", "list", "watch"], "", "serviceaccounts"),
    (&["create", "patch", "list", "watch"], "networking.k8s.io", "networkpolicies"),
    (&["create", "patch", "delete", "list", "watch"], "policy", "poddisruptionbudgets"),
    (&["create", "patch"], "events.k8s.io", "events"),
];

/// What it may do nowhere.
const NEVER: &[(&[&str], &str, &str)] = &[
    (&["get", "list", "watch", "patch", "delete"], "", "secrets"),
    (&["create", "get", "patch", "delete"], "", "pods"),
    (&["create", "get"], "", "pods/exec"),
    (&["get"], "", "pods/log"),
    (&["create"], "", "serviceaccounts/token"),
    (&["impersonate"], "", "serviceaccounts"),
    (&["escalate", "bind", "create", "patch"], "rbac.authorization.k8s.io", "roles"),
    (&["escalate", "bind", "create", "patch"], "rbac.authorization.k8s.io", "clusterroles"),
    (&["create"], "rbac.authorization.k8s.io", "rolebindings"),
    (&["create", "patch", "update", "delete"], "eenn.dev", "eennservices"),
    (&["patch"], "eenn.dev", "devicepools"),
    (&["patch", "update", "delete"], "", "nodes"),
    (&["create", "patch"], "apps", "daemonsets"),
    (&["patch", "update"], "batch", "jobs"),
    (&["create"], "batch", "cronjobs"),
    (&["patch"], "apiextensions.k8s.io", "customresourcedefinitions"),
    (&["deletecollection"], "", "configmaps"),
];

/// What it may do with objects that have no namespace.
const CLUSTER: &[(&[&str], &str, &str)] = &[
    (&["list", "watch"], "", "nodes"),
    (&["list", "watch"], "eenn.dev", "devicepools"),
    (&["patch"], "eenn.dev", "devicepools/status"),
];

fn operator_of_the_cluster_may_do_its_work_and_no_more() -> anyhow::Result<()> {
    let plane = start(&Options { controller_manager: true, ..Options::default() })?;
    install(&plane, "")?;
    let operator = operator();
    check(&plane, &operator, "cameras", WORK, true)?;
    check(&plane, &operator, "", CLUSTER, true)?;
    for namespace in ["cameras", NAMESPACE, ""] {
        check(&plane, &operator, namespace, NEVER, false)?;
    }
    check_lease(&plane, &operator)?;
    check_authorities(&plane, &operator)?;
    no_rule_is_wider_than_it_looks(&plane)
}

fn operator_of_a_namespace_may_do_nothing_beside_it() -> anyhow::Result<()> {
    let plane = start(&Options { controller_manager: true, ..Options::default() })?;
    install(&plane, "namespace")?;
    let operator = operator();
    check(&plane, &operator, "cameras", WORK, true)?;
    check(&plane, &operator, "", CLUSTER, true)?;
    check(&plane, &operator, "default", WORK, false)?;
    // But for the Secret of the authorities.
    let elsewhere: Vec<_> = WORK.iter().filter(|(_, _, resource)| *resource != "secrets").copied().collect();
    check(&plane, &operator, NAMESPACE, &elsewhere, false)?;
    ensure!(!may(&plane, &operator, NAMESPACE, "update", "", "secrets")?, "secrets of its own namespace");
    for namespace in ["cameras", NAMESPACE, "default", ""] {
        check(&plane, &operator, namespace, NEVER, false)?;
    }
    check_lease(&plane, &operator)?;
    check_authorities(&plane, &operator)?;
    no_rule_is_wider_than_it_looks(&plane)
}

fn users_may_what_their_roles_of_kubernetes_say() -> anyhow::Result<()> {
    let plane = start(&Options { controller_manager: true, ..Options::default() })?;
    install(&plane, "")?;
    for role in ["view", "edit", "admin"] {
        bind(&plane, role)?;
    }
    // Kubernetes collects the rules some time after they were made.
    eventually(&plane, "edit has the rules of this chart", || {
        may(&plane, "edit", "cameras", "create", "eenn.dev", "eennservices").unwrap_or(false)
    })?;
    let read: &[(&[&str], &str, &str)] = &[(&["get", "list", "watch"], "eenn.dev", "eennplans")];
    let write: &[(&[&str], &str, &str)] = &[
        (&["create", "update", "patch", "delete"], "eenn.dev", "eennservices"),
        (&["create", "update", "patch", "delete"], "eenn.dev", "eennmodels"),
        (&["create", "update", "patch", "delete"], "eenn.dev", "qostargets"),
    ];
    let plans: &[(&[&str], &str, &str)] = &[(&["delete"], "eenn.dev", "eennplans")];
    let nobody: &[(&[&str], &str, &str)] =
        &[(&["create", "patch"], "eenn.dev", "eennplans"), (&["patch"], "eenn.dev", "eennservices/status")];
    for (user, rules, allowed) in [
        ("view", read, true),
        ("view", write, false),
        ("edit", read, true),
        ("edit", write, true),
        ("edit", plans, false),
        ("admin", write, true),
        ("admin", plans, true),
        ("view", nobody, false),
        ("edit", nobody, false),
        ("admin", nobody, false),
    ] {
        check(&plane, user, "cameras", rules, allowed)?;
    }
    Ok(())
}

fn operator() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{RELEASE}")
}

fn install(plane: &ControlPlane, name: &str) -> anyhow::Result<()> {
    for name in [NAMESPACE, "cameras"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        plane.api().post("/api/v1/namespaces", &namespace)?;
    }
    let (tools, chart, values) = (Tools::of(plane, &NEEDED)?, chart(), values(name));
    let mut arguments = vec!["install", RELEASE, &chart, "--namespace", NAMESPACE];
    arguments.extend(values.iter().map(String::as_str));
    tools.helm(&arguments)?.ok().map(drop)
}

fn bind(plane: &ControlPlane, role: &str) -> anyhow::Result<()> {
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": role}],
    });
    plane.api().post(&format!("/apis/{group}/v1/namespaces/cameras/rolebindings"), &binding)?;
    Ok(())
}

fn check(
    plane: &ControlPlane,
    user: &str,
    namespace: &str,
    rules: &[(&[&str], &str, &str)],
    allowed: bool,
) -> anyhow::Result<()> {
    for (verbs, group, resource) in rules {
        for verb in *verbs {
            let may = may(plane, user, namespace, verb, group, resource)?;
            ensure!(may == allowed, "{user} in {namespace:?}: {verb} {resource} of {group:?}: {may}, wanted {allowed}");
        }
    }
    Ok(())
}

/// The Secret of the authorities, and no other.
fn check_authorities(plane: &ControlPlane, operator: &str) -> anyhow::Result<()> {
    for (namespace, name, verb, allowed) in [
        (NAMESPACE, "eenn-operator-eenn-authorities", "get", true),
        (NAMESPACE, "eenn-operator-eenn-authorities", "update", true),
        (NAMESPACE, "eenn-operator-eenn-authorities", "delete", false),
        (NAMESPACE, "sh.helm.release.v1.eenn.v1", "get", false),
        ("cameras", "eenn-operator-eenn-authorities", "get", false),
        ("cameras", "registry", "get", false),
    ] {
        let attributes =
            json!({"namespace": namespace, "name": name, "verb": verb, "group": "", "resource": "secrets"});
        ensure!(review(plane, operator, &attributes)? == allowed, "{verb} {name} in {namespace}");
    }
    ensure!(may(plane, operator, NAMESPACE, "create", "", "secrets")?, "it makes them");
    Ok(())
}

/// The Lease with the name that the operator gives it, and no other.
fn check_lease(plane: &ControlPlane, operator: &str) -> anyhow::Result<()> {
    let (group, resource) = ("coordination.k8s.io", "leases");
    ensure!(may(plane, operator, NAMESPACE, "create", group, resource)?);
    for (namespace, name, verb, allowed) in [
        (NAMESPACE, "eenn-operator-eenn", "get", true),
        (NAMESPACE, "eenn-operator-eenn", "update", true),
        (NAMESPACE, "eenn-operator-eenn", "delete", false),
        (NAMESPACE, "kube-scheduler", "update", false),
        ("kube-system", "eenn-operator-eenn", "update", false),
    ] {
        let attributes =
            json!({"namespace": namespace, "name": name, "verb": verb, "group": group, "resource": resource});
        ensure!(review(plane, operator, &attributes)? == allowed, "{verb} {name} in {namespace}");
    }
    Ok(())
}

/// As `kubectl auth can-i` asks.
fn may(
    plane: &ControlPlane,
    user: &str,
    namespace: &str,
    verb: &str,
    group: &str,
    resource: &str,
) -> anyhow::Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
    });
    review(plane, user, &attributes)
}

fn review(plane: &ControlPlane, user: &str, attributes: &Value) -> anyhow::Result<bool> {
    let version = "authorization.k8s.io/v1";
    let spec = json!({"user": user, "resourceAttributes": attributes});
    let review = json!({"apiVersion": version, "kind": "SubjectAccessReview", "spec": spec});
    let answer = plane.api().post(&format!("/apis/{version}/subjectaccessreviews"), &review)?;
    answer["status"]["allowed"].as_bool().context("the authorizer answers")
}

/// Wildcards would allow what nobody has listed above.
fn no_rule_is_wider_than_it_looks(plane: &ControlPlane) -> anyhow::Result<()> {
    let selector = format!("labelSelector=app.kubernetes.io/instance={RELEASE}");
    for kind in ["clusterroles", "roles"] {
        let roles = plane.api().get(&format!("/apis/rbac.authorization.k8s.io/v1/{kind}?{selector}"))?;
        let roles = roles["items"].as_array().context("a list has items")?;
        ensure!(!roles.is_empty(), "no {kind}");
        for role in roles {
            let rules = role["rules"].to_string();
            ensure!(!rules.contains("\"*\"") && !rules.contains("nonResourceURLs"), "{role:#}");
        }
    }
    Ok(())
}
