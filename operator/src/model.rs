//! Models: whether services can be planned with them, and what is known of them.

use crate::cache::Key;
use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use crate::measure::{self, Brought, NOT_APPLIED, Note, known};
use crate::service::build::delivery;
use crate::{Context, clock, image_volumes};
use api::EENNModel;
use api::status::EENNModelStatus;
use kube::ResourceExt;
use std::time::Duration;

/// What the watch has not brought yet is looked at again after so long.
const SOON: Duration = Duration::from_secs(1);

/// Brings the status of a model up to date, and has measured what is not known of it. Returns when to look again by itself.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Option<Duration>, Failure> {
    let Some(model) = context.caches.models.get(key) else {
        context.measuring.forget(key);
        return Ok(None);
    };
    if model.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    if !measure::is_ours(context, &model) {
        return Ok(None);
    }
    if context.measuring.is_old(key, measure::time_of(model.status.as_ref()), clock::now()) {
        return Ok(Some(SOON));
    }
    let volumes = context.image_volumes.check(context, &model).await;
    // Nothing tells when a cluster has learned to mount images.
    let later = volumes.is_err().then_some(image_volumes::HOLDS);
    let is_there = |name: &str| context.caches.config_maps.get(&Key::new(key.namespace.clone(), name)).is_some();
    let accepted = accepted(&model, volumes, is_there);
    let brought = match accepted.is_true() {
        true => measure::bring(context, &model).await,
        false => Ok(Default::default()),
    };
    let (brought, failure) = told(&model, brought)?;
    let mut now = EENNModel::clone(&model);
    if let Some((status, _)) = &brought.found {
        now.status = Some(status.clone());
    }
    let table = table(context, &now).await?;
    let status = status(&now, accepted, brought.note, table, &clock::timestamp());
    if model.status.as_ref() != Some(&status) {
        context.cluster.set_status(&context.cluster.api::<EENNModel>(&key.namespace), &*model, &status).await?;
        let before = model.status.as_ref().map_or(&[][..], |status| &status.conditions);
        context.cluster.tell_news(&*model, before, &status.conditions).await;
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if let Some((_, client)) = brought.found {
        context.measuring.wrote(key, measure::time_of(Some(&status)), clock::now());
        // What was not acknowledged ends by itself, and is deleted with the next look.
        if let Err(error) = client.acknowledge().await {
            tracing::warn!(model = %key, "its measurement was not told that the result is safe: {error}");
        }
        return Ok(Some(SOON));
    }
    Ok(brought.again.or(later))
}

/// The exit table of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// Nobody knows yet where it is, or there is no such ConfigMap.
    Missing,
    /// It is there, and cannot be used for this reason.
    Unusable(String),
    /// It is there.
    There,
}

/// How the exit table of a model is. It is read here, too, since what is wrong with it is for the owner of the model; planning reads it from memory.
async fn table(context: &Context, model: &EENNModel) -> Result<Table, Failure> {
    let known = known::model(model);
    let Some((name, _)) = known.spec.exit_table.as_ref().and_then(api::Artifact::config_map) else {
        return Ok(Table::Missing);
    };
    let key = Key::new(model.namespace().unwrap_or_default(), name);
    if known::brought(model).is_some_and(|brought| brought == name) {
        // The operator has written it, and the watch may not have told of it yet.
        return Ok(Table::There);
    }
    if context.caches.config_maps.get(&key).is_none() {
        return Ok(Table::Missing);
    }
    let read = context.tables.read(context, model).await?;
    Ok(match read.and_then(|read| fits(&read.table, known.spec.exits.len())) {
        Ok(()) => Table::There,
        Err(why) => Table::Unusable(why),
    })
}

fn fits(table: &domain::ExitTable, exits: usize) -> Result<(), String> {
    match table.exits() == exits {
        true => Ok(()),
        false => Err(format!("it has {} exits, and spec.exits has {exits}", table.exits())),
    }
}

/// What the API server refuses is a reason for people, as long as numbers are missing; it is tried again all the same.
fn told(model: &EENNModel, brought: Result<Brought, Failure>) -> Result<(Brought, Option<Failure>), Failure> {
    let failure = match brought {
        Ok(brought) => return Ok((brought, None)),
        Err(failure) => failure,
    };
    match failure.refusal().filter(|_| known::missing(model).any()) {
        Some(message) => {
            let note = Some(Note { reason: NOT_APPLIED, message });
            Ok((Brought { note, ..Brought::default() }, Some(failure)))
        }
        None => Err(failure),
    }
}

/// The status of a model. `note`: why something is not known that could be measured; `table`: how its exit table
/// is. Pure.
pub fn status(model: &EENNModel, accepted: Finding, note: Option<Note>, table: Table, now: &str) -> EENNModelStatus {
    let generation = model.metadata.generation.unwrap_or_default();
    let before = model.status.clone().unwrap_or_default();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let ready = match accepted.is_true() {
        true => ready(model, note, table),
        false => Finding::fails("Ready", accepted.reason, accepted.message.clone()),
    };
    EENNModelStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &[accepted, ready], generation, now),
        exit_count: number(model.spec.exits.len()),
        segment_count: number(model.spec.cuts.len() + 1),
        ..before
    }
}

/// Whether pods can get at its files. `volumes`: whether the cluster can mount images, where it has to. `is_there`: whether there is a
/// ConfigMap of a name.
fn accepted(model: &EENNModel, volumes: Result<(), String>, is_there: impl Fn(&str) -> bool) -> Finding {
    if let Some((name, _)) = model.spec.artifact.config_map().filter(|(name, _)| !is_there(name)) {
        let message = format!("there is no ConfigMap {name:?}, which spec.artifact.uri names");
        return Finding::fails("Accepted", "ArtifactNotFound", message);
    }
    let table = known::elsewhere(&model.spec).map_or(Ok(()), |table| delivery::check(table, "spec.exitTable"));
    match delivery::check(&model.spec.artifact, "spec.artifact").and(table).and(volumes) {
        Ok(()) => Finding::holds("Accepted", "Accepted", "the spec makes sense"),
        Err(problem) => Finding::fails("Accepted", "ArtifactNotReachable", problem),
    }
}

/// Whether all is known that planning needs.
fn ready(model: &EENNModel, note: Option<Note>, there: Table) -> Finding {
    let known = known::model(model);
    let Some(table) = &known.spec.exit_table else {
        let message =
            "spec.exitTable is missing: it says what exits are worth; `eenn model profile --exit-table` makes one";
        return Finding::fails("Ready", "NoExitTable", message);
    };
    if let Some(Note { reason, message }) = note {
        return Finding::fails("Ready", reason, message);
    }
    if known::missing(model).any() {
        return Finding::fails("Ready", "BeingMeasured", "what planning needs of it is not known yet");
    }
    match (table.config_map(), there) {
        (Some(_), Table::There) => Finding::holds("Ready", "Ready", "services can be planned with it"),
        (Some(_), Table::Unusable(why)) => {
            let message = format!("its exit table at {} cannot be used: {why}", table.uri);
            Finding::fails("Ready", "ExitTableUnusable", message)
        }
        (Some((name, _)), Table::Missing) => {
            let message = format!("there is no ConfigMap {name:?}, which spec.exitTable.uri names");
            Finding::fails("Ready", "ExitTableNotFound", message)
        }
        (None, _) => Finding::fails("Ready", "BeingMeasured", "its exit table is not here yet"),
    }
}
