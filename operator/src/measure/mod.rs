//! Finds out by a Job what planning has to know of models and their specs do not say: nothing heavy happens in the operator.
//!
//! The Job runs `eenn-runtime inspect` on a node of a pool that a service of the model uses, gets the file in the way of
//! fragments, and serves what it has found out to this operator alone, until that has said that it is in the status.
//!
//! * [`known`]: what is known, and what is missing. [`place`]: where it is measured.
//! * [`build`]: the Job. [`attempt`]: how far it is. [`numbers`]: what it has found out, as a status.
//! * [`bring`] does the next step. [`calibrate`]: devices are measured in the same way.

pub mod attempt;
pub mod build;
pub mod calibrate;
pub mod known;
pub mod numbers;
pub mod place;
#[cfg(test)]
mod tests;

use crate::cache::Key;
use crate::controller::Failure;
use crate::outline::{Job, Pod};
use crate::service::build::Operator;
use crate::service::{labels, references};
use crate::{Context, clock, identity};
use api::status::EENNModelStatus;
use api::{DevicePool, EENNModel, EENNService};
use attempt::{Standing, Trouble};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use known::Missing;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use numbers::Numbers;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use transport::client::ResultClient;
use wire::measurement::MeasurementDocument;

/// A result that may be there is asked for so often.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// What cannot go on is looked at again so often, beside when something changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The watch has brought what was written after so many seconds, or never will.
const SEEN_WITHIN: f64 = 30.0;

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

    /// A model is gone.
    pub fn forget(&self, key: &Key) {
        lock(&self.written).remove(key);
        lock(&self.troubles).retain(|job, _| job.namespace != key.namespace || !job.name.starts_with(&key.name));
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
    using.find_map(pool).is_none_or(|pool| context.runs(&pool))
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
        Standing::Runs(job) => look(context, model, missing, &job).await,
        Standing::Over { attempt, at, job, why } => {
            if let Some(wait) = attempt::wait(attempt, at, identity::now()) {
                let note = Some(failed(context, &job, attempt, &why));
                return Ok(Brought { note, again: Some(wait), ..Brought::default() });
            }
            let brought = start(context, model, missing, &what, attempt + 1).await?;
            // The new one is there; where there is no node for it, the old one still says how often it was tried.
            if brought.again == Some(ASK_EVERY) {
                let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
                context.cluster.delete(&api, &*job).await?;
            }
            Ok(brought)
        }
    }
}

/// What of it is measured, and of which file.
fn asked(model: &EENNModel) -> String {
    let table = known::table_name(model).unwrap_or_default();
    format!("{}-{}", known::what(&model.spec), labels::hash(&table))
}

/// As [`known::missing`], and whether the ConfigMap is still there that the exit table was brought into.
async fn missing(context: &Context, model: &EENNModel) -> Result<Missing, Failure> {
    let mut missing = known::missing(model);
    if let Some(name) = known::brought(model) {
        let key = Key::new(model.namespace().unwrap_or_default(), name);
        // The watch of ConfigMaps may be behind that of models.
        if context.caches.config_maps.get(&key).is_none() {
            let found = context.cluster.api::<ConfigMap>(&key.namespace).get_opt(&key.name).await;
            missing.table = found.map_err(Failure::api(format!("get ConfigMap {key}")))?.is_none();
        }
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

/// Makes a Job, if there is a node for it.
async fn start(
    context: &Context,
    model: &EENNModel,
    missing: Missing,
    what: &str,
    attempt: u32,
) -> Result<Brought, Failure> {
    let waits = |reason, message: &str| {
        let note = Some(Note { reason, message: message.to_owned() });
        Brought { note, again: Some(LOOK_EVERY), ..Brought::default() }
    };
    let services = services_of(context, model);
    if services.is_empty() {
        return Ok(waits("NotUsed", "it is measured on a node as soon as an EENNService uses it"));
    }
    let Some(place) = place::choose(&surveys(context, &services)) else {
        let message = "no device can measure it: those of the pools of its services are not usable, or of a class without speedFactor";
        return Ok(waits("NoDevice", message));
    };
    let pull_secrets = pull_secrets(&services);
    let blueprint = build::Blueprint {
        model,
        place: &place,
        missing,
        what,
        attempt,
        operator: Operator { name: &context.operator_name, namespace: &context.namespace },
        image: &context.runtime_image,
        pull_secrets: &pull_secrets,
    };
    let job = build::job(&blueprint);
    create(context, &job).await?;
    Ok(Brought { note: Some(being_measured(&job)), again: Some(ASK_EVERY), ..Brought::default() })
}

/// Makes a Job that is not there yet.
async fn create(context: &Context, job: &batch::Job) -> Result<(), Failure> {
    let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
    match context.cluster.create(&api, job).await {
        // The watch has not brought it yet.
        Err(Failure::Api { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 409) => {
            Ok(())
        }
        other => other,
    }
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

/// Services that use a model, of pools that this operator runs.
fn services_of(context: &Context, model: &EENNModel) -> Vec<Arc<EENNService>> {
    let mut services = context.caches.services.within(&model.namespace().unwrap_or_default());
    services.retain(|service| {
        let using = service.spec.model_ref.name.as_str() == model.name_any();
        using
            && service.metadata.deletion_timestamp.is_none()
            && references::find(context, service).is_ok_and(|found| context.runs(&found.pool))
    });
    services
}

fn surveys(context: &Context, services: &[Arc<EENNService>]) -> Vec<(Arc<DevicePool>, crate::pool::survey::Survey)> {
    let names = services.iter().map(|service| service.spec.device_pool_ref.name.as_str());
    let names: std::collections::BTreeSet<&str> = names.collect();
    let nodes = context.caches.nodes.all();
    let pools = names.into_iter().filter_map(|name| context.caches.pools.get(&Key::new("", name)));
    pools.map(|pool| (Arc::clone(&pool), crate::pool::survey::survey(&pool, &nodes))).collect()
}

fn pull_secrets(services: &[Arc<EENNService>]) -> Vec<String> {
    let all = services.iter().flat_map(|service| &service.spec.image_pull_secrets);
    let names: std::collections::BTreeSet<String> = all.map(|secret| secret.name.to_string()).collect();
    names.into_iter().collect()
}

/// What a Job that runs has said.
struct Seen {
    /// What it does, or waits for.
    note: Note,
    /// Its result, and whom to tell that it is safe.
    answer: Option<(MeasurementDocument, ResultClient)>,
}

/// Sees to a Job that measures a model, and asks it for its result.
async fn look_at(context: &Context, model: &EENNModel, job: &Job) -> Result<Seen, Failure> {
    equip(context, model, job).await?;
    let mut seen = Seen { note: being_measured(job), answer: None };
    let pods = pods_of(context, job);
    if let Some(Trouble { reason, message }) = pods.iter().find_map(|pod| attempt::trouble(pod)) {
        seen.note = Note { reason, message: format!("measuring on {} does not go on: {message}", node_of(job)) };
        lock(&context.measuring.troubles).insert(Key::of(job), message);
    }
    let book = context.addresses.now();
    let runs = |pod: &&Arc<Pod>| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
    let Some(address) = pods.iter().find(runs).and_then(|pod| book.control(pod)) else { return Ok(seen) };
    let name = identity::model_name(&model.name_any(), &model.namespace().unwrap_or_default());
    let Some(connector) = context.identity.connector_to(&name) else { return Ok(seen) };
    let client = ResultClient::new(address, Some(connector));
    match client.result().await {
        Ok(document) => seen.answer = Some((document, client)),
        Err(error) => tracing::debug!(job = job.name_any(), "no result yet: {error}"),
    }
    Ok(seen)
}

/// Looks at the Job of a model, and checks its result.
async fn look(context: &Context, model: &EENNModel, missing: Missing, job: &Job) -> Result<Brought, Failure> {
    let Seen { note, answer } = look_at(context, model, job).await?;
    let waits = |note| Brought { note: Some(note), again: Some(ASK_EVERY), ..Brought::default() };
    let Some((document, client)) = answer else { return Ok(waits(note)) };
    match numbers::numbers(model, missing, job, &document, &clock::timestamp()) {
        Ok(Numbers { status, table }) => {
            if let Some(table) = table {
                store(context, model, &status, table).await?;
            }
            Ok(Brought { note: None, found: Some((status, client)), again: None })
        }
        Err(why) => {
            // It is not acknowledged, so the Job fails and another one is made.
            lock(&context.measuring.troubles).insert(Key::of(job), why.clone());
            let message = format!("what was measured on {} cannot be used: {why}", node_of(job));
            Ok(waits(Note { reason: "MeasurementFailed", message }))
        }
    }
}

/// The certificate of a Job, and who may reach it.
async fn equip(context: &Context, model: &EENNModel, job: &Job) -> Result<(), Failure> {
    let key = Key::of(job);
    let namespace = &key.namespace;
    let name = identity::model_name(&model.name_any(), namespace);
    let pem = context
        .identity
        .of_name(&name, &model.uid().unwrap_or_default(), identity::now())
        .map_err(Failure::Certificate)?;
    let hash = labels::hash_of(&[&pem.certificate[..], &pem.key, &pem.authorities].concat());
    if context.certified.is_due(&key, &hash, LOOK_EVERY, clock::now()) {
        let secret = build::secret(job, &pem);
        context.cluster.put_secret(namespace, &secret, true).await?;
        let policy = build::network_policy(job, &context.namespace);
        context.cluster.apply(&context.cluster.api::<NetworkPolicy>(namespace), &policy).await?;
        context.certified.given(key, hash, clock::now());
    }
    Ok(())
}

/// Puts an exit table into a ConfigMap.
async fn store(context: &Context, model: &EENNModel, status: &EENNModelStatus, table: Vec<u8>) -> Result<(), Failure> {
    let Some(reference) = &status.exit_table_ref else { return Ok(()) };
    let namespace = model.namespace().unwrap_or_default();
    let api = context.cluster.api::<ConfigMap>(&namespace);
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(reference.name.to_string()),
            namespace: Some(namespace.clone()),
            labels: Some(labels::of_model(&model.name_any())),
            owner_references: model.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([(known::TABLE.to_owned(), ByteString(table))])),
        ..ConfigMap::default()
    };
    context.cluster.apply_unless_taken(&api, &config_map).await?;
    // The table of before.
    let before = model.status.as_ref().and_then(|status| status.exit_table_ref.as_ref());
    let before = before.filter(|before| before.name != reference.name);
    let old = before.and_then(|before| context.caches.config_maps.get(&Key::new(&namespace, before.name.as_str())));
    if let Some(old) = old.filter(|old| old.is_owned_by(model.uid().as_deref())) {
        context.cluster.delete_known(&api, &old).await?;
    }
    Ok(())
}

fn pods_of(context: &Context, job: &Job) -> Vec<Arc<Pod>> {
    let name = job.name_any();
    let mut pods = context.caches.pods.within(&job.namespace().unwrap_or_default());
    pods.retain(|pod| pod.labels().get(labels::WORKLOAD) == Some(&name));
    pods
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
