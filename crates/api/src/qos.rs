//! QoSTarget: what a service must keep to.

use crate::form::Ratio;
use crate::status::QoSTargetStatus;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of quality of service. A limit that is left out does not limit.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eenn.dev", version = "v1alpha1", kind = "QoSTarget", namespaced, status = "QoSTargetStatus")]
#[kube(doc = "Limits of loss, accuracy and latency that services keep to")]
#[kube(crates(kube_core = "kube_core"), derive = "PartialEq", shortname = "qost", category = "eenn")]
#[kube(printcolumn(name = "Loss", type_ = "string", json_path = ".spec.maxLossRatio"))]
#[kube(printcolumn(name = "Accuracy", type_ = "string", json_path = ".spec.minAccuracy"))]
#[kube(printcolumn(name = "Mean-ms", type_ = "integer", json_path = ".spec.maxMeanLatencyMilliseconds"))]
#[kube(printcolumn(name = "P95-ms", type_ = "integer", json_path = ".spec.maxP95LatencyMilliseconds"))]
#[kube(printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[serde(rename_all = "camelCase")]
pub struct QoSTargetSpec {
    /// Largest share of jobs that may be lost because memory was full, such as "0.01". Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_loss_ratio: Option<Ratio>,
    /// Smallest share of right answers among the jobs answered, such as "0.9". Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_accuracy: Option<Ratio>,
    /// Largest mean latency of answered jobs, in milliseconds. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub max_mean_latency_milliseconds: Option<i64>,
    /// Largest 95th percentile of the latency of answered jobs, in milliseconds. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub max_p95_latency_milliseconds: Option<i64>,
    /// Weight against other services of the same pool: 2 counts twice. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub priority: i32,
    /// What to make best within the limits. Default: MaximizeAccuracy.
    #[serde(default)]
    pub objective: Objective,
}

/// What to make best within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Objective {
    /// As many right answers as possible.
    #[default]
    MaximizeAccuracy,
}

fn one() -> i32 {
    1
}
