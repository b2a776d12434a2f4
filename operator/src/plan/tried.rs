//! What was planned for last: the same is not tried again when nothing came of it.

use crate::cache::Key;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Hashes of what pools were last planned with.
#[derive(Debug, Default)]
pub struct Tried(Mutex<BTreeMap<Key, String>>);

impl Tried {
    /// Whether this was what a pool was last planned with.
    pub fn is(&self, pool: &Key, hash: &str) -> bool {
        self.0.lock().expect("nothing panics while it holds hashes").get(pool).is_some_and(|last| last == hash)
    }

    /// Something that was made then is gone.
    pub fn forget(&self, pool: &Key) {
        self.0.lock().expect("nothing panics while it holds hashes").remove(pool);
    }

    /// A pool was planned with this.
    pub fn set(&self, pool: &Key, hash: String) {
        self.0.lock().expect("nothing panics while it holds hashes").insert(pool.clone(), hash);
    }
}
