//! Consecutive segments of a network, optimised and ready to be run by workers.

use super::error::{ModelError, Refusal, RunError};
use super::graph::Graph;
use super::network::Network;
use super::partition::{Head, Segment};
use super::run::{Features, Worker};
use domain::{Confidence, ExitOutput, FragmentRange};
use std::path::PathBuf;
use std::sync::Arc;
use tract_onnx::prelude::*;

/// Plans for some segments and their heads. Shared by all workers; each worker owns the state of its runs.
#[derive(Debug)]
pub struct Fragment {
    file: PathBuf,
    range: FragmentRange,
    pub(super) segments: Vec<SegmentPlan>,
    pub(super) confidence: Confidence,
    pub(super) exits_of_model: usize,
    exits: Vec<usize>,
    classes: usize,
    /// Shapes with the batch axis.
    input: Vec<usize>,
    output: Option<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct SegmentPlan {
    pub(super) plan: Arc<TypedRunnableModel>,
    pub(super) heads: Vec<HeadPlan>,
    /// Whether a head reads the tensor that the segment starts from.
    pub(super) taps_start: bool,
    /// The last exit of the model, when this segment computes it.
    pub(super) last_exit: Option<(usize, ExitOutput)>,
}

#[derive(Debug)]
pub(super) struct HeadPlan {
    pub(super) exit: usize,
    pub(super) output: ExitOutput,
    pub(super) taps: Vec<Tap>,
    /// `None` when the exit is a tensor of the backbone itself.
    pub(super) plan: Option<Arc<TypedRunnableModel>>,
}

/// Where a head finds a tensor it starts from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tap {
    /// What the segment started from.
    Start,
    /// An output of the segment's plan; the first is what the segment ends with.
    Output(usize),
}

impl Fragment {
    pub(super) fn new(network: &Network, range: FragmentRange) -> Result<Self, Refusal> {
        let parts = &network.segments[range.first..=range.last];
        let plan = |(at, part)| SegmentPlan::new(network, range.first + at, part);
        let plans: TractResult<Vec<SegmentPlan>> = parts.iter().enumerate().map(plan).collect();
        let shape = |outlet| network.graph.float_shape(outlet).expect("checked when it was cut").to_vec();
        let is_last = range.last + 1 == network.segments.len();
        let last_exit = is_last.then(|| network.model.exits.len() - 1);
        Ok(Self {
            file: network.file.clone(),
            range,
            segments: plans.map_err(Refusal::engine("prepare the fragment"))?,
            confidence: network.model.confidence,
            exits_of_model: network.model.exits.len(),
            exits: parts.iter().flat_map(|part| part.heads.iter().map(|head| head.exit)).chain(last_exit).collect(),
            classes: network.classes(),
            input: shape(parts[0].start),
            output: (!is_last).then(|| shape(parts[parts.len() - 1].end)),
        })
    }

    /// The segments in it.
    pub fn range(&self) -> FragmentRange {
        self.range
    }

    /// Exits evaluated in it, in order.
    pub fn exits(&self) -> &[usize] {
        &self.exits
    }

    /// Whether the last exit is in it, so that every job ends here.
    pub fn is_last(&self) -> bool {
        self.output.is_none()
    }

    /// Number of classes at every exit.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Shape of the tensor it takes, with the batch axis.
    pub fn input_shape(&self) -> &[usize] {
        &self.input
    }

    /// Number of values it takes; four bytes each.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Shape of the tensor it hands on, with the batch axis; `None` for the last fragment.
    pub fn output_shape(&self) -> Option<&[usize]> {
        self.output.as_deref()
    }

    /// Number of values it hands on; `None` for the last fragment.
    pub fn output_len(&self) -> Option<usize> {
        self.output.as_ref().map(|shape| shape.iter().product())
    }

    /// What it takes, from the little-endian bytes of a request or of the fragment before. Copies them once.
    pub fn input_from_le_bytes(&self, bytes: &[u8]) -> Result<Features, RunError> {
        Features::from_le_bytes(&self.input, bytes)
    }

    /// What it takes, from values.
    pub fn input_from_values(&self, values: &[f32]) -> Result<Features, RunError> {
        Features::from_values(&self.input, values)
    }

    /// A worker with a state of its own.
    pub fn worker(self: &Arc<Self>) -> Result<Worker, ModelError> {
        let prepare = Refusal::engine("prepare a worker");
        Worker::new(Arc::clone(self)).map_err(|error| prepare(error).of_file(&self.file))
    }
}

impl SegmentPlan {
    fn new(network: &Network, number: usize, part: &Segment) -> TractResult<Self> {
        let outputs = segment_outputs(part);
        let plan = network.graph.extract(&[part.start], &outputs)?.into_optimized()?.into_runnable()?;
        let head = |head: &Head| HeadPlan::new(network, part, &outputs, head);
        let heads: Vec<HeadPlan> = part.heads.iter().map(head).collect::<TractResult<_>>()?;
        let last = network.model.exits.len() - 1;
        Ok(Self {
            plan,
            taps_start: heads.iter().any(|head| head.taps.iter().any(|tap| matches!(tap, Tap::Start))),
            heads,
            last_exit: (number + 1 == network.segments.len()).then(|| (last, network.model.exits[last].output)),
        })
    }
}

impl HeadPlan {
    fn new(network: &Network, part: &Segment, outputs: &[OutletId], head: &Head) -> TractResult<Self> {
        let tap = |tap: &OutletId| match outputs.iter().position(|output| output == tap) {
            Some(output) => Tap::Output(output),
            None => Tap::Start,
        };
        debug_assert!(head.taps.iter().all(|tap| outputs.contains(tap) || *tap == part.start));
        Ok(Self {
            exit: head.exit,
            output: network.model.exits[head.exit].output,
            taps: head.taps.iter().map(tap).collect(),
            plan: head_part(&network.graph, head)?.map(|part| part.into_optimized()?.into_runnable()).transpose()?,
        })
    }
}

/// What a segment computes: its end, then the taps of its heads that it does not start from.
pub(super) fn segment_outputs(part: &Segment) -> Vec<OutletId> {
    let mut outputs = vec![part.end];
    for tap in part.heads.iter().flat_map(|head| &head.taps) {
        if *tap != part.start && !outputs.contains(tap) {
            outputs.push(*tap);
        }
    }
    outputs
}

/// The nodes of a head; `None` when the exit lies on the backbone.
pub(super) fn head_part(graph: &Graph, head: &Head) -> TractResult<Option<TypedModel>> {
    if head.taps == [head.tensor] { Ok(None) } else { graph.extract(&head.taps, &[head.tensor]).map(Some) }
}
