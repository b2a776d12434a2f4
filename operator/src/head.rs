//! What is kept of objects that the operator makes: there are a dozen for every service, and they are only compared.

use crate::applied::HASH;
use crate::cache::Key;
use crate::outline;
use crate::service::labels;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use kube::Resource;
use kube::core::{ObjectMeta, PartialObjectMeta};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

/// An object of kind `K`, made or found; `S`: what is kept of its status.
#[derive(Debug)]
pub struct Head<K, S = ()> {
    /// Namespace and name.
    pub key: Key,
    /// Tells it from one of the same name that was there before.
    pub uid: Box<str>,
    /// Differs where somebody has changed what is wanted of it.
    pub version: u64,
    /// Hash of what was applied.
    pub hash: Option<Box<str>>,
    /// The EENNService that it is labelled with.
    pub service: Option<Box<str>>,
    /// The uids of its owners.
    pub owners: Box<[Box<str>]>,
    /// How it is.
    pub status: S,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource<DynamicType = ()>, S> Head<K, S> {
    /// Of the metadata of an object.
    pub fn new(metadata: ObjectMeta, status: S) -> Self {
        let version = version_of::<K>(&metadata);
        let boxed = |text: Option<&String>| text.map(|text| text.as_str().into());
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(labels::SERVICE));
        let hash = metadata.annotations.as_ref().and_then(|annotations| annotations.get(HASH));
        Self {
            version,
            hash: boxed(hash),
            service: boxed(label),
            owners: metadata.owner_references.into_iter().flatten().map(|owner| owner.uid.into()).collect(),
            uid: metadata.uid.unwrap_or_default().into(),
            key: Key::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()),
            status,
            kind: PhantomData,
        }
    }

    /// The service that it is labelled with.
    pub fn service(&self) -> Option<Key> {
        Some(Key::new(self.key.namespace.clone(), &**self.service.as_ref()?))
    }

    /// Whether an object with this uid owns it.
    pub fn is_owned_by(&self, uid: Option<&str>) -> bool {
        uid.is_some_and(|uid| self.owners.iter().any(|owner| **owner == *uid))
    }
}

impl<K, S: PartialEq> PartialEq for Head<K, S> {
    fn eq(&self, other: &Self) -> bool {
        let of = |head: &Self| (head.key.clone(), head.uid.clone(), head.version, head.hash.clone());
        of(self) == of(other)
            && self.service == other.service
            && self.owners == other.owners
            && self.status == other.status
    }
}

/// Kinds whose resource version changes with every pod.
const WITH_STATUS: [&str; 2] = ["Deployment", "PodDisruptionBudget"];

/// Changes when somebody changes what is wanted of an object.
pub fn version<K: Resource<DynamicType = ()>>(object: &K) -> u64 {
    version_of::<K>(object.meta())
}

/// As [`version`], of an object of which only the metadata came.
pub fn version_of<K: Resource<DynamicType = ()>>(metadata: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
    match WITH_STATUS.contains(&&*K::kind(&())) {
        true => {
            metadata.generation.hash(&mut hasher);
            // Labels and owners are no part of that.
            metadata.owner_references.iter().flatten().for_each(|owner| owner.uid.hash(&mut hasher));
            metadata.labels.hash(&mut hasher);
            // Nor are annotations, of which others have their own.
            let annotations = metadata.annotations.iter().flatten();
            annotations.filter(|(name, _)| name.starts_with("eenn.dev/")).for_each(|one| one.hash(&mut hasher));
        }
        false => metadata.resource_version.hash(&mut hasher),
    }
    hasher.finish()
}

/// How far a Deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rollout {
    /// Whether its controller has seen what is wanted by now.
    pub is_seen: bool,
    /// Pods that take work.
    pub available: i32,
    /// Pods of the template in force.
    pub updated: i32,
    /// Whether all its pods took work at a time: its controller notes that for good, as its template never changes.
    pub has_served: bool,
    /// What it says is wrong.
    pub trouble: Option<Box<str>>,
    /// Its node, and the memory that its pods ask for, in bytes.
    pub takes: Option<(Box<str>, u64)>,
}

impl Rollout {
    /// Of a Deployment.
    pub fn of(deployment: &outline::Deployment) -> Self {
        let takes = taken(&deployment.metadata);
        let Some(status) = &deployment.status else { return Self { takes, ..Self::default() } };
        let conditions = || status.conditions.iter().flatten();
        Self {
            is_seen: status.observed_generation >= deployment.metadata.generation,
            available: status.available_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            has_served: status.available_replicas > Some(0) || conditions().any(is_done),
            trouble: conditions().filter(|one| is_trouble(one)).find_map(|one| one.message.as_deref().map(Box::from)),
            takes,
        }
    }
}

/// What annotations of a Deployment say of the room that it takes.
pub fn taken(metadata: &ObjectMeta) -> Option<(Box<str>, u64)> {
    let annotations = metadata.annotations.as_ref()?;
    Some((annotations.get(labels::NODE)?.as_str().into(), annotations.get(labels::MEMORY)?.parse().ok()?))
}

/// Whether a condition of a Deployment tells that something is wrong.
fn is_trouble(one: &DeploymentCondition) -> bool {
    // Optional in newer versions of Kubernetes.
    let (type_, status) = (as_text(&one.type_), as_text(&one.status));
    (type_ == "ReplicaFailure" && status == "True") || (type_ == "Progressing" && status == "False")
}

/// Whether a condition of a Deployment tells that its pods were all there once, whatever has become of them since.
fn is_done(one: &DeploymentCondition) -> bool {
    as_text(&one.type_) == "Progressing" && as_text(&one.reason) == "NewReplicaSetAvailable"
}

fn as_text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

impl<K: Resource<DynamicType = ()>> From<PartialObjectMeta<K>> for Head<K> {
    fn from(object: PartialObjectMeta<K>) -> Self {
        Self::new(object.metadata, ())
    }
}

impl From<outline::Deployment> for Head<Deployment, Rollout> {
    fn from(deployment: outline::Deployment) -> Self {
        let rollout = Rollout::of(&deployment);
        Self::new(deployment.metadata, rollout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};

    fn rollout(status: Value) -> Rollout {
        let deployment = json!({ "metadata": { "generation": 2 }, "status": status });
        Rollout::of(&serde_json::from_value(deployment).expect("it is a Deployment"))
    }

    #[test]
    fn a_deployment_tells_how_far_it_is_and_what_is_wrong() {
        let done = json!({ "observedGeneration": 2, "availableReplicas": 1, "updatedReplicas": 1 });
        let want = Rollout { is_seen: true, available: 1, updated: 1, has_served: true, ..Rollout::default() };
        assert_eq!(rollout(done), want);
        assert!(!rollout(json!({ "observedGeneration": 1 })).is_seen);
        let with = |type_: &str, status: &str| json!({ "conditions": [{ "type": type_, "status": status, "message": "no quota" }] });
        assert_eq!(rollout(with("ReplicaFailure", "True")).trouble.as_deref(), Some("no quota"));
        assert_eq!(rollout(with("Progressing", "True")).trouble, None);
    }

    #[test]
    fn a_deployment_whose_node_is_away_has_served() {
        let with = |reason: &str| {
            let progress = json!({ "type": "Progressing", "status": "True", "reason": reason });
            rollout(json!({ "availableReplicas": 0, "conditions": [progress] })).has_served
        };
        assert!(with("NewReplicaSetAvailable"));
        assert!(!with("ReplicaSetUpdated") && !with("ProgressDeadlineExceeded") && !rollout(json!({})).has_served);
    }

    #[test]
    fn a_deployment_tells_where_it_is_and_what_its_pods_ask_for() {
        let takes = |annotations: Value| {
            let deployment = json!({ "metadata": { "annotations": annotations } });
            Rollout::of(&serde_json::from_value(deployment).expect("it is a Deployment")).takes
        };
        let both = json!({ labels::NODE: "pi", labels::MEMORY: "67108864" });
        assert_eq!(takes(both), Some(("pi".into(), 64 << 20)));
        assert_eq!(takes(json!({ labels::NODE: "pi" })), None);
        assert_eq!(takes(json!({})), None);
    }

    #[test]
    fn the_version_is_of_what_is_wanted() {
        let metadata = |version: &str, generation: i64, label: &str| ObjectMeta {
            resource_version: Some(version.to_owned()),
            generation: Some(generation),
            labels: Some([("a".to_owned(), label.to_owned())].into()),
            ..ObjectMeta::default()
        };
        let deployment = |version, generation, label| version_of::<Deployment>(&metadata(version, generation, label));
        assert_eq!(deployment("1", 1, "x"), deployment("2", 1, "x"), "a pod has become ready");
        assert_ne!(deployment("1", 1, "x"), deployment("1", 2, "x"));
        assert_ne!(deployment("1", 1, "x"), deployment("1", 1, "y"), "labels are no part of the generation");
        let annotated = |name: &str| {
            let annotations = Some([(name.to_owned(), "3".to_owned())].into());
            version_of::<Deployment>(&ObjectMeta { annotations, ..metadata("1", 1, "x") })
        };
        assert_eq!(annotated("deployment.kubernetes.io/revision"), deployment("1", 1, "x"), "its controller counts");
        assert_ne!(annotated(labels::MEMORY), deployment("1", 1, "x"), "nor are annotations");
        assert_ne!(version_of::<ConfigMap>(&metadata("1", 1, "x")), version_of::<ConfigMap>(&metadata("2", 1, "x")));
    }
}
