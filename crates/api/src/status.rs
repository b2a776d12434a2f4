//! What the operator reports: conditions, what was planned, and numbers of devices and models.
//!
//! Nothing here changes fast: rates and latencies are metrics. Numbers are rounded, so that they only change when something
//! has changed.

use crate::form::{Decimal, Name, NodeName, Quantity, Ratio};
use crate::{ObjectReference, Profile, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An aspect of an object: whether it holds, since when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect, such as Ready.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word for programs.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub reason: String,
    /// Why, in words for people: what is wrong and what would be right.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When the status last changed.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The `metadata.generation` that this is about.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

/// What is predicted or was observed of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Share of jobs lost because memory was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_ratio: Option<Ratio>,
    /// Share of right answers among the jobs answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Ratio>,
    /// Mean latency of answered jobs, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub mean_latency_milliseconds: Option<i64>,
    /// 95th percentile of the latency of answered jobs, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub p95_latency_milliseconds: Option<i64>,
    /// Who predicted it: simulation or decomposition. Absent for what was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<Name>,
}

/// Status of a DevicePool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePoolStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
    /// Accepted: the spec makes sense. Ready: at least one device can take fragments. Calibrated: the speed of all classes is
    /// known; only where the spec leaves one out.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Devices: the nodes that are selected.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub devices: Vec<DeviceStatus>,
    /// How many devices there are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub device_count: i32,
    /// How many of them can take fragments.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub usable_device_count: i32,
    /// What was measured of classes that have no `speedFactor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub classes: Vec<ClassStatus>,
    /// How many services use the pool.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub service_count: i32,
}

/// A device of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    /// Name of the node.
    pub name: NodeName,
    /// Its device class; absent where none fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Name>,
    /// Its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Usable, or why not: NotReady, Cordoned, NoClass, NoImage (its architecture), Tainted (the condition Ready names the taint).
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Za-z]*$"))]
    pub state: String,
    /// Architecture of its processor, such as arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Name>,
    /// Cores for fragments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<Decimal>,
    /// Speed of a core relative to the machine of the profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_factor: Option<Decimal>,
    /// Memory for the jobs of all fragments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<Quantity>,
}

/// Status of an EENNModel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EENNModelStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
    /// Accepted: the spec makes sense. Ready: services can be planned with it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many exits it has.
    #[serde(default)]
    #[schemars(range(min = 0, max = 64))]
    pub exit_count: i32,
    /// How many segments it has.
    #[serde(default)]
    #[schemars(range(min = 0, max = 256))]
    pub segment_count: i32,
    /// Share of right answers of its last exit, from the exit table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Ratio>,
    /// What each exit comes to, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub exits: Vec<ExitStatus>,
    /// What each segment costs, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub segments: Vec<SegmentStatus>,
    /// The ConfigMap that holds the exit table as planning reads it, where `spec.exitTable` names a file elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_table_ref: Option<ObjectReference>,
    /// How the table of `exitTableRef` was made to fit, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub exit_table: Option<String>,
    /// Service times on the machine that `speedFactor` 1 means, where the spec has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Where the numbers come from; absent as long as nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredStatus>,
}

/// What an exit comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExitStatus {
    /// Its name.
    pub name: Name,
    /// Share of right answers if all jobs left here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Ratio>,
    /// Segment that it hangs on, from 1, as its file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub segment: Option<i32>,
}

/// Where the numbers of a model come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredStatus {
    /// What was measured: a hash of the artifact and of what the spec says of its tensors. Where the spec says something else now,
    /// the numbers are not used any more, and it is measured anew.
    #[schemars(length(max = 64))]
    pub of: String,
    /// Node that it was measured on.
    pub node: NodeName,
    /// Device class of the node.
    pub class: Name,
    /// Speed of that class, by which the times were multiplied; "1" where the class has none: then it is the machine of the profile.
    pub speed_factor: Decimal,
    /// What the processor of the node calls itself.
    #[schemars(length(max = 256))]
    pub machine: String,
    /// When.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub measured_time: String,
}

/// What was measured of a device class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClassStatus {
    /// Name of the class.
    pub name: Name,
    /// Speed of a core relative to the machine of the profiles.
    pub speed_factor: Decimal,
    /// Node that it was measured on.
    pub node: NodeName,
    /// Model whose times were measured, as namespace/name.
    #[schemars(length(max = 512))]
    pub model: String,
    /// When.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub measured_time: String,
}

/// What a segment costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentStatus {
    /// Multiplications with addition, for one job.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub macs: i64,
    /// Bytes of its weights.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub weight_bytes: i64,
    /// Bytes that go on to the next segment, for one job.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub activation_bytes: i64,
}

/// Status of a QoSTarget.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QoSTargetStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
    /// Accepted: the spec makes sense.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Status of an EENNService.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EENNServiceStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
    /// Active: the operator looks after it; not while the annotation `eenn.dev/paused` is there. Accepted: spec and references make sense. ModelReady: its model can be planned with. Planned: there is a plan.
    /// Placed: pods of the placement in force are ready. Ready: gateways have acknowledged the policy in force and take
    /// jobs, on each node with sources. QoSMet: its targets are expected to be kept.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The EENNPlan in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_ref: Option<ObjectReference>,
    /// For planning Manual: the EENNPlan that waits for `spec.approvedPlan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_plan_ref: Option<ObjectReference>,
    /// The highest generation that a plan of this service has had: none is used twice.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub last_plan_generation: i64,
    /// What the plan in force is expected to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Metrics>,
    /// What gateways have seen in the last minutes; rounded, and written rarely. Absent where too few jobs came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Metrics>,
    /// Where jobs are taken.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub endpoints: Vec<Endpoint>,
    /// Devices of the pool that the placement does not use, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rejected_devices: Vec<RejectedDevice>,
}

/// Where the jobs of a source are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Name of the source.
    pub source: Name,
    /// Address for the Open Inference Protocol, version 2.
    #[schemars(length(max = 512))]
    pub url: String,
}

/// A device that a placement does not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedDevice {
    /// Name of the node.
    pub name: NodeName,
    /// Why, in words.
    #[schemars(length(max = 512))]
    pub reason: String,
}
