//! The policy in force: the newest of what the gateway was started with, what it kept on disk, and what was pushed.

use anyhow::Context as _;
use arc_swap::ArcSwap;
use policy::{Deployed, DocumentError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use wire::document::{PolicyDocument, PolicyVersion};

/// Swapped atomically; jobs finish under the policy they started with.
#[derive(Debug)]
pub(crate) struct Store {
    service: String,
    exits: usize,
    segments: usize,
    file: Option<PathBuf>,
    active: ArcSwap<Deployed>,
    /// Held while a policy is checked, kept and swapped in, so that two pushes cannot cross.
    push: Mutex<()>,
}

/// What became of a pushed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in force.
    Applied,
    /// One that is as new or newer is in force.
    Stale(PolicyVersion),
}

/// Why a pushed policy is not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("the policy is for service {given:?}, this gateway serves {own:?}")]
    Foreign { given: String, own: String },
    #[error(transparent)]
    Bad(#[from] DocumentError),
    /// The document is right; the fault is here.
    #[error("failed to keep the policy in {file}: {error:#}")]
    Keep { file: String, error: anyhow::Error },
}

impl Store {
    /// Starts with `first`, or with the file's policy if that is newer and still fits the model.
    pub(crate) fn open(
        first: &PolicyDocument,
        exits: usize,
        segments: usize,
        file: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let deployed = policy::read(first, exits, segments).context("the policy the gateway is started with")?;
        let store = Self {
            service: first.service.clone(),
            exits,
            segments,
            file,
            active: ArcSwap::from_pointee(deployed),
            push: Mutex::new(()),
        };
        if let Some(kept) = store.file.as_deref().and_then(read_kept) {
            match store.push(&kept) {
                Ok(pushed) => tracing::info!(version = ?kept.version, ?pushed, "policy found on disk"),
                Err(error) => tracing::warn!(%error, "ignoring the policy found on disk"),
            }
        }
        Ok(store)
    }

    /// The policy in force.
    pub(crate) fn active(&self) -> Arc<Deployed> {
        self.active.load_full()
    }

    /// Checks a document and puts it in force if it is newer; nothing changes on an error.
    pub(crate) fn push(&self, document: &PolicyDocument) -> Result<Pushed, PushError> {
        if document.service != self.service {
            return Err(PushError::Foreign { given: document.service.clone(), own: self.service.clone() });
        }
        let deployed = policy::read(document, self.exits, self.segments)?;
        let _one_at_a_time = self.push.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.active.load().version;
        if deployed.version <= current {
            return Ok(Pushed::Stale(current));
        }
        if let Some(file) = &self.file {
            keep(document, file).map_err(|error| PushError::Keep { file: file.display().to_string(), error })?;
        }
        self.active.store(Arc::new(deployed));
        Ok(Pushed::Applied)
    }
}

fn read_kept(file: &Path) -> Option<PolicyDocument> {
    let bytes = std::fs::read(file).ok()?;
    let kept = serde_json::from_slice(&bytes);
    if let Err(error) = &kept {
        tracing::warn!(file = %file.display(), %error, "ignoring the policy file");
    }
    kept.ok()
}

/// Writes beside the file and renames, so that a crash leaves the old or the new policy, never half of one.
fn keep(document: &PolicyDocument, file: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let beside = file.with_extension("new");
    let mut out = std::fs::File::create(&beside)?;
    serde_json::to_writer(&mut out, document)?;
    out.flush()?;
    out.sync_all()?;
    std::fs::rename(&beside, file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(transitions: u64, generation: u64) -> PolicyDocument {
        let text = r#"{"service": "s", "version": {"transitions": 0, "generation": 0},
            "chains": [{"name": "a", "hops": [
                {"fragment": "f", "device": "d", "address": "127.0.0.1:1", "firstSegment": 1, "lastSegment": 2}]}],
            "default": [{"probability": 1, "chain": "a", "thresholds": [0.5]}]}"#;
        let mut document: PolicyDocument = serde_json::from_str(text).unwrap();
        document.version = PolicyVersion { transitions, generation };
        document
    }

    #[test]
    fn the_highest_version_stays_in_force() {
        let store = Store::open(&document(1, 5), 2, 2, None).unwrap();
        for (version, applied) in [((1, 5), false), ((1, 4), false), ((0, 9), false), ((1, 6), true), ((2, 0), true)] {
            let pushed = store.push(&document(version.0, version.1)).unwrap();
            assert_eq!(pushed == Pushed::Applied, applied, "{version:?}");
        }
        assert_eq!(store.active().version, PolicyVersion { transitions: 2, generation: 0 });
    }

    #[test]
    fn a_bad_policy_changes_nothing() {
        let store = Store::open(&document(0, 1), 2, 2, None).unwrap();
        let mut bad = document(0, 2);
        bad.default[0].thresholds = vec![];
        assert!(store.push(&bad).is_err());
        let mut foreign = document(0, 3);
        foreign.service = "other".into();
        assert!(store.push(&foreign).is_err());
        assert_eq!(store.active().version.generation, 1);
    }

    #[test]
    fn the_last_good_policy_survives_a_restart_and_a_broken_file_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        let open = |generation| Store::open(&document(0, generation), 2, 2, Some(file.clone())).unwrap();
        assert_eq!(open(1).push(&document(0, 7)).unwrap(), Pushed::Applied);
        assert_eq!(open(1).active().version.generation, 7, "the file is newer");
        assert_eq!(open(9).active().version.generation, 9, "the file is older");
        std::fs::write(&file, "{ half").unwrap();
        assert_eq!(open(1).active().version.generation, 1);
    }
}
