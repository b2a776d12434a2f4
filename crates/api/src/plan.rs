//! EENNPlan: what was decided for a service. Made by the operator, never changed.

use crate::form::{Decimal, Name, NodeName, Ratio};
use crate::status::{Condition, Metrics};
use crate::{ObjectReference, rules};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Placement and policy of a service, and what they are expected to do.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eenn.dev", version = "v1alpha1", kind = "EENNPlan", namespaced, status = "EENNPlanStatus")]
#[kube(doc = "What was decided for a service: its placement, its policy, and what they are expected to do")]
#[kube(crates(kube_core = "kube_core"), derive = "PartialEq", shortname = "eennp", category = "eenn")]
#[kube(printcolumn(name = "Service", type_ = "string", json_path = ".spec.serviceRef.name"))]
#[kube(printcolumn(name = "Generation", type_ = "integer", json_path = ".spec.generation"))]
#[kube(printcolumn(
    name = "In-Force",
    type_ = "string",
    json_path = ".status.conditions[?(@.type==\"InForce\")].status"
))]
#[kube(printcolumn(name = "Accuracy", type_ = "string", json_path = ".spec.predicted[0].accuracy"))]
#[kube(printcolumn(name = "Loss", type_ = "string", json_path = ".spec.predicted[0].lossRatio"))]
#[kube(printcolumn(name = "P95-ms", type_ = "integer", json_path = ".spec.predicted[0].p95LatencyMilliseconds"))]
#[kube(printcolumn(name = "Because", type_ = "string", json_path = ".spec.reason"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(selectable = ".spec.serviceRef.name")]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::PLAN.to_json()))]
pub struct EENNPlanSpec {
    /// The EENNService it is for.
    pub service_ref: ObjectReference,
    /// Counts the plans of the service.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub generation: i64,
    /// Why there is a new plan.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The placement: fragments on devices, as chains that together hold the whole model.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub chains: Vec<PlannedChain>,
    /// What the policy does with jobs at the forecast rates.
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub choices: Vec<PlannedChoice>,
    /// The whole policy, with its rows for other rates: the JSON document that gateways are given, without addresses.
    #[schemars(length(max = 524_288))]
    pub policy: String,
    /// Arrival rates that it was made for.
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub forecast: Vec<ForecastRate>,
    /// What it is expected to do, by each evaluator; the first one decided.
    #[schemars(length(max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub predicted: Vec<Metrics>,
    /// Targets that are expected to be missed. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub missed: Vec<MissedTarget>,
}

/// A chain of a placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChain {
    /// Its name.
    pub name: Name,
    /// Its fragments in order.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub fragments: Vec<PlannedFragment>,
}

/// A fragment on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFragment {
    /// The node.
    pub node: NodeName,
    /// First segment, from 1.
    #[schemars(range(min = 1, max = 256))]
    pub first_segment: i32,
    /// Last segment.
    #[schemars(range(min = 1, max = 256))]
    pub last_segment: i32,
}

/// One way in which jobs are treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChoice {
    /// The source whose jobs are treated so. Default: all that are not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Name>,
    /// Share of the jobs.
    pub probability: Ratio,
    /// The chain they take.
    pub chain: Name,
    /// At which confidence they leave, one per exit but the last: "0" always leaves, "1" is closed.
    #[schemars(length(max = 63))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub thresholds: Vec<Ratio>,
}

/// The arrival rate of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastRate {
    /// Name of the source.
    pub source: Name,
    /// Jobs per second.
    pub rate: Decimal,
}

/// A target that is expected to be missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissedTarget {
    /// The field of the QoSTarget.
    #[schemars(length(min = 1, max = 64))]
    pub target: String,
    /// Its limit.
    pub limit: Decimal,
    /// What is expected instead; absent where nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Decimal>,
}

/// Status of an EENNPlan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EENNPlanStatus {
    /// The `metadata.generation` that this is about.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: i64,
    /// InForce: gateways follow it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
