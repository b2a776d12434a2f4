//! Who pods are, and who may speak to them.

use super::documents::{JOBS_PORT, METRICS_PORT, REQUESTS_PORT};
use super::{Blueprint, labels};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// The identity of all pods of a service. It has no token and no rights.
pub fn account(blueprint: &Blueprint<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: blueprint.metadata(blueprint.name()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Fragments take jobs of their own service only; gateways take requests of anybody. Metrics are open to the cluster.
pub fn network_policies(blueprint: &Blueprint<'_>) -> Vec<NetworkPolicy> {
    let service = blueprint.name();
    let own = NetworkPolicyPeer {
        pod_selector: Some(selector(BTreeMap::from([(labels::SERVICE.to_owned(), service.clone())]))),
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
        policy("fragment", vec![rule(Some(vec![own]), JOBS_PORT), rule(None, METRICS_PORT)]),
        policy("gateway", vec![rule(None, REQUESTS_PORT), rule(None, METRICS_PORT)]),
    ]
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
