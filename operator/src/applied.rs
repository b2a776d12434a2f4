//! What was applied, so that the same is not applied again and again. Only saves requests: when it is lost, all is applied once
//! more, which changes nothing.

use kube::{Resource, ResourceExt};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

/// Annotation with a hash of what was applied.
pub const HASH: &str = "eenn.dev/hash";

/// Objects that are remembered. Only saves requests, so that all may be forgotten when there are too many.
const MOST: usize = 100_000;

/// Version of every object after it was last applied, by uid.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<String, u64>>);

impl Applied {
    /// Whether an object is as it was after this was applied.
    pub fn is_current<K: Resource<DynamicType = ()>>(&self, there: &K, hash: &str) -> bool {
        let same = there.annotations().get(HASH).is_some_and(|found| found == hash);
        same && there.uid().is_some_and(|uid| self.versions().get(&uid) == Some(&version(there)))
    }

    /// It has been applied.
    pub fn remember<K: Resource<DynamicType = ()>>(&self, there: &K) {
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

    fn versions(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().expect("nothing panics while it holds versions")
    }
}

/// Kinds whose version changes with every pod that is ready.
const WITH_STATUS: [&str; 2] = ["Deployment", "PodDisruptionBudget"];

/// Changes when somebody changes what is wanted of the object.
fn version<K: Resource<DynamicType = ()>>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    match WITH_STATUS.contains(&&*K::kind(&())) {
        true => {
            object.meta().generation.hash(&mut hasher);
            // Labels and owners are no part of that.
            object.owner_references().iter().for_each(|owner| owner.uid.hash(&mut hasher));
            object.labels().hash(&mut hasher);
        }
        false => object.resource_version().hash(&mut hasher),
    }
    hasher.finish()
}
