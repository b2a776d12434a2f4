//! A network as its file and its description say, before it is divided among fragments.

use super::error::{ModelError, Refusal, RunError};
use super::fragment::Fragment;
use super::graph::Graph;
use super::load::load;
use super::partition::{Segment, partition};
use super::proto::Proto;
use domain::{Confidence, Exit, ExitOutput, FragmentRange, Model};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tract_onnx::prelude::*;
use wire::document::{ConfidenceDocument, ExitOutputDocument, ModelDocument};

/// An early-exit network that has been read, checked and cut. It holds all weights; drop it once the fragments are
/// made.
#[derive(Debug)]
pub struct Network {
    pub(super) file: PathBuf,
    pub(super) model: Model,
    pub(super) graph: Graph,
    pub(super) segments: Vec<Segment>,
}

/// The whole network in one plan that computes every exit: the second road to what fragments compute.
#[derive(Debug)]
pub struct Whole {
    state: TypedSimpleState,
    shape: Vec<usize>,
}

impl Network {
    /// Reads an ONNX file and cuts it as `description` says. Weights in files beside it are found relative to it.
    pub fn load(path: &Path, description: &Model) -> Result<Arc<Self>, ModelError> {
        Self::read(path, description).map(Arc::new).map_err(|refusal| refusal.of_file(path))
    }

    fn read(path: &Path, description: &Model) -> Result<Self, Refusal> {
        let model = description.clone().new()?;
        let proto = Proto::read(path)?;
        check_names(&proto, &model)?;
        let exits = model.exits.iter().map(|exit| exit.tensor.clone());
        let targets: Vec<String> = exits.chain(model.cuts.iter().cloned()).collect();
        let graph = load(proto, path, &model.input, Some(&model.input_shape), &targets)?;
        Self::cut(path, model, graph)
    }

    pub(super) fn cut(path: &Path, model: Model, graph: Graph) -> Result<Self, Refusal> {
        let segments = partition(&graph, &model)?;
        Ok(Self { file: path.to_path_buf(), model, graph, segments })
    }

    /// The description it was read with.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Number of classes, the same at every exit.
    pub fn classes(&self) -> usize {
        let shape = self.graph.float_shape(self.segments[self.segments.len() - 1].end);
        shape.expect("checked when it was cut").iter().product()
    }

    /// Values of the tensor at the end of a segment; `None` for the last.
    pub fn forward_len(&self, segment: usize) -> Option<usize> {
        let end = self.segments[..self.segments.len() - 1].get(segment)?.end;
        Some(self.graph.float_shape(end).expect("checked when it was cut").iter().product())
    }

    /// The segment after which each exit is evaluated, from 0.
    pub fn segments_of_exits(&self) -> Vec<usize> {
        let heads = |(segment, part): (usize, &Segment)| vec![segment; part.heads.len()];
        self.segments.iter().enumerate().flat_map(heads).chain([self.segments.len() - 1]).collect()
    }

    /// Prepares some consecutive segments for running.
    pub fn fragment(&self, range: FragmentRange) -> Result<Arc<Fragment>, ModelError> {
        let FragmentRange { first, last } = range;
        let segments = self.segments.len();
        let fragment = match FragmentRange::new(first, last, segments) {
            Some(_) => Fragment::new(self, range),
            None => Err(Refusal::Range { first, last, segments }),
        };
        fragment.map(Arc::new).map_err(|refusal| refusal.of_file(&self.file))
    }

    /// The whole network as one fragment.
    pub fn undivided(&self) -> Result<Arc<Fragment>, ModelError> {
        self.fragment(FragmentRange { first: 0, last: self.segments.len() - 1 })
    }

    /// The whole network in one plan, without any cutting.
    pub fn whole(&self) -> Result<Whole, ModelError> {
        self.build_whole().map_err(|error| Refusal::engine("prepare the whole network")(error).of_file(&self.file))
    }

    fn build_whole(&self) -> TractResult<Whole> {
        let mut model = self.graph.model.clone();
        let exits: Vec<OutletId> = self.model.exits.iter().map(|exit| self.graph.outlet(&exit.tensor)).collect();
        model.select_output_outlets(&exits)?;
        let shape = std::iter::once(1).chain(self.model.input_shape.iter().copied()).collect();
        Ok(Whole { state: model.into_optimized()?.into_runnable()?.spawn()?, shape })
    }
}

impl Whole {
    /// Scores of every exit for one sample.
    pub fn run(&mut self, sample: &[f32]) -> Result<Vec<Vec<f32>>, RunError> {
        let mut run = || -> TractResult<Vec<Vec<f32>>> {
            let input = Tensor::from_shape(&self.shape, sample)?;
            let outputs = self.state.run(tvec!(input.into_tvalue()))?;
            outputs.iter().map(|scores| Ok(scores.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())).collect()
        };
        run().map_err(|error| RunError::compute(&error))
    }
}

fn check_names(proto: &Proto, model: &Model) -> Result<(), Refusal> {
    let inputs: Vec<String> = proto.inputs().map(str::to_owned).collect();
    if !inputs.contains(&model.input) {
        let suggestion = format!("inputs of the graph are {}", inputs.join(", "));
        return Err(Refusal::NoTensor { role: "input", name: model.input.clone(), suggestion });
    }
    let exits = model.exits.iter().map(|exit| ("exit", &exit.tensor));
    let cuts = model.cuts.iter().map(|cut| ("cut", cut));
    match exits.chain(cuts).find(|(_, name)| !proto.has(name)) {
        None => Ok(()),
        Some((role, name)) => Err(Refusal::NoTensor { role, name: name.clone(), suggestion: proto.suggestion(name) }),
    }
}

/// The checked description in a document.
pub fn read_description(document: ModelDocument) -> Result<Model, domain::ModelError> {
    let exits = document.exits.into_iter().map(|exit| Exit {
        name: exit.name,
        tensor: exit.tensor,
        output: match exit.output {
            ExitOutputDocument::Logits => ExitOutput::Logits,
            ExitOutputDocument::Probabilities => ExitOutput::Probabilities,
        },
    });
    let model = Model {
        name: document.name,
        input: document.input.name,
        input_shape: document.input.shape,
        exits: exits.collect(),
        cuts: document.cuts,
        confidence: match document.confidence {
            ConfidenceDocument::MaxSoftmax => Confidence::MaxSoftmax,
            ConfidenceDocument::NormalizedEntropy => Confidence::NormalizedEntropy,
        },
    };
    model.new()
}
