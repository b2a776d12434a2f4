//! What was found out about services while planning, and is told in their status.
//!
//! Plans carry it, so that whoever looks after a service next knows it as soon as there is the plan, and not only once a status has told it.

use crate::cache::Key;
use crate::service::labels;
use api::status::RejectedDevice;
use api::{EENNPlan, EENNService};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// What is to be said of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Note {
    /// Why it has no plan, or no newer one; `None` where nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Devices that its placement does not use, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedDevice>,
}

impl Note {
    /// What a plan carries; nothing where somebody has made it unreadable.
    pub fn carried_by(plan: &EENNPlan) -> Self {
        let written = plan.annotations().get(labels::FOUND);
        written.and_then(|written| serde_json::from_str(written).ok()).unwrap_or_default()
    }

    /// As plans carry it; `None` where there is nothing to say.
    pub fn to_carry(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).expect("texts and names can be written"))
    }
}

/// One per service, from when it was last planned for until it is again.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Mutex<BTreeMap<Key, (Option<String>, Note)>>,
    /// The highest generations of plans that this process has stored, and of those that were seen to be there.
    stored: Mutex<BTreeMap<Key, (i64, i64)>>,
}

impl Notes {
    /// What is to be said of a service; `None` where nobody has tried yet.
    pub fn of(&self, service: &EENNService) -> Option<Note> {
        let notes = self.notes();
        let (uid, note) = notes.get(&Key::of(service))?;
        // Not of one of that name that was there before.
        (*uid == service.uid()).then(|| note.clone())
    }

    /// Notes it. Whether that is news.
    pub fn set(&self, service: &EENNService, note: Note) -> bool {
        let entry = (service.uid(), note);
        self.notes().insert(Key::of(service), entry.clone()).as_ref() != Some(&entry)
    }

    /// The highest generation of a plan that this process has stored for a service, once it was seen to be there: the status tells that a
    /// little later. One that the watch has not told of is found to be there already if it is stored again.
    pub fn highest_stored(&self, service: &Key) -> i64 {
        self.stored().get(service).map_or(0, |(_, seen)| *seen)
    }

    /// A plan was stored: none has a higher generation.
    pub fn stores(&self, service: Key, generation: i64) {
        self.stored().entry(service).or_default().0 = generation;
    }

    /// The newest plan that is there.
    pub fn sees(&self, service: &Key, generation: i64) {
        if let Some((stored, seen)) = self.stored().get_mut(service) {
            // Others that another process has stored are in the status.
            *seen = generation.min(*stored).max(*seen);
        }
    }

    /// A service is gone.
    pub fn forget(&self, service: &Key) {
        self.stored().remove(service);
        self.notes().remove(service);
    }

    fn stored(&self) -> MutexGuard<'_, BTreeMap<Key, (i64, i64)>> {
        self.stored.lock().expect("nothing panics while it holds generations")
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<Key, (Option<String>, Note)>> {
        self.notes.lock().expect("nothing panics while it holds notes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_counts_once_its_plan_was_there() {
        let (notes, key) = (Notes::default(), Key::new("a", "camera"));
        notes.sees(&key, 7);
        assert_eq!(notes.highest_stored(&key), 0, "another process has stored that");
        notes.stores(key.clone(), 8);
        notes.sees(&key, 7);
        assert_eq!(notes.highest_stored(&key), 7, "the watch has not told of the next one");
        notes.sees(&key, 8);
        notes.sees(&key, 0);
        assert_eq!(notes.highest_stored(&key), 8, "it was deleted");
        notes.stores(key.clone(), 9);
        assert_eq!(notes.highest_stored(&key), 8, "what was there stays known");
        notes.forget(&key);
        assert_eq!(notes.highest_stored(&key), 0);
    }
}
