//! What all pods of a service have in common: the node they are pinned to, and that they may do nothing but their work.

use super::{Blueprint, access, documents, labels};
use api::{DevicePool, TolerationOperator};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
    LocalObjectReference, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use std::collections::BTreeMap;

/// User and group of everything: the image has no other.
const NOBODY: i64 = 65532;
/// Memory of a process that does nothing yet.
pub const BASE_MEMORY: u64 = 48 << 20;

/// What differs between pods.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `fragment` or `gateway`.
    pub role: &'static str,
    /// The node it is pinned to.
    pub node: String,
    /// Its configuration, for the hash: a pod with another one is another pod.
    pub fixed: String,
    /// Its process.
    pub container: Container,
    /// What runs before.
    pub init: Option<Container>,
    /// Beside its configuration.
    pub volumes: Vec<Volume>,
    /// How many.
    pub replicas: i32,
    /// Labels that only these have.
    pub labels: BTreeMap<String, String>,
}

/// A Deployment whose name follows from what its pods are: another template is another Deployment beside it.
pub fn deployment(blueprint: &Blueprint<'_>, pod: Pod) -> Deployment {
    let service = blueprint.name();
    let spec = with_certificate(spec(blueprint, &pod), &service);
    // How many, too: each gateway follows its share of the forecast, and takes no other policy for the plan that it follows.
    let content = serde_json::to_string(&(&spec, &pod.fixed, pod.replicas, &pod.labels)).unwrap_or_default();
    let name = format!("{service}-{}-{}", &pod.role[..1], labels::hash(&content));
    let mut labels = labels::of_role(&service, pod.role);
    let selector = BTreeMap::from([(labels::WORKLOAD.to_owned(), name.clone())]);
    labels.extend(selector.clone());
    labels.extend(pod.labels.clone());
    let mut metadata = blueprint.metadata(name.clone());
    metadata.labels = Some(labels.clone());
    metadata.annotations = Some(BTreeMap::from([(labels::NODE.to_owned(), pod.node.clone())]));
    let template = ObjectMeta { labels: Some(labels), annotations: metadata.annotations.clone(), ..Default::default() };
    // Not of the template: pods need not start anew for it.
    metadata.annotations.get_or_insert_default().insert(labels::MEMORY.to_owned(), memory(&pod).to_string());
    let spec = with_configuration(spec, &name);
    Deployment {
        metadata,
        spec: DeploymentSpec {
            replicas: Some(pod.replicas),
            // Templates do not change, so there is nothing to roll.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            revision_history_limit: Some(0),
            selector: LabelSelector { match_labels: Some(selector), ..Default::default() },
            template: PodTemplateSpec { metadata: Some(template), spec: Some(spec) },
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

/// Memory that all pods ask for, in bytes.
fn memory(pod: &Pod) -> u64 {
    let requests = pod.container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let each = requests.and_then(|requests| requests.get("memory")?.0.parse::<u64>().ok()).unwrap_or_default();
    each.saturating_mul(pod.replicas.unsigned_abs().into())
}

/// Last requests are taken, and jobs in flight answered, before a process ends: in so many seconds at least, and where jobs may take longer gateways
/// get that. Fragments have no jobs any more by then.
fn grace(blueprint: &Blueprint<'_>, pod: &Pod) -> i64 {
    const LEAST: i64 = 40;
    /// Of these, requests are still taken for five.
    const BESIDE_JOBS: i64 = 10;
    let deadline = blueprint.service.spec.deadline_milliseconds.filter(|_| pod.role == "gateway");
    deadline.map_or(LEAST, |milliseconds| LEAST.max(milliseconds.div_euclid(1000) + 1 + BESIDE_JOBS))
}

fn spec(blueprint: &Blueprint<'_>, pod: &Pod) -> PodSpec {
    let secrets = &blueprint.service.spec.image_pull_secrets;
    let secrets = secrets.iter().map(|secret| LocalObjectReference { name: secret.name.to_string() });
    PodSpec {
        affinity: Some(pinned(&pod.node)),
        automount_service_account_token: Some(false),
        containers: vec![pod.container.clone()],
        enable_service_links: Some(false),
        image_pull_secrets: Some(secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
        init_containers: pod.init.clone().map(|init| vec![init]),
        security_context: Some(nobody()),
        service_account_name: Some(blueprint.name()),
        termination_grace_period_seconds: Some(grace(blueprint, pod)),
        tolerations: Some(tolerations(blueprint)),
        volumes: Some(pod.volumes.clone()).filter(|volumes| !volumes.is_empty()),
        ..PodSpec::default()
    }
}

/// What Pod Security *restricted* asks of a pod.
pub fn nobody() -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(NOBODY),
        run_as_group: Some(NOBODY),
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..Default::default() }),
        ..PodSecurityContext::default()
    }
}

/// Adds the ConfigMap, whose name is that of the Deployment, which follows from all the rest.
fn with_configuration(spec: PodSpec, name: &str) -> PodSpec {
    let source = ConfigMapVolumeSource { name: name.to_owned(), ..Default::default() };
    let volume = Volume { name: "config".to_owned(), config_map: Some(source), ..Volume::default() };
    mounted(spec, volume, "/etc/eenn")
}

/// Adds the certificate of the service. Its Secret changes while pods run.
fn with_certificate(spec: PodSpec, service: &str) -> PodSpec {
    let source = SecretVolumeSource {
        secret_name: Some(access::certificates_name(service)),
        // For the group of the pod, not for everybody on the node.
        default_mode: Some(0o440),
        ..Default::default()
    };
    let volume = Volume { name: "certificate".to_owned(), secret: Some(source), ..Volume::default() };
    mounted(spec, volume, documents::CERTIFICATES)
}

/// A volume that its container reads.
fn mounted(mut spec: PodSpec, volume: Volume, path: &str) -> PodSpec {
    let mount = VolumeMount {
        name: volume.name.clone(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    spec.volumes.get_or_insert_default().push(volume);
    spec.containers
        .iter_mut()
        .for_each(|container| container.volume_mounts.get_or_insert_default().push(mount.clone()));
    spec
}

/// On this node and no other.
pub fn pinned(node: &str) -> Affinity {
    let field = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![field]), match_expressions: None };
    let selector = NodeSelector { node_selector_terms: vec![term] };
    let required = Some(selector);
    let affinity = NodeAffinity { required_during_scheduling_ignored_during_execution: required, ..Default::default() };
    Affinity { node_affinity: Some(affinity), ..Affinity::default() }
}

/// A pod that is pinned has nowhere to go: it stays through the longest cut, and is there when the node comes back.
fn tolerations(blueprint: &Blueprint<'_>) -> Vec<Toleration> {
    let for_ever = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(|key| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    });
    for_ever.into_iter().chain(tolerations_of(blueprint.pool)).collect()
}

/// Taints of the nodes of a pool, and that of a node that is short of memory: kubelets turn only pods away that ask for none.
pub fn tolerations_of(pool: &DevicePool) -> Vec<Toleration> {
    let short = Toleration {
        key: Some("node.kubernetes.io/memory-pressure".to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    };
    let of_pool = pool.spec.tolerations.iter().map(|given| Toleration {
        key: Some(given.key.clone()),
        operator: Some(match given.operator {
            TolerationOperator::Exists => "Exists".to_owned(),
            TolerationOperator::Equal => "Equal".to_owned(),
        }),
        value: given.value.as_ref().map(|value| value.as_str().to_owned()),
        effect: given.effect.map(|effect| effect.name().to_owned()),
        ..Toleration::default()
    });
    std::iter::once(short).chain(of_pool).collect()
}

/// What Pod Security *restricted* asks of a container, and a file system that cannot be written to.
pub fn locked_down() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Memory is what is asked for and not more: edge nodes have no swap.
pub fn resources(cpu: &str, cpu_limit: Option<String>, memory: u64) -> ResourceRequirements {
    let memory = Quantity(memory.to_string());
    let requests =
        BTreeMap::from([("cpu".to_owned(), Quantity(cpu.to_owned())), ("memory".to_owned(), memory.clone())]);
    let mut limits = BTreeMap::from([("memory".to_owned(), memory)]);
    limits.extend(cpu_limit.map(|cpu| ("cpu".to_owned(), Quantity(cpu))));
    ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None }
}

/// A port with a name.
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: number, ..ContainerPort::default() }
}

/// Asks a path of the metrics port.
pub fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// An empty folder with a limit.
pub fn scratch(name: &str, size: &str) -> Volume {
    let source = EmptyDirVolumeSource { size_limit: Some(Quantity(size.to_owned())), ..Default::default() };
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}
