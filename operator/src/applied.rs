//! What was applied, so that the same is not applied again and again. Only saves requests: when it is lost, all is applied once
//! more, which changes nothing.

use kube::{Resource, ResourceExt};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Annotation with a hash of what was applied.
pub const HASH: &str = "eenn.dev/hash";

/// Objects that are remembered. Only saves requests, so that all may be forgotten when there are too many.
const MOST: usize = 100_000;

/// Version of every object after it was last applied, by uid.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<String, String>>);

impl Applied {
    /// Whether an object is as it was after this was applied.
    pub fn is_current<K: Resource>(&self, there: &K, hash: &str) -> bool {
        let same = there.annotations().get(HASH).is_some_and(|found| found == hash);
        same && there.uid().is_some_and(|uid| self.versions().get(&uid) == Some(&version(there)))
    }

    /// It has been applied.
    pub fn remember<K: Resource>(&self, there: &K) {
        if let Some(uid) = there.uid() {
            let mut versions = self.versions();
            if versions.len() >= MOST {
                versions.clear();
            }
            versions.insert(uid, version(there));
        }
    }

    /// It is gone.
    pub fn forget<K: Resource>(&self, gone: &K) {
        if let Some(uid) = gone.uid() {
            self.versions().remove(&uid);
        }
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().expect("nothing panics while it holds versions")
    }
}

/// Changes when somebody changes what is wanted of the object. Objects without a generation have nothing but that.
fn version<K: Resource>(object: &K) -> String {
    match object.meta().generation {
        // Labels and owners are no part of it.
        Some(generation) => {
            let owners: Vec<&str> = object.owner_references().iter().map(|owner| owner.uid.as_str()).collect();
            format!("generation {generation} of {owners:?} with {:?}", object.labels())
        }
        None => object.resource_version().unwrap_or_default(),
    }
}
