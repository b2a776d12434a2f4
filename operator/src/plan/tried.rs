//! What was planned for last: the same is not tried again when nothing came of it.

use crate::cache::Key;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Hashes of what pools were last planned with.
#[derive(Debug, Default)]
pub struct Tried(Mutex<BTreeMap<Key, (String, f64)>>);

impl Tried {
    /// Whether this was what a pool was last planned with, and is so still.
    pub fn is(&self, pool: &Key, hash: &str, now: f64) -> bool {
        let all = self.0.lock().expect("nothing panics while it holds hashes");
        all.get(pool).is_some_and(|(last, until)| last == hash && now < *until)
    }

    /// Something that was made then is gone.
    pub fn forget(&self, pool: &Key) {
        self.0.lock().expect("nothing panics while it holds hashes").remove(pool);
    }

    /// A pool was planned with this. Something else may come of it after `until`, on the clock of the process.
    pub fn set(&self, pool: &Key, hash: String, until: f64) {
        self.0.lock().expect("nothing panics while it holds hashes").insert(pool.clone(), (hash, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_to_something_else_is_tried_again_later() {
        let (tried, pool) = (Tried::default(), Key::new("", "edge"));
        tried.set(&pool, "a".to_owned(), 10.0);
        assert!(tried.is(&pool, "a", 9.0) && !tried.is(&pool, "b", 9.0) && !tried.is(&pool, "a", 10.0));
        tried.set(&pool, "a".to_owned(), f64::INFINITY);
        assert!(tried.is(&pool, "a", 1e9));
        tried.forget(&pool);
        assert!(!tried.is(&pool, "a", 9.0));
    }
}
