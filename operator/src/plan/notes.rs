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
    /// What a plan carries; `None` where that is not known: it has nothing, or something that cannot be read.
    pub fn carried_by(plan: &EENNPlan) -> Option<Self> {
        serde_json::from_str(plan.annotations().get(labels::FOUND)?).ok()
    }

    /// As plans carry it.
    pub fn to_carry(&self) -> String {
        serde_json::to_string(self).expect("texts and names can be written")
    }
}

/// One per service, from when it was last planned for until it is again.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Mutex<BTreeMap<Key, Known>>,
    /// The highest generations of plans that this process has stored, and of those that were seen to be there.
    stored: Mutex<BTreeMap<Key, (i64, i64)>>,
}

/// What is to be said of a service with this uid.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    uid: Option<String>,
    /// Of the newest plan then: those that come later carry what is to be said with them.
    generation: i64,
    note: Note,
}

impl Notes {
    /// What is to be said of a service whose newest plan has this generation; `None` where this process has not tried since there is that plan.
    pub fn of(&self, service: &EENNService, generation: i64) -> Option<Note> {
        let notes = self.notes();
        let known = notes.get(&Key::of(service))?;
        // Not of one of that name that was there before.
        (known.uid == service.uid() && known.generation >= generation).then(|| known.note.clone())
    }

    /// Notes it, with the generation of the newest plan. Whether that is news.
    pub fn set(&self, service: &EENNService, generation: i64, note: Note) -> bool {
        let entry = Known { uid: service.uid(), generation, note };
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

    fn notes(&self) -> MutexGuard<'_, BTreeMap<Key, Known>> {
        self.notes.lock().expect("nothing panics while it holds notes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_a_newer_plan_is_not_hidden() {
        let notes = Notes::default();
        let service: EENNService = serde_json::from_value(serde_json::json!({
            "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "metadata": { "name": "camera", "namespace": "a", "uid": "u1" },
            "spec": { "modelRef": { "name": "m" }, "devicePoolRef": { "name": "p" }, "sources": [] },
        }))
        .expect("it is a service");
        let note = Note { trouble: Some("there is no room".to_owned()), rejected: vec![] };
        assert!(notes.set(&service, 2, note.clone()) && !notes.set(&service, 2, note.clone()));
        assert_eq!((notes.of(&service, 2), notes.of(&service, 1)), (Some(note.clone()), Some(note)));
        assert_eq!(notes.of(&service, 3), None, "the third one has its own");
    }

    #[test]
    fn plans_carry_what_was_found_out() {
        let plan = |found: Option<String>| {
            let mut plan = EENNPlan::new("camera-1", serde_json::from_value(serde_json::json!({
                "serviceRef": { "name": "camera" }, "generation": 1, "reason": "", "chains": [], "choices": [], "policy": "",
                "forecast": [], "predicted": [],
            })).expect("it is a plan"));
            plan.metadata.annotations = found.map(|found| [(labels::FOUND.to_owned(), found)].into());
            plan
        };
        let rejected =
            vec![RejectedDevice { name: "box".parse().expect("it is a name"), reason: "not ready".to_owned() }];
        for note in [Note::default(), Note { trouble: Some("it is \"full\"".to_owned()), rejected }] {
            assert_eq!(Note::carried_by(&plan(Some(note.to_carry()))), Some(note));
        }
        assert_eq!(Note::carried_by(&plan(None)), None, "it was stored before plans did");
        assert_eq!(Note::carried_by(&plan(Some("{".to_owned()))), None, "somebody has changed it");
    }

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
