//! What of the cluster the operator looks at, and who has to look when something changes.

use crate::cache::{self, Cache, Change, Keep, Key, Watch, Watched};
use crate::clock;
use crate::controller::Controller;
use crate::head::{Head, Rollout};
use crate::manifests::prune_node;
use crate::measure::known;
use crate::metrics::Metrics;
use crate::outline::{self, Deployment, Job};
use crate::plan::Tried;
use crate::pods::Pod;
use crate::service::labels;
use api::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// All caches.
#[derive(Debug, Default)]
pub struct Caches {
    /// Every pool.
    pub pools: Arc<Cache<DevicePool>>,
    /// Every model.
    pub models: Arc<Cache<EENNModel>>,
    /// Every target.
    pub targets: Arc<Cache<QoSTarget>>,
    /// Every service.
    pub services: Arc<Cache<EENNService>>,
    /// Every plan.
    pub plans: Arc<Cache<EENNPlan>>,
    /// Every node, without what changes with every heartbeat.
    pub nodes: Arc<Cache<Node>>,
    /// Deployments of ours.
    pub deployments: Arc<Cache<Head<apps::Deployment, Rollout>>>,
    /// Pods of ours: where they are, and what they do.
    pub pods: Arc<Cache<Pod>>,
    /// Jobs of ours.
    pub jobs: Arc<Cache<Job>>,
    /// ConfigMaps of users that models name, and of ours, without their data.
    pub config_maps: Arc<Cache<Head<ConfigMap>>>,
    /// Services of Kubernetes; like all that people may have made by the same names, also those that are not ours.
    pub endpoints: Arc<Cache<Head<Service>>>,
    /// ServiceAccounts.
    pub accounts: Arc<Cache<Head<ServiceAccount>>>,
    /// NetworkPolicies.
    pub network_policies: Arc<Cache<Head<NetworkPolicy>>>,
    /// PodDisruptionBudgets of ours.
    pub budgets: Arc<Cache<Head<PodDisruptionBudget>>>,
}

/// Who looks at what.
#[derive(Debug, Clone)]
pub struct Controllers {
    /// Status of pools.
    pub pools: Arc<Controller<Key>>,
    /// Status of models.
    pub models: Arc<Controller<Key>>,
    /// Status of targets.
    pub targets: Arc<Controller<Key>>,
    /// Plans of all services of a pool.
    pub plans: Arc<Controller<Key>>,
    /// Children and status of services.
    pub services: Arc<Controller<Key>>,
    /// What pools were last planned with.
    pub tried: Arc<Tried>,
}

impl Controllers {
    /// With empty queues.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        let controller = |name| Controller::new(name, Arc::clone(metrics));
        Self {
            pools: controller("devicepool"),
            models: controller("eennmodel"),
            targets: controller("qostarget"),
            plans: controller("plan"),
            services: controller("eennservice"),
            tried: Arc::default(),
        }
    }
}

impl Caches {
    /// Starts all watches. Each is a task of its own.
    pub fn watch(
        &self,
        client: &Client,
        scope: &Scope,
        controllers: &Controllers,
        metrics: &Arc<Metrics>,
    ) -> JoinSet<()> {
        let mut start = Start { client, scope, metrics, tasks: JoinSet::new() };
        self.watch_pools(controllers, &mut start);
        self.watch_nodes(controllers, &mut start);
        self.watch_models(controllers, &mut start);
        self.watch_targets(controllers, &mut start);
        self.watch_services(controllers, &mut start);
        self.watch_plans(controllers, &mut start);
        self.watch_config_maps(controllers, &mut start);
        let (services, ours) = (&controllers.services, Some(format!("{}={}", labels::MANAGED_BY, labels::OPERATOR)));
        start.children::<DeserializeGuard<Deployment>, _, _>("Deployment", &self.deployments, ours.clone(), services);
        start.children::<PartialObjectMeta<_>, _, _>("Service", &self.endpoints, None, services);
        start.children::<PartialObjectMeta<_>, _, _>("ServiceAccount", &self.accounts, None, services);
        start.children::<PartialObjectMeta<_>, _, _>("NetworkPolicy", &self.network_policies, None, services);
        start.children::<PartialObjectMeta<_>, _, _>("PodDisruptionBudget", &self.budgets, ours, services);
        let ours = Some(format!("{}={},{}", labels::MANAGED_BY, labels::OPERATOR, labels::ROLE));
        let (within, models, c) = (start.within(), Arc::clone(&self.models), controllers.clone());
        let services = Arc::clone(services);
        start.watch::<DeserializeGuard<outline::Pod>>(("Pod", within, ours), &self.pods, move |change| {
            let Some(pod) = change.any() else { return };
            let trouble = |pod: Option<&Pod>| pod.and_then(|pod| pod.trouble.clone());
            // Fragments of before wait for the last gateway of before to end.
            let ended = change.new.is_none() && pod.role.as_deref() == Some("gateway");
            // Deployments tell when pods are ready; why they are not, pods have to tell.
            if let Some(service) = &pod.service
                && (ended || trouble(change.old) != trouble(change.new))
            {
                services.add(Key::new(&*pod.key.namespace, &**service));
            }
            models_of(&c, &models, &pod.key.namespace, pod.model.as_deref());
        });
        self.watch_jobs(controllers, &mut start);
        start.tasks
    }

    fn watch_jobs(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (jobs, models, c) = (start.within(), Arc::clone(&self.models), controllers.clone());
        let ours = Some(format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
        start.watch::<DeserializeGuard<Job>>(("Job", jobs, ours), &self.jobs, move |change| {
            let Some(job) = change.any() else { return };
            let namespace = job.namespace().unwrap_or_default();
            models_of(&c, &models, &namespace, job.labels().get(labels::MODEL).map(String::as_str));
        });
    }

    fn watch_pools(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, services, api) = (controllers.clone(), Arc::clone(&self.services), start.of_cluster());
        start.watch::<DeserializeGuard<DevicePool>>(("DevicePool", api, None), &self.pools, move |change| {
            let pool = key(&change);
            // Also of one that is gone, and of a new one in its place.
            services_of(&c, services.all(), |service| pool_of(service) == pool);
            c.pools.add(pool.clone());
            c.plans.add(pool);
        });
    }

    fn watch_nodes(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, api) = (controllers.clone(), start.of_cluster());
        let (pools, services) = (Arc::clone(&self.pools), Arc::clone(&self.services));
        start.watch::<DeserializeGuard<Node>>(("Node", api, None), &self.nodes, move |_| {
            for pool in pools.all() {
                c.pools.add(Key::of(&*pool));
                c.plans.add(Key::of(&*pool));
            }
            services.all().iter().for_each(|service| c.services.add(Key::of(&**service)));
        });
    }

    fn watch_models(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, services, api) = (controllers.clone(), Arc::clone(&self.services), start.within());
        start.watch::<DeserializeGuard<EENNModel>>(("EENNModel", api, None), &self.models, move |change| {
            let model = key(&change);
            let using = |service: &EENNService| service.spec.model_ref.name.as_str() == model.name;
            let used = services.within(&model.namespace);
            // Devices are measured with models that have times.
            used.iter().filter(|service| using(service)).for_each(|service| c.pools.add(pool_of(service)));
            services_of(&c, used, using);
            c.models.add(model);
        });
    }

    fn watch_targets(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, services, api) = (controllers.clone(), Arc::clone(&self.services), start.within());
        start.watch::<DeserializeGuard<QoSTarget>>(("QoSTarget", api, None), &self.targets, move |change| {
            let target = key(&change);
            let using = |service: &EENNService| {
                service.spec.qos_target_ref.as_ref().is_some_and(|named| named.name.as_str() == target.name)
            };
            services_of(&c, services.within(&target.namespace), using);
            c.targets.add(target);
        });
    }

    fn watch_services(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, api) = (controllers.clone(), start.within());
        start.watch::<DeserializeGuard<EENNService>>(("EENNService", api, None), &self.services, move |change| {
            c.services.add(key(&change));
            for service in [change.old, change.new].into_iter().flatten() {
                // One that nobody uses is not measured.
                c.models.add(Key::new(service.namespace().unwrap_or_default(), service.spec.model_ref.name.as_str()));
                c.pools.add(pool_of(service));
                c.plans.add(pool_of(service));
            }
        });
    }

    fn watch_plans(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, services, api) = (controllers.clone(), Arc::clone(&self.services), start.within());
        start.watch::<DeserializeGuard<EENNPlan>>(("EENNPlan", api, None), &self.plans, move |change| {
            let Some(plan) = change.any() else { return };
            let service = Key::new(plan.namespace().unwrap_or_default(), plan.spec.service_ref.name.as_str());
            // A plan that is gone has to be made again.
            if let (None, Some(service)) = (change.new, services.get(&service)) {
                c.tried.forget(&pool_of(&service));
                c.plans.add(pool_of(&service));
            }
            // One that was brought back may be for other manifests than those of now.
            if let (None, Some(new), Some(service)) = (change.old, change.new, services.get(&service)) {
                let pool = pool_of(&service);
                if !new.annotations().get(labels::INPUTS).is_some_and(|hash| c.tried.is(&pool, hash, clock::now())) {
                    c.plans.add(pool);
                }
            }
            c.services.add(service);
        });
    }

    /// Those of users, too: models name them.
    fn watch_config_maps(&self, controllers: &Controllers, start: &mut Start<'_>) {
        let (c, models, api) = (controllers.clone(), Arc::clone(&self.models), start.within());
        let services = Arc::clone(&self.services);
        start.watch::<PartialObjectMeta<_>>(("ConfigMap", api, None), &self.config_maps, move |change| {
            let Some(changed) = change.any() else { return };
            changed.service().into_iter().for_each(|service| c.services.add(service));
            let namespace = &changed.key.namespace;
            for model in models.within(namespace) {
                c.models.add(Key::of(&*model));
                // Another exit table is planned with, also where that is all that changes.
                if has_file_in(&model, &changed.key.name) {
                    let using = |service: &&Arc<EENNService>| service.spec.model_ref.name.as_str() == model.name_any();
                    services.within(namespace).iter().filter(using).for_each(|service| c.plans.add(pool_of(service)));
                }
            }
        });
    }

    /// Returns once everything has been listed: before that, what is missing may just not have been heard of.
    pub async fn complete(&self) {
        self.pools.complete().await;
        self.models.complete().await;
        self.targets.complete().await;
        self.services.complete().await;
        self.plans.complete().await;
        self.nodes.complete().await;
        self.deployments.complete().await;
        self.pods.complete().await;
        self.jobs.complete().await;
        self.config_maps.complete().await;
        self.endpoints.complete().await;
        self.accounts.complete().await;
        self.network_policies.complete().await;
        self.budgets.complete().await;
    }
}

/// Namespaces that are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// This one.
    Namespace(String),
}

/// What every watch is started with.
struct Start<'a> {
    client: &'a Client,
    scope: &'a Scope,
    metrics: &'a Arc<Metrics>,
    tasks: JoinSet<()>,
}

/// Kind, place and labels.
type What<W> = (&'static str, Api<W>, Option<String>);

impl Start<'_> {
    /// Objects of the cluster.
    fn of_cluster<W: Watched>(&self) -> Api<W> {
        Api::all(self.client.clone())
    }

    /// Objects of the namespaces that are looked at.
    fn within<W: Watched<Scope = NamespaceResourceScope>>(&self) -> Api<W> {
        match self.scope {
            Scope::Namespace(namespace) => Api::namespaced(self.client.clone(), namespace),
            Scope::Cluster => Api::all(self.client.clone()),
        }
    }

    /// Objects that are made for services: whoever owns one looks at it.
    fn children<W, K, S>(
        &mut self,
        kind: &'static str,
        cache: &Arc<Cache<Head<K, S>>>,
        labels: Option<String>,
        services: &Arc<Controller<Key>>,
    ) where
        W: Watched<Scope = NamespaceResourceScope, Kept = Head<K, S>>,
        K: Resource<DynamicType = ()> + 'static,
        S: Send + Sync + 'static,
    {
        let services = Arc::clone(services);
        self.watch::<W>((kind, self.within(), labels), cache, move |change| {
            // Also where somebody has taken the label away.
            let whose = [change.old, change.new].into_iter().flatten().filter_map(Head::service);
            whose.collect::<BTreeSet<_>>().into_iter().for_each(|service| services.add(service));
        });
    }

    fn watch<W: Watched>(
        &mut self,
        (kind, api, labels): What<W>,
        cache: &Arc<Cache<W::Kept>>,
        changed: impl Fn(Change<'_, W::Kept>) + Send + 'static,
    ) {
        let watch = Watch { kind, api, labels };
        self.tasks.spawn(cache::keep(watch, Arc::clone(cache), Arc::clone(self.metrics), changed));
    }
}

/// Whether the file of a model, or the exit table that it is planned with, is in a ConfigMap of this name.
fn has_file_in(model: &EENNModel, name: &str) -> bool {
    let files = [Some(&model.spec.artifact), model.spec.exit_table.as_ref()];
    let mut named = files.into_iter().flatten().filter_map(api::Artifact::config_map);
    named.any(|(there, _)| there == name) || known::brought(model).is_some_and(|there| there == name)
}

/// The pool that a service is on.
fn pool_of(service: &EENNService) -> Key {
    Key::new("", service.spec.device_pool_ref.name.as_str())
}

fn key<K: ResourceExt>(change: &Change<'_, K>) -> Key {
    change.any().map_or_else(|| Key::new("", ""), Key::of)
}

/// The model that a Job or its pod is labelled with is looked at.
fn models_of(controllers: &Controllers, models: &Cache<EENNModel>, namespace: &str, label: Option<&str>) {
    let Some(label) = label else { return };
    for model in models.within(namespace).iter().filter(|model| labels::value(&model.name_any()) == label) {
        controllers.models.add(Key::of(&**model));
    }
}

fn services_of(controllers: &Controllers, services: Vec<Arc<EENNService>>, using: impl Fn(&EENNService) -> bool) {
    for service in services.iter().filter(|service| using(service)) {
        controllers.services.add(Key::of(&**service));
        controllers.plans.add(pool_of(service));
    }
}

/// All of it.
macro_rules! keep_all {
    ($($kind:ty),*) => {$(
        impl Keep for $kind {
            type Kept = Self;

            fn keep(self) -> Self {
                self
            }
        }
    )*};
}

keep_all!(DevicePool, EENNModel, QoSTarget, EENNService, EENNPlan);

impl Keep for Node {
    type Kept = Self;

    fn keep(mut self) -> Self {
        prune_node(&mut self);
        self
    }
}

impl Keep for outline::Pod {
    type Kept = Pod;

    fn keep(self) -> Pod {
        self.into()
    }
}

impl Keep for Job {
    type Kept = Self;

    fn keep(mut self) -> Self {
        self.metadata.resource_version = None;
        self
    }
}

impl Keep for Deployment {
    type Kept = Head<apps::Deployment, Rollout>;

    fn keep(self) -> Self::Kept {
        self.into()
    }
}
