//! Finds out by a Job what planning has to know of models and their specs do not say: nothing heavy happens in the operator.
//!
//! The Job runs `eenn-runtime inspect` on a node of a pool that a service of the model uses, gets the file in the way of
//! fragments, and serves what it has found out to this operator alone, until that has said that it is in the status.
//!
//! * [`known`]: what is known, and what is missing. [`place`]: where it is measured.
//! * [`build`]: the Job. [`attempt`]: how far it is. [`numbers`]: what it has found out, as a status.
//! * [`bring`] does the next step: `start` makes the Job, `look` sees to it. [`calibrate`]: devices are measured in the same way.

pub mod attempt;
pub mod build;
pub mod calibrate;
pub mod known;
mod look;
pub mod numbers;
pub mod place;
mod start;
#[cfg(test)]
mod tests;

use crate::cache::Key;
use crate::controller::Failure;
use crate::outline::Job;
use crate::service::labels;
use crate::{Context, identity};
use api::status::EENNModelStatus;
use api::{EENNModel, EENNService};
use attempt::Standing;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::ConfigMap;
use known::Missing;
use kube::ResourceExt;
use look::{look, pods_of};
use start::start;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use transport::client::ResultClient;

/// A result that may be there is asked for so often.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// What cannot go on is looked at again so often, beside when something changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The watch has brought what was written after so many seconds, or never will.
const SEEN_WITHIN: f64 = 30.0;

/// The reason of conditions where the API server refuses what a measurement needs.
pub const NOT_APPLIED: &str = "NotApplied";

/// What is known of measurements beside what the cluster says.
#[derive(Debug, Default)]
pub struct Measuring {
    /// Numbers that were written lately, and when: until the watch has brought them, what it says is old.
    written: Mutex<BTreeMap<Key, (Option<String>, f64)>>,
    /// What was last wrong with pods, by Job: a Job that ends takes its pods with it.
    troubles: Mutex<BTreeMap<Key, String>>,
}

/// Why a model is not measured yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// For programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What a step has come to.
#[derive(Debug, Default)]
pub struct Brought {
    /// Why something is still missing.
    pub note: Option<Note>,
    /// The status with numbers that have just come, and whom to tell once it is written.
    pub found: Option<(EENNModelStatus, ResultClient)>,
    /// When to look again.
    pub again: Option<Duration>,
}

impl Measuring {
    /// Whether what the watch says of an object is older than what was written: `time` of its numbers.
    pub fn is_old(&self, key: &Key, time: Option<&str>, now: f64) -> bool {
        let mut written = lock(&self.written);
        let Some((last, at)) = written.get(key) else { return false };
        let old = time != last.as_deref() && now - at < SEEN_WITHIN;
        if !old {
            written.remove(key);
        }
        old
    }

    /// A status with new numbers of this time was written.
    pub fn wrote(&self, key: &Key, time: Option<&str>, now: f64) {
        lock(&self.written).insert(key.clone(), (time.map(str::to_owned), now));
    }

    /// A model or a pool is gone.
    pub fn forget(&self, key: &Key) {
        lock(&self.written).remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds what is known")
}

/// When the numbers of a model were measured.
pub fn time_of(status: Option<&EENNModelStatus>) -> Option<&str> {
    Some(&status?.measured.as_ref()?.measured_time)
}

/// Whether a model is for this operator: it runs the pool of the first service that uses it. Nobody's is everybody's.
pub fn is_ours(context: &Context, model: &EENNModel) -> bool {
    let services = context.caches.services.within(&model.namespace().unwrap_or_default());
    let mut using = services.iter().filter(|service| service.spec.model_ref.name.as_str() == model.name_any());
    let pool = |service: &Arc<EENNService>| {
        context.caches.pools.get(&Key::new("", service.spec.device_pool_ref.name.as_str()))
    };
    match using.find_map(pool) {
        Some(pool) => context.runs(&pool),
        // Nobody knows whose it is: whoever measures it goes on.
        None => jobs_of(context, model).iter().all(|job| is_run_by(job, &context.operator_name)),
    }
}

/// Whether this operator looks after a measurement; one that names none is anybody's.
fn is_run_by(job: &Job, operator: &str) -> bool {
    job.annotations().get(labels::RUN_BY).is_none_or(|named| named == operator)
}

/// Does the next step towards knowing all of a model.
pub async fn bring(context: &Context, model: &EENNModel) -> Result<Brought, Failure> {
    let missing = missing(context, model).await?;
    let jobs = jobs_of(context, model);
    if !missing.any() {
        clear(context, &jobs, None).await?;
        return Ok(Brought::default());
    }
    let what = format!("{}-{}", labels::hash(&format!("{missing:?}")), asked(model));
    clear(context, &jobs, Some(&what)).await?;
    match attempt::standing(&jobs, &what) {
        Standing::New => start(context, model, missing, &what, 1).await,
        Standing::Runs(job) if has_lost_its_node(context, &job) => again(context, model, missing, &what, &job).await,
        Standing::Runs(job) => look(context, model, missing, &job).await,
        Standing::Over { attempt, at, job, why } => {
            if let Some(wait) = attempt::wait(attempt, at, identity::now()) {
                let note = Some(failed(context, &job, attempt, &why));
                return Ok(Brought { note, again: Some(wait), ..Brought::default() });
            }
            again(context, model, missing, &what, &job).await
        }
    }
}

/// The next attempt after this Job.
async fn again(
    context: &Context,
    model: &EENNModel,
    missing: Missing,
    what: &str,
    job: &Job,
) -> Result<Brought, Failure> {
    let brought = start(context, model, missing, what, attempt::number(job) + 1).await?;
    // The new one is there; where there is no node for it, the old one still says how often it was tried.
    if brought.again == Some(ASK_EVERY) {
        let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
        context.cluster.delete(&api, job).await?;
    }
    Ok(brought)
}

/// Whether the node that a Job is for is no more: its pod would wait for it until the Job's time is over.
fn has_lost_its_node(context: &Context, job: &Job) -> bool {
    context.caches.nodes.get(&Key::new("", node_of(job))).is_none()
}

/// What of it is measured, and of which file.
fn asked(model: &EENNModel) -> String {
    let table = known::table_name(model).unwrap_or_default();
    format!("{}-{}", known::what(&model.spec), labels::hash(&table))
}

/// As [`known::missing`], and whether the exit table can still be read from the ConfigMap that it was brought into: somebody may have deleted
/// or changed that.
async fn missing(context: &Context, model: &EENNModel) -> Result<Missing, Failure> {
    let mut missing = known::missing(model);
    if let Some(name) = known::brought(model) {
        let key = Key::new(model.namespace().unwrap_or_default(), name);
        // The watch of ConfigMaps may be behind that of models.
        missing.table = if context.caches.config_maps.get(&key).is_some() {
            context.tables.read(context, model).await?.is_err()
        } else {
            let found = context.cluster.api::<ConfigMap>(&key.namespace).get_opt(&key.name).await;
            found.map_err(Failure::api(format!("get ConfigMap {key}")))?.is_none()
        };
    }
    Ok(missing)
}

/// Jobs that were made for a model.
fn jobs_of(context: &Context, model: &EENNModel) -> Vec<Arc<Job>> {
    let uid = model.uid();
    let mut jobs = context.caches.jobs.within(&model.namespace().unwrap_or_default());
    jobs.retain(|job| job.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()));
    jobs
}

/// Deletes Jobs that nobody needs any more: all is known, somebody has filled it in, or another file is meant now.
async fn clear(context: &Context, jobs: &[Arc<Job>], what: Option<&str>) -> Result<(), Failure> {
    let current = |job: &Job| job.annotations().get(labels::MEASURES).map(String::as_str) == what;
    for job in jobs.iter().filter(|job| !current(job)) {
        let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
        context.cluster.delete(&api, &**job).await?;
        context.certified.forget(&Key::of(&**job));
    }
    Ok(())
}

/// An attempt has failed, and why.
fn failed(context: &Context, job: &Job, attempt: u32, why: &str) -> Note {
    let (node, why) = (node_of(job), failure(context, job, why));
    let message = format!("attempt {attempt} to measure on {node} failed: {why}; it is tried again");
    Note { reason: "MeasurementFailed", message }
}

fn being_measured(job: &impl ResourceExt) -> Note {
    let message = format!("it is being inspected on {} (Job {})", node_of(job), job.name_any());
    Note { reason: "BeingMeasured", message }
}

fn node_of(job: &impl ResourceExt) -> &str {
    job.annotations().get(labels::NODE).map_or("?", String::as_str)
}

/// Remembers what is wrong with a Job for when its pods are gone, and forgets Jobs that are.
fn remember(context: &Context, job: &Job, trouble: String) {
    let mut troubles = lock(&context.measuring.troubles);
    troubles.retain(|job, _| context.caches.jobs.get(job).is_some());
    troubles.insert(Key::of(job), trouble);
}

/// Why a Job has failed: its pods know best, as long as they are there.
fn failure(context: &Context, job: &Job, why: &str) -> String {
    let now = pods_of(context, job).iter().find_map(|pod| attempt::trouble(pod)).map(|trouble| trouble.message);
    let last = now.or_else(|| lock(&context.measuring.troubles).get(&Key::of(job)).cloned());
    match last {
        Some(trouble) => format!("{why} ({trouble})"),
        None => why.to_owned(),
    }
}
