//! What was found out about services while planning, and is told in their status.

use crate::cache::Key;
use api::EENNService;
use api::status::RejectedDevice;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// What is to be said of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Note {
    /// Why it has no plan, or no newer one; `None` where nothing is wrong.
    pub trouble: Option<String>,
    /// Devices that its placement does not use, and why.
    pub rejected: Vec<RejectedDevice>,
}

/// One per service, from when it was last planned for until it is again.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Mutex<BTreeMap<Key, (Option<String>, Note)>>,
    /// The highest generations of plans that this process has stored, and when.
    stored: Mutex<BTreeMap<Key, (i64, f64)>>,
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

    /// The highest generation of a plan that this process has stored for a service: its status tells that a little later. Not one that
    /// was stored a moment ago, which the watch may not have told of: that is found to be there already if it is stored again.
    pub fn highest_stored(&self, service: &Key, now: f64) -> i64 {
        const TOLD_AFTER: f64 = 5.0;
        let stored = self.stored().get(service).copied();
        stored.filter(|(_, at)| now - at >= TOLD_AFTER).map_or(0, |(generation, _)| generation)
    }

    /// A plan was stored: none has a higher generation.
    pub fn stores(&self, service: Key, generation: i64, now: f64) {
        self.stored().insert(service, (generation, now));
    }

    /// A service is gone.
    pub fn forget(&self, service: &Key) {
        self.stored().remove(service);
        self.notes().remove(service);
    }

    fn stored(&self) -> MutexGuard<'_, BTreeMap<Key, (i64, f64)>> {
        self.stored.lock().expect("nothing panics while it holds generations")
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<Key, (Option<String>, Note)>> {
        self.notes.lock().expect("nothing panics while it holds notes")
    }
}
