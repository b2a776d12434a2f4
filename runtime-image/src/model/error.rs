//! What can be wrong with a model file, its description, or a run.

use std::path::PathBuf;

/// A model file that is not served, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {refusal}", .file.display())]
pub struct ModelError {
    /// The ONNX file.
    pub file: PathBuf,
    /// What is wrong with it or with its description.
    pub refusal: Refusal,
}

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be read or is no ONNX.
    #[error("cannot be read as an ONNX file: {0}")]
    Unreadable(String),
    /// Half-precision values.
    #[error("{kind} {name:?} holds {precision} values, which are slower here or wrong; export the model in float32")]
    HalfPrecision {
        /// Tensor or node.
        kind: &'static str,
        /// Its name.
        name: String,
        /// ONNX name of the type.
        precision: &'static str,
    },
    /// Operators of a quantised network.
    #[error(
        "node {node:?} is the quantised operator {operator}, which is slower here or silently wrong; \
         export the model in float32"
    )]
    Quantised {
        /// Name of the node.
        node: String,
        /// Operator.
        operator: String,
    },
    /// An operator that the engine does not know.
    #[error("node {node:?} needs the operator {operator}, which is not supported")]
    Operator {
        /// Name of the node.
        node: String,
        /// Operator.
        operator: String,
    },
    /// A tensor of the description that the file does not have.
    #[error("there is no {role} tensor {name:?}; {suggestion}")]
    NoTensor {
        /// What the description wants it for.
        role: &'static str,
        /// The missing name.
        name: String,
        /// Names that exist.
        suggestion: String,
    },
    /// Not exactly one input.
    #[error("the network must have one input, it has {}", list(.0))]
    Inputs(Vec<String>),
    /// The input is not f32.
    #[error("input {0:?} must hold float32 values")]
    InputType(String),
    /// The input shape is not the described one.
    #[error("input {name:?} is described with the shape {described:?} of a sample, but the file has {file:?}")]
    InputShape {
        /// Name of the input.
        name: String,
        /// Shape in the description, without the batch axis.
        described: Vec<usize>,
        /// Shape in the file, without the batch axis.
        file: Vec<usize>,
    },
    /// The batch axis is fixed to more than one sample.
    #[error("the batch axis of input {name:?} is fixed to {batch}; export with a dynamic batch axis or with batch 1")]
    Batch {
        /// Name of the input.
        name: String,
        /// Size of the leading axis.
        batch: i64,
    },
    /// An axis beside the batch axis has no fixed size.
    #[error(
        "axis {axis} of {name:?} has no fixed size ({size}); only the leading axis, the batch, may be dynamic: \
         sequence models cannot be split"
    )]
    DynamicAxis {
        /// The tensor.
        name: String,
        /// The axis, from 0.
        axis: usize,
        /// How the size is written in the file.
        size: String,
    },
    /// The input has no shape or no batch axis.
    #[error("input {0:?} needs a shape with a leading batch axis in the file")]
    NoInputShape(String),
    /// A cut or exit that does not hold f32.
    #[error("{role} {name:?} must hold float32 values, it holds {found}")]
    TensorType {
        /// Cut or exit.
        role: &'static str,
        /// Name of the tensor.
        name: String,
        /// What it holds.
        found: String,
    },
    /// An exit that is not one row of scores.
    #[error("exit {name:?} must give one row of scores, [1, classes], not {shape:?}")]
    ExitShape {
        /// Name of the tensor.
        name: String,
        /// Its shape for one sample.
        shape: Vec<usize>,
    },
    /// Exits that do not classify into the same classes.
    #[error("all exits must have the same number of classes, not {0:?}")]
    Classes(Vec<usize>),
    /// A cut that does not lead to the last exit.
    #[error("cut {0:?} does not lie on the way from the input to the last exit")]
    CutOffWay(String),
    /// Cuts out of order.
    #[error("cut {later:?} must come after cut {earlier:?}, as the network is computed")]
    CutOrder {
        /// The one listed first.
        earlier: String,
        /// The one listed next, which does not depend on it.
        later: String,
    },
    /// Something goes round the cut.
    #[error("{cut:?} is no place to cut: tensor {tensor:?} passes beside it to node {node:?}")]
    NotACut {
        /// The cut.
        cut: String,
        /// The tensor that would have to be sent too.
        tensor: String,
        /// The node after the cut that needs it.
        node: String,
    },
    /// An exit that does not look at the input.
    #[error("exit {0:?} does not depend on the input")]
    ExitIndependent(String),
    /// An exit that needs tensors of two segments.
    #[error("exit {exit:?} needs tensor {tensor:?} from before cut {cut:?} beside what comes after it")]
    ExitAcrossCut {
        /// The exit.
        exit: String,
        /// The cut.
        cut: String,
        /// The tensor from before the cut.
        tensor: String,
    },
    /// Exits out of order.
    #[error("exit {later:?} is computed in an earlier segment than exit {earlier:?}, which is listed before it")]
    ExitOrder {
        /// The one listed first.
        earlier: String,
        /// The one listed next.
        later: String,
    },
    /// The description contradicts itself.
    #[error("the description is wrong: {0}")]
    Description(#[from] domain::ModelError),
    /// A fragment range beyond the model.
    #[error("segments {first} to {last} (from 0) are not among the {segments} of this model")]
    Range {
        /// First segment, from 0.
        first: usize,
        /// Last segment, from 0.
        last: usize,
        /// Segments of the model.
        segments: usize,
    },
    /// Nothing that looks like several exits.
    #[error("an early-exit network has at least two outputs of shape [batch, classes]; here {}", list(.0))]
    TooFewExits(Vec<String>),
    /// No tensor through which everything goes.
    #[error("there is no single tensor between two exits through which every path to {last:?} goes")]
    NoCut {
        /// The last exit.
        last: String,
    },
    /// The inference engine refused.
    #[error("failed to {step}: {cause}")]
    Engine {
        /// What was attempted.
        step: &'static str,
        /// What the engine said.
        cause: String,
    },
}

impl Refusal {
    /// An error of the engine while attempting `step`.
    pub(super) fn engine(step: &'static str) -> impl Fn(tract_onnx::prelude::TractError) -> Self {
        move |error| Refusal::Engine { step, cause: format!("{error:#}") }
    }

    pub(super) fn of_file(self, file: &std::path::Path) -> ModelError {
        ModelError { file: file.to_path_buf(), refusal: self }
    }
}

/// Why a job failed in a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A value is not finite: the job has failed, it must not be answered with a guess.
    #[error("{} values that are not finite", .exit.map_or("the input holds".into(), |exit| format!("exit {exit} gave")))]
    NotFinite {
        /// Number of the exit, from 0; `None` when it is the input, in which activations would hide it from exits.
        exit: Option<usize>,
    },
    /// The input has another size than the fragment takes.
    #[error("the input must have {want} values, not {given}")]
    Length {
        /// Values of the fragment's input.
        want: usize,
        /// Values given; bytes ÷ 4.
        given: usize,
    },
    /// Thresholds of another model.
    #[error("the thresholds are for {given} exits, the model has {want}")]
    Thresholds {
        /// Exits of the model.
        want: usize,
        /// Exits the thresholds are for.
        given: usize,
    },
    /// The inference engine failed. The worker must be replaced.
    #[error("failed to compute: {0}")]
    Compute(String),
}

impl RunError {
    pub(super) fn compute(error: &tract_onnx::prelude::TractError) -> Self {
        RunError::Compute(format!("{error:#}"))
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
