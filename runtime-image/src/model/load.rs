//! From the stored file to a typed graph in which every tensor of the file can be found by its name.

use super::error::Refusal;
use super::graph::Graph;
use super::proto::Proto;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{TensorShapeProto, ValueInfoProto, tensor_proto, type_proto};
use tract_onnx::prelude::*;

/// Types the part of the network that `targets` need, for one sample.
///
/// `described` is the expected shape of a sample; without it the file must say it.
/// Nothing is fused yet: the graph still has every tensor of the file, so that it can be cut anywhere.
pub(super) fn load(
    mut proto: Proto,
    file: &Path,
    input: &str,
    described: Option<&[usize]>,
    targets: &[String],
) -> Result<Graph, Refusal> {
    let originals: BTreeSet<String> = targets.iter().map(|name| proto.original(name).to_owned()).collect();
    let aliases: BTreeMap<String, String> =
        targets.iter().map(|name| (name.clone(), proto.original(name).to_owned())).collect();
    proto.keep(&originals);
    refuse_other_inputs(&proto, input)?;
    proto.refuse_unknown_operators()?;
    let info = proto.model.graph.as_mut().and_then(|graph| graph.input.iter_mut().find(|info| info.name == input));
    fix_input(info.ok_or_else(|| Refusal::Inputs(vec![]))?, described)?;
    type_graph(&proto, file, input, &aliases)
}

fn refuse_other_inputs(proto: &Proto, input: &str) -> Result<(), Refusal> {
    let inputs: Vec<String> = proto.inputs().map(str::to_owned).collect();
    if inputs.iter().any(|name| name != input) { Err(Refusal::Inputs(inputs)) } else { Ok(()) }
}

/// Fixes the leading axis to one sample and checks the others.
fn fix_input(info: &mut ValueInfoProto, described: Option<&[usize]>) -> Result<(), Refusal> {
    let name = info.name.clone();
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|r#type| r#type.value.as_mut())
    else {
        return Err(Refusal::InputType(name));
    };
    if tensor.elem_type != tensor_proto::DataType::Float as i32 {
        return Err(Refusal::InputType(name));
    }
    let sample = match (&tensor.shape, described) {
        (Some(shape), _) => sample_shape(&name, shape)?,
        (None, Some(described)) => described.to_vec(),
        (None, None) => return Err(Refusal::NoInputShape(name)),
    };
    if let Some(described) = described
        && described != sample
    {
        return Err(Refusal::InputShape { name, described: described.to_vec(), file: sample });
    }
    let fixed = |size: usize| Dimension { value: Some(Value::DimValue(size as i64)), ..Dimension::default() };
    tensor.shape = Some(TensorShapeProto { dim: std::iter::once(1).chain(sample).map(fixed).collect() });
    Ok(())
}

fn sample_shape(name: &str, shape: &TensorShapeProto) -> Result<Vec<usize>, Refusal> {
    let Some((batch, sample)) = shape.dim.split_first() else { return Err(Refusal::NoInputShape(name.into())) };
    match batch.value {
        Some(Value::DimValue(batch)) if batch > 1 => return Err(Refusal::Batch { name: name.into(), batch }),
        _ => (),
    }
    sample.iter().enumerate().map(|(axis, size)| fixed_size(name, axis + 1, size)).collect()
}

fn fixed_size(name: &str, axis: usize, size: &Dimension) -> Result<usize, Refusal> {
    let size = match &size.value {
        Some(Value::DimValue(size)) if *size > 0 => return Ok(*size as usize),
        Some(Value::DimParam(symbol)) => symbol.clone(),
        _ => "unknown".into(),
    };
    Err(Refusal::DynamicAxis { name: name.into(), axis, size })
}

/// Every named tensor becomes an output while the engine types the graph: so none is optimised away, and its place is
/// known afterwards.
fn type_graph(proto: &Proto, file: &Path, input: &str, aliases: &BTreeMap<String, String>) -> Result<Graph, Refusal> {
    let folder = file.parent().and_then(Path::to_str);
    let parsed = onnx().parse(&proto.model, folder).map_err(Refusal::engine("parse the network"))?;
    if !parsed.unresolved_inputs.is_empty() {
        return Err(Refusal::Inputs(parsed.unresolved_inputs));
    }
    let mut names: Vec<String> =
        proto.graph().node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty()).cloned().collect();
    names.push(input.to_owned());
    let outlets: Vec<OutletId> = names.iter().map(|name| parsed.outlets_by_name[name]).collect();
    let analyse = Refusal::engine("derive the shapes of the network");
    let mut model = parsed.model;
    model.select_output_outlets(&outlets).map_err(&analyse)?;
    let mut model = model.into_typed().map_err(&analyse)?;
    // Computations on shapes are constants now that the batch is one; they must not look like paths round a cut.
    model.prop_consts().map_err(&analyse)?;
    let mut named: BTreeMap<String, OutletId> = names.into_iter().zip(model.outputs.iter().copied()).collect();
    for (alias, original) in aliases {
        named.insert(alias.clone(), named[original]);
    }
    Graph::new(model, named, aliases)
}
