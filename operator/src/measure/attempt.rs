//! How far the Jobs of a measurement are. Pure.

use crate::outline::Job;
use crate::pods::Pod;
use crate::service::labels;
use k8s_openapi::api::core::v1::ContainerStatus;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Pause after the first attempt that failed; it doubles with each.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A pod has said enough in so many characters.
const LONGEST_REASON: usize = 500;

/// How far a measurement is.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nobody has tried yet.
    New,
    /// A Job is at it.
    Runs(Arc<Job>),
    /// The last attempt is over without a result.
    Over {
        /// Its number, from 1.
        attempt: u32,
        /// Seconds since 1970 when it ended.
        at: i64,
        /// Its Job.
        job: Arc<Job>,
        /// Why, as far as the Job tells.
        why: String,
    },
}

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// For programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// The number of an attempt.
pub fn number(job: &Job) -> u32 {
    job.annotations().get(labels::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// How far the measurement of `what` is, from all Jobs of its owner.
pub fn standing(jobs: &[Arc<Job>], what: &str) -> Standing {
    let of = |job: &&Arc<Job>| job.annotations().get(labels::MEASURES).is_some_and(|of| of == what);
    let Some(job) = jobs.iter().filter(of).max_by_key(|job| number(job)) else { return Standing::New };
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let over =
        conditions.iter().find(|one| matches!(one.type_.as_str(), "Failed" | "Complete") && one.status == "True");
    let Some(over) = over else { return Standing::Runs(Arc::clone(job)) };
    let why = match over.type_.as_str() {
        "Complete" => "it ended without a result".to_owned(),
        _ => [&over.reason, &over.message].into_iter().flatten().cloned().collect::<Vec<_>>().join(": "),
    };
    let at = over.last_transition_time.as_ref().map_or(0, |time| time.0.as_second());
    Standing::Over { attempt: number(job), at, job: Arc::clone(job), why }
}

/// Pause after an attempt.
pub fn pause(attempt: u32) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_PAUSE)
}

/// How long the next attempt still waits; `None` if it is due. `at`, `now`: seconds since 1970.
pub fn wait(attempt: u32, at: i64, now: i64) -> Option<Duration> {
    let left = at + pause(attempt).as_secs().cast_signed() - now;
    (left > 0).then(|| Duration::from_secs(left.unsigned_abs()))
}

/// What is wrong with a pod of a Job, as far as its status tells.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.measures.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    if let Some(trouble) = containers.filter_map(of_container).next() {
        return Some(trouble);
    }
    let unscheduled =
        |one: &&k8s_openapi::api::core::v1::PodCondition| one.type_ == "PodScheduled" && one.status == "False";
    let message = status.conditions.iter().flatten().find(unscheduled)?.message.clone().unwrap_or_default();
    Some(Trouble { reason: "MeasurementWaits", message: format!("its pod has no node: {}", short(&message)) })
}

fn of_container(container: &ContainerStatus) -> Option<Trouble> {
    let states = [&container.state, &container.last_state];
    if let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let image = reason.contains("Image");
        if image || reason.ends_with("Error") || reason.ends_with("BackOff") {
            let message = waiting.message.as_deref().unwrap_or_default();
            let message = format!("{} waits: {reason}: {}", container.name, short(message));
            return Some(Trouble { reason: if image { "ImagePull" } else { "MeasurementWaits" }, message });
        }
    }
    let mut ended = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
    let failed = ended.find(|ended| ended.exit_code != 0)?;
    let said = failed.message.as_deref().or(failed.reason.as_deref()).unwrap_or_default();
    let message = format!("{} ended with code {}: {}", container.name, failed.exit_code, short(said));
    Some(Trouble { reason: "MeasurementFailed", message })
}

/// The last words count: what comes before them is progress.
fn short(text: &str) -> String {
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(LONGEST_REASON);
    text.chars().skip(skipped).collect()
}
