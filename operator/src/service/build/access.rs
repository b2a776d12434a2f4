//! Who pods are, and who may speak to them.

use super::documents::{CONTROL_PORT, JOBS_PORT, METRICS_PORT, REQUESTS_PORT};
use super::{Blueprint, labels};
use crate::identity;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use transport::tls::Pem;

/// The identity of all pods of a service. It has no token and no rights.
pub fn account(blueprint: &Blueprint<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: blueprint.metadata(blueprint.name()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The Secret with the certificate of all pods of a service.
pub fn certificates_name(service: &str) -> String {
    format!("{service}-certificates")
}

/// That Secret.
pub fn certificates(blueprint: &Blueprint<'_>, pem: &Pem) -> Secret {
    identity::of_pods(blueprint.metadata(certificates_name(&blueprint.name())), pem)
}

/// Fragments take jobs of their own service only; gateways take requests of anybody. Control is the operator's; metrics are open to
/// the cluster.
pub fn network_policies(blueprint: &Blueprint<'_>) -> Vec<NetworkPolicy> {
    let service = blueprint.name();
    let own = NetworkPolicyPeer {
        pod_selector: Some(selector(BTreeMap::from([(labels::SERVICE.to_owned(), service.clone())]))),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(selector(BTreeMap::from([(
            "kubernetes.io/metadata.name".to_owned(),
            blueprint.operator.namespace.to_owned(),
        )]))),
        pod_selector: Some(selector(BTreeMap::from([(
            "app.kubernetes.io/name".to_owned(),
            "eenn-operator".to_owned(),
        )]))),
        ..NetworkPolicyPeer::default()
    };
    let rule = |from: Option<Vec<NetworkPolicyPeer>>, port: i32| NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    };
    let control = || rule(Some(vec![operator.clone()]), CONTROL_PORT);
    let policy = |role: &str, rules: Vec<NetworkPolicyIngressRule>| NetworkPolicy {
        metadata: blueprint.metadata(format!("{service}-{role}s")),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(labels::of_role(&service, role))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            egress: None,
        }),
    };
    vec![
        policy("fragment", vec![rule(Some(vec![own]), JOBS_PORT), control(), rule(None, METRICS_PORT)]),
        policy("gateway", vec![rule(None, REQUESTS_PORT), control(), rule(None, METRICS_PORT)]),
    ]
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
