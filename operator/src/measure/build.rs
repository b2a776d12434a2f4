//! The Job that measures a model on a node, and what it needs. Pure.

use super::known::{self, Missing};
use super::place::Place;
use crate::identity;
use crate::service::build::delivery::{self, Delivery};
use crate::service::build::documents::{CERTIFICATES, CONTROL_PORT};
use crate::service::build::{Operator, access, documents, pod};
use crate::service::labels;
use api::EENNModel;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, LocalObjectReference, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use transport::tls::Pem;

/// A measurement that is not done after so long has failed: images come slowly over some links.
pub const DEADLINE_SECONDS: i64 = 3600;
/// A result that nobody takes is given up after so long.
const SERVE_SECONDS: i64 = 1200;
/// Jobs that are over stay for people to look at; longer than any pause between attempts.
const KEEP_SECONDS: i32 = 7200;
/// Beside the model and its tensors.
const BASE_MEMORY: u64 = 96 << 20;
/// What its pods do, in labels.
pub const ROLE: &str = "measurement";

/// What a Job is made of.
#[derive(Debug, Clone, Copy)]
pub struct Blueprint<'a> {
    /// The model.
    pub model: &'a EENNModel,
    /// Where it is measured.
    pub place: &'a Place,
    /// What is to be found out.
    pub missing: Missing,
    /// What that is called: tells it from other measurements of the model.
    pub what: &'a str,
    /// How often it was tried, this time included.
    pub attempt: u32,
    /// Who makes it.
    pub operator: Operator<'a>,
    /// Image of the runtime.
    pub image: &'a str,
    /// Secrets to pull it with.
    pub pull_secrets: &'a [String],
}

/// The Job.
pub fn job(blueprint: &Blueprint<'_>) -> Job {
    let model = blueprint.model.name_any();
    let name = format!(
        "{}-measure-{}",
        labels::short(&model),
        labels::hash(&(blueprint.what.to_owned() + &blueprint.attempt.to_string()))
    );
    let mut labels = labels::of_model(&model);
    labels.insert(labels::ROLE.to_owned(), ROLE.to_owned());
    labels.insert(labels::WORKLOAD.to_owned(), name.clone());
    let Place { node, class, speed_factor, .. } = blueprint.place;
    let annotations = [
        (labels::NODE, node.clone()),
        (labels::CLASS, class.clone()),
        (labels::SPEED, speed_factor.to_string()),
        (labels::MEASURES, blueprint.what.to_owned()),
        (labels::ATTEMPT, blueprint.attempt.to_string()),
        (labels::RUN_BY, blueprint.operator.name.to_owned()),
    ];
    let annotations: BTreeMap<String, String> =
        annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let template = ObjectMeta {
        labels: Some(labels.clone()),
        annotations: Some(BTreeMap::from([(labels::NODE.to_owned(), node.clone())])),
        ..ObjectMeta::default()
    };
    Job {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: blueprint.model.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: blueprint.model.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(DEADLINE_SECONDS),
            // Once more for what goes by; the operator tries again later, too.
            backoff_limit: Some(1),
            ttl_seconds_after_finished: Some(KEEP_SECONDS),
            template: PodTemplateSpec { metadata: Some(template), spec: Some(spec(blueprint, &name)) },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn spec(blueprint: &Blueprint<'_>, name: &str) -> PodSpec {
    let spec = &blueprint.model.spec;
    let model = delivery::delivery(&spec.artifact, blueprint.image);
    let table = known::elsewhere(spec).filter(|_| blueprint.missing.table);
    let table = table.map(|table| delivery::of_exit_table(table, blueprint.image));
    let certificate =
        SecretVolumeSource { secret_name: Some(name.to_owned()), default_mode: Some(0o440), ..Default::default() };
    let certificate = Volume { name: "certificate".to_owned(), secret: Some(certificate), ..Volume::default() };
    let deliveries = || std::iter::once(&model).chain(&table);
    let secrets = blueprint.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        affinity: Some(pod::pinned(&blueprint.place.node)),
        automount_service_account_token: Some(false),
        containers: vec![container(blueprint, &model, table.as_ref())],
        enable_service_links: Some(false),
        image_pull_secrets: Some(secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
        init_containers: Some(deliveries().filter_map(|one| one.init.clone()).map(telling).collect()),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(pod::nobody()),
        tolerations: Some(pod::tolerations_of(&blueprint.place.pool)),
        volumes: Some(deliveries().flat_map(|one| one.volumes.clone()).chain([certificate]).collect()),
        ..PodSpec::default()
    }
}

/// What a container says last is in the status of its pod.
fn telling(container: Container) -> Container {
    Container { termination_message_policy: Some("FallbackToLogsOnError".to_owned()), ..container }
}

fn container(blueprint: &Blueprint<'_>, model: &Delivery, table: Option<&Delivery>) -> Container {
    let certificate = VolumeMount {
        name: "certificate".to_owned(),
        mount_path: CERTIFICATES.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mounts = [&model.mount].into_iter().chain(table.map(|table| &table.mount)).cloned().chain([certificate]);
    telling(Container {
        name: "inspect".to_owned(),
        image: Some(blueprint.image.to_owned()),
        args: Some(arguments(blueprint, model, table)),
        ports: Some(vec![pod::port("control", CONTROL_PORT)]),
        // A whole core: what else runs there must not make the model look slow.
        resources: Some(pod::resources("100m", Some("1".to_owned()), memory(blueprint.model, blueprint.missing))),
        security_context: Some(pod::locked_down()),
        volume_mounts: Some(mounts.collect()),
        ..Container::default()
    })
}

/// Weights twice, and the exit table as it is and as it will be.
pub fn memory(model: &EENNModel, missing: Missing) -> u64 {
    let spec = &model.spec;
    let table = known::elsewhere(spec).filter(|_| missing.table).map_or(0, |table| table.size.bytes().0);
    BASE_MEMORY + 3 * spec.artifact.size.bytes().0 + 2 * table
}

fn arguments(blueprint: &Blueprint<'_>, model: &Delivery, table: Option<&Delivery>) -> Vec<String> {
    let spec = &blueprint.model.spec;
    let description = documents::model(blueprint.model);
    let description = serde_json::to_string(&description).expect("documents have no keys but text");
    let mut arguments = vec!["inspect".to_owned(), model.file.clone(), "--description".to_owned(), description];
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.extend([name.to_owned(), value]);
        }
    };
    add("--sha256", spec.artifact.sha256.as_ref().map(ToString::to_string));
    add("--exit-table", table.map(|table| table.file.clone()));
    let of_table = known::elsewhere(spec).filter(|_| table.is_some()).and_then(|table| table.sha256.as_ref());
    add("--exit-table-sha256", of_table.map(ToString::to_string));
    add("--serve", Some(format!("0.0.0.0:{CONTROL_PORT}")));
    add("--tls-dir", Some(CERTIFICATES.to_owned()));
    add("--peer", Some(identity::operator_name(blueprint.operator.name)));
    add("--serve-seconds", Some(SERVE_SECONDS.to_string()));
    if blueprint.missing.times {
        arguments.push("--times".to_owned());
    }
    // Kubernetes puts variables into arguments: $(NAME).
    arguments.into_iter().map(|argument| argument.replace('$', "$$")).collect()
}

/// Metadata of what a Job needs, which goes with it.
fn of_job<J: Resource<DynamicType = ()>>(job: &J) -> ObjectMeta {
    ObjectMeta {
        name: Some(job.name_any()),
        namespace: job.namespace(),
        labels: Some(job.labels().clone()),
        owner_references: job.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// The certificate of a Job.
pub fn secret<J: Resource<DynamicType = ()>>(job: &J, pem: &Pem) -> Secret {
    identity::of_pods(of_job(job), pem)
}

/// Nobody but the operator reaches its pod.
pub fn network_policy<J: Resource<DynamicType = ()>>(job: &J, operator_namespace: &str) -> NetworkPolicy {
    let workload = BTreeMap::from([(labels::WORKLOAD.to_owned(), job.name_any())]);
    NetworkPolicy {
        metadata: of_job(job),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(workload), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![access::from(Some(vec![access::operator(operator_namespace)]), CONTROL_PORT)]),
            egress: None,
        }),
    }
}
