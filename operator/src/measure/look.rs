//! Sees to a Job that runs: its pod gets a certificate, is asked for its result, and is believed if that fits.

use super::attempt::{self, Trouble};
use super::known::{self, Missing};
use super::numbers::{self, Numbers};
use super::{ASK_EVERY, Brought, LOOK_EVERY, Note, being_measured, build, node_of, remember};
use crate::cache::Key;
use crate::controller::Failure;
use crate::outline::Job;
use crate::pods::Pod;
use crate::service::labels;
use crate::{Context, clock, identity};
use api::EENNModel;
use api::status::EENNModelStatus;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use transport::client::{ClientError, ResultClient};
use wire::measurement::MeasurementDocument;

/// What a Job that runs has said.
pub(super) struct Seen {
    /// What it does, or waits for.
    pub(super) note: Note,
    /// Its result, and whom to tell that it is safe.
    pub(super) answer: Option<(MeasurementDocument, ResultClient)>,
}

/// Looks at the Job of a model, and checks its result.
pub(super) async fn look(
    context: &Context,
    model: &EENNModel,
    missing: Missing,
    job: &Job,
) -> Result<Brought, Failure> {
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
        Err(why) => Ok(waits(useless(context, job, &why))),
    }
}

/// Sees to a Job that measures a model, and asks it for its result.
pub(super) async fn look_at(context: &Context, model: &EENNModel, job: &Job) -> Result<Seen, Failure> {
    equip(context, model, job).await?;
    let mut seen = Seen { note: being_measured(job), answer: None };
    let pods = pods_of(context, job);
    if let Some(Trouble { reason, message }) = pods.iter().find_map(|pod| attempt::trouble(pod)) {
        seen.note = Note { reason, message: format!("measuring on {} does not go on: {message}", node_of(job)) };
        remember(context, job, message);
    }
    let book = context.addresses.now();
    let Some(address) = pods.iter().find(|pod| pod.runs).and_then(|pod| book.control(pod)) else { return Ok(seen) };
    let name = identity::model_name(&model.name_any(), &model.namespace().unwrap_or_default());
    let Some(connector) = context.identity.connector_to(&name) else { return Ok(seen) };
    let client = ResultClient::new(address, Some(connector));
    match client.result().await {
        Ok(document) => seen.answer = Some((document, client)),
        // Another version of the image, most likely: asking again does not help.
        Err(error @ ClientError::Unreadable { .. }) => {
            seen.note = useless(
                context,
                job,
                &format!("{error}, {}", error.source().map(|it| it.to_string()).unwrap_or_default()),
            );
        }
        Err(error) => tracing::debug!(job = job.name_any(), "no result yet: {error}"),
    }
    Ok(seen)
}

/// A result that nothing can be done with is not acknowledged, so that the Job fails and another one is made.
fn useless(context: &Context, job: &Job, why: &str) -> Note {
    remember(context, job, why.to_owned());
    let message = format!("what was measured on {} cannot be used: {why}", node_of(job));
    Note { reason: "MeasurementFailed", message }
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
    let key = Key::new(&namespace, reference.name.as_str());
    let there = context.caches.config_maps.get(&key);
    match there.is_some_and(|there| there.is_owned_by(model.uid().as_deref())) {
        // Somebody has changed what was brought.
        true => context.cluster.apply(&api, &config_map).await?,
        false => context.cluster.apply_unless_taken(&api, &config_map).await?,
    };
    context.tables.forget(&key);
    // The table of before.
    let before = model.status.as_ref().and_then(|status| status.exit_table_ref.as_ref());
    let before = before.filter(|before| before.name != reference.name);
    let old = before.and_then(|before| context.caches.config_maps.get(&Key::new(&namespace, before.name.as_str())));
    if let Some(old) = old.filter(|old| old.is_owned_by(model.uid().as_deref())) {
        context.cluster.delete_known(&api, &old).await?;
    }
    Ok(())
}

pub(super) fn pods_of(context: &Context, job: &Job) -> Vec<Arc<Pod>> {
    let name = job.name_any();
    let mut pods = context.caches.pods.within(&job.namespace().unwrap_or_default());
    pods.retain(|pod| pod.workload.as_deref() == Some(&name));
    pods
}
