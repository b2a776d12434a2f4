//! Everything that a status is made from.

use super::super::cluster::Cluster;
use super::super::read::Listed;
use crate::exit_code::{Failure, Outcome};
use api::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// Objects of one namespace, or of all.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Scene {
    /// Whether it is about the whole cluster.
    pub(crate) all_namespaces: bool,
    /// Services.
    pub(crate) services: Vec<EENNService>,
    /// Their plans.
    pub(crate) plans: Vec<EENNPlan>,
    /// Models.
    pub(crate) models: Vec<EENNModel>,
    /// Targets.
    pub(crate) targets: Vec<QoSTarget>,
    /// Pools of the cluster.
    pub(crate) pools: Vec<DevicePool>,
    /// Deployments that the operator has made.
    pub(crate) deployments: Vec<Deployment>,
    /// Their pods.
    pub(crate) pods: Vec<Pod>,
    /// What could not be read, and why.
    pub(crate) notes: Vec<String>,
}

/// Labels of all that the operator makes.
const OURS: &str = "app.kubernetes.io/managed-by=eenn-operator";

impl Scene {
    /// Reads it. What a person may not see is left out, but for services.
    pub(super) fn read(cluster: &Cluster, all_namespaces: bool) -> Outcome<Self> {
        let namespace = (!all_namespaces).then_some(cluster.namespace.as_str());
        let services = cluster.list::<EENNService>(namespace, "")?;
        let mut scene = Self { all_namespaces, ..Self::default() };
        scene.services = scene.taken(services);
        scene.plans = scene.taken(cluster.list_if_allowed(namespace, ""));
        scene.models = scene.taken(cluster.list_if_allowed(namespace, ""));
        scene.targets = scene.taken(cluster.list_if_allowed(namespace, ""));
        scene.pools = scene.taken(cluster.list_if_allowed(None, ""));
        scene.deployments = scene.taken(cluster.list_if_allowed(namespace, OURS));
        scene.pods = scene.taken(cluster.list_if_allowed(namespace, OURS));
        scene.pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(scene)
    }

    fn taken<K>(&mut self, listed: Listed<K>) -> Vec<K> {
        self.notes.extend(listed.notes);
        listed.items
    }

    /// With one of its services only, and what is of that.
    pub(super) fn of(mut self, name: &str, namespace: &str) -> Outcome<Self> {
        let all: Vec<String> = self.services.iter().map(ResourceExt::name_any).collect();
        self.services.retain(|service| service.name_any() == name);
        let Some(service) = self.services.first() else {
            return Err(not_found(name, namespace, &all));
        };
        let (model, pool) = (&service.spec.model_ref.name, &service.spec.device_pool_ref.name);
        self.models.retain(|one| one.name_any() == model.as_str());
        self.pools.retain(|one| one.name_any() == pool.as_str());
        Ok(self)
    }
}

/// There is no such service, but others.
pub(crate) fn not_found(name: &str, namespace: &str, all: &[String]) -> Failure {
    /// More would hide the rest of the line.
    const MOST: usize = 10;
    let there = match all.len() {
        0 => "there is none in it; -n names another namespace".to_owned(),
        many if many > MOST => format!("it has {}, … ({many} in all)", all[..MOST].join(", ")),
        _ => format!("it has {}", all.join(", ")),
    };
    Failure::input(format!("there is no EENNService {name:?} in namespace {namespace:?}; {there}"))
}
