//! What is known of models and device classes: what their specs say, and where these say nothing, what was measured.

use crate::cluster::{hash, short};
use api::status::EENNModelStatus;
use api::{Artifact, DevicePool, DevicePoolSpec, EENNModel, EENNModelSpec};
use kube_core::ResourceExt;

/// The key of exit tables in the ConfigMaps that operators make.
pub const TABLE: &str = "exit-table.safetensors";

/// A model with what was measured in the places where its spec says nothing, and with the exit table where it was brought.
pub fn model(model: &EENNModel) -> EENNModel {
    let mut known = model.clone();
    let spec = &mut known.spec;
    if let Some(status) = numbers(model) {
        spec.profile = spec.profile.take().or_else(|| status.profile.clone());
        for (cut, segment) in spec.cuts.iter_mut().zip(&status.segments) {
            cut.bytes = cut.bytes.or(Some(segment.activation_bytes).filter(|bytes| *bytes > 0));
        }
        for (exit, found) in spec.exits.iter_mut().zip(&status.exits) {
            exit.segment = exit.segment.or(found.segment);
        }
    }
    if let (Some(name), Some(table)) = (brought(model), &mut spec.exit_table)
        && let Ok(uri) = format!("configmap://{name}/{TABLE}").parse()
    {
        *table = Artifact { uri, sha256: None, credentials_secret_ref: None, ..table.clone() };
    }
    known
}

/// A pool with the speeds that were measured, of classes whose spec has none.
pub fn pool(pool: &DevicePool) -> DevicePoolSpec {
    let mut spec = pool.spec.clone();
    let measured = pool.status.as_ref().map(|status| &status.classes[..]).unwrap_or_default();
    for class in spec.classes.iter_mut().filter(|class| class.speed_factor.is_none()) {
        let found = measured.iter().find(|found| found.name == class.name);
        class.speed_factor = found.and_then(|found| found.speed_factor.as_str().parse().ok());
    }
    spec
}

/// Differs where a model is another one, so that what was measured of it does not hold any more.
pub fn what(spec: &EENNModelSpec) -> String {
    let exits: Vec<_> = spec.exits.iter().map(|exit| (&exit.name, &exit.tensor, exit.output)).collect();
    let cuts: Vec<_> = spec.cuts.iter().map(|cut| &cut.tensor).collect();
    let file = (&spec.artifact.uri, &spec.artifact.sha256);
    hash_of(&(file, &spec.input, exits, cuts, spec.confidence))
}

/// An exit table that is in no ConfigMap of the user's.
pub fn elsewhere(spec: &EENNModelSpec) -> Option<&Artifact> {
    spec.exit_table.as_ref().filter(|table| table.config_map().is_none())
}

/// The ConfigMap that such a table is brought into. Another table, or another model, has another one.
pub fn table_name(model: &EENNModel) -> Option<String> {
    let table = elsewhere(&model.spec)?;
    let hash = hash_of(&(what(&model.spec), &table.uri, &table.sha256));
    Some(format!("{}-exit-table-{hash}", short(&model.name_any())))
}

/// The ConfigMap that the exit table was brought into.
pub fn brought(model: &EENNModel) -> Option<String> {
    let name = table_name(model)?;
    let there = model.status.as_ref()?.exit_table_ref.as_ref()?;
    (there.name.as_str() == name).then_some(name)
}

/// The status of a model, if its numbers are about what the spec says now.
fn numbers(model: &EENNModel) -> Option<&EENNModelStatus> {
    let status = model.status.as_ref()?;
    let of = &status.measured.as_ref()?.of;
    (*of == what(&model.spec)).then_some(status)
}

fn hash_of(content: &impl serde::Serialize) -> String {
    hash(serde_json::to_string(content).unwrap_or_default().as_bytes())
}
