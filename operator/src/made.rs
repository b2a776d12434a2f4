//! Objects that this process has made, which a watch may not have told of yet.

use crate::cache::Key;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Objects that are remembered: more than are made while a watch is late.
const MOST: usize = 10_000;

/// By kind and key.
#[derive(Debug, Default)]
pub struct Made(Mutex<BTreeSet<(String, Key)>>);

impl Made {
    /// Whether this process has made it.
    pub fn has(&self, kind: &str, key: &Key) -> bool {
        self.0.lock().expect("nothing panics while it holds keys").contains(&(kind.to_owned(), key.clone()))
    }

    /// It has been made.
    pub fn add(&self, kind: &str, key: &Key) {
        let mut made = self.0.lock().expect("nothing panics while it holds keys");
        if made.len() >= MOST {
            made.clear();
        }
        made.insert((kind.to_owned(), key.clone()));
    }

    /// A service is gone, and what was made for it goes: whoever takes one of these names may keep it.
    pub fn forget(&self, namespace: &str, service: &str) {
        let mut made = self.0.lock().expect("nothing panics while it holds keys");
        made.retain(|(_, key)| key.namespace != namespace || !key.name.starts_with(service));
    }
}
