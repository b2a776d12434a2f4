//! Who pods are, and who may speak to them.

use super::documents::{CONTROL_PORT, JOBS_PORT, METRICS_PORT, REQUESTS_PORT};
use super::{Blueprint, labels};
use crate::identity;
use api::EENNService;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
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
pub fn certificates(service: &EENNService, pem: &Pem) -> Secret {
    identity::of_pods(super::metadata(service, certificates_name(&service.name_any())), pem)
}

/// Fragments take jobs of their own service only; gateways take requests of anybody. Control is the operator's; metrics are open to
/// the cluster.
pub fn network_policies(blueprint: &Blueprint<'_>) -> Vec<NetworkPolicy> {
    let service = blueprint.name();
    let own = NetworkPolicyPeer {
        pod_selector: Some(selector(BTreeMap::from([(labels::SERVICE.to_owned(), service.clone())]))),
        ..NetworkPolicyPeer::default()
    };
    let control = || from(Some(vec![operator(blueprint.operator.namespace)]), CONTROL_PORT);
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
        policy("fragment", vec![from(Some(vec![own]), JOBS_PORT), control(), from(None, METRICS_PORT)]),
        policy("gateway", vec![from(None, REQUESTS_PORT), control(), from(None, METRICS_PORT)]),
    ]
}

/// The pods of the operator.
pub fn operator(namespace: &str) -> NetworkPolicyPeer {
    let labels = |key: &str, value: &str| Some(selector(BTreeMap::from([(key.to_owned(), value.to_owned())])));
    NetworkPolicyPeer {
        namespace_selector: labels("kubernetes.io/metadata.name", namespace),
        pod_selector: labels("app.kubernetes.io/name", "eenn-operator"),
        ..NetworkPolicyPeer::default()
    }
}

/// These may speak to a port; everybody where there are none.
pub fn from(peers: Option<Vec<NetworkPolicyPeer>>, port: i32) -> NetworkPolicyIngressRule {
    let port =
        NetworkPolicyPort { port: Some(IntOrString::Int(port)), protocol: Some("TCP".to_owned()), end_port: None };
    NetworkPolicyIngressRule { from: peers, ports: Some(vec![port]) }
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
