//! Which tensors belong to which segment: checks the cuts of a description and finds where its exits hang.
//!
//! The *backbone* is what the last exit needs. Cuts divide it into segments. A head is what an exit needs beside the
//! backbone; the backbone tensors it starts from are its *taps*. An exit belongs to the first segment at whose end all
//! its taps are there; one that taps a cut directly is therefore evaluated before the cut is sent.

use super::error::Refusal;
use super::graph::Graph;
use domain::Model;
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::prelude::*;

/// One segment of the network.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The tensor it starts from: the network's input or a cut.
    pub(super) start: OutletId,
    /// The tensor it ends with: a cut or the last exit.
    pub(super) end: OutletId,
    /// Exits evaluated after it, in order, without the last exit of the model.
    pub(super) heads: Vec<Head>,
}

/// An exit but the last.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Number of the exit.
    pub(super) exit: usize,
    /// Its tensor.
    pub(super) tensor: OutletId,
    /// Backbone tensors it is computed from.
    pub(super) taps: Vec<OutletId>,
}

/// Cuts the network as its description says, or says why that cannot be.
pub(super) fn partition(graph: &Graph, model: &Model) -> Result<Vec<Segment>, Refusal> {
    check_exits(graph, model)?;
    let last = model.exits.last().expect("a model has an exit");
    let cuts: Vec<OutletId> = model.cuts.iter().map(|name| graph.outlet(name)).collect();
    check_cuts(graph, model, &cuts)?;
    let mut ends = cuts.clone();
    ends.push(graph.outlet(&last.tensor));
    let place = place_nodes(graph, &ends);
    check_boundaries(graph, model, &cuts, &place)?;
    let starts = std::iter::once(graph.input).chain(cuts);
    let mut segments: Vec<Segment> =
        starts.zip(ends).map(|(start, end)| Segment { start, end, heads: Vec::new() }).collect();
    hang_heads(graph, model, &place, &mut segments)?;
    Ok(segments)
}

fn check_exits(graph: &Graph, model: &Model) -> Result<(), Refusal> {
    let mut classes = Vec::new();
    for exit in &model.exits {
        let tensor = graph.outlet(&exit.tensor);
        if !graph.depends_on_input(tensor) {
            return Err(Refusal::ExitIndependent(exit.tensor.clone()));
        }
        let shape = float_shape(graph, "exit", &exit.tensor)?;
        // One row of scores, also if axes of size 1 are left over from a pooling.
        let row = shape.len() >= 2 && shape[0] == 1 && shape.iter().filter(|size| **size != 1).count() <= 1;
        let count: usize = shape.iter().product();
        if !row || count == 0 || u16::try_from(count).is_err() {
            return Err(Refusal::ExitShape { name: exit.tensor.clone(), shape: shape.to_vec() });
        }
        classes.push(count);
    }
    if classes.iter().any(|count| *count != classes[0]) { Err(Refusal::Classes(classes)) } else { Ok(()) }
}

fn check_cuts(graph: &Graph, model: &Model, cuts: &[OutletId]) -> Result<(), Refusal> {
    let last = graph.outlet(&model.exits.last().expect("a model has an exit").tensor);
    let backbone = graph.ancestors(last);
    for (name, cut) in model.cuts.iter().zip(cuts) {
        if !backbone.contains(&cut.node) || *cut == last || *cut == graph.input {
            return Err(Refusal::CutOffWay(name.clone()));
        }
        float_shape(graph, "cut", name)?;
    }
    for (names, pair) in model.cuts.windows(2).zip(cuts.windows(2)) {
        if pair[0] == pair[1] || !graph.ancestors(pair[1]).contains(&pair[0].node) {
            return Err(Refusal::CutOrder { earlier: names[0].clone(), later: names[1].clone() });
        }
    }
    Ok(())
}

fn float_shape<'a>(graph: &'a Graph, role: &'static str, name: &str) -> Result<&'a [usize], Refusal> {
    let outlet = graph.outlet(name);
    if let Some(shape) = graph.float_shape(outlet) {
        return Ok(shape);
    }
    let fact = graph.fact(outlet);
    if fact.datum_type != f32::datum_type() {
        return Err(Refusal::TensorType { role, name: name.into(), found: format!("{:?}", fact.datum_type) });
    }
    let axis = fact.shape.iter().position(|size| size.to_i64().is_err()).unwrap_or_default();
    Err(Refusal::DynamicAxis { name: name.into(), axis, size: format!("{}", fact.shape[axis]) })
}

/// The segment of every backbone node: the first whose end needs it.
fn place_nodes(graph: &Graph, ends: &[OutletId]) -> BTreeMap<usize, usize> {
    let mut place = BTreeMap::new();
    for (segment, end) in ends.iter().enumerate() {
        for node in graph.ancestors(*end) {
            place.entry(node).or_insert(segment);
        }
    }
    place
}

/// A segment may read what it computes itself, constants, and its start; anything else goes round a cut.
fn check_boundaries(
    graph: &Graph,
    model: &Model,
    cuts: &[OutletId],
    place: &BTreeMap<usize, usize>,
) -> Result<(), Refusal> {
    for (&node, &segment) in place.iter().filter(|(_, segment)| **segment > 0) {
        let start = cuts[segment - 1];
        if let Some(beside) = graph.variable_inputs(node).find(|from| place[&from.node] < segment && *from != start) {
            return Err(Refusal::NotACut {
                cut: model.cuts[segment - 1].clone(),
                tensor: graph.name_or_node(beside),
                node: graph.model.node(node).name.clone(),
            });
        }
    }
    Ok(())
}

fn hang_heads(
    graph: &Graph,
    model: &Model,
    place: &BTreeMap<usize, usize>,
    segments: &mut [Segment],
) -> Result<(), Refusal> {
    let mut before = 0;
    for exit in 0..model.exits.len() - 1 {
        let name = &model.exits[exit].tensor;
        let tensor = graph.outlet(name);
        let taps = graph.taps(tensor, |node| place.contains_key(&node));
        let segment = taps.iter().map(|tap| place[&tap.node]).max().expect("an exit depends on the input");
        if let Some(beside) = tap_before(&taps, segments[segment].start, |tap| place[&tap.node] < segment) {
            let cut = model.cuts[segment - 1].clone();
            return Err(Refusal::ExitAcrossCut { exit: name.clone(), cut, tensor: graph.name_or_node(beside) });
        }
        if segment < before {
            let earlier = model.exits[exit - 1].tensor.clone();
            return Err(Refusal::ExitOrder { earlier, later: name.clone() });
        }
        before = segment;
        segments[segment].heads.push(Head { exit, tensor, taps: taps.into_iter().collect() });
    }
    Ok(())
}

fn tap_before(taps: &BTreeSet<OutletId>, start: OutletId, earlier: impl Fn(&OutletId) -> bool) -> Option<OutletId> {
    taps.iter().copied().find(|tap| *tap != start && earlier(tap))
}
