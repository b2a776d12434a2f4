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
/// Which Deployment pods belong to.
pub const WORKLOAD: &str = "eenn.dev/workload";
/// Annotation: the node that pods are pinned to; its name may be longer than a label.
pub const NODE: &str = "eenn.dev/node";
/// Annotation: hash of what was planned for, of plans.
pub const INPUTS: &str = "eenn.dev/inputs";
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
