//! How services, pools and models are, as a document: what `--output json` prints, and what tables are made from. Pure.

use super::super::plan::{ChainLine, chains};
use super::super::plans::Plans;
use super::super::words::{self, holds};
use super::scene::Scene;
use super::things::{ModelLine, PoolLine, Ready};
use crate::plan::TargetsDocument;
use api::status::{Condition, Metrics, RejectedDevice};
use api::{DevicePool, EENNPlan, EENNService, QoSTarget};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde::Serialize;

/// Services with what they run on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusDocument {
    /// Services, by namespace and name.
    pub(crate) services: Vec<ServiceLine>,
    /// Device pools.
    pub(crate) pools: Vec<PoolLine>,
    /// Models.
    pub(crate) models: Vec<ModelLine>,
    /// What could not be read, and why.
    pub(crate) notes: Vec<String>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceLine {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// How it is, in a few words.
    pub(crate) state: String,
    /// Whether its gateways take jobs.
    pub(crate) is_ready: bool,
    /// What is wrong and what helps, most important first.
    pub(crate) trouble: Vec<String>,
    /// Its model.
    pub(crate) model: String,
    /// Its pool.
    pub(crate) pool: String,
    /// Its target; null where nothing is limited.
    pub(crate) target: Option<String>,
    /// Its scheduler.
    pub(crate) scheduler: String,
    /// Automatic or Manual.
    pub(crate) planning: String,
    /// Replicas that are ready, of how many, over all its fragments and gateways.
    pub(crate) pods: Ready,
    /// The plan in force.
    pub(crate) plan: Option<PlanInForce>,
    /// The plan that waits for approval.
    pub(crate) proposed: Option<String>,
    /// What it must keep to.
    pub(crate) targets: TargetsDocument,
    /// What the plan in force is expected to do.
    pub(crate) predicted: Option<Metrics>,
    /// What gateways have seen.
    pub(crate) observed: Option<Metrics>,
    /// Where fragments live, with the share of jobs.
    pub(crate) chains: Vec<ChainLine>,
    /// Where jobs arrive.
    pub(crate) sources: Vec<SourceLine>,
    /// Every pod.
    pub(crate) processes: Vec<PodLine>,
    /// Devices of the pool that the placement does not use.
    pub(crate) rejected_devices: Vec<RejectedDevice>,
    /// Conditions as the operator reports them.
    pub(crate) conditions: Vec<Condition>,
}

/// A plan that gateways follow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PlanInForce {
    /// Its name.
    pub(crate) name: String,
    /// Counts the plans of the service.
    pub(crate) generation: i64,
    /// Why it was made.
    pub(crate) reason: String,
    /// When it was made.
    pub(crate) created: Option<String>,
}

/// Where jobs arrive.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceLine {
    /// Its name.
    pub(crate) name: String,
    /// The node of its gateway.
    pub(crate) node: String,
    /// Jobs per second that are expected.
    pub(crate) expected_rate: f64,
    /// Where its jobs are taken.
    pub(crate) url: Option<String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodLine {
    /// Its name.
    pub(crate) name: String,
    /// fragment or gateway.
    pub(crate) role: String,
    /// Where it runs; null where it has no node yet.
    pub(crate) node: Option<String>,
    /// Whether it takes jobs.
    pub(crate) is_ready: bool,
    /// How often its containers were started again.
    pub(crate) restarts: i32,
    /// Why it is not ready, where Kubernetes says so.
    pub(crate) trouble: Option<String>,
}

impl StatusDocument {
    /// Of everything that was read.
    pub(crate) fn new(scene: &Scene) -> Self {
        let used = |pool: &&DevicePool| {
            let name = pool.name_any();
            let named = scene.services.iter().any(|service| service.spec.device_pool_ref.name.as_str() == name);
            // Whoever has no service yet looks for a pool to use.
            scene.all_namespaces || scene.services.is_empty() || named
        };
        Self {
            services: scene.services.iter().map(|service| ServiceLine::new(service, scene)).collect(),
            pools: scene.pools.iter().filter(used).map(PoolLine::new).collect(),
            models: scene.models.iter().map(ModelLine::new).collect(),
            notes: scene.notes.clone(),
        }
    }
}

impl ServiceLine {
    fn new(service: &EENNService, scene: &Scene) -> Self {
        let spec = &service.spec;
        let plans = Plans::of(service, &scene.plans);
        let status = words::seen(service).cloned().unwrap_or_default();
        Self {
            namespace: service.namespace().unwrap_or_default(),
            name: service.name_any(),
            state: words::state(service),
            is_ready: holds(&status.conditions, "Ready"),
            trouble: words::trouble(service),
            model: spec.model_ref.name.to_string(),
            pool: spec.device_pool_ref.name.to_string(),
            target: spec.qos_target_ref.as_ref().map(|target| target.name.to_string()),
            scheduler: format!("{:?}", spec.scheduler.r#type),
            planning: format!("{:?}", spec.planning),
            pods: replicas(service, &scene.deployments),
            plan: plans.in_force.map(PlanInForce::new),
            proposed: plans.proposed.map(ResourceExt::name_any),
            targets: targets(service, &scene.targets),
            predicted: status.predicted.clone(),
            observed: status.observed.clone(),
            chains: plans.in_force.map(|plan| chains(&plan.spec)).unwrap_or_default(),
            sources: sources(service),
            processes: scene.pods.iter().filter(|pod| is_of(*pod, service)).map(PodLine::new).collect(),
            rejected_devices: status.rejected_devices,
            conditions: status.conditions,
        }
    }
}

/// Whether the operator has made an object for a service.
fn is_of(object: &impl ResourceExt, service: &EENNService) -> bool {
    let named = object.labels().get("eenn.dev/service") == Some(&service.name_any());
    named && object.namespace() == service.namespace()
}

fn replicas(service: &EENNService, deployments: &[Deployment]) -> Ready {
    let ours = || deployments.iter().filter(|one| is_of(*one, service));
    let ready = ours().filter_map(|one| one.status.as_ref()?.available_replicas).sum();
    Ready { ready, all: ours().map(|one| one.spec.replicas.unwrap_or(1)).sum() }
}

fn targets(service: &EENNService, all: &[QoSTarget]) -> TargetsDocument {
    let name = service.spec.qos_target_ref.as_ref().map(|target| target.name.as_str());
    let found = all.iter().find(|one| Some(one.name_any().as_str()) == name && one.namespace() == service.namespace());
    TargetsDocument::new(&found.map(|found| deployment::targets(&found.spec)).unwrap_or_default())
}

fn sources(service: &EENNService) -> Vec<SourceLine> {
    let endpoints = service.status.as_ref().map(|status| &status.endpoints[..]).unwrap_or_default();
    let line = |source: &api::Source| SourceLine {
        name: source.name.to_string(),
        node: source.node.to_string(),
        expected_rate: source.expected_rate.get(),
        url: endpoints.iter().find(|endpoint| endpoint.source == source.name).map(|endpoint| endpoint.url.clone()),
    };
    service.spec.sources.iter().map(line).collect()
}

impl PlanInForce {
    fn new(plan: &EENNPlan) -> Self {
        Self {
            name: plan.name_any(),
            generation: plan.spec.generation,
            reason: plan.spec.reason.clone(),
            created: plan.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()),
        }
    }
}

impl PodLine {
    fn new(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let init = status.init_container_statuses.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let all = || init.iter().chain(&containers);
        let is_ready = conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True");
        let scheduled = conditions.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False");
        let unscheduled = || scheduled.and_then(|one| one.message.clone());
        let role = pod.labels().get("eenn.dev/role");
        Self {
            name: pod.name_any(),
            role: role.cloned().unwrap_or_default(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            is_ready,
            restarts: all().map(|one| one.restart_count).sum(),
            trouble: if is_ready { None } else { all().find_map(why).or_else(unscheduled) },
        }
    }
}

/// Why a container does not run, where it is more than not having started yet.
fn why(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref().filter(|waiting| waiting.reason.as_deref() != Some("PodInitializing"));
    let waits = waiting.map(|waiting| (waiting.reason.clone(), waiting.message.clone()));
    let failed = state.terminated.as_ref().filter(|ended| ended.exit_code != 0);
    let ended = failed.map(|ended| (ended.reason.clone(), Some(format!("exit code {}", ended.exit_code))));
    let (reason, message) = waits.or(ended)?;
    let words: Vec<String> = [reason, message].into_iter().flatten().collect();
    Some(format!("{}: {}", container.name, words.join(": ")))
}
