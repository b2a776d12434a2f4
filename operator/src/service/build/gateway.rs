//! A gateway: pods on the node of sources, their configuration with the policy, and the Services they take requests at.

use super::documents::{self, CONTROL_PORT, METRICS_PORT, REQUESTS_PORT};
use super::fragment::{configuration, service_port};
use super::pod::{self, BASE_MEMORY, Pod};
use super::{Blueprint, labels};
use api::PlannedFragment;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service, ServiceSpec, VolumeMount};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;
use wire::document::{GatewayDocument, PolicyDocument};

/// All objects of the gateway of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// What its processes are told. The policy in it changes; a process that runs is told of that otherwise.
    pub config: ConfigMap,
    /// Its pods.
    pub deployment: Deployment,
    /// Where it takes requests.
    pub service: Service,
    /// What they follow.
    pub policy: PolicyDocument,
    /// Where there are several of them.
    pub budget: Option<PodDisruptionBudget>,
}

/// The gateway of a node. `addresses`: where each fragment takes jobs. `kind`: differs where all fragments differ. Those are replaced then without a new
/// plan, and a gateway takes no other addresses for a plan that it follows: it is replaced, too.
pub fn build(blueprint: &Blueprint<'_>, node: &str, addresses: &[(PlannedFragment, String)], kind: &str) -> Built {
    let document = documents::gateway(blueprint, node, addresses);
    let replicas = blueprint.service.spec.runtime.gateway_replicas;
    let pod = Pod {
        role: "gateway",
        node: node.to_owned(),
        fixed: fixed(&document) + kind,
        container: container(blueprint),
        init: None,
        volumes: vec![pod::scratch("state", "16Mi")],
        replicas,
        labels: BTreeMap::from([(labels::GATEWAY.to_owned(), labels::hash(node))]),
    };
    let deployment = pod::deployment(blueprint, pod);
    let name = deployment.name_any();
    let config = serde_json::to_string_pretty(&document).expect("documents have no keys but text");
    let budget = (replicas > 1).then(|| PodDisruptionBudget {
        metadata: blueprint.metadata(name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(selector(&name)), ..Default::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    });
    // Old pods and new ones alike: those of before serve until these do.
    let mut of_node = labels::of_role(&blueprint.name(), "gateway");
    of_node.insert(labels::GATEWAY.to_owned(), labels::hash(node));
    Built {
        config: configuration(blueprint, &name, config),
        service: service(blueprint, &endpoint(&blueprint.name(), node), of_node),
        budget,
        deployment,
        policy: document.policy,
    }
}

/// All gateways of a service: for clients that do not care which one they get. Headless: names lead to gateways themselves, and an
/// address of its own would have to wait for those of all other Services, since the API server hands out one at a time.
pub fn front(blueprint: &Blueprint<'_>) -> Service {
    let name = blueprint.name();
    let mut front = service(blueprint, &name, labels::of_role(&name, "gateway"));
    front.spec.get_or_insert_default().cluster_ip = Some("None".to_owned());
    front
}

/// Name of the Service of the gateways on a node.
pub fn endpoint(service: &str, node: &str) -> String {
    format!("{service}-{}", labels::hash(node))
}

/// Where the jobs of a source are taken.
pub fn url(service: &str, namespace: &str, node: &str) -> String {
    format!("http://{}.{namespace}.svc:{REQUESTS_PORT}", endpoint(service, node))
}

/// What a pod is started anew for. Not the policy: gateways that run are told of a new one.
fn fixed(document: &GatewayDocument) -> String {
    let policy = PolicyDocument {
        service: document.policy.service.clone(),
        version: Default::default(),
        epoch: Default::default(),
        overflow: Default::default(),
        chains: vec![],
        default: vec![],
        sources: BTreeMap::new(),
        rates: None,
        learning: None,
        audit_share: 0.0,
        deadline_milliseconds: None,
    };
    let document = GatewayDocument { policy, ..document.clone() };
    serde_json::to_string(&document).expect("documents have no keys but text")
}

fn selector(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(labels::WORKLOAD.to_owned(), name.to_owned())])
}

fn container(blueprint: &Blueprint<'_>) -> Container {
    let memory = BASE_MEMORY + blueprint.service.spec.runtime.gateway_memory_budget.bytes().0;
    Container {
        name: "gateway".to_owned(),
        image: Some(blueprint.image.to_owned()),
        args: Some(["gateway", "--config", "/etc/eenn/config.json"].map(str::to_owned).to_vec()),
        ports: Some(vec![
            pod::port("requests", REQUESTS_PORT),
            pod::port("control", CONTROL_PORT),
            pod::port("metrics", METRICS_PORT),
        ]),
        resources: Some(pod::resources("50m", None, memory)),
        security_context: Some(pod::locked_down()),
        volume_mounts: Some(vec![VolumeMount {
            name: "state".to_owned(),
            mount_path: "/var/lib/eenn".to_owned(),
            ..VolumeMount::default()
        }]),
        startup_probe: Some(pod::probe("/healthz", 2, 30)),
        readiness_probe: Some(pod::probe("/readyz", 5, 2)),
        liveness_probe: Some(pod::probe("/healthz", 10, 6)),
        ..Container::default()
    }
}

fn service(blueprint: &Blueprint<'_>, name: &str, selector: BTreeMap<String, String>) -> Service {
    Service {
        metadata: blueprint.metadata(name),
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![service_port("requests", REQUESTS_PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
