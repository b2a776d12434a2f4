//! Labels and names of everything that belongs to a service.

use kube::ResourceExt;
use std::collections::BTreeMap;

/// Who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What `MANAGED_BY` says of ours.
pub const OPERATOR: &str = "eenn-operator";
/// The EENNService that an object belongs to.
pub const SERVICE: &str = "eenn.dev/service";
/// What pods do: `fragment` or `gateway`.
pub const ROLE: &str = "eenn.dev/role";
/// Of gateways: hash of the node whose sources they are for.
pub const GATEWAY: &str = "eenn.dev/gateway";
/// Which Deployment pods belong to.
pub const WORKLOAD: &str = "eenn.dev/workload";
/// The EENNModel that an object belongs to.
pub const MODEL: &str = "eenn.dev/model";
/// Annotation: class of the node that a Job measures on.
pub const CLASS: &str = "eenn.dev/class";
/// Annotation: speed of that class.
pub const SPEED: &str = "eenn.dev/speed-factor";
/// Annotation: what a Job measures.
pub const MEASURES: &str = "eenn.dev/measures";
/// Annotation: how often that was tried.
pub const ATTEMPT: &str = "eenn.dev/attempt";
/// Annotation of a measurement: the operator that looks after it, as pools name it.
pub const RUN_BY: &str = "eenn.dev/operator";
/// Annotation: the node that pods are pinned to; its name may be longer than a label.
pub const NODE: &str = "eenn.dev/node";
/// Annotation: memory that all pods of a Deployment ask for, in bytes.
pub const MEMORY: &str = "eenn.dev/memory-bytes";
/// Annotation: hash of what was planned for, of plans.
pub const INPUTS: &str = "eenn.dev/inputs";
/// Annotation: what was found out with a plan, of the newest one of a service.
pub const FOUND: &str = "eenn.dev/found";
/// Annotation with which users stop the operator from changing anything of a service or pool.
pub const PAUSED: &str = "eenn.dev/paused";

/// Annotation of an EENNService that says how pods are replaced. With `BreakBeforeMake` old ones go before new ones are ready.
pub const REPLACEMENT: &str = "eenn.dev/replacement";

/// Whether old pods of a service go before new ones are ready.
pub fn breaks_first(service: &api::EENNService) -> bool {
    service.annotations().get(REPLACEMENT).is_some_and(|value| value == "BreakBeforeMake")
}

/// Labels of objects that belong to the operator itself.
pub fn of_operator() -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/name", "eenn-operator"), (MANAGED_BY, OPERATOR)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels of all objects of a service.
pub fn of_service(service: &str) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/name", "eenn"), (MANAGED_BY, OPERATOR), (SERVICE, service)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels of all objects of a model.
pub fn of_model(model: &str) -> BTreeMap<String, String> {
    let pairs = [("app.kubernetes.io/name", "eenn"), (MANAGED_BY, OPERATOR), (MODEL, &value(model))];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A name as the value of a label, or as a part of a DNS name: names may be longer.
pub fn value(name: &str) -> String {
    if name.len() <= 63 { name.to_owned() } else { format!("{}-{}", short(name), hash(name)) }
}

/// The beginning of names of objects of an object with this name.
pub fn short(name: &str) -> &str {
    deployment::cluster::short(name)
}

/// Labels of pods of a service.
pub fn of_role(service: &str, role: &str) -> BTreeMap<String, String> {
    let mut labels = of_service(service);
    labels.insert(ROLE.to_owned(), role.to_owned());
    labels
}

/// Ten characters that differ where the content does.
pub fn hash(content: &str) -> String {
    hash_of(content.as_bytes())
}

/// As [`hash`], of bytes.
pub fn hash_of(content: &[u8]) -> String {
    deployment::cluster::hash(content)
}
