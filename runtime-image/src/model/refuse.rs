//! Refuses what the engine would load but compute slowly or wrongly, before it sees the file.

use super::error::Refusal;
use super::proto::each_node;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

/// ONNX codes of the floating-point types narrower than f32.
const HALF_PRECISION: [(i32, &str); 7] = [
    (10, "float16"),
    (16, "bfloat16"),
    (17, "float8e4m3fn"),
    (18, "float8e4m3fnuz"),
    (19, "float8e5m2"),
    (20, "float8e5m2fnuz"),
    (23, "float4e2m1"),
];

/// Refuses half precision and quantised operators anywhere in the graph and its subgraphs.
pub(super) fn refuse_unserved(graph: &GraphProto) -> Result<(), Refusal> {
    refuse_tensors(graph)?;
    each_node(graph, &mut |node| {
        refuse_quantised(node)?;
        refuse_half_node(node)
    })
}

fn refuse_tensors(graph: &GraphProto) -> Result<(), Refusal> {
    graph.initializer.iter().try_for_each(|tensor| half("tensor", &tensor.name, tensor.data_type))?;
    let described = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    described.into_iter().try_for_each(|info| half("tensor", &info.name, element_type(info)))
}

fn refuse_half_node(node: &NodeProto) -> Result<(), Refusal> {
    for attribute in &node.attribute {
        if node.op_type == "Cast" && attribute.name == "to" {
            half("node", node_name(node), i32::try_from(attribute.i).unwrap_or_default())?;
        }
        tensors(attribute).try_for_each(|tensor| half("node", node_name(node), tensor.data_type))?;
        attribute.g.iter().chain(&attribute.graphs).try_for_each(refuse_tensors)?;
    }
    Ok(())
}

fn tensors(attribute: &AttributeProto) -> impl Iterator<Item = &TensorProto> {
    attribute.t.iter().chain(&attribute.tensors)
}

/// QDQ pairs, QLinear*, *Integer, and the Q* operators that ONNX Runtime adds.
fn refuse_quantised(node: &NodeProto) -> Result<(), Refusal> {
    let operator = node.op_type.as_str();
    let quantised = operator.contains("QuantizeLinear")
        || operator.contains("DequantizeLinear")
        || operator.starts_with("QLinear")
        || operator.ends_with("Integer")
        || (node.domain == "com.microsoft" && (operator.starts_with('Q') || operator.starts_with("DynamicQuantize")));
    if quantised {
        return Err(Refusal::Quantised { node: node_name(node).into(), operator: operator.into() });
    }
    Ok(())
}

fn half(kind: &'static str, name: &str, data_type: i32) -> Result<(), Refusal> {
    match HALF_PRECISION.iter().find(|(code, _)| *code == data_type) {
        Some(&(_, precision)) => Err(Refusal::HalfPrecision { kind, name: name.into(), precision }),
        None => Ok(()),
    }
}

fn element_type(info: &ValueInfoProto) -> i32 {
    match info.r#type.as_ref().and_then(|r#type| r#type.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type,
        None => 0,
    }
}

/// Nodes need no name in ONNX; their first output always has one.
pub(super) fn node_name(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}
