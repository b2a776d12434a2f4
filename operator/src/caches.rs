//! What of the cluster the operator looks at, and who has to look when something changes.

use crate::cache::{self, Cache, Change, Key, Watch};
use crate::controller::Controller;
use crate::manifests::prune_node;
use crate::metrics::Metrics;
use crate::plan::Tried;
use crate::service::labels;
use api::{DevicePool, EENNModel, EENNPlan, EENNService, QoSTarget};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use std::fmt::Debug;
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
    /// Deployments of ours, without their templates.
    pub deployments: Arc<Cache<Deployment>>,
    /// ConfigMaps of users that models name, and of ours, without their data.
    pub config_maps: Arc<Cache<ConfigMap>>,
    /// Services of Kubernetes that are ours.
    pub endpoints: Arc<Cache<Service>>,
    /// ServiceAccounts of ours.
    pub accounts: Arc<Cache<ServiceAccount>>,
    /// NetworkPolicies of ours.
    pub network_policies: Arc<Cache<NetworkPolicy>>,
    /// PodDisruptionBudgets of ours.
    pub budgets: Arc<Cache<PodDisruptionBudget>>,
}

/// Who looks at what.
#[derive(Debug, Clone)]
pub struct Controllers {
    /// Status of pools.
    pub pools: Arc<Controller<Key>>,
    /// Status of models.
    pub models: Arc<Controller<Key>>,
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
        let mut tasks = JoinSet::new();
        let start = Start { client, scope, metrics };
        let c = controllers.clone();
        start.watch(
            "DevicePool",
            None,
            &self.pools,
            |_| {},
            &mut tasks,
            all(client),
            move |change| {
                c.pools.add(key(&change));
                c.plans.add(key(&change));
            },
        );
        let (c, pools, services) = (controllers.clone(), Arc::clone(&self.pools), Arc::clone(&self.services));
        start.watch("Node", None, &self.nodes, prune_node, &mut tasks, all(client), move |_| {
            pools.all().iter().for_each(|pool| {
                c.pools.add(Key::of(&**pool));
                c.plans.add(Key::of(&**pool));
            });
            services.all().iter().for_each(|service| c.services.add(Key::of(&**service)));
        });
        let (c, services) = (controllers.clone(), Arc::clone(&self.services));
        start.watch(
            "EENNModel",
            None,
            &self.models,
            |_| {},
            &mut tasks,
            start.within(),
            move |change| {
                c.models.add(key(&change));
                let name = key(&change);
                let using = |service: &EENNService| service.spec.model_ref.name.as_str() == name.name;
                services_of(&c, services.within(&name.namespace), using);
            },
        );
        let (c, services) = (controllers.clone(), Arc::clone(&self.services));
        start.watch(
            "QoSTarget",
            None,
            &self.targets,
            |_| {},
            &mut tasks,
            start.within(),
            move |change| {
                let name = key(&change);
                let using = |service: &EENNService| {
                    service.spec.qos_target_ref.as_ref().is_some_and(|target| target.name.as_str() == name.name)
                };
                services_of(&c, services.within(&name.namespace), using);
            },
        );
        let c = controllers.clone();
        start.watch(
            "EENNService",
            None,
            &self.services,
            |_| {},
            &mut tasks,
            start.within(),
            move |change| {
                c.services.add(key(&change));
                for service in [change.old, change.new].into_iter().flatten() {
                    let pool = Key::new("", service.spec.device_pool_ref.name.as_str());
                    c.pools.add(pool.clone());
                    c.plans.add(pool);
                }
            },
        );
        let (c, services) = (controllers.clone(), Arc::clone(&self.services));
        start.watch(
            "EENNPlan",
            None,
            &self.plans,
            |_| {},
            &mut tasks,
            start.within(),
            move |change| {
                let Some(plan) = change.any() else { return };
                let service = Key::new(plan.namespace().unwrap_or_default(), plan.spec.service_ref.name.as_str());
                // A plan that is gone has to be made again.
                if change.new.is_none()
                    && let Some(service) = services.get(&service)
                {
                    let pool = Key::new("", service.spec.device_pool_ref.name.as_str());
                    c.tried.forget(&pool);
                    c.plans.add(pool);
                }
                c.services.add(service);
            },
        );
        start.children("Service", &self.endpoints, |one| one.spec = None, controllers, &mut tasks);
        start.children("ServiceAccount", &self.accounts, |_| {}, controllers, &mut tasks);
        start.children("NetworkPolicy", &self.network_policies, |one| one.spec = None, controllers, &mut tasks);
        start.children("PodDisruptionBudget", &self.budgets, prune_budget, controllers, &mut tasks);
        start.children("Deployment", &self.deployments, prune_deployment, controllers, &mut tasks);
        let (c, models) = (controllers.clone(), Arc::clone(&self.models));
        start.watch(
            "ConfigMap",
            None,
            &self.config_maps,
            prune_config_map,
            &mut tasks,
            start.within(),
            move |change| {
                owner(&change).into_iter().for_each(|service| c.services.add(service));
                let name = key(&change);
                for model in models.within(&name.namespace) {
                    c.models.add(Key::of(&*model));
                }
            },
        );
        tasks
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
}

impl Start<'_> {
    /// Objects of the namespaces that are looked at.
    fn within<K>(&self) -> Api<DeserializeGuard<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self.scope {
            Scope::Namespace(namespace) => Api::namespaced(self.client.clone(), namespace),
            Scope::Cluster => Api::all(self.client.clone()),
        }
    }

    /// Objects of ours: whoever owns one looks at it.
    fn children<K>(
        &self,
        kind: &'static str,
        cache: &Arc<Cache<K>>,
        prune: fn(&mut K),
        controllers: &Controllers,
        tasks: &mut JoinSet<()>,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + Debug
            + PartialEq
            + Send
            + Sync
            + 'static,
    {
        let services = Arc::clone(&controllers.services);
        let ours = Some(format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
        self.watch(kind, ours, cache, prune, tasks, self.within(), move |change| {
            owner(&change).into_iter().for_each(|service| services.add(service));
        });
    }

    #[expect(clippy::too_many_arguments, reason = "every watch names all of them, in one place")]
    fn watch<K>(
        &self,
        kind: &'static str,
        labels: Option<String>,
        cache: &Arc<Cache<K>>,
        prune: fn(&mut K),
        tasks: &mut JoinSet<()>,
        api: Api<DeserializeGuard<K>>,
        changed: impl Fn(Change<'_, K>) + Send + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + Debug + PartialEq + Send + Sync + 'static,
    {
        let watch = Watch { kind, api, labels, prune };
        tasks.spawn(cache::keep(watch, Arc::clone(cache), Arc::clone(self.metrics), changed));
    }
}

/// Objects of the cluster.
fn all<K: Resource<DynamicType = ()>>(client: &Client) -> Api<DeserializeGuard<K>> {
    Api::all(client.clone())
}

fn key<K: ResourceExt>(change: &Change<'_, K>) -> Key {
    change.any().map_or_else(|| Key::new("", ""), Key::of)
}

/// The service that an object belongs to.
fn owner<K: ResourceExt>(change: &Change<'_, K>) -> Option<Key> {
    let object = change.any()?;
    Some(Key::new(object.namespace()?, object.labels().get(labels::SERVICE)?))
}

fn services_of(controllers: &Controllers, services: Vec<Arc<EENNService>>, using: impl Fn(&EENNService) -> bool) {
    for service in services.iter().filter(|service| using(service)) {
        controllers.services.add(Key::of(&**service));
        controllers.plans.add(Key::new("", service.spec.device_pool_ref.name.as_str()));
    }
}

/// Generation, readiness and the hash of what was applied: templates are as large as all else together.
fn prune_deployment(deployment: &mut Deployment) {
    deployment.metadata.resource_version = None;
    deployment.spec.template = Default::default();
}

/// Names and versions; data is read when it is needed.
fn prune_config_map(config_map: &mut ConfigMap) {
    config_map.data = None;
    config_map.binary_data = None;
}

fn prune_budget(budget: &mut PodDisruptionBudget) {
    budget.spec = None;
    budget.status = None;
    // Changes with every pod; the generation tells what is wanted.
    budget.metadata.resource_version = None;
}
