//! Device pools: which nodes they have, and whether any of them can take fragments.

pub mod survey;
#[cfg(test)]
mod tests;

use crate::cache::Key;
use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use crate::measure::NOT_APPLIED;
use crate::measure::calibrate::{self, Calibrated};
use crate::{Context, clock};
use api::DevicePool;
use api::status::{ClassStatus, DevicePoolStatus, DeviceStatus};
use std::time::Duration;
use survey::{ARCHITECTURES, Survey, USABLE};

/// What the watch has not brought yet is looked at again after so long.
const SOON: Duration = Duration::from_secs(1);
/// More devices than a status has room for.
const MOST_DEVICES: usize = 1024;

/// Brings the status of a pool up to date, and has classes measured of which nobody knows how fast they are. Returns when to look
/// again by itself.
pub async fn reconcile(context: &Context, name: &str) -> Result<Option<Duration>, Failure> {
    let (caches, key) = (&context.caches, Key::new("", name));
    let Some(pool) = caches.pools.get(&key) else {
        context.measuring.forget(&key);
        return Ok(None);
    };
    if !context.runs(&pool) || pool.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let before = pool.status.as_ref().map(|status| &status.classes[..]).unwrap_or_default();
    if context.measuring.is_old(&key, newest(before), clock::now()) {
        return Ok(Some(SOON));
    }
    let nodes = caches.nodes.all();
    let calibrated = calibrate::bring(context, &pool, &survey::survey(&pool, &nodes)).await;
    let (calibrated, failure) = told(&pool, calibrated)?;
    // With the speeds that are known by now.
    let mut known = DevicePool::clone(&pool);
    known.status.get_or_insert_default().classes = calibrated.classes;
    let survey = survey::survey(&known, &nodes);
    let services = caches.services.all();
    let using = services.iter().filter(|service| service.spec.device_pool_ref.name.as_str() == name).count();
    let status = status(&known, &survey, calibrated.finding, using, &clock::timestamp());
    if pool.status.as_ref() != Some(&status) {
        context.cluster.set_status(&context.cluster.all::<DevicePool>(), &*pool, &status).await?;
        let before = pool.status.as_ref().map_or(&[][..], |status| &status.conditions);
        if !context.serves_one_namespace {
            context.cluster.tell_news(&*pool, before, &status.conditions).await;
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if let Some(client) = calibrated.client {
        context.measuring.wrote(&key, newest(&status.classes), clock::now());
        if let Err(error) = client.acknowledge().await {
            tracing::warn!(pool = %key, "its measurement was not told that the result is safe: {error}");
        }
    }
    Ok(calibrated.again)
}

/// What the API server refuses is a reason for people, as long as speeds are missing; it is tried again all the same.
fn told(pool: &DevicePool, calibrated: Result<Calibrated, Failure>) -> Result<(Calibrated, Option<Failure>), Failure> {
    let failure = match calibrated {
        Ok(calibrated) => return Ok((calibrated, None)),
        Err(failure) => failure,
    };
    let classes = calibrate::kept(pool);
    match failure.refusal().filter(|_| !calibrate::unknown(pool, &classes).is_empty()) {
        Some(message) => {
            let finding = Some(Finding::fails("Calibrated", NOT_APPLIED, message));
            Ok((Calibrated { classes, finding, ..Calibrated::default() }, Some(failure)))
        }
        None => Err(failure),
    }
}

/// When a class was last measured.
fn newest(classes: &[ClassStatus]) -> Option<&str> {
    classes.iter().map(|class| class.measured_time.as_str()).max()
}

/// The status of a pool. `calibrated`: whether the speed of all classes is known, where the spec leaves that open. Pure.
pub fn status(
    pool: &DevicePool,
    survey: &Survey,
    calibrated: Option<Finding>,
    services: usize,
    now: &str,
) -> DevicePoolStatus {
    let generation = pool.metadata.generation.unwrap_or_default();
    let before = pool.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let usable = survey.devices.iter().filter(|device| device.state == USABLE).count();
    let findings: Vec<Finding> = findings(survey, usable).into_iter().chain(calibrated).collect();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    DevicePoolStatus {
        observed_generation: generation,
        conditions: conditions(before, &findings, generation, now),
        devices: survey.devices.iter().take(MOST_DEVICES).cloned().collect(),
        device_count: number(survey.devices.len().min(MOST_DEVICES)),
        usable_device_count: number(usable.min(MOST_DEVICES)),
        classes: pool.status.as_ref().map(|status| status.classes.clone()).unwrap_or_default(),
        service_count: number(services),
    }
}

fn findings(survey: &Survey, usable: usize) -> Vec<Finding> {
    let accepted = match &survey.resolved {
        Ok(_) => Finding::holds("Accepted", "Accepted", "the spec makes sense"),
        Err(problem) => Finding::fails("Accepted", "InvalidSpec", problem),
    };
    let all = survey.devices.len();
    let ready = match (&survey.resolved, all, usable) {
        (Err(_), ..) => Finding::fails("Ready", "InvalidSpec", "see the condition Accepted"),
        (_, 0, _) => Finding::fails("Ready", "NoNodes", "no node carries the labels of nodeSelector"),
        (_, _, 0) => Finding::fails("Ready", "NoUsableDevice", unusable(survey)),
        _ if usable < all => {
            let message = format!("{usable} of {all} devices can take fragments: {}", unusable(survey));
            Finding::holds("Ready", "SomeDevicesUsable", message)
        }
        _ => Finding::holds("Ready", "AllDevicesUsable", format!("{all} devices can take fragments")),
    };
    vec![accepted, ready]
}

/// Why devices take nothing, for people.
fn unusable(survey: &Survey) -> String {
    let why = |device: &DeviceStatus| match (device.state.as_str(), survey.taints.get(device.name.as_str())) {
        ("NotReady", _) => "is not ready".to_owned(),
        ("Cordoned", _) => "is cordoned".to_owned(),
        ("NoClass", _) => "has no class: no entry of spec.classes fits its labels".to_owned(),
        ("NoImage", _) => format!("has an architecture that the image is not made for ({})", ARCHITECTURES.join(", ")),
        ("Tainted", Some(taint)) => format!("has the taint {taint}, which no entry of spec.tolerations fits"),
        _ => "has a status that cannot be read".to_owned(),
    };
    let others = survey.devices.iter().filter(|device| device.state != USABLE);
    let words: Vec<String> = others.take(10).map(|device| format!("{} {}", device.name, why(device))).collect();
    words.join("; ")
}
