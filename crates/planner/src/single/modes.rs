//! Modes from a model: what single exits and threshold vectors are worth, and how long they take on a server.
//!
//! The service time of a job that leaves at exit l is the sum of the segments and open heads up to l that the server
//! hosts. It is taken as gamma distributed with the mean and variance of that sum (constant where the model does not
//! vary): with two known moments any law is a guess, and the arrivals during a gamma time are cheap and exact. A mode
//! mixes these laws by the shares in which its jobs leave.
//!
//! Jobs that are audited take the time of all segments and heads, wherever they are answered.
//!
//! Jobs that leave before they reach a later fragment of a chain pass its server in no time: counted as a millionth of
//! the longest time, because a service takes some time.

use super::Mode;
use domain::problem::Model;
use domain::{ExitBehaviour, FragmentRange, Thresholds};
use queueing::{ArgumentError, Law, Service};

/// Part of a model on a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Server {
    /// Its segments.
    pub range: FragmentRange,
    /// Core seconds of the profiled machine per second; > 0.
    pub speed: f64,
    /// Seconds after each service in which it can do nothing, whatever the exit; they count as service.
    pub turnaround: f64,
    /// Share of jobs that go on to the last exit after their answer, past all heads.
    pub audit: f64,
}

/// By what answers are valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Share of right answers.
    Accuracy,
    /// Mean confidence, which needs no labels.
    Confidence,
}

impl Server {
    /// The whole model on a machine of this speed.
    pub fn whole(model: &Model, speed: f64) -> Self {
        Self { range: FragmentRange { first: 0, last: model.segments() - 1 }, speed, turnaround: 0.0, audit: 0.0 }
    }

    /// Mean and variance, in seconds, of what happens here between `exit` (from 0) and the exit before: segments, and
    /// the head.
    pub(super) fn steps(&self, model: &Model) -> Vec<Step> {
        let scale = |part: &domain::ServiceTime| {
            let mean = part.mean.get() / self.speed;
            (mean, if model.varies { part.scv * mean * mean } else { 0.0 })
        };
        let mut next = 0;
        let step = |(exit, &segment): (usize, &usize)| {
            let here = |segment: &usize| (self.range.first..=self.range.last).contains(segment);
            let segments = (next..=segment).filter(here).map(|segment| scale(&model.times.segments[segment]));
            let segments = segments.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let head = if here(&segment) { scale(&model.times.heads[exit]) } else { (0.0, 0.0) };
            next = segment + 1;
            Step { segments, head }
        };
        model.exit_segments.iter().enumerate().map(step).collect()
    }

    /// Seconds for a job that goes to the last exit, with all heads of before closed, and without the turnaround.
    pub(super) fn longest(&self, model: &Model) -> f64 {
        let steps = self.steps(model);
        let last = steps.last().map_or(0.0, |step| step.head.0);
        steps.iter().map(|step| step.segments.0).sum::<f64>() + last
    }

    /// The law of service under `thresholds` that do `behaviour`.
    ///
    /// # Errors
    /// Times that are none, such as a model whose times are all zero.
    pub fn service(
        &self,
        model: &Model,
        thresholds: &Thresholds,
        behaviour: &ExitBehaviour,
    ) -> Result<Service, ArgumentError> {
        service(self, &self.steps(model), thresholds, behaviour)
    }
}

/// (mean, variance) of segments and head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) segments: (f64, f64),
    pub(super) head: (f64, f64),
}

/// Share of the longest time that counts as none.
const NOTHING: f64 = 1e-6;
/// Shares below this are rounding of the sum to one, not jobs.
const NOBODY: f64 = 1e-12;

fn service(
    server: &Server,
    steps: &[Step],
    thresholds: &Thresholds,
    behaviour: &ExitBehaviour,
) -> Result<Service, ArgumentError> {
    let all = steps.iter().flat_map(|step| [step.segments, step.head]);
    let all = all.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let law = |(mean, variance): (f64, f64)| {
        let time = f64::max(mean, NOTHING * all.0) + server.turnaround;
        Law::gamma(time, variance / (time * time))
    };
    let (mut mean, mut variance) = (0.0, 0.0);
    let mut laws = vec![];
    let jobs: f64 = behaviour.share.iter().filter(|&&share| share > NOBODY).sum();
    for (exit, (step, &share)) in steps.iter().zip(&behaviour.share).enumerate() {
        let open = if thresholds.is_open(exit) { step.head } else { (0.0, 0.0) };
        mean += step.segments.0 + open.0;
        variance += step.segments.1 + open.1;
        if share > NOBODY {
            laws.push(((1.0 - server.audit) * share / jobs, law((mean, variance))?));
        }
    }
    if server.audit > 0.0 {
        laws.push((server.audit, law(all)?));
    }
    Service::new(laws)
}

/// One mode per exit: all jobs leave there, heads before it are closed.
///
/// # Errors
/// Times that are none.
pub fn exits(model: &Model, server: Server, worth: Worth) -> Result<Vec<Mode>, ArgumentError> {
    let all = (0..model.exits()).map(|exit| Thresholds::exit_at(model.exits(), exit));
    all.map(|thresholds| mode(model, server, worth, thresholds)).collect()
}

/// The mode of a threshold vector.
///
/// # Errors
/// Times that are none.
pub fn mode(model: &Model, server: Server, worth: Worth, thresholds: Thresholds) -> Result<Mode, ArgumentError> {
    let behaviour = model.choose.exits.evaluate(&thresholds);
    let value = worth.of(&behaviour);
    let service = server.service(model, &thresholds, &behaviour)?;
    Ok(Mode { thresholds, value, service })
}

impl Worth {
    /// The mean worth of an answer.
    pub fn of(self, behaviour: &ExitBehaviour) -> f64 {
        match self {
            Worth::Accuracy => behaviour.accuracy(),
            Worth::Confidence => behaviour.mean_confidence(),
        }
    }
}
