//! What is read from `kind: Node`, as `kubectl get nodes -o yaml` prints it. Everything else in there is ignored.

use crate::form::{NodeName, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A Kubernetes node, or in local mode the description of an emulated device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Who it is.
    pub metadata: NodeMetadata,
    /// Whether new pods may be placed on it.
    #[serde(default)]
    pub spec: NodeSpec,
    /// What it has.
    #[serde(default)]
    pub status: NodeStatus,
}

/// What an administrator has said about a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSpec {
    /// It has been cordoned.
    #[serde(default)]
    pub unschedulable: bool,
}

/// Name and labels of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeMetadata {
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Resources of a node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// All there is.
    #[serde(default)]
    pub capacity: Resources,
    /// What is left for pods.
    #[serde(default)]
    pub allocatable: Resources,
    /// How it is; of these only `Ready` is looked at.
    #[serde(default)]
    pub conditions: Vec<NodeCondition>,
    /// What it runs.
    #[serde(default)]
    pub node_info: NodeInfo,
}

/// A condition of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCondition {
    /// Which.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// What a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeInfo {
    /// Its architecture, such as `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

impl Node {
    /// Why nothing new may be placed on it; `None` where something may. A node that does not say how it is is ready: nodes of
    /// local mode do not.
    pub fn trouble(&self) -> Option<&'static str> {
        let ready = self.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        match ready {
            Some(ready) if ready.status != "True" => Some("not ready"),
            _ if self.spec.unschedulable => Some("cordoned"),
            _ => None,
        }
    }
}

/// Processor and memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}
