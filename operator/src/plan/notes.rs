//! Why services have no plan, or no newer one: found out while planning, told in their status.

use crate::cache::Key;
use api::EENNService;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// One per service, from when it was last planned for until it is again.
#[derive(Debug, Default)]
pub struct Notes(Mutex<BTreeMap<Key, String>>);

impl Notes {
    /// Why a service has no plan; `None` where nothing is wrong, or nobody has tried yet.
    pub fn of(&self, service: &EENNService) -> Option<String> {
        self.notes().get(&Key::of(service)).cloned()
    }

    /// Says why, or that nothing is wrong any more. Whether that is news.
    pub fn set(&self, service: &Key, note: Option<String>) -> bool {
        let mut notes = self.notes();
        match note {
            Some(note) => notes.insert(service.clone(), note.clone()).as_ref() != Some(&note),
            None => notes.remove(service).is_some(),
        }
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<Key, String>> {
        self.0.lock().expect("nothing panics while it holds notes")
    }
}
