//! A typed graph with the names of its tensors, and who depends on whom.

use super::error::Refusal;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::InletId;
use tract_onnx::tract_core::ops::Cost;
use tract_onnx::tract_core::ops::konst::Const;

/// A typed, not yet fused graph for one sample.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) model: TypedModel,
    /// The input tensor.
    pub(super) input: OutletId,
    /// Where the tensors of the file are.
    named: BTreeMap<String, OutletId>,
    /// How the file calls a tensor.
    names: HashMap<OutletId, String>,
    /// Nodes in an order in which they can be computed.
    pub(super) order: Vec<usize>,
    /// Nodes whose value depends on the input.
    variable: BTreeSet<usize>,
}

impl Graph {
    pub(super) fn new(
        model: TypedModel,
        named: BTreeMap<String, OutletId>,
        aliases: &BTreeMap<String, String>,
    ) -> Result<Self, Refusal> {
        let order = model.eval_order().map_err(Refusal::engine("order the network"))?;
        let input = model.inputs[0];
        let mut variable = BTreeSet::from([input.node]);
        for &node in &order {
            if model.node(node).inputs.iter().any(|outlet| variable.contains(&outlet.node)) {
                variable.insert(node);
            }
        }
        let is_original = |name: &String| aliases.get(name).is_none_or(|original| original == name);
        let names = named.iter().filter(|(name, _)| is_original(name)).map(|(name, at)| (*at, name.clone())).collect();
        Ok(Self { model, input, named, names, order, variable })
    }

    /// Where a tensor is whose name has been checked to exist.
    pub(super) fn outlet(&self, name: &str) -> OutletId {
        self.named[name]
    }

    /// How the file calls a tensor.
    pub(super) fn name(&self, outlet: OutletId) -> Option<&str> {
        self.names.get(&outlet).map(String::as_str)
    }

    /// A name for messages: tensors that the engine put in between go by the name of their node.
    pub(super) fn name_or_node(&self, outlet: OutletId) -> String {
        self.name(outlet).unwrap_or(&self.model.node(outlet.node).name).to_owned()
    }

    pub(super) fn depends_on_input(&self, outlet: OutletId) -> bool {
        self.variable.contains(&outlet.node)
    }

    /// Inputs of a node that depend on the network's input.
    pub(super) fn variable_inputs(&self, node: usize) -> impl Iterator<Item = OutletId> {
        self.model.node(node).inputs.iter().copied().filter(|outlet| self.depends_on_input(*outlet))
    }

    /// Nodes that depend on the input and are needed for a tensor, its own one included.
    pub(super) fn ancestors(&self, tensor: OutletId) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = self.depends_on_input(tensor).then_some(tensor.node).into_iter().collect();
        while let Some(node) = open.pop() {
            if found.insert(node) {
                open.extend(self.variable_inputs(node).map(|outlet| outlet.node));
            }
        }
        found
    }

    /// The tensors of `backbone` that a tensor is computed from, walking back no further than those.
    pub(super) fn taps(&self, tensor: OutletId, backbone: impl Fn(usize) -> bool) -> BTreeSet<OutletId> {
        let (mut taps, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<OutletId> = self.depends_on_input(tensor).then_some(tensor).into_iter().collect();
        while let Some(outlet) = open.pop() {
            if backbone(outlet.node) {
                taps.insert(outlet);
            } else if seen.insert(outlet.node) {
                open.extend(self.variable_inputs(outlet.node));
            }
        }
        taps
    }

    /// Element type and shape of a tensor, when both are fixed and the type is f32.
    pub(super) fn float_shape(&self, outlet: OutletId) -> Option<&[usize]> {
        let fact = self.fact(outlet);
        if fact.datum_type == f32::datum_type() { fact.shape.as_concrete() } else { None }
    }

    pub(super) fn fact(&self, outlet: OutletId) -> &TypedFact {
        self.model.outlet_fact(outlet).expect("outlets are of this model")
    }

    /// The part of the graph between `inputs` and `outputs`, still unfused. Constants come along.
    pub(super) fn extract(&self, inputs: &[OutletId], outputs: &[OutletId]) -> TractResult<TypedModel> {
        let mut part = TypedModel { symbols: self.model.symbols.clone(), ..TypedModel::default() };
        let mut copies: HashMap<OutletId, OutletId> = HashMap::new();
        for (number, &input) in inputs.iter().enumerate() {
            let fact = self.fact(input).without_value();
            copies.insert(input, part.add_source(format!("fragment.input.{number}"), fact)?);
        }
        let needed = self.needed(inputs, outputs);
        for &id in self.order.iter().filter(|id| needed.contains(id)) {
            let node = self.model.node(id);
            let facts = node.outputs.iter().map(|output| output.fact.clone()).collect();
            let copy = part.add_node(&*node.name, node.op.clone(), facts)?;
            for (inlet, from) in node.inputs.iter().enumerate() {
                part.add_edge(copies[from], InletId::new(copy, inlet))?;
            }
            for slot in 0..node.outputs.len() {
                // An input of the part stays the input, also where its node is copied for another of its outputs.
                copies.entry(OutletId::new(id, slot)).or_insert(OutletId::new(copy, slot));
            }
        }
        let outputs: Vec<OutletId> = outputs.iter().map(|outlet| copies[outlet]).collect();
        part.select_output_outlets(&outputs)?;
        Ok(part)
    }

    fn needed(&self, inputs: &[OutletId], outputs: &[OutletId]) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<OutletId> = outputs.to_vec();
        while let Some(outlet) = open.pop() {
            if !inputs.contains(&outlet) && needed.insert(outlet.node) {
                open.extend(self.model.node(outlet.node).inputs.iter().copied());
            }
        }
        needed
    }
}

/// Multiply-accumulates and bytes of weights of a part, with its constants folded.
pub(super) fn cost(part: &TypedModel) -> TractResult<(u64, u64)> {
    let (mut macs, mut weight_bytes) = (0, 0);
    for id in part.eval_order()? {
        if let Some(weights) = part.node(id).op_as::<Const>() {
            weight_bytes += (weights.val().len() * weights.val().datum_type().size_of()) as u64;
        }
        macs += node_macs(part, id)?;
    }
    Ok((macs, weight_bytes))
}

/// Multiply-accumulates of a node.
pub(super) fn node_macs(model: &TypedModel, node: usize) -> TractResult<u64> {
    let inputs = model.node_input_facts(node)?;
    let costs = model.node(node).op.cost(&inputs)?.into_iter().filter(|(kind, _)| matches!(kind, Cost::FMA(_)));
    costs.map(|(_, count)| Ok(u64::try_from(count.to_i64()?)?)).sum()
}
