//! DevicePool: which nodes take part, what they are, and the links between them.

use crate::form::{LabelValue, Name, NodeName, PositiveDecimal, Quantity};
use crate::rules;
use crate::status::DevicePoolStatus;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes that serve early-exit networks together.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eenn.dev", version = "v1alpha1", kind = "DevicePool", status = "DevicePoolStatus")]
#[kube(doc = "The nodes that serve early-exit networks together, what they are, and the links between them")]
#[kube(crates(kube_core = "kube_core"), derive = "PartialEq", shortname = "dpool", category = "eenn")]
#[kube(printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"))]
#[kube(printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"))]
#[kube(printcolumn(name = "Devices", type_ = "integer", json_path = ".status.deviceCount"))]
#[kube(printcolumn(name = "Usable", type_ = "integer", json_path = ".status.usableDeviceCount"))]
#[kube(printcolumn(name = "Services", type_ = "integer", json_path = ".status.serviceCount"))]
#[kube(printcolumn(name = "Operator", type_ = "string", json_path = ".spec.operatorName", priority = "1"))]
#[kube(printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"))]
#[kube(selectable = ".spec.operatorName")]
#[serde(rename_all = "camelCase")]
pub struct DevicePoolSpec {
    /// Which nodes take part. Default: all.
    #[serde(default)]
    pub node_selector: NodeSelector,
    /// What the nodes are. A node belongs to the first class whose labels it carries; every selected node needs one.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub classes: Vec<DeviceClass>,
    /// Links between devices. Default: none, then every device reaches every other at the speed of the host. As soon as
    /// there is one link, a pair of devices that no link covers cannot reach each other. Work on the same device needs
    /// no link. Where several links cover a pair, one that names more devices goes before one that names tiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub links: Vec<Link>,
    /// Taints of nodes that pods of this pool tolerate, beside unreachable and not ready, which they always do. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// Whose services may use this pool. Default: those of all namespaces.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// The operator that runs this pool: the one that was started with this name. Others leave it alone. Default: "eenn".
    #[serde(default = "eenn")]
    pub operator_name: Name,
}

/// Namespaces whose services may use a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::ALLOWED_NAMESPACES.to_json()))]
pub struct AllowedNamespaces {
    /// Which ones. Default: All.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// For Selected: their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<Name>,
}

impl AllowedNamespaces {
    /// Whether services of a namespace may use the pool.
    pub fn allows(&self, namespace: &str) -> bool {
        match self.from {
            NamespacesFrom::All => true,
            NamespacesFrom::Selected => self.names.iter().any(|name| name.as_str() == namespace),
        }
    }
}

/// Which namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// All there are.
    #[default]
    All,
    /// Those listed in `names`.
    Selected,
}

/// A taint that is tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::TOLERATION.to_json()))]
pub struct Toleration {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,
    /// How its value is compared. Default: Exists, whatever it is.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// For Equal: its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,
    /// What the taint does. Default: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// How the value of a taint is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The key is enough.
    #[default]
    Exists,
    /// The value must be that of the toleration.
    Equal,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not placed on the node.
    NoSchedule,
    /// They are placed there only when nothing else is left.
    PreferNoSchedule,
    /// They have to leave.
    NoExecute,
}

impl TaintEffect {
    /// As Kubernetes calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// Chooses nodes by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Labels that a node must carry, all of them. Default: none, which every node does.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, LabelValue>,
}

/// Devices of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceClass {
    /// Name of the class.
    pub name: Name,
    /// Labels that a node of this class carries, all of them. Default: none, which every node does.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Where these devices stand between the sensors and the cloud. Links name tiers.
    pub tier: Tier,
    /// Cores for fragments. Default: the node's `status.capacity.cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<PositiveDecimal>,
    /// Speed of one core relative to the machine of the model's profile: "0.1" takes ten times as long. Default: measured in clusters,
    /// "1" until then and elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_factor: Option<PositiveDecimal>,
    /// Memory for the jobs of all fragments on one device. Default: the node's `status.allocatable.memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<Quantity>,
}

/// Where a device stands between the sensors and the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Where jobs arrive.
    Gateway,
    /// One hop from the gateways.
    NearEdge,
    /// Between near edge and cloud.
    FarEdge,
    /// A data centre.
    Cloud,
}

/// A link between two devices, or between all devices of two tiers: every pair has a link of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::LINK.to_json()))]
pub struct Link {
    /// One end.
    pub from: LinkEnd,
    /// The other end.
    pub to: LinkEnd,
    /// Bandwidth in BYTES per second and direction: "12.5M" is a line of 100 Mbit/s.
    pub bytes_per_second: Quantity,
    /// Time from the last byte sent to the last byte received, in microseconds. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 60_000_000))]
    pub latency_microseconds: i64,
    /// Which ways jobs can take. Default: Both, each way with its own bandwidth.
    #[serde(default)]
    pub direction: Direction,
}

/// Which ways jobs can take over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// From `from` to `to` only.
    OneWay,
}

/// A device or all devices of a tier: exactly one of the two fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::LINK_END.to_json()))]
pub struct LinkEnd {
    /// All devices of this tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The node with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<NodeName>,
}

fn eenn() -> Name {
    "eenn".parse().expect("eenn is a name")
}
