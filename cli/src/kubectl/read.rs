//! Reads objects. One that cannot be read hides no other: it is left out and told.

use super::cluster::Cluster;
use crate::exit_code::{Failure, Outcome};
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// Objects per answer: a list of thousands comes in parts.
const PAGE: u32 = 500;
/// More is not listed; nobody reads it.
const MOST: usize = 20_000;

/// Objects of a kind, and those that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed<K> {
    /// In the order of their namespaces and names.
    pub(super) items: Vec<K>,
    /// `EENNService edge/camera cannot be read: …`
    pub(super) notes: Vec<String>,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self { items: vec![], notes: vec![] }
    }
}

impl Cluster {
    /// All objects of a kind in a namespace, or in all of them. `labels`: those that they must carry, as `a=b,c=d`.
    pub(super) fn list<K>(&self, namespace: Option<&str>, labels: &str) -> Outcome<Listed<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let api = self.objects::<K>(namespace);
        let mut found = vec![];
        let mut params = ListParams::default().limit(PAGE);
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        loop {
            let action = format!("list {}", place::<K>(namespace));
            let page = self.wait(api.list(&params)).map_err(|error| self.failed(&action, error))?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) if found.len() < MOST => params.continue_token = Some(token),
                _ => return Ok(read_all(found)),
            }
        }
    }

    /// As [`Cluster::list`] for what a person may be forbidden to see: then a note says so.
    pub(super) fn list_if_allowed<K>(&self, namespace: Option<&str>, labels: &str) -> Listed<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.list(namespace, labels).unwrap_or_else(|failure| {
            let (Failure::Input(why) | Failure::Running(why)) = failure;
            Listed { items: vec![], notes: vec![why.to_string()] }
        })
    }

    /// An object; `None` where there is none of this name.
    pub(super) fn find<K>(&self, namespace: Option<&str>, name: &str) -> Outcome<Option<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let action = format!("get {} {name}", K::kind(&()));
        // Tells a kind that is not there from an object that is not.
        match self.wait(self.objects::<K>(namespace).get(name)) {
            Ok(object) => read(object).map(Some).map_err(Failure::input),
            Err(kube::Error::Api(status))
                if status.code == 404 && status.details.as_ref().is_some_and(|it| it.name == name) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.failed(&action, error)),
        }
    }
}

/// `eennservices in namespace edge`
fn place<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> String {
    let plural = K::plural(&());
    namespace.map_or_else(|| plural.to_string(), |namespace| format!("{plural} in namespace {namespace}"))
}

fn read_all<K: Resource<DynamicType = ()> + DeserializeOwned>(objects: Vec<DynamicObject>) -> Listed<K> {
    let mut listed = Listed::default();
    let mut objects = objects;
    objects.sort_by_key(|object| (object.namespace(), object.name_any()));
    for object in objects {
        match read(object) {
            Ok(item) => listed.items.push(item),
            Err(note) => listed.notes.push(note),
        }
    }
    listed
}

fn read<K: Resource<DynamicType = ()> + DeserializeOwned>(object: DynamicObject) -> Result<K, String> {
    let (kind, name) = (K::kind(&()), object.name_any());
    let name = object.namespace().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
    let value = serde_json::to_value(object).map_err(|error| error.to_string());
    let item = value.and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()));
    item.map_err(|error| format!("{kind} {name} cannot be read: {error}; is this `eenn` of the operator's version?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::QoSTarget;
    use serde_json::json;

    #[test]
    fn an_object_that_cannot_be_read_hides_no_other() {
        let object = |name: &str, spec: serde_json::Value| {
            let json = json!({
                "apiVersion": "eenn.dev/v1alpha1", "kind": "QoSTarget", "metadata": { "name": name, "namespace": "edge" },
                "spec": spec,
            });
            serde_json::from_value(json).unwrap()
        };
        let objects =
            vec![object("later", json!({ "priority": "high" })), object("a", json!({ "minAccuracy": "0.9" }))];
        let listed = read_all::<QoSTarget>(objects);
        assert_eq!(listed.items.len(), 1);
        assert_eq!(listed.notes.len(), 1);
        assert!(listed.notes[0].starts_with("QoSTarget edge/later cannot be read: "), "{:?}", listed.notes);
    }
}
