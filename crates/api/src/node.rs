//! What is read from `kind: Node`, as `kubectl get nodes -o yaml` prints it. Everything else in there is ignored.

use crate::form::{NodeName, Quantity};
use crate::pool::{TaintEffect, Toleration, TolerationOperator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

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
    /// What keeps pods away that do not tolerate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Its name.
    pub key: String,
    /// What tolerations may compare.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Taints that say what the condition `Ready` and `unschedulable` say as well, and one that all pods of operators tolerate.
const SAID_ELSEWHERE: [&str; 4] = ["not-ready", "unreachable", "unschedulable", "memory-pressure"];

impl Taint {
    /// Whether it keeps pods away that tolerate these.
    pub fn keeps_away(&self, tolerated: &[Toleration]) -> bool {
        let is_tolerated = |one: &Toleration| {
            let same = one.operator == TolerationOperator::Exists
                || one.value.as_ref().is_some_and(|value| value.as_str() == self.value);
            one.key == self.key && same && one.effect.is_none_or(|effect| effect.name() == self.effect)
        };
        let is_hard = self.effect == TaintEffect::NoSchedule.name() || self.effect == TaintEffect::NoExecute.name();
        let known = self.key.strip_prefix("node.kubernetes.io/").is_some_and(|key| SAID_ELSEWHERE.contains(&key));
        is_hard && !known && !tolerated.iter().any(is_tolerated)
    }
}

impl fmt::Display for Taint {
    /// As `kubectl taint` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{equals}{}:{}", self.key, self.value, self.effect)
    }
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
    /// Why no pods may be placed on it that tolerate these taints; `None` where they may. A node that does not say how it is is ready: nodes of
    /// local mode do not.
    pub fn trouble(&self, tolerated: &[Toleration]) -> Option<&'static str> {
        let ready = self.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        match ready {
            Some(ready) if ready.status != "True" => Some("not ready"),
            _ if self.spec.unschedulable => Some("cordoned"),
            _ if self.spec.taints.iter().any(|taint| taint.keeps_away(tolerated)) => {
                Some("has a taint that its pool does not tolerate")
            }
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
