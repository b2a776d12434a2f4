//! Running a fragment for one job: segments in order, open heads after each, until a job leaves.

use super::error::RunError;
use super::fragment::{Fragment, HeadPlan, Tap};
use domain::{ExitOutput, Softmax, Thresholds};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_onnx::prelude::*;

// Tensors go over the wire as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "only little-endian machines are served");

/// The tensor of one sample at the start of a fragment or at a cut.
#[derive(Debug, Clone)]
pub struct Features(TValue);

impl Features {
    pub(super) fn from_le_bytes(shape: &[usize], bytes: &[u8]) -> Result<Self, RunError> {
        let want: usize = shape.iter().product();
        if bytes.len() != want * size_of::<f32>() {
            return Err(RunError::Length { want, given: bytes.len() / size_of::<f32>() });
        }
        let mut tensor = Tensor::zero::<f32>(shape).map_err(|error| RunError::compute(&error))?;
        tensor.as_plain_ram_mut().expect("a new tensor lies in memory").as_bytes_mut().copy_from_slice(bytes);
        Ok(Self(tensor.into_tvalue()))
    }

    pub(super) fn from_values(shape: &[usize], values: &[f32]) -> Result<Self, RunError> {
        let want = shape.iter().product();
        if values.len() != want {
            return Err(RunError::Length { want, given: values.len() });
        }
        let tensor = Tensor::from_shape(shape, values).map_err(|error| RunError::compute(&error))?;
        Ok(Self(tensor.into_tvalue()))
    }

    /// The values as little-endian bytes, as they go over the wire. Nothing is copied.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_plain_ram().expect("features are f32 in memory").as_bytes()
    }

    /// The values.
    pub fn values(&self) -> &[f32] {
        plain(&self.0).expect("features are f32 in memory")
    }
}

/// What a run of a fragment gave.
#[derive(Debug)]
pub struct Run {
    /// Exits evaluated, in order. The deepest one answers a job that overflows at the next fragment.
    pub evaluated: Vec<Evaluated>,
    /// Time of each segment that was run, without heads. The last exit is part of the last segment.
    pub segment_times: Vec<Duration>,
    /// Position in `evaluated` of the first exit at which the job leaves; `None` when it goes on.
    pub left: Option<usize>,
    /// What the next fragment takes: there when the job goes on, or when all was to be evaluated, but never after the
    /// last segment.
    pub forward: Option<Features>,
}

/// One exit that was evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Number of the exit in the model, from 0.
    pub exit: usize,
    /// Probabilities, class and confidence.
    pub softmax: Softmax,
    /// Time of the head and of reading its scores; zero for the last exit, which is part of the last segment.
    pub head_time: Duration,
}

impl Run {
    /// The exit that answers the job, when it leaves here.
    pub fn answer(&self) -> Option<&Evaluated> {
        self.left.map(|position| &self.evaluated[position])
    }
}

/// Runs a fragment, one job at a time, in memory of its own.
///
/// A worker that returned [`RunError::Compute`], or in which a run panicked, may hold half of a job: replace it by its
/// [`Worker::respawn`].
#[derive(Debug)]
pub struct Worker {
    fragment: Arc<Fragment>,
    segments: Vec<SegmentState>,
}

#[derive(Debug)]
struct SegmentState {
    backbone: TypedSimpleState,
    heads: Vec<Option<TypedSimpleState>>,
}

impl Worker {
    pub(super) fn new(fragment: Arc<Fragment>) -> TractResult<Self> {
        let spawn = |head: &HeadPlan| head.plan.as_ref().map(|plan| plan.spawn()).transpose();
        let segments = fragment.segments.iter().map(|segment| {
            let heads = segment.heads.iter().map(spawn).collect::<TractResult<_>>()?;
            Ok(SegmentState { backbone: segment.plan.spawn()?, heads })
        });
        let segments = segments.collect::<TractResult<_>>()?;
        Ok(Self { fragment, segments })
    }

    /// What this worker runs.
    pub fn fragment(&self) -> &Arc<Fragment> {
        &self.fragment
    }

    /// A fresh worker for the same fragment.
    pub fn respawn(&self) -> Result<Self, RunError> {
        Self::new(Arc::clone(&self.fragment)).map_err(|error| RunError::compute(&error))
    }

    /// Runs one job until it leaves or the fragment ends.
    ///
    /// Only open heads are computed. With `evaluate_all`, for audit jobs and exit tables, closed ones are computed too
    /// and the run goes on to the end of the fragment; `left` still tells where the job leaves.
    pub fn run(&mut self, input: Features, thresholds: &Thresholds, evaluate_all: bool) -> Result<Run, RunError> {
        let mut pass = Pass::new(&self.fragment, &input, thresholds, evaluate_all)?;
        let mut current = input.0;
        for (plan, state) in self.fragment.segments.iter().zip(&mut self.segments) {
            let started = Instant::now();
            // A tensor with one owner may be overwritten by the engine, so it is shared only where a head reads it.
            let start = plan.taps_start.then(|| current.clone());
            let mut outputs = state.backbone.run(tvec!(current)).map_err(|error| RunError::compute(&error))?;
            pass.run.segment_times.push(started.elapsed());
            for (head, state) in plan.heads.iter().zip(&mut state.heads) {
                pass.head(head, state.as_mut(), start.as_ref(), &outputs)?;
                if pass.is_over() {
                    return Ok(pass.run);
                }
            }
            if let Some((exit, output)) = plan.last_exit {
                let softmax = pass.read(&outputs[0], exit, output)?;
                pass.record(Evaluated { exit, softmax, head_time: Duration::ZERO });
                return Ok(pass.run);
            }
            current = outputs.swap_remove(0);
        }
        pass.run.forward = Some(Features(current));
        Ok(pass.run)
    }
}

/// One run on its way.
struct Pass<'a> {
    fragment: &'a Fragment,
    thresholds: &'a Thresholds,
    evaluate_all: bool,
    run: Run,
}

impl<'a> Pass<'a> {
    fn new(
        fragment: &'a Fragment,
        input: &Features,
        thresholds: &'a Thresholds,
        evaluate_all: bool,
    ) -> Result<Self, RunError> {
        if thresholds.exits() != fragment.exits_of_model {
            return Err(RunError::Thresholds { want: fragment.exits_of_model, given: thresholds.exits() });
        }
        if input.0.shape() != fragment.input_shape() {
            return Err(RunError::Length { want: fragment.input_len(), given: input.0.len() });
        }
        if !is_finite(plain(&input.0).map_err(|error| RunError::compute(&error))?) {
            return Err(RunError::NotFinite { exit: None });
        }
        let run = Run {
            evaluated: Vec::with_capacity(fragment.exits().len()),
            segment_times: Vec::with_capacity(fragment.segments.len()),
            left: None,
            forward: None,
        };
        Ok(Self { fragment, thresholds, evaluate_all, run })
    }

    fn is_over(&self) -> bool {
        self.run.left.is_some() && !self.evaluate_all
    }

    /// Computes a head, if it is open.
    fn head(
        &mut self,
        head: &HeadPlan,
        state: Option<&mut TypedSimpleState>,
        start: Option<&TValue>,
        outputs: &TVec<TValue>,
    ) -> Result<(), RunError> {
        if !self.evaluate_all && !self.thresholds.is_open(head.exit) {
            return Ok(());
        }
        let started = Instant::now();
        let tapped = |tap: &Tap| match *tap {
            Tap::Start => start.expect("kept because a head taps it").clone(),
            Tap::Output(output) => outputs[output].clone(),
        };
        let mut tensors: TVec<TValue> = head.taps.iter().map(tapped).collect();
        if let Some(state) = state {
            tensors = state.run(tensors).map_err(|error| RunError::compute(&error))?;
        }
        let softmax = self.read(&tensors[0], head.exit, head.output)?;
        self.record(Evaluated { exit: head.exit, softmax, head_time: started.elapsed() });
        Ok(())
    }

    fn read(&self, scores: &TValue, exit: usize, output: ExitOutput) -> Result<Softmax, RunError> {
        let scores = plain(scores).map_err(|error| RunError::compute(&error))?;
        self.fragment.confidence.read(scores, output).ok_or(RunError::NotFinite { exit: Some(exit) })
    }

    fn record(&mut self, evaluated: Evaluated) {
        if self.run.left.is_none() && self.thresholds.leaves(evaluated.exit, evaluated.softmax.confidence) {
            self.run.left = Some(self.run.evaluated.len());
        }
        self.run.evaluated.push(evaluated);
    }
}

/// Finite values are those whose exponent is not all ones. Without an early end the loop is vectorised.
fn is_finite(values: &[f32]) -> bool {
    let infinity = f32::INFINITY.to_bits();
    values.iter().fold(true, |finite, value| finite & (value.to_bits() & infinity != infinity))
}

fn plain(tensor: &TValue) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_and_nan_are_told_from_large_values() {
        assert!(is_finite(&[0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE]));
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!is_finite(&[0.0, bad, 1.0]), "{bad}");
        }
    }
}
