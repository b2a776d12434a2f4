//! Which nodes a pool has, and what each is good for. Pure.

use crate::manifests;
use crate::measure::known;
use api::status::DeviceStatus;
use api::{Decimal, DevicePool, Name, NodeName, Quantity, Resolved};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was found out about a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The nodes that it selects, by name.
    pub devices: Vec<DeviceStatus>,
    /// Of those that are tainted: what keeps pods of the pool away.
    pub taints: BTreeMap<String, String>,
    /// The pool as planning sees it, without nodes that cannot take fragments; or what is wrong with its spec.
    pub resolved: Result<Resolved, String>,
}

/// State of a device that can take fragments.
pub const USABLE: &str = "Usable";

/// What the image of gateways, fragments and measurements is made for.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Looks at all nodes of the cluster.
pub fn survey(pool: &DevicePool, nodes: &[Arc<Node>]) -> Survey {
    let selected: Vec<&Arc<Node>> =
        nodes.iter().filter(|node| carries(node, &pool.spec.node_selector.match_labels)).collect();
    let mut states: BTreeMap<String, &'static str> = BTreeMap::new();
    let (mut known, mut taints) = (vec![], BTreeMap::new());
    for node in &selected {
        let classed = pool.spec.classes.iter().any(|class| carries(node, &class.match_labels));
        let read = deployment::cluster::node(&***node);
        let taint = read.as_ref().ok().and_then(|node| keeps_away(&node.spec, pool));
        let state = match (&read, classed) {
            (Err(_), _) => "Unreadable",
            (_, false) => "NoClass",
            _ if !is_ready(node) => "NotReady",
            _ if is_cordoned(node) => "Cordoned",
            _ if architecture(node).is_some_and(|own| !ARCHITECTURES.contains(&own)) => "NoImage",
            _ if taint.is_some() => "Tainted",
            _ => USABLE,
        };
        taints.extend(taint.map(|taint| (node.name_any(), taint)));
        if classed {
            known.extend(read);
        }
        states.insert(node.name_any(), state);
    }
    let resolved = resolved(pool, known);
    let devices =
        selected.iter().filter_map(|node| device(node, states[&node.name_any()], pool, resolved.as_ref().ok()));
    Survey { devices: devices.collect(), taints, resolved }
}

/// The taint of a node that pods of a pool do not tolerate.
fn keeps_away(node: &api::Node, pool: &DevicePool) -> Option<String> {
    let mut taints = node.spec.taints.iter();
    taints.find(|taint| taint.keeps_away(&pool.spec.tolerations)).map(ToString::to_string)
}

/// All classed nodes, usable or not: links may name any of them.
fn resolved(pool: &DevicePool, nodes: Vec<api::Object<api::Node>>) -> Result<Resolved, String> {
    if nodes.is_empty() {
        return Ok(Resolved { pools: BTreeMap::new(), services: vec![] });
    }
    // With what was measured.
    let pool = DevicePool { spec: known::pool(pool), ..pool.clone() };
    manifests::of_pool(&pool, nodes).resolve().map_err(|errors| errors.to_string())
}

/// `None` for a name that no node can have.
fn device(node: &Node, state: &str, pool: &DevicePool, resolved: Option<&Resolved>) -> Option<DeviceStatus> {
    let name = node.name_any();
    let found = resolved.and_then(|resolved| resolved.pools.get(&pool.name_any())?.devices.get(&name));
    Some(DeviceStatus {
        name: name.parse::<NodeName>().ok()?,
        class: found.and_then(|found| found.class.parse::<Name>().ok()),
        tier: found.map(|found| found.tier),
        state: state.to_owned(),
        architecture: architecture(node).and_then(|name| name.parse().ok()),
        cores: found.and_then(|found| decimal(found.cores)),
        speed_factor: found.and_then(|found| decimal(found.speed_factor)),
        memory_budget: found.and_then(|found| found.memory_budget.0.to_string().parse::<Quantity>().ok()),
    })
}

/// `None` where it does not say.
fn architecture(node: &Node) -> Option<&str> {
    let architecture = node.status.as_ref()?.node_info.as_ref()?.architecture.as_str();
    Some(architecture).filter(|name| !name.is_empty())
}

fn decimal(value: f64) -> Option<Decimal> {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').parse().ok()
}

fn carries(node: &Node, labels: &BTreeMap<String, api::LabelValue>) -> bool {
    labels.iter().all(|(key, value)| node.labels().get(key).is_some_and(|found| found == value.as_str()))
}

/// Whether its kubelet says so.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
}
