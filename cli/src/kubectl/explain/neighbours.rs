//! Everything that shares a pool with a service.

use super::super::cluster::Cluster;
use super::super::plans::Plans;
use super::super::read::Listed;
use crate::exit_code::{Failure, Outcome};
use anyhow::anyhow;
use api::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use deployment::known;
use domain::ExitTable;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use std::path::Path;

/// A pool with all that runs on it.
#[derive(Debug, Clone)]
pub(super) struct Neighbours {
    /// The pool.
    pub(super) pool: DevicePool,
    /// All nodes of the cluster.
    pub(super) nodes: Vec<Node>,
    /// Services with a plan in force.
    pub(super) members: Vec<Member>,
    /// What is not counted, and why.
    pub(super) notes: Vec<String>,
}

/// A service with all that its plan depends on.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The service.
    pub(super) service: EENNService,
    /// Its model.
    pub(super) model: EENNModel,
    /// What exits said about samples.
    pub(super) table: ExitTable,
    /// Its target.
    pub(super) target: Option<QoSTarget>,
    /// The plan in force.
    pub(super) plan: EENNPlan,
}

impl Neighbours {
    /// Reads it. Others are left out where they cannot be read; the service itself must be.
    pub(super) fn read(cluster: &Cluster, service: &EENNService) -> Outcome<Self> {
        let name = service.spec.device_pool_ref.name.as_str();
        let Some(pool) = cluster.find::<DevicePool>(None, name)? else {
            return Err(Failure::input(format!("there is no DevicePool {name:?}, which the service names")));
        };
        let nodes = cluster.list::<Node>(None, "")?.items;
        let mut all = Self { pool, nodes, members: vec![], notes: vec![] };
        let services = everywhere::<EENNService>(cluster, &mut all.notes)?;
        let plans = everywhere::<EENNPlan>(cluster, &mut all.notes)?;
        all.notes.dedup();
        for other in services.into_iter().filter(|other| other.spec.device_pool_ref.name.as_str() == name) {
            let Some(plan) = Plans::of(&other, &plans).in_force.cloned() else { continue };
            let itself = other.uid() == service.uid();
            let place = format!("{}/{}", other.namespace().unwrap_or_default(), other.name_any());
            match member(cluster, other, plan) {
                Ok(member) => all.members.push(member),
                Err(failure) if itself => return Err(failure),
                Err(Failure::Input(why) | Failure::Running(why)) => all.notes.push(format!("service {place}: {why:#}")),
            }
        }
        Ok(all)
    }
}

/// Objects of all namespaces, or of this one where a person may see no more.
fn everywhere<K>(cluster: &Cluster, notes: &mut Vec<String>) -> Outcome<Vec<K>>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned,
{
    let Ok(Listed { items, notes: unread }) = cluster.list::<K>(None, "") else {
        let note = "services of other namespaces, which you may not list".to_owned();
        notes.push(note);
        return Ok(cluster.list::<K>(Some(&cluster.namespace), "")?.items);
    };
    notes.extend(unread);
    Ok(items)
}

fn member(cluster: &Cluster, service: EENNService, plan: EENNPlan) -> Outcome<Member> {
    let namespace = service.namespace().unwrap_or_default();
    let missing =
        |kind: &str, name: &str| Failure::input(format!("there is no {kind} {name:?} in namespace {namespace:?}"));
    let name = service.spec.model_ref.name.as_str();
    let model = cluster.find::<EENNModel>(Some(&namespace), name)?.ok_or_else(|| missing("EENNModel", name))?;
    let target = match &service.spec.qos_target_ref {
        None => None,
        Some(reference) => {
            let name = reference.name.as_str();
            Some(cluster.find(Some(&namespace), name)?.ok_or_else(|| missing("QoSTarget", name))?)
        }
    };
    let table = table(cluster, &model, &namespace)?;
    Ok(Member { service, model, table, target, plan })
}

/// The exit table of a model, from the ConfigMap that it is in.
fn table(cluster: &Cluster, model: &EENNModel, namespace: &str) -> Outcome<ExitTable> {
    // Maybe one that the operator has brought there.
    let table = known::model(model).spec.exit_table;
    let name = model.name_any();
    let Some((map, key)) = table.as_ref().and_then(api::Artifact::config_map) else {
        return Err(Failure::input(format!(
            "the exit table of EENNModel {name:?} is in no ConfigMap (spec.exitTable)"
        )));
    };
    let Some(found) = cluster.find::<ConfigMap>(Some(namespace), map)? else {
        return Err(Failure::input(format!("there is no ConfigMap {map:?}, which EENNModel {name:?} names")));
    };
    let Some(bytes) = found.binary_data.as_ref().and_then(|data| data.get(key)) else {
        return Err(Failure::input(format!("ConfigMap {map:?} has no binaryData {key:?}")));
    };
    let path = format!("{map}/{key}");
    let read = api::exit_table::parse(Path::new(&path), &bytes.0);
    read.map(|(table, _)| table).map_err(|error| Failure::Running(anyhow!("{error}")))
}
