//! Device pools: which nodes they have, and whether any of them can take fragments.

pub mod survey;
#[cfg(test)]
mod tests;

use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use crate::{Context, clock};
use api::DevicePool;
use api::status::DevicePoolStatus;
use survey::{Survey, USABLE};

/// More devices than a status has room for.
const MOST_DEVICES: usize = 1024;

/// Brings the status of a pool up to date.
pub async fn reconcile(context: &Context, name: &str) -> Result<(), Failure> {
    let caches = &context.caches;
    let Some(pool) = caches.pools.get(&crate::cache::Key::new("", name)) else { return Ok(()) };
    if !context.runs(&pool) {
        return Ok(());
    }
    let survey = survey::survey(&pool, &caches.nodes.all());
    let services = caches.services.all();
    let using = services.iter().filter(|service| service.spec.device_pool_ref.name.as_str() == name).count();
    let status = status(&pool, &survey, using, &clock::timestamp());
    if pool.status.as_ref() != Some(&status) {
        context.cluster.set_status(&context.cluster.all::<DevicePool>(), &*pool, &status).await?;
    }
    Ok(())
}

/// The status of a pool. Pure.
pub fn status(pool: &DevicePool, survey: &Survey, services: usize, now: &str) -> DevicePoolStatus {
    let generation = pool.metadata.generation.unwrap_or_default();
    let before = pool.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let usable = survey.devices.iter().filter(|device| device.state == USABLE).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    DevicePoolStatus {
        observed_generation: generation,
        conditions: conditions(before, &findings(survey, usable), generation, now),
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
    let why = |state: &str| match state {
        "NotReady" => "is not ready",
        "Cordoned" => "is cordoned",
        "NoClass" => "has no class: no entry of spec.classes fits its labels",
        _ => "has a status that cannot be read",
    };
    let others = survey.devices.iter().filter(|device| device.state != USABLE);
    let words: Vec<String> = others.take(10).map(|device| format!("{} {}", device.name, why(&device.state))).collect();
    words.join("; ")
}
