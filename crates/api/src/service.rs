//! EENNService: a model served on a pool: its sources, how jobs are scheduled, and where fragments live.
//!
//! Schedulers are in the module `scheduler`.

use crate::Scheduler;
use crate::form::{Name, NodeName, PositiveDecimal, Quantity, Ratio};
use crate::rules;
use crate::status::EENNServiceStatus;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model served on the devices of a pool.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eenn.dev", version = "v1alpha1", kind = "EENNService", namespaced, status = "EENNServiceStatus")]
#[kube(doc = "A model served on the devices of a pool, within limits of loss, accuracy and latency")]
#[kube(crates(kube_core = "kube_core"), derive = "PartialEq", shortname = "eenns", category = "eenn")]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "QoS", type_ = "string", json_path = ".status.conditions[?(@.type==\"QoSMet\")].status"))]
#[kube(printcolumn(name = "Accuracy", type_ = "string", json_path = ".status.predicted.accuracy"))]
#[kube(printcolumn(name = "Loss", type_ = "string", json_path = ".status.predicted.lossRatio"))]
#[kube(printcolumn(name = "P95-ms", type_ = "integer", json_path = ".status.predicted.p95LatencyMilliseconds"))]
#[kube(printcolumn(name = "Plan", type_ = "string", json_path = ".status.planRef.name"))]
#[kube(printcolumn(name = "Model", type_ = "string", json_path = ".spec.modelRef.name", priority = "1"))]
#[kube(printcolumn(name = "Pool", type_ = "string", json_path = ".spec.devicePoolRef.name", priority = "1"))]
#[kube(printcolumn(name = "Scheduler", type_ = "string", json_path = ".spec.scheduler.type", priority = "1"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(selectable = ".spec.devicePoolRef.name", selectable = ".spec.modelRef.name")]
#[serde(rename_all = "camelCase")]
pub struct EENNServiceSpec {
    /// The EENNModel to serve.
    pub model_ref: ObjectReference,
    /// The DevicePool to serve it on.
    pub device_pool_ref: ObjectReference,
    /// The QoSTarget to keep to. Default: none, nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos_target_ref: Option<ObjectReference>,
    /// Where jobs arrive. A gateway runs on the node of each source; sources on one node share theirs.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<Source>,
    /// At which confidence jobs leave. Default: Auto.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Which fragments exist and where. Default: Auto.
    #[serde(default)]
    pub placement: Placement,
    /// When the thresholds of a job are fixed. Default: what the scheduler needs; Dispatch for those that look at the jobs
    /// present, what is better for Auto, and Arrival for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// What happens to a job that does not fit into the memory of the next device, or cannot reach it. Default: Drop.
    #[serde(default)]
    pub overflow: Overflow,
    /// Share of the jobs that run on to the last exit after their answer. Their answers are compared with that of the last
    /// exit, which tracks accuracy without labels. Costs the service of so many jobs. Default: "0.01".
    #[serde(default = "one_percent")]
    pub audit_share: Ratio,
    /// When a service is planned again because its load, its answers or its devices have changed.
    #[serde(default)]
    pub reoptimization: Reoptimization,
    /// Time a job may take when its request does not say, in milliseconds; later it fails. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub deadline_milliseconds: Option<i64>,
    /// Sizes of the processes.
    #[serde(default)]
    pub runtime: Runtime,
    /// Whether a new placement waits for `approvedPlan`. Policies adapt within the placement in force either way. Default:
    /// Automatic. Local mode does not look at it.
    #[serde(default)]
    pub planning: Planning,
    /// For planning Manual: the EENNPlan that may be put into place, as `status.proposedPlanRef` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_plan: Option<Name>,
    /// Secrets of this namespace that nodes pull images with. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<ObjectReference>,
}

/// Whether a new placement waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Planning {
    /// It is put into place as soon as it is worth it.
    #[default]
    Automatic,
    /// It waits until `approvedPlan` names it.
    Manual,
}

/// Names an object of the same namespace; a DevicePool has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// Its `metadata.name`.
    pub name: Name,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Name in metrics; requests carry it.
    pub name: Name,
    /// The node its gateway runs on.
    pub node: NodeName,
    /// Jobs per second that are expected, such as "120". What really arrives is measured.
    pub expected_rate: PositiveDecimal,
    /// Bursts that are expected around that rate. Default: none, jobs arrive independently of each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burstiness: Option<Burstiness>,
}

/// A source that changes between bursts and calm; the lengths of both are exponential. Its mean rate stays
/// `expectedRate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Burstiness {
    /// Rate in a burst ÷ rate between bursts, such as "8".
    pub rate_ratio: PositiveDecimal,
    /// Mean length of a burst, such as "0.5".
    pub mean_burst_seconds: PositiveDecimal,
    /// Mean time from the end of a burst to the next one, such as "4.5".
    pub mean_calm_seconds: PositiveDecimal,
}

/// When a service is planned again. Placement stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reoptimization {
    /// Whether it is planned again at all. Default: Enabled.
    #[serde(default)]
    pub mode: ReoptimizationMode,
    /// Least time between two changes of its policy, in seconds. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 86_400))]
    pub minimum_interval_seconds: i64,
    /// Most changes of its policy in any hour. Default: 60.
    #[serde(default = "sixty")]
    #[schemars(range(min = 1, max = 720))]
    pub maximum_changes_per_hour: i32,
}

/// Whether a service is planned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ReoptimizationMode {
    /// When a change is certain enough and worth it.
    #[default]
    Enabled,
    /// Never: the first plan stays.
    Disabled,
}

/// Which fragments exist and where.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::PLACEMENT.to_json()))]
pub struct Placement {
    /// Who decides. Default: Auto.
    #[serde(default)]
    pub strategy: PlacementStrategy,
    /// For strategy Pinned: the chains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["chain"]))]
    pub pinned: Vec<PinnedChain>,
}

/// Who decides where fragments live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PlacementStrategy {
    /// The user, in `pinned`.
    Pinned,
    /// The planner: feasible by memory, links and readiness of devices, and best by what it predicts.
    #[default]
    Auto,
    /// An integer linear program. Not available yet.
    ILP,
    /// Lowest latency. Not available yet.
    Latency,
}

/// A chain: fragments that together hold the whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedChain {
    /// Name in answers and metrics.
    pub chain: Name,
    /// Share of the jobs that take it, for the schedulers ExitFirst, ExitLast, Fixed and Mixture; all others decide by
    /// themselves. The shares sum to 1. Default: what the others leave, in equal parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<Ratio>,
    /// Its fragments in order: together all segments, each once. The same segments on the same node are one fragment,
    /// also when several chains of the service pass through it.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub fragments: Vec<PinnedFragment>,
}

/// A run of segments on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::PINNED_FRAGMENT.to_json()))]
pub struct PinnedFragment {
    /// Name of the fragment in local mode; pods are called after what they run. Default: `<service>-<firstSegment>-<lastSegment>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The node it lives on.
    pub node: NodeName,
    /// First segment, from 1.
    #[schemars(range(min = 1, max = 256))]
    pub first_segment: i32,
    /// Last segment.
    #[schemars(range(min = 1, max = 256))]
    pub last_segment: i32,
}

/// When the thresholds of a job are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Epoch {
    /// Chain and thresholds when the job arrives.
    #[default]
    Arrival,
    /// The chain when the job arrives, the thresholds when it is sent to the first fragment.
    Dispatch,
}

/// What happens to a job that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Overflow {
    /// It is lost.
    #[default]
    Drop,
    /// It is answered with the deepest exit evaluated for it; lost if there is none.
    AnswerWithLastExit,
}

/// Sizes of the processes of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::RUNTIME.to_json()))]
pub struct Runtime {
    /// Jobs that a fragment serves at a time. Default: 1.
    #[serde(default = "workers")]
    #[schemars(range(min = 1, max = 64))]
    pub workers: i32,
    /// Memory of each fragment for the jobs it holds: waiting, running or being sent on. A job that does not fit is lost.
    /// Default: 64Mi.
    #[serde(default = "memory_budget")]
    pub memory_budget: Quantity,
    /// Cores that each fragment asks for: its weight where fragments compete for a device. Default: equal weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<Quantity>,
    /// Cores that each fragment may use at most. Default: as many as it has workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Quantity>,
    /// Memory of each gateway for the requests it holds. Default: 64Mi.
    #[serde(default = "memory_budget")]
    pub gateway_memory_budget: Quantity,
    /// Gateways on the node of each source, which share its jobs. Local mode starts one. Default: 1.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 16))]
    pub gateway_replicas: i32,
}

impl Default for Reoptimization {
    fn default() -> Self {
        Self { mode: Default::default(), minimum_interval_seconds: five(), maximum_changes_per_hour: sixty() }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            workers: workers(),
            memory_budget: memory_budget(),
            cpu_request: None,
            cpu_limit: None,
            gateway_memory_budget: memory_budget(),
            gateway_replicas: replicas(),
        }
    }
}

fn workers() -> i32 {
    1
}

fn replicas() -> i32 {
    1
}

fn memory_budget() -> Quantity {
    "64Mi".parse().expect("64Mi is a quantity")
}

fn one_percent() -> Ratio {
    "0.01".parse().expect("0.01 is a ratio")
}

fn five() -> i64 {
    5
}

fn sixty() -> i32 {
    60
}
