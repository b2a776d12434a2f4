//! The policy in force: the newest of what the gateway was started with, what it kept on disk, and what was pushed.

use anyhow::Context as _;
use arc_swap::ArcSwap;
use domain::{Learning, Policy};
use policy::{Deployed, DocumentError, Gatekeeper, Outcome, Place};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use wire::document::{PolicyDocument, PolicyVersion};

/// Swapped atomically; jobs finish under the policy they started with.
#[derive(Debug)]
pub(crate) struct Store {
    service: String,
    started: Instant,
    exits: usize,
    segments: usize,
    file: Option<PathBuf>,
    active: ArcSwap<Active>,
    /// Held while a policy is checked, kept and swapped in, so that two pushes cannot cross.
    push: Mutex<()>,
}

/// A policy, where its chains live, and the state that it keeps.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) version: PolicyVersion,
    pub(crate) policy: Arc<Policy>,
    /// Per chain of the policy the places of its fragments.
    pub(crate) places: Vec<Vec<Place>>,
    keeper: Mutex<Gatekeeper>,
    /// Policies of one lineage learn by the same rules, so that the last of them hears of the jobs of all.
    lineage: u64,
}

impl Active {
    fn new(deployed: Deployed, before: Option<&Self>, now: f64) -> Self {
        let Deployed { version, policy, places, .. } = deployed;
        let policy = Arc::new(policy);
        let (keeper, lineage) = match before {
            None => (Gatekeeper::new(Arc::clone(&policy), now), 0),
            Some(before) => {
                let mut old = before.keeper();
                let keeper = Gatekeeper::after(&mut old, Arc::clone(&policy), now);
                let lineage = before.lineage + u64::from(!keeper.learns_like(&old));
                (keeper, lineage)
            }
        };
        Self { version, policy, places, keeper: Mutex::new(keeper), lineage }
    }

    /// What decides about jobs. Never held over an await.
    pub(crate) fn keeper(&self) -> MutexGuard<'_, Gatekeeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether jobs have to say what the exits on their way were confident of.
    pub(crate) fn hears_confidences(&self) -> bool {
        matches!(self.policy.learning, Some(Learning::AdaEE(_)))
    }
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
        let started = Instant::now();
        let store = Self {
            service: first.service.clone(),
            started,
            exits,
            segments,
            file,
            active: ArcSwap::from_pointee(Active::new(deployed, None, 0.0)),
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
    pub(crate) fn active(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Seconds since the start, as schedulers count them.
    pub(crate) fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Tells how a job ended that was decided under `policy`. If one that learns by the same rules has replaced it, that one
    /// hears of it.
    pub(crate) fn ended(&self, policy: &Active, outcome: &Outcome<'_>) {
        use policy::Scheduler as _;
        if policy.policy.learning.is_some() {
            let newest = self.active.load();
            let hears = if newest.lineage == policy.lineage { &**newest } else { policy };
            hears.keeper().ended(outcome);
        }
    }

    /// Checks a document and puts it in force if it is newer; nothing changes on an error.
    pub(crate) fn push(&self, document: &PolicyDocument) -> Result<Pushed, PushError> {
        if document.service != self.service {
            return Err(PushError::Foreign { given: document.service.clone(), own: self.service.clone() });
        }
        let deployed = policy::read(document, self.exits, self.segments)?;
        let _one_at_a_time = self.push.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.active.load();
        if deployed.version <= current.version {
            return Ok(Pushed::Stale(current.version));
        }
        if let Some(file) = &self.file {
            keep(document, file).map_err(|error| PushError::Keep { file: file.display().to_string(), error })?;
        }
        self.active.store(Arc::new(Active::new(deployed, Some(&**current), self.now())));
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
    fn what_was_learnt_survives_a_push_and_the_newest_hears_of_older_jobs() {
        use wire::document::{EpochDocument, LearningDocument, ReactiveDocument};
        let reactive = |generation| {
            let mut document = document(0, generation);
            document.epoch = EpochDocument::Dispatch;
            document.learning = Some(LearningDocument::Reactive(ReactiveDocument {}));
            document
        };
        let lost = Outcome { source: "s", now: 0.0, tag: 0, end: policy::End::Lost, evaluated: &[] };
        let store = Store::open(&reactive(1), 2, 2, None).unwrap();
        let first = store.active();
        store.ended(&first, &lost);
        assert_eq!(first.keeper().reactive_exit(), Some(0));
        assert_eq!(store.push(&reactive(2)).unwrap(), Pushed::Applied);
        assert_eq!(store.active().keeper().reactive_exit(), Some(0), "kept");
        // Other rules in between: what comes back begins anew, and no longer hears of the first policy's jobs.
        store.push(&document(0, 3)).unwrap();
        store.push(&reactive(4)).unwrap();
        store.ended(&first, &lost);
        assert_eq!(store.active().keeper().reactive_exit(), Some(1));
        let fourth = store.active();
        store.push(&reactive(5)).unwrap();
        store.ended(&fourth, &lost);
        assert_eq!((store.active().keeper().reactive_exit(), fourth.keeper().reactive_exit()), (Some(0), Some(1)));
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
