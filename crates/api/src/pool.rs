//! DevicePool: which nodes take part, what they are, and the links between them.

use crate::form::{LabelValue, Name, NodeName, PositiveDecimal, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes that serve early-exit networks together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Speed of one core relative to the machine of the model's profile: "0.1" takes ten times as long. Default: "1".
    #[serde(default = "one")]
    pub speed_factor: PositiveDecimal,
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
pub struct LinkEnd {
    /// All devices of this tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The node with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<NodeName>,
}

fn one() -> PositiveDecimal {
    "1".parse().expect("1 is a positive decimal")
}
