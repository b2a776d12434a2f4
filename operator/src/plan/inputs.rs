//! What a pool is planned with: its services, what they name, and the nodes there are. Pure.

use crate::cache::Key;
use crate::manifests;
use crate::measure::known;
use crate::service::labels;
use crate::service::references::References;
use api::{DevicePool, EENNService, Manifests, Object};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A service to plan for, with what it names.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The service.
    pub service: Arc<EENNService>,
    /// What it names.
    pub found: References,
}

/// The manifests of a pool. Names are those of the cluster where all services are of one namespace; otherwise each name says
/// which namespace it is of.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// As `eenn plan` would read them.
    pub manifests: Manifests,
    /// Services by their names in the manifests.
    pub services: BTreeMap<String, Key>,
    /// Models by their names in the manifests.
    pub models: BTreeMap<String, Key>,
}

/// Names of objects in the manifests.
struct Names {
    of_several_namespaces: bool,
}

impl Names {
    fn of(&self, name: &str, namespace: &str) -> String {
        match self.of_several_namespaces {
            true => {
                let short: String = name.chars().take(34).collect();
                format!("{}-{}", short.trim_end_matches('-'), labels::hash(&format!("{namespace}/{name}")))
            }
            false => name.to_owned(),
        }
    }
}

/// Collects what is planned with.
pub fn inputs(pool: &DevicePool, nodes: &[Arc<Node>], candidates: &[Candidate]) -> Inputs {
    let namespaces: BTreeSet<String> = candidates.iter().filter_map(|one| one.service.namespace()).collect();
    let names = Names { of_several_namespaces: namespaces.len() > 1 };
    let nodes = nodes.iter().filter_map(|node| manifests::node(node).ok());
    // With what was measured.
    let pool = &DevicePool { spec: known::pool(pool), ..pool.clone() };
    let mut inputs = Inputs {
        manifests: manifests::of_pool(pool, nodes.filter(|node| has_class(node, pool)).collect()),
        services: BTreeMap::new(),
        models: BTreeMap::new(),
    };
    for candidate in candidates {
        inputs.add(&names, candidate);
    }
    inputs
}

impl Inputs {
    fn add(&mut self, names: &Names, Candidate { service, found }: &Candidate) {
        let namespace = service.namespace().unwrap_or_default();
        let named = |name: &str| names.of(name, &namespace);
        let mut object = manifests::object(&**service, &service.spec);
        object.name = named(&object.name);
        let model = named(&found.model.name_any());
        // Made of names, so they are names.
        let reference = |name: &str| Some(api::ObjectReference { name: name.parse().ok()? });
        object.spec.model_ref = reference(&model).unwrap_or(object.spec.model_ref);
        if let Some(target) = &found.target {
            let name = named(&target.name_any());
            object.spec.qos_target_ref = reference(&name);
            push(&mut self.manifests.targets, Object { name, ..manifests::object(&**target, &target.spec) });
        }
        push(
            &mut self.manifests.models,
            Object { name: model.clone(), ..manifests::object(&*found.model, &found.model.spec) },
        );
        self.models.insert(model, Key::of(&*found.model));
        self.services.insert(object.name.clone(), Key::of(&**service));
        self.manifests.services.push(object);
    }

    /// Differs where something differs that plans depend on. `tables`: what the exit tables are.
    pub fn hash(&self, tables: &BTreeMap<String, String>) -> String {
        let m = &self.manifests;
        let services: Vec<_> = m.services.iter().map(|one| (&one.name, planned_with(&one.spec))).collect();
        let models: Vec<_> = m.models.iter().map(|one| (&one.name, &one.spec)).collect();
        let targets: Vec<_> = m.targets.iter().map(|one| (&one.name, &one.spec)).collect();
        let pools: Vec<_> = m.pools.iter().map(|one| (&one.name, &one.spec)).collect();
        let nodes: Vec<_> = m.nodes.iter().map(|one| (&one.name, &one.spec)).collect();
        labels::hash(&serde_json::to_string(&(services, models, targets, pools, nodes, tables)).unwrap_or_default())
    }
}

/// A service without what plans do not depend on: to approve one must not make another.
fn planned_with(spec: &api::EENNServiceSpec) -> api::EENNServiceSpec {
    api::EENNServiceSpec {
        approved_plan: None,
        planning: Default::default(),
        image_pull_secrets: vec![],
        reoptimization: Default::default(),
        ..spec.clone()
    }
}

/// Services share models and targets.
fn push<Spec>(objects: &mut Vec<Object<Spec>>, object: Object<Spec>) {
    if objects.iter().all(|there| there.name != object.name) {
        objects.push(object);
    }
}

fn has_class(node: &Object<api::Node>, pool: &DevicePool) -> bool {
    let carries = |labels: &BTreeMap<String, api::LabelValue>| {
        labels
            .iter()
            .all(|(key, value)| node.spec.metadata.labels.get(key).is_some_and(|found| found == value.as_str()))
    };
    carries(&pool.spec.node_selector.match_labels) && pool.spec.classes.iter().any(|class| carries(&class.match_labels))
}
