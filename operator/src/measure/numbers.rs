//! What a Job has found out, as the status of its model. Pure.

use super::known;
use super::known::Missing;
use crate::service::labels;
use api::status::{EENNModelStatus, ExitStatus, MeasuredStatus, SegmentStatus};
use api::{Decimal, EENNModel, Profile, Ratio, ServiceTime};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ExitTable;
use kube::ResourceExt;
use std::path::Path;
use wire::document::TimeDocument;
use wire::measurement::{ExitTableMeasurement, MeasurementDocument};

/// Places behind the point of microseconds and of squared coefficients of variation.
const PLACES: usize = 4;
/// Longest text about a machine or a table.
const LONGEST: usize = 256;

/// A result that has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The status with it.
    pub status: EENNModelStatus,
    /// The exit table for a ConfigMap, if one was asked for.
    pub table: Option<Vec<u8>>,
}

/// What a document comes to that the pod of `job` has served; or why it cannot be the answer to what was asked.
pub fn numbers(
    model: &EENNModel,
    missing: Missing,
    job: &impl ResourceExt,
    document: &MeasurementDocument,
    now: &str,
) -> Result<Numbers, String> {
    let spec = &model.spec;
    if let Some(wanted) = spec.artifact.sha256.as_ref().filter(|wanted| wanted.as_str() != document.sha256) {
        return Err(format!("the file that was measured has SHA-256 {}, not {wanted}", document.sha256));
    }
    let fits = document.segments.len() == spec.cuts.len() + 1
        && document.exits.len() == spec.exits.len()
        && document.exits.iter().zip(&spec.exits).all(|(found, exit)| found.name == exit.name.as_str());
    if !fits {
        return Err("the exits and segments that were measured are not those of the model".to_owned());
    }
    let mut status = model.status.clone().unwrap_or_default();
    if status.measured.as_ref().is_none_or(|before| before.of != known::what(spec)) {
        // Numbers of another file.
        (status.profile, status.accuracy, status.exits) = (None, None, vec![]);
    }
    let measured = measured(spec, job, document, now)?;
    let speed: f64 = measured.speed_factor.get();
    status.segments = document.segments.iter().map(segment).collect();
    let accuracies: Vec<Option<Ratio>> = status.exits.iter().map(|exit| exit.accuracy.clone()).collect();
    let exits = document.exits.iter().zip(&spec.exits).enumerate().map(|(index, (found, exit))| ExitStatus {
        name: exit.name.clone(),
        accuracy: accuracies.get(index).cloned().flatten(),
        segment: i32::try_from(found.segment).ok(),
    });
    status.exits = exits.collect();
    if missing.times {
        status.profile = Some(profile(spec, document, &measured, speed)?);
    }
    status.measured = Some(measured);
    let table = match (missing.table, &document.exit_table) {
        (false, _) => None,
        (true, None) => return Err("it brought no exit table along".to_owned()),
        (true, Some(found)) => Some(table(model, &mut status, found)?),
    };
    Ok(Numbers { status, table })
}

fn measured(
    spec: &api::EENNModelSpec,
    job: &impl ResourceExt,
    document: &MeasurementDocument,
    now: &str,
) -> Result<MeasuredStatus, String> {
    let said = |key: &str| job.annotations().get(key).map(String::as_str).unwrap_or_default();
    let unreadable = |what: &str| format!("the Job does not say on which {what} it ran");
    Ok(MeasuredStatus {
        of: known::what(spec),
        node: said(labels::NODE).parse().map_err(|_| unreadable("node"))?,
        class: said(labels::CLASS).parse().map_err(|_| unreadable("class"))?,
        speed_factor: said(labels::SPEED).parse().map_err(|_| unreadable("class"))?,
        machine: document.machine.chars().take(LONGEST).collect(),
        measured_time: now.to_owned(),
    })
}

fn segment(found: &wire::measurement::SegmentMeasurement) -> SegmentStatus {
    // What the schema takes.
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX).min((1 << 53) - 1);
    SegmentStatus {
        macs: number(found.macs),
        weight_bytes: number(found.weight_bytes),
        activation_bytes: number(found.forward_bytes),
    }
}

/// Times of the machine of the profile: one of speed 1.
fn profile(
    spec: &api::EENNModelSpec,
    document: &MeasurementDocument,
    measured: &MeasuredStatus,
    speed: f64,
) -> Result<Profile, String> {
    let found = document.profile.as_ref().ok_or("it measured no times")?;
    if found.segments.len() != spec.cuts.len() + 1 || found.heads.len() != spec.exits.len() {
        return Err("the times that were measured are not those of the model's segments and exits".to_owned());
    }
    let time = |time: &TimeDocument| {
        let mean = Decimal::rounded(time.mean_microseconds * speed, PLACES);
        let scv = Decimal::rounded(time.scv, PLACES);
        let unreal = || format!("{} µs with scv {} is no time", time.mean_microseconds, time.scv);
        Ok(ServiceTime { mean_microseconds: mean.ok_or_else(unreal)?, scv: scv.ok_or_else(unreal)? })
    };
    let times = |all: &[TimeDocument]| all.iter().map(time).collect::<Result<Vec<_>, String>>();
    let machine = match speed {
        1.0 => format!("{} on {}", measured.machine, measured.node),
        _ => format!("as if of speed 1: {} on {}, times {}", measured.machine, measured.node, measured.speed_factor),
    };
    Ok(Profile {
        machine: Some(machine.chars().take(LONGEST).collect()),
        segments: times(&found.segments)?,
        heads: times(&found.heads)?,
    })
}

/// The bytes of a table that can be planned with.
fn table(model: &EENNModel, status: &mut EENNModelStatus, found: &ExitTableMeasurement) -> Result<Vec<u8>, String> {
    let wanted = known::elsewhere(&model.spec).and_then(|table| table.sha256.as_ref());
    if let Some(wanted) = wanted.filter(|wanted| wanted.as_str() != found.sha256) {
        return Err(format!("the exit table has SHA-256 {}, not {wanted}", found.sha256));
    }
    let bytes = STANDARD.decode(&found.file).map_err(|error| format!("the exit table is no base64: {error}"))?;
    let (table, _) = api::exit_table::parse(Path::new("the exit table"), &bytes).map_err(|error| error.to_string())?;
    if table.exits() != model.spec.exits.len() {
        let (has, wants) = (table.exits(), model.spec.exits.len());
        return Err(format!("the exit table is of {has} exits, the model has {wants}"));
    }
    accuracies(status, &table);
    let name = known::table_name(model).and_then(|name| name.parse().ok());
    status.exit_table_ref = name.map(|name| api::ObjectReference { name });
    let rounded = match found.largest_error {
        0.0 => "as it is".to_owned(),
        error => format!("confidences rounded to 16 bits, by at most {error:.1e}"),
    };
    let text = format!("{} of {} samples, {rounded}", found.samples, found.samples_of_file);
    status.exit_table = Some(text.chars().take(LONGEST).collect());
    Ok(bytes)
}

fn accuracies(status: &mut EENNModelStatus, table: &ExitTable) {
    for (index, exit) in status.exits.iter_mut().enumerate() {
        exit.accuracy = Ratio::rounded(table.accuracy(index), PLACES);
    }
    status.accuracy = status.exits.last().and_then(|exit| exit.accuracy.clone());
}
