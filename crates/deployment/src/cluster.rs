//! Objects of a cluster as manifests: what local mode reads from files, the operator and `kubectl eenn` read from an API server.

use crate::{Judge, Models, Outline, Refused, known, with_services};
use api::{
    DevicePool, EENNModel, EENNService, EENNServiceSpec, Manifests, Node, Object, Origin, QoSTarget, ResolvedModel,
};
use domain::ExitTable;
use domain::problem::Model;
use kube_core::{Resource, ResourceExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A service with what it names.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The service.
    pub service: &'a EENNService,
    /// Its model.
    pub model: &'a EENNModel,
    /// Its target.
    pub target: Option<&'a QoSTarget>,
}

/// Namespace and name of an object.
pub type Place = (String, String);

/// A pool with its services. Names are those of the cluster where all services are of one namespace; otherwise each name says
/// which namespace it is of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PoolManifests {
    /// As `eenn plan` would read them.
    pub manifests: Manifests,
    /// Services by their names in the manifests.
    pub services: BTreeMap<String, Place>,
    /// Models by their names in the manifests.
    pub models: BTreeMap<String, Place>,
}

/// The manifests of a pool, its services, and those nodes that have a class in it, with what was measured where specs say nothing
/// ([`known`]).
pub fn of_pool(pool: &DevicePool, nodes: Vec<Object<Node>>, members: &[Member<'_>]) -> PoolManifests {
    let namespaces: BTreeSet<String> = members.iter().filter_map(|member| member.service.namespace()).collect();
    let names = Names { of_several_namespaces: namespaces.len() > 1 };
    let nodes = nodes.into_iter().filter(|node| has_class(node, pool)).collect();
    let manifests = Manifests { pools: vec![object(pool, &known::pool(pool))], nodes, ..Manifests::default() };
    let mut all = PoolManifests { manifests, ..PoolManifests::default() };
    for member in members {
        all.add(&names, member);
    }
    all
}

/// An object with its spec, named in messages by kind and name.
pub fn object<K: Resource<DynamicType = ()>, Spec: Clone>(object: &K, spec: &Spec) -> Object<Spec> {
    let name = object.name_any();
    let mut origin = Origin::default();
    origin.object = format!("{}/{name}", K::kind(&()));
    Object { name, spec: spec.clone(), origin }
}

/// A node, of whichever type.
///
/// # Errors
/// What of it cannot be read.
pub fn node<K: Resource<DynamicType = ()> + Serialize>(node: &K) -> Result<Object<Node>, String> {
    let read = serde_json::to_value(node).and_then(serde_json::from_value::<Node>);
    read.map(|spec| object(node, &spec)).map_err(|error| error.to_string())
}

/// What can be planned with, and what cannot.
#[derive(Debug)]
pub struct Usable {
    /// With the other services.
    pub manifests: Manifests,
    /// Of those services.
    pub models: Models,
    /// Services that are left out, and what is wrong with their models.
    pub wrong: BTreeMap<String, String>,
}

/// Manifests without services whose models do not fit their exit tables (by the names of models), or have none: what is wrong with one
/// model is nothing to services of others.
/// `served`: models of all services, as they were read.
pub fn usable<'a>(
    manifests: Manifests,
    served: impl Iterator<Item = &'a ResolvedModel>,
    tables: &BTreeMap<String, ExitTable>,
) -> Usable {
    let mut found: BTreeMap<&str, Result<Model, Refused>> = BTreeMap::new();
    for served in served {
        let name = served.model.name.as_str();
        found.entry(name).or_insert_with(|| known_model(served, &manifests, tables.get(name)));
    }
    let trouble = |service: &Object<EENNServiceSpec>| match found.get(service.spec.model_ref.name.as_str())? {
        Ok(_) => None,
        Err(refused) => Some((service.name.clone(), refused.0.clone())),
    };
    let wrong: BTreeMap<String, String> = manifests.services.iter().filter_map(trouble).collect();
    let models = found.into_values().filter_map(Result::ok).collect();
    let left = manifests.services.iter().filter(|service| !wrong.contains_key(&service.name)).cloned().collect();
    let manifests = if wrong.is_empty() { manifests } else { with_services(manifests, left) };
    Usable { manifests, models, wrong }
}

fn known_model(served: &ResolvedModel, manifests: &Manifests, table: Option<&ExitTable>) -> Result<Model, Refused> {
    let name = served.model.name.as_str();
    let spec = manifests.models.iter().find(|model| model.name == name);
    let spec = spec.ok_or_else(|| Refused(format!("there is no model {name:?}")))?;
    let table = table.ok_or_else(|| Refused(format!("the exit table of model {name:?} cannot be read")))?;
    crate::model(served, Outline::from_manifest(&spec.spec)?, table.clone(), Judge::Others, true)
}

/// Ten characters that differ where the content does.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(5).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The beginning of names of objects that belong to one with this name.
pub fn short(name: &str) -> &str {
    /// What follows has up to 20 characters; names of pods have 63.
    const LONGEST: usize = 40;
    // Names are ASCII.
    name.get(..LONGEST.min(name.len())).unwrap_or("model").trim_end_matches(['-', '.'])
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
                let hash = hash(format!("{namespace}/{name}").as_bytes());
                format!("{}-{hash}", short.trim_end_matches('-'))
            }
            false => name.to_owned(),
        }
    }
}

impl PoolManifests {
    fn add(&mut self, names: &Names, Member { service, model, target }: &Member<'_>) {
        let namespace = service.namespace().unwrap_or_default();
        let named = |name: &str| names.of(name, &namespace);
        let mut added = object(*service, &service.spec);
        added.name = named(&added.name);
        let model_name = named(&model.name_any());
        // Made of names, so they are names.
        let reference = |name: &str| Some(api::ObjectReference { name: name.parse().ok()? });
        added.spec.model_ref = reference(&model_name).unwrap_or(added.spec.model_ref);
        // One that is missing is asked for nothing: what runs goes on all the same.
        added.spec.qos_target_ref = target.and_then(|target| reference(&named(&target.name_any())));
        if let Some(target) = target {
            let name = named(&target.name_any());
            push(&mut self.manifests.targets, Object { name, ..object(*target, &target.spec) });
        }
        push(
            &mut self.manifests.models,
            Object { name: model_name.clone(), ..object(*model, &known::model(model).spec) },
        );
        self.models.insert(model_name, (namespace.clone(), model.name_any()));
        self.services.insert(added.name.clone(), (namespace, service.name_any()));
        self.manifests.services.push(added);
    }
}

/// Services share models and targets.
fn push<Spec>(objects: &mut Vec<Object<Spec>>, object: Object<Spec>) {
    if objects.iter().all(|there| there.name != object.name) {
        objects.push(object);
    }
}

fn has_class(node: &Object<Node>, pool: &DevicePool) -> bool {
    let carries = |labels: &BTreeMap<String, api::LabelValue>| {
        labels
            .iter()
            .all(|(key, value)| node.spec.metadata.labels.get(key).is_some_and(|found| found == value.as_str()))
    };
    carries(&pool.spec.node_selector.match_labels) && pool.spec.classes.iter().any(|class| carries(&class.match_labels))
}
