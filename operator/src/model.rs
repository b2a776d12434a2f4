//! Models: whether services can be planned with them, and what is known of them.

use crate::cache::Key;
use crate::conditions::{Finding, conditions};
use crate::controller::Failure;
use crate::service::build::delivery;
use crate::{Context, clock};
use api::EENNModel;
use api::status::EENNModelStatus;

/// Brings the status of a model up to date.
pub async fn reconcile(context: &Context, key: &Key) -> Result<(), Failure> {
    let Some(model) = context.caches.models.get(key) else { return Ok(()) };
    let there = |name: &str| context.caches.config_maps.get(&Key::new(&key.namespace, name)).is_some();
    let status = status(&model, there, &clock::timestamp());
    if model.status.as_ref() != Some(&status) {
        context.cluster.set_status(&context.cluster.api::<EENNModel>(&key.namespace), &*model, &status).await?;
    }
    Ok(())
}

/// The status of a model. `there`: whether a ConfigMap exists beside it. Pure.
pub fn status(model: &EENNModel, there: impl Fn(&str) -> bool, now: &str) -> EENNModelStatus {
    let generation = model.metadata.generation.unwrap_or_default();
    let before = model.status.clone().unwrap_or_default();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let findings = findings(model, &there);
    EENNModelStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &findings, generation, now),
        exit_count: number(model.spec.exits.len()),
        segment_count: number(model.spec.cuts.len() + 1),
        ..before
    }
}

fn findings(model: &EENNModel, there: &impl Fn(&str) -> bool) -> Vec<Finding> {
    let accepted = match delivery::check(&model.spec.artifact) {
        Ok(()) => Finding::holds("Accepted", "Accepted", "the spec makes sense"),
        Err(problem) => Finding::fails("Accepted", "ArtifactNotReachable", problem),
    };
    let ready = match accepted.is_true() {
        true => ready(model, there),
        false => Finding::fails("Ready", accepted.reason, accepted.message.clone()),
    };
    vec![accepted, ready]
}

/// Whether all is known that planning needs.
fn ready(model: &EENNModel, there: &impl Fn(&str) -> bool) -> Finding {
    let spec = &model.spec;
    if spec.profile.is_none() {
        let message = "spec.profile is missing: service times are needed to plan; `eenn model profile --output manifest` measures them";
        return Finding::fails("Ready", "NotProfiled", message);
    }
    if let Some(cut) = spec.cuts.iter().find(|cut| cut.bytes.is_none()) {
        let message = format!(
            "spec.cuts: {:?} has no bytes; `eenn model inspect --output manifest` prints them",
            cut.tensor.as_str()
        );
        return Finding::fails("Ready", "NotInspected", message);
    }
    let Some(table) = &spec.exit_table else {
        let message =
            "spec.exitTable is missing: it says what exits are worth; `eenn model profile --exit-table` makes one";
        return Finding::fails("Ready", "NoExitTable", message);
    };
    match table.config_map() {
        None => {
            let message = format!(
                "spec.exitTable.uri is {:?}; put the table into a ConfigMap and name it: configmap://NAME/KEY",
                table.uri.as_str()
            );
            Finding::fails("Ready", "ExitTableNotReachable", message)
        }
        Some((name, _)) if !there(name) => {
            let message = format!("there is no ConfigMap {name:?}, which spec.exitTable.uri names");
            Finding::fails("Ready", "ExitTableNotFound", message)
        }
        Some(_) => Finding::holds("Ready", "Ready", "services can be planned with it"),
    }
}
