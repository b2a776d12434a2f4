//! What is known of models: which exits hang where, how large tensors are, how long segments take, and what exits say about
//! samples.

use crate::{Deployment, Refused, ServicePlan};
use api::{EENNModelSpec, ResolvedModel, ResolvedScheduler};
use domain::ExitTable;
use domain::problem::{Model, Samples};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Models that are served, by name.
#[derive(Debug, Clone, Default)]
pub struct Models(BTreeMap<String, Arc<Model>>);

impl FromIterator<Model> for Models {
    fn from_iter<I: IntoIterator<Item = Model>>(models: I) -> Self {
        Self(models.into_iter().map(|model| (model.name.clone(), Arc::new(model))).collect())
    }
}

impl FromIterator<(String, Arc<Model>)> for Models {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Model>)>>(models: I) -> Self {
        Self(models.into_iter().collect())
    }
}

impl Models {
    /// A model that is served.
    ///
    /// # Panics
    /// If it is not there.
    pub fn get(&self, name: &str) -> Arc<Model> {
        Arc::clone(&self.0[name])
    }
}

/// Which samples of an exit table judge a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Those that did not choose it: every other one.
    Others,
    /// All of them: nothing has been chosen by any.
    All,
}

impl Judge {
    /// What judges the policies of a deployment fairly.
    pub fn of(deployment: &Deployment) -> Self {
        let given = |service: &ServicePlan| matches!(service.resolved.scheduler, ResolvedScheduler::Given(_));
        if deployment.services.iter().all(given) { Self::All } else { Self::Others }
    }

    /// Samples to choose by, and samples to judge by. A table of one row has no others.
    fn split(self, table: ExitTable) -> (Arc<Samples>, Arc<Samples>) {
        if let (Self::Others, Some((choose, judge))) = (self, table.halves()) {
            return (Arc::new(Samples::new(choose)), Arc::new(Samples::new(judge)));
        }
        let all = Arc::new(Samples::new(table));
        (Arc::clone(&all), all)
    }
}

/// What a model looks like from outside: local mode takes it from the file, clusters from the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The segment behind which each exit hangs, from 0.
    pub exit_segments: Vec<usize>,
    /// Bytes of the tensor in front of each segment, and 0 behind the last.
    pub tensor_bytes: Vec<u64>,
}

/// A petabyte: more than any memory, and few enough to be added up.
const HUGE: u64 = 1 << 50;

impl Outline {
    /// As a manifest says it. A cut of unknown size counts as larger than any memory, so nobody splits there.
    ///
    /// # Errors
    /// Exits that hang nobody knows where, or in the wrong order.
    pub fn from_manifest(spec: &EENNModelSpec) -> Result<Self, Refused> {
        let segments = spec.cuts.len() + 1;
        let exit = |(index, exit): (usize, &api::Exit)| match exit.segment {
            Some(segment) => Ok(segment.unsigned_abs() as usize - 1),
            None if spec.exits.len() == segments => Ok(index),
            None => Err(Refused(format!(
                "spec.exits[{index}].segment is missing: the model has {} exits and {segments} segments; \
                 `eenn model inspect FILE --output manifest` prints it",
                spec.exits.len()
            ))),
        };
        let exit_segments = spec.exits.iter().enumerate().map(exit).collect::<Result<Vec<_>, _>>()?;
        check_order(&exit_segments, segments)?;
        let axes = spec.input.shape.iter().map(|&axis| u64::from(axis.unsigned_abs()));
        let input = axes.fold(size_of::<f32>() as u64, u64::saturating_mul).min(HUGE);
        let cuts = spec.cuts.iter().map(|cut| cut.bytes.map_or(HUGE, i64::unsigned_abs));
        Ok(Self { exit_segments, tensor_bytes: std::iter::once(input).chain(cuts).chain([0]).collect() })
    }
}

fn check_order(exit_segments: &[usize], segments: usize) -> Result<(), Refused> {
    if let Some(at) = exit_segments.windows(2).position(|pair| pair[0] > pair[1]) {
        let (before, after) = (exit_segments[at] + 1, exit_segments[at + 1] + 1);
        let message = format!("spec.exits[{}].segment is {after}; the exit before is on {before}", at + 1);
        return Err(Refused(message));
    }
    match exit_segments.last() {
        Some(last) if last + 1 != segments => {
            let (index, last) = (exit_segments.len() - 1, last + 1);
            Err(Refused(format!(
                "spec.exits[{index}].segment is {last}; the last exit is on segment {segments}, the last"
            )))
        }
        _ => Ok(()),
    }
}

/// A model as it is planned with. `varies`: whether service times do; those of emulated devices do not.
///
/// # Errors
/// What is not known, or does not fit together.
pub fn model(
    resolved: &ResolvedModel,
    outline: Outline,
    table: ExitTable,
    judge: Judge,
    varies: bool,
) -> Result<Model, Refused> {
    let name = &resolved.model.name;
    let times = resolved.profile.clone();
    let times = times.ok_or_else(|| Refused(format!("model {name:?} has no profile, and so no service times")))?;
    let exits = resolved.model.exits.len();
    if table.exits() != exits {
        let message = format!("the exit table of model {name:?} has {} exits, the model {exits}", table.exits());
        return Err(Refused(message));
    }
    let (choose, judge) = judge.split(table);
    let Outline { exit_segments, tensor_bytes } = outline;
    Ok(Model { name: name.clone(), exit_segments, tensor_bytes, times, varies, choose, judge })
}
