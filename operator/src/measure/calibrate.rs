//! How fast devices are whose class has no `speedFactor`: a Job measures a model there whose times are known.
//!
//! speedFactor = time of the profile ÷ time measured, of all segments and heads together. Where no class of a pool has one, the
//! class on which the first model was measured is what the others are compared with: its speed is 1.

use super::attempt::{self, Standing};
use super::known::{self, Missing};
use super::look::{Seen, look_at};
use super::place::{Place, in_turn};
use super::start::{create, large_enough, pull_secrets};
use super::{ASK_EVERY, LOOK_EVERY, Note, clear, failed, has_lost_its_node, node_of};
use crate::cache::Key;
use crate::conditions::Finding;
use crate::controller::Failure;
use crate::measure::build;
use crate::outline::Job;
use crate::pool::survey::{Survey, USABLE};
use crate::service::build::Operator;
use crate::service::{labels, references};
use crate::{Context, clock, identity};
use api::status::ClassStatus;
use api::{Decimal, DeviceClass, DevicePool, EENNModel, EENNService, Name, Profile};
use k8s_openapi::api::batch::v1 as batch;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use transport::client::ResultClient;
use wire::document::ProfileDocument;

/// What is measured of a device.
const MISSING: Missing = Missing { costs: false, times: true, table: false };
/// Places behind the point of a speed.
const PLACES: usize = 4;

/// What a step has come to.
#[derive(Debug, Default)]
pub struct Calibrated {
    /// What is known of classes whose spec says nothing.
    pub classes: Vec<ClassStatus>,
    /// Whether all speeds are known; `None` where the spec says all.
    pub finding: Option<Finding>,
    /// Whom to tell once the status is written.
    pub client: Option<ResultClient>,
    /// When to look again.
    pub again: Option<Duration>,
}

/// What is known of classes that still have no speed of their own.
pub fn kept(pool: &DevicePool) -> Vec<ClassStatus> {
    let known = pool.status.as_ref().map(|status| &status.classes[..]).unwrap_or_default();
    let open = |name: &Name| pool.spec.classes.iter().any(|class| class.name == *name && class.speed_factor.is_none());
    known.iter().filter(|class| open(&class.name)).cloned().collect()
}

/// Classes of which nobody knows how fast they are.
pub fn unknown<'a>(pool: &'a DevicePool, kept: &[ClassStatus]) -> Vec<&'a DeviceClass> {
    let known = |class: &DeviceClass| kept.iter().any(|known| known.name == class.name);
    pool.spec.classes.iter().filter(|class| class.speed_factor.is_none() && !known(class)).collect()
}

/// The class that others are compared with, where no other is known: a model was measured on it.
pub fn reference(pool: &DevicePool, kept: &[ClassStatus], models: &[Arc<EENNModel>]) -> Option<ClassStatus> {
    if !kept.is_empty() || pool.spec.classes.iter().any(|class| class.speed_factor.is_some()) {
        return None;
    }
    let found = models.iter().find_map(|model| {
        let measured = model.status.as_ref()?.measured.as_ref()?;
        let times = model.spec.profile.is_none() && measured.of == known::what(&model.spec);
        let here = pool.spec.classes.iter().any(|class| class.name == measured.class);
        (times && here && measured.speed_factor.as_str() == "1").then_some((model, measured))
    });
    found.map(|(model, measured)| ClassStatus {
        name: measured.class.clone(),
        speed_factor: measured.speed_factor.clone(),
        node: measured.node.clone(),
        model: Key::of(&**model).to_string(),
        measured_time: measured.measured_time.clone(),
    })
}

/// How fast a device is that took so long; `None` where it took no time.
pub fn speed(profile: &Profile, measured: &ProfileDocument) -> Option<Decimal> {
    let wanted = profile.segments.iter().chain(&profile.heads).map(|time| time.mean_microseconds.get());
    // Heads that cost nothing in the profile do not count here either.
    let heads = measured.heads.iter().filter(|_| !profile.heads.is_empty());
    let took = measured.segments.iter().chain(heads).map(|time| time.mean_microseconds);
    let factor = wanted.sum::<f64>() / took.sum::<f64>();
    Decimal::rounded(factor, PLACES).filter(|speed| speed.get() > 0.0)
}

/// Does the next step towards knowing the speed of all classes: one class at a time.
pub async fn bring(context: &Context, pool: &Arc<DevicePool>, survey: &Survey) -> Result<Calibrated, Failure> {
    let mut classes = kept(pool);
    let models = models_of(context, pool);
    classes.extend(reference(pool, &classes, &models));
    let unknown = unknown(pool, &classes);
    let jobs = jobs_of(context, pool);
    if unknown.is_empty() {
        clear(context, &jobs, None).await?;
        let all_given = pool.spec.classes.iter().all(|class| class.speed_factor.is_some());
        let finding =
            (!all_given).then(|| Finding::holds("Calibrated", "Calibrated", "the speed of all classes is known"));
        return Ok(Calibrated { classes, finding, ..Calibrated::default() });
    }
    let names: Vec<&str> = unknown.iter().map(|class| class.name.as_str()).collect();
    let timed = models.iter().find(|model| known::model(model).spec.profile.is_some());
    let is_large_enough = large_enough(context, timed.map_or(0, |model| build::memory(model, MISSING)));
    let devices = unknown.iter().map(|class| (*class, usable(pool, survey, class, &is_large_enough)));
    let devices = devices.into_iter().find(|(_, places)| !places.is_empty());
    let Step { note, again, found } = match (timed, devices) {
        (Some(model), Some((class, places))) => step(context, model, class, &places, &jobs).await?,
        (None, _) => {
            let message = "devices are measured with a model of one of the pool's services, as soon as one has times";
            Step::waits(Note { reason: "NoProfile", message: message.to_owned() }, LOOK_EVERY)
        }
        (_, None) => Step::waits(no_device(), LOOK_EVERY),
    };
    let (found, client) = found.unzip();
    classes.extend(found);
    let message = format!("{}; until then classes without speedFactor ({}) count as 1", note.message, names.join(", "));
    let finding = Some(Finding::fails("Calibrated", note.reason, message));
    Ok(Calibrated { classes, finding, client, again: Some(again) })
}

/// What a step towards the speed of a class has come to, and when the next one is due.
struct Step {
    note: Note,
    again: Duration,
    /// Its speed, and who waits until that is stored.
    found: Option<(ClassStatus, ResultClient)>,
}

impl Step {
    fn waits(note: Note, again: Duration) -> Self {
        Self { note, again, found: None }
    }
}

/// Measures a class on one of its devices: starts that, looks after it, or tries again.
async fn step(
    context: &Context,
    model: &Arc<EENNModel>,
    class: &DeviceClass,
    places: &[Place],
    jobs: &[Arc<Job>],
) -> Result<Step, Failure> {
    let Some(Place { pool, .. }) = places.first() else { return Ok(Step::waits(no_device(), LOOK_EVERY)) };
    let what = format!("{}-{}-{}", labels::hash(&pool.name_any()), class.name, known::what(&model.spec));
    clear(context, jobs, Some(&what)).await?;
    match attempt::standing(jobs, &what) {
        Standing::New => Ok(Step::waits(start(context, model, places, &what, 1).await?, ASK_EVERY)),
        Standing::Over { attempt, at, job, why } => {
            if let Some(wait) = attempt::wait(attempt, at, identity::now()) {
                return Ok(Step::waits(failed(context, &job, attempt, &why), wait));
            }
            again(context, model, places, &what, &job).await
        }
        Standing::Runs(job) if has_lost_its_node(context, &job) => again(context, model, places, &what, &job).await,
        Standing::Runs(job) => {
            let Seen { note, answer } = look_at(context, model, &job).await?;
            let Some((document, client)) = answer else { return Ok(Step::waits(note, ASK_EVERY)) };
            let profile = known::model(model).spec.profile;
            let speed =
                profile.as_ref().zip(document.profile.as_ref()).and_then(|(profile, found)| speed(profile, found));
            let Some(found) = speed.and_then(|speed| of_class(class, &job, model, speed)) else {
                let message = format!("what was measured on {} is no time", node_of(&*job));
                return Ok(Step::waits(Note { reason: "MeasurementFailed", message }, LOOK_EVERY));
            };
            let message = format!("the speed of class {} was measured", class.name);
            let note = Note { reason: "BeingMeasured", message };
            Ok(Step { note, again: Duration::from_secs(1), found: Some((found, client)) })
        }
    }
}

/// The next attempt after this Job.
async fn again(
    context: &Context,
    model: &Arc<EENNModel>,
    places: &[Place],
    what: &str,
    job: &Job,
) -> Result<Step, Failure> {
    let note = start(context, model, places, what, attempt::number(job) + 1).await?;
    let api = context.cluster.api::<batch::Job>(&job.namespace().unwrap_or_default());
    context.cluster.delete(&api, job).await?;
    Ok(Step::waits(note, ASK_EVERY))
}

fn of_class(class: &DeviceClass, job: &Job, model: &EENNModel, speed_factor: Decimal) -> Option<ClassStatus> {
    Some(ClassStatus {
        name: class.name.clone(),
        speed_factor,
        node: job.annotations().get(labels::NODE)?.parse().ok()?,
        model: Key::of(model).to_string(),
        measured_time: clock::timestamp(),
    })
}

/// Devices of a class that it can be measured on.
fn usable(
    pool: &Arc<DevicePool>,
    survey: &Survey,
    class: &DeviceClass,
    is_large_enough: impl Fn(&str) -> bool,
) -> Vec<Place> {
    let here = survey.devices.iter().filter(|device| device.class.as_ref() == Some(&class.name));
    let usable = here.filter(|device| device.state == USABLE && is_large_enough(device.name.as_str()));
    let place = |node| Place { pool: Arc::clone(pool), node, class: class.name.to_string(), speed_factor: 1.0 };
    usable.map(|device| place(device.name.to_string())).collect()
}

fn no_device() -> Note {
    let message = "no device of the classes is usable, and large enough, that could be measured".to_owned();
    Note { reason: "NoDevice", message }
}

async fn start(
    context: &Context,
    model: &EENNModel,
    places: &[Place],
    what: &str,
    attempt: u32,
) -> Result<Note, Failure> {
    let Some(place) = in_turn(places, attempt) else { return Ok(no_device()) };
    // Names of Secrets of others are no business of this namespace.
    let mut services = services_of(context, &place.pool);
    services.retain(|service| service.namespace() == model.namespace());
    let pull_secrets = pull_secrets(&services);
    let blueprint = build::Blueprint {
        model,
        place,
        missing: MISSING,
        what,
        attempt,
        operator: Operator { name: &context.operator_name, namespace: &context.namespace },
        image: &context.runtime_image,
        pull_secrets: &pull_secrets,
    };
    let mut job = build::job(&blueprint);
    job.metadata.owner_references = place.pool.controller_owner_ref(&()).map(|owner| vec![owner]);
    create(context, &job).await?;
    Ok(super::being_measured(&job))
}

fn services_of(context: &Context, pool: &DevicePool) -> Vec<Arc<EENNService>> {
    let mut services = context.caches.services.all();
    services.retain(|service| {
        let here = service.spec.device_pool_ref.name.as_str() == pool.name_any();
        here && service.metadata.deletion_timestamp.is_none() && references::find(context, service).is_ok()
    });
    services
}

/// Models that are used on a pool, each once.
fn models_of(context: &Context, pool: &DevicePool) -> Vec<Arc<EENNModel>> {
    let services = services_of(context, pool);
    let keys = services
        .iter()
        .map(|service| Key::new(service.namespace().unwrap_or_default(), service.spec.model_ref.name.as_str()));
    let keys: std::collections::BTreeSet<Key> = keys.collect();
    keys.iter().filter_map(|key| context.caches.models.get(key)).collect()
}

fn jobs_of(context: &Context, pool: &DevicePool) -> Vec<Arc<Job>> {
    let uid = pool.uid();
    let mut jobs = context.caches.jobs.all();
    jobs.retain(|job| job.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref()));
    jobs
}
