//! Objects of the API server as manifests: what `eenn plan` reads from files, the operator reads from its caches. Pure.

use api::{Manifests, Object};
use deployment::cluster::object;
use k8s_openapi::api::core::v1 as core;
use std::sync::Arc;

/// A pool with the nodes that have a class in it.
pub fn of_pool(pool: &api::DevicePool, nodes: Vec<Object<api::Node>>) -> Manifests {
    Manifests { pools: vec![object(pool, &pool.spec)], nodes, ..Manifests::default() }
}

/// Takes away what nobody reads of a node. Heartbeats go too: a node that is only alive has not changed.
pub fn prune_node(node: &mut core::Node) {
    node.metadata.annotations = None;
    node.metadata.resource_version = None;
    let Some(status) = &mut node.status else { return };
    let info = status
        .node_info
        .take()
        .map(|info| core::NodeSystemInfo { architecture: info.architecture, ..Default::default() });
    let ready = status.conditions.take().into_iter().flatten().filter(|condition| condition.type_ == "Ready");
    let ready = ready.map(|condition| core::NodeCondition {
        last_heartbeat_time: None,
        last_transition_time: None,
        message: None,
        ..condition
    });
    node.status = Some(core::NodeStatus {
        capacity: status.capacity.take(),
        allocatable: status.allocatable.take(),
        conditions: Some(ready.collect()),
        node_info: info,
        ..Default::default()
    });
}

/// Those of many that are there.
pub fn specs<K: Clone>(objects: &[Arc<K>]) -> Vec<K> {
    objects.iter().map(|object| K::clone(object)).collect()
}
