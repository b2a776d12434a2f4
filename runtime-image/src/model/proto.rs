//! The ONNX file as it is stored: names, what needs what, and the parts that the engine is to see.

use super::error::Refusal;
use super::refuse::{node_name, refuse_unserved};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::Framework as _;

/// Operators after which a tensor is no larger and no harder to send than before.
const ACTIVATIONS: [&str; 14] = [
    "BatchNormalization",
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Tanh",
];

/// An ONNX file that has been read and holds nothing that is refused.
#[derive(Debug)]
pub(super) struct Proto {
    pub(super) model: ModelProto,
    /// Which node gives a tensor.
    producers: BTreeMap<String, usize>,
}

impl Proto {
    /// Reads the file and refuses half precision and quantised operators.
    pub(super) fn read(file: &Path) -> Result<Self, Refusal> {
        let unreadable = |cause: String| Refusal::Unreadable(cause);
        // The engine maps the file; a folder or a missing file is told apart here, where the message is plain.
        let kind = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
        if !kind.is_file() {
            return Err(unreadable("it is not a file".into()));
        }
        let model = tract_onnx::onnx().proto_model_for_path(file).map_err(|error| unreadable(format!("{error:#}")))?;
        let Some(graph) = &model.graph else { return Err(unreadable("there is no graph in it".into())) };
        refuse_unserved(graph)?;
        let producers = producers(graph);
        Ok(Self { model, producers })
    }

    pub(super) fn graph(&self) -> &GraphProto {
        self.model.graph.as_ref().expect("checked when it was read")
    }

    /// Whether a tensor of this name exists.
    pub(super) fn has(&self, tensor: &str) -> bool {
        self.producers.contains_key(tensor) || self.inputs().any(|input| input == tensor)
    }

    /// Inputs that the user gives; old files list the weights among the inputs too.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &str> {
        let weights: BTreeSet<&str> = self.graph().initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        self.graph().input.iter().map(|input| input.name.as_str()).filter(move |name| !weights.contains(name))
    }

    /// Names of the graph's outputs.
    pub(super) fn outputs(&self) -> Vec<String> {
        self.graph().output.iter().map(|output| output.name.clone()).collect()
    }

    /// The node that gives a tensor.
    pub(super) fn producer(&self, tensor: &str) -> Option<&NodeProto> {
        self.producers.get(tensor).map(|&node| &self.graph().node[node])
    }

    /// The tensor that `name` is a copy of. Exporters like to name an output by an identity beside the real path.
    pub(super) fn original<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        while let Some(node) = self.producer(name)
            && matches!(node.op_type.as_str(), "Identity" | "Dropout")
            && node.output[0] == name
        {
            name = &node.input[0];
        }
        name
    }

    /// Whether a softmax gives the tensor, if need be through operators that only change its shape.
    pub(super) fn is_softmax(&self, tensor: &str) -> bool {
        let mut tensor = tensor;
        while let Some(node) = self.producer(tensor) {
            match node.op_type.as_str() {
                "Softmax" => return true,
                "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast" => {
                    tensor = &node.input[0];
                }
                _ => return false,
            }
        }
        false
    }

    /// Tensors that an activation gives, each with the tensor it is computed from.
    pub(super) fn activations(&self) -> BTreeMap<String, String> {
        let activations = self.graph().node.iter().filter(|node| ACTIVATIONS.contains(&node.op_type.as_str()));
        let ends = activations.filter_map(|node| Some((node.output.first()?, self.original(node.input.first()?))));
        ends.map(|(output, input)| (output.clone(), input.to_owned())).collect()
    }

    /// Names of existing tensors that a missing one may have meant.
    pub(super) fn suggestion(&self, missing: &str) -> String {
        let close = |name: &&String| distance(name, missing) <= 2 || name.contains(missing);
        let similar: Vec<&str> = self.producers.keys().filter(close).take(5).map(String::as_str).collect();
        let outputs = self.outputs().join(", ");
        match similar.is_empty() {
            true => format!("outputs of the graph are {outputs}"),
            false => format!("similar ones are {}; outputs of the graph are {outputs}", similar.join(", ")),
        }
    }

    /// Leaves only what `targets` need, each node named by its first output so that names are distinct.
    pub(super) fn keep(&mut self, targets: &BTreeSet<String>) {
        let mut needed: BTreeSet<String> = targets.clone();
        let graph = self.model.graph.as_mut().expect("checked when it was read");
        // Nodes are stored in an order in which they can be computed.
        let mut nodes: Vec<NodeProto> = Vec::with_capacity(graph.node.len());
        for mut node in std::mem::take(&mut graph.node).into_iter().rev() {
            if node.output.iter().any(|output| needed.contains(output)) {
                needed.extend(needs(&node));
                if let Some(first) = node.output.iter().find(|output| !output.is_empty()) {
                    node.name = first.clone();
                }
                nodes.push(node);
            }
        }
        nodes.reverse();
        graph.node = nodes;
        graph.initializer.retain(|tensor| needed.contains(&tensor.name));
        graph.input.retain(|input| needed.contains(&input.name));
        // What exporters noted about shapes holds for their batch size, not for ours; the engine derives it anew.
        graph.output.clear();
        graph.value_info.clear();
        self.producers = producers(graph);
    }

    /// Refuses operators that the engine does not know.
    pub(super) fn refuse_unknown_operators(&self) -> Result<(), Refusal> {
        let known = tract_onnx::onnx().op_register.0;
        each_node(self.graph(), &mut |node| match known.contains_key(&node.op_type) {
            true => Ok(()),
            false => Err(Refusal::Operator { node: node_name(node).into(), operator: node.op_type.clone() }),
        })
    }
}

/// Calls `visit` for every node, those of subgraphs included.
pub(super) fn each_node(
    graph: &GraphProto,
    visit: &mut impl FnMut(&NodeProto) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    for node in &graph.node {
        visit(node)?;
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).try_for_each(|graph| each_node(graph, visit))?;
        }
    }
    Ok(())
}

/// Names a node reads, and those that its subgraphs may take from outside.
fn needs(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> = node.input.iter().filter(|name| !name.is_empty()).cloned().collect();
    for graph in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
        names.extend(graph.node.iter().flat_map(needs));
        names.extend(graph.output.iter().map(|output| output.name.clone()));
    }
    names
}

fn producers(graph: &GraphProto) -> BTreeMap<String, usize> {
    let outputs = graph.node.iter().enumerate().flat_map(|(id, node)| node.output.iter().map(move |name| (name, id)));
    outputs.filter(|(name, _)| !name.is_empty()).map(|(name, id)| (name.clone(), id)).collect()
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, want) in [("exit1", "exit1", 0), ("exit1", "exit2", 1), ("exit", "exit12", 2), ("", "abc", 3)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
