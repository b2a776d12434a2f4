//! Early-exit models.

use super::document::{self, Work};
use super::error::{FormError, Place};
use super::names::Names;
use super::number::{at_least_one, at_most, not_negative};
use super::object::{Either, Object};
use crate::Model;
use domain::{ExitTable, ExitTableError, Seconds, ServiceTime, ServiceTimes};
use std::sync::Arc;

const MOST_SEGMENTS: usize = 256;
const MOST_EXITS: usize = 64;

/// The models, and how to find them.
#[derive(Debug)]
pub(super) struct Models {
    pub(super) all: Vec<Model>,
    pub(super) names: Names,
}

pub(super) fn models(list: &[Object<document::Model>], place: &Place<'_>) -> Result<Models, FormError> {
    let mut models = Models { all: Vec::with_capacity(list.len()), names: Names::new("model") };
    for (index, model) in list.iter().enumerate() {
        let place = place.index(index);
        let name = models.names.add(model.name.as_deref(), &format!("model {index}"), &place)?;
        let times = ServiceTimes {
            segments: times(&model.segments, MOST_SEGMENTS, "segment", &place.field("segments"))?,
            heads: times(&model.heads, MOST_EXITS, "head", &place.field("heads"))?,
        };
        models.all.push(Model {
            name,
            exit_segments: exit_segments(model, &place.field("exit_segments"))?,
            varies: model.varies.unwrap_or(true),
            table: Arc::new(table(&model.exit_table, times.heads.len(), &place.field("exit_table"))?),
            times,
        });
    }
    Ok(models)
}

fn times(
    list: &[Either<f64, Work>],
    most: usize,
    what: &str,
    place: &Place<'_>,
) -> Result<Vec<ServiceTime>, FormError> {
    at_least_one(list.len(), what, place)?;
    at_most(most, list.len(), "entries", place)?;
    let times = list.iter().enumerate().map(|(index, time)| {
        let place = place.index(index);
        let (mean, scv) = match time {
            Either::Plain(mean) => (not_negative(*mean, &place)?, 0.0),
            Either::Object(work) => (not_negative(work.mean, &place.field("mean"))?, work.scv.unwrap_or(0.0)),
        };
        if !(0.0..=1e6).contains(&scv) {
            return Err(place.field("scv").error(format!("must be from 0 to 1e6, not {scv:?}")));
        }
        let mean = Seconds::new(mean).map_err(|error| place.error(error.to_string()))?;
        Ok(ServiceTime { mean, scv: scv.abs() })
    });
    times.collect()
}

/// From 0.
fn exit_segments(model: &document::Model, place: &Place<'_>) -> Result<Vec<usize>, FormError> {
    let (segments, exits) = (model.segments.len(), model.heads.len());
    let Some(given) = &model.exit_segments else {
        if exits == segments {
            return Ok((0..exits).collect());
        }
        return Err(place.error(format!("is missing; the model has {exits} heads and {segments} segments")));
    };
    if given.len() != exits {
        return Err(place.error(format!("must be as many as heads, {exits}, but are {}", given.len())));
    }
    let mut last = 1;
    for (index, &segment) in given.iter().enumerate() {
        if segment < last || segment as usize > segments {
            let message = format!("must be from {last} to {segments}, not {segment}: exits are in order");
            return Err(place.index(index).error(message));
        }
        last = segment;
    }
    if last as usize != segments {
        return Err(place.index(exits - 1).error(format!("must be the last segment, {segments}, not {last}")));
    }
    Ok(given.iter().map(|&segment| segment as usize - 1).collect())
}

fn table(table: &document::ExitTable, exits: usize, place: &Place<'_>) -> Result<ExitTable, FormError> {
    let confidence = rows(&table.confidence, exits, table.confidence.len(), &place.field("confidence"))?;
    let samples = table.confidence.len();
    let (prediction, label) = match (&table.correct, &table.prediction, &table.label) {
        (Some(correct), None, None) => {
            let correct = rows(correct, exits, samples, &place.field("correct"))?;
            (correct.into_iter().map(|right| u16::from(!right)).collect(), vec![0; samples])
        }
        (None, Some(prediction), Some(label)) => {
            (rows(prediction, exits, samples, &place.field("prediction"))?, label.clone())
        }
        _ => return Err(place.error("needs either `correct`, or `prediction` and `label`")),
    };
    ExitTable::new(exits, confidence, prediction, label).map_err(|error| match error {
        ExitTableError::Confidence { sample, exit, value } => {
            let list = place.field("confidence");
            let row = list.index(sample);
            row.index(exit).error(format!("must be from 0 to 1, not {value}"))
        }
        ExitTableError::Length { .. } => place.field("label").error(format!("must be as many as samples, {samples}")),
        ExitTableError::Empty => place.field("confidence").error("must hold at least one sample"),
    })
}

/// Rows of `exits` values, one after the other.
fn rows<T: Copy>(rows: &[Vec<T>], exits: usize, samples: usize, place: &Place<'_>) -> Result<Vec<T>, FormError> {
    if rows.len() != samples {
        return Err(place.error(format!("must be as many rows as confidence, {samples}, but are {}", rows.len())));
    }
    if let Some(row) = rows.iter().position(|row| row.len() != exits) {
        let message = format!("must have one value per exit, {exits}, but has {}", rows[row].len());
        return Err(place.index(row).error(message));
    }
    Ok(rows.iter().flatten().copied().collect())
}
