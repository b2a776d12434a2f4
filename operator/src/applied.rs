//! What was applied, so that the same is not applied again and again. Only saves requests: when it is lost, all is applied once
//! more, which changes nothing.

use crate::head::{Head, version_of};
use kube::Resource;
use kube::core::PartialObjectMeta;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Annotation with a hash of what was applied.
pub const HASH: &str = "eenn.dev/hash";

/// Objects that are remembered. Only saves requests, so that all may be forgotten when there are too many.
const MOST: usize = 100_000;

/// Version of every object after it was last applied, by uid.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<Box<str>, u64>>);

impl Applied {
    /// Whether an object is as it was after this was applied.
    pub fn is_current<K, S>(&self, there: &Head<K, S>, hash: &str) -> bool {
        there.hash.as_deref() == Some(hash) && self.versions().get(&*there.uid) == Some(&there.version)
    }

    /// It has been applied.
    pub fn remember<K: Resource<DynamicType = ()>>(&self, there: &PartialObjectMeta<K>) {
        if let Some(uid) = &there.metadata.uid {
            let mut versions = self.versions();
            if versions.len() >= MOST {
                versions.clear();
            }
            versions.insert(uid.as_str().into(), version_of::<K>(&there.metadata));
        }
    }

    /// Whether it has ever been applied.
    pub fn knows<K>(&self, there: &PartialObjectMeta<K>) -> bool {
        there.metadata.uid.as_deref().is_some_and(|uid| self.versions().contains_key(uid))
    }

    /// It is gone.
    pub fn forget<K, S>(&self, gone: &Head<K, S>) {
        self.versions().remove(&*gone.uid);
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<Box<str>, u64>> {
        self.0.lock().expect("nothing panics while it holds versions")
    }
}
