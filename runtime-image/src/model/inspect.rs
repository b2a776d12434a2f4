//! Looks into a foreign ONNX file: where are its exits, where can it be cut, and what do the parts cost.

use super::error::{ModelError, Refusal};
use super::fragment::{head_part, segment_outputs};
use super::graph::{Graph, cost, node_macs};
use super::load::load;
use super::network::Network;
use super::proto::Proto;
use domain::{Confidence, Exit, ExitOutput, Model};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tract_onnx::prelude::*;
use wire::measurement::{ExitMeasurement, SegmentMeasurement};

/// What was found in an ONNX file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Name of the input tensor.
    pub input: String,
    /// Shape of one sample, without the batch axis.
    pub input_shape: Vec<usize>,
    /// Exits in order of depth.
    pub exits: Vec<ExitInspection>,
    /// Every tensor at which the network may be split, in order of depth.
    pub possible_cuts: Vec<CutInspection>,
    /// Those of them that split it right after its exits.
    pub recommended_cuts: Vec<String>,
    /// Costs of the segments between the recommended cuts.
    pub segments: Vec<SegmentInspection>,
}

/// An exit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitInspection {
    /// Output tensor, which also names the exit.
    pub tensor: String,
    /// What it holds.
    pub output: ExitScores,
    /// Number of classes.
    pub classes: usize,
    /// Segment after which it is evaluated, from 1.
    pub segment: usize,
    /// Multiply-accumulates of its head; 0 for the last, which is part of the last segment.
    pub macs: u64,
    /// Bytes of the weights of its head.
    pub weight_bytes: u64,
}

/// What an exit's tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ExitScores {
    /// Scores before the softmax.
    Logits,
    /// Class probabilities: a softmax gives them.
    Probabilities,
}

/// A tensor at which the network may be split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CutInspection {
    /// Its name in the file.
    pub tensor: String,
    /// Its shape for one sample, with the batch axis.
    pub shape: Vec<usize>,
    /// Bytes that go over the wire per job.
    pub bytes: u64,
}

/// A segment between recommended cuts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentInspection {
    /// Multiply-accumulates, heads excluded.
    pub macs: u64,
    /// Bytes of its weights, heads excluded.
    pub weight_bytes: u64,
    /// Bytes of the tensor it hands on; 0 for the last.
    pub forward_bytes: u64,
}

/// Finds exits and cuts of an ONNX file, or says what stands against serving it as an early-exit network.
pub fn inspect(path: &Path) -> Result<Inspection, ModelError> {
    look(path).map_err(|refusal| refusal.of_file(path))
}

impl Inspection {
    /// A description with these exits and the recommended cuts; confidence is the largest probability.
    pub fn model(&self, name: &str) -> Model {
        let exit = |exit: &ExitInspection| Exit {
            name: exit.tensor.clone(),
            tensor: exit.tensor.clone(),
            output: match exit.output {
                ExitScores::Logits => ExitOutput::Logits,
                ExitScores::Probabilities => ExitOutput::Probabilities,
            },
        };
        Model {
            name: name.to_owned(),
            input: self.input.clone(),
            input_shape: self.input_shape.clone(),
            exits: self.exits.iter().map(exit).collect(),
            cuts: self.recommended_cuts.clone(),
            confidence: Confidence::MaxSoftmax,
        }
    }
}

fn look(path: &Path) -> Result<Inspection, Refusal> {
    let proto = Proto::read(path)?;
    let outputs = proto.outputs();
    let inputs: Vec<String> = proto.inputs().map(str::to_owned).collect();
    let [input] = inputs.as_slice() else { return Err(Refusal::Inputs(inputs)) };
    let softmax: BTreeSet<String> = outputs.iter().filter(|name| proto.is_softmax(name)).cloned().collect();
    let activations = proto.activations();
    let graph = load(proto, path, input, None, &outputs)?;
    let exits = exits_by_depth(&graph, &outputs)?;
    let cuts = possible_cuts(&graph, &exits);
    let recommended = recommended_cuts(&graph, &exits, &cuts, &activations)?;
    let name = |outlet: OutletId| graph.name(outlet).expect("only named tensors are cuts").to_owned();
    let shape = |outlet: OutletId| graph.float_shape(outlet).expect("checked for exits and cuts").to_vec();
    let exits = exits.into_iter().map(|(tensor, outlet)| ExitInspection {
        output: if softmax.contains(&tensor) { ExitScores::Probabilities } else { ExitScores::Logits },
        classes: shape(outlet)[1],
        tensor,
        segment: 0,
        macs: 0,
        weight_bytes: 0,
    });
    let cut = |&cut: &OutletId| CutInspection { tensor: name(cut), bytes: bytes(&shape(cut)), shape: shape(cut) };
    let mut inspection = Inspection {
        input: input.clone(),
        input_shape: shape(graph.input)[1..].to_vec(),
        exits: exits.collect(),
        possible_cuts: cuts.iter().map(cut).collect(),
        recommended_cuts: recommended.into_iter().map(name).collect(),
        segments: Vec::new(),
    };
    let network = Network::cut(path, inspection.model("inspected").new()?, graph)?;
    add_costs(&mut inspection, &network).map_err(Refusal::engine("count the operations"))?;
    Ok(inspection)
}

type NamedOutlet = (String, OutletId);

/// Outputs of shape [1, classes]. The one that takes most computing is the last; the others are ordered by how much of
/// its computing they share, however long their own heads are.
fn exits_by_depth(graph: &Graph, outputs: &[String]) -> Result<Vec<NamedOutlet>, Refusal> {
    let is_exit = |outlet: OutletId| {
        let shape = graph.float_shape(outlet).unwrap_or_default();
        graph.depends_on_input(outlet) && shape.len() == 2 && shape[0] == 1 && shape[1] > 1
    };
    let exits = outputs.iter().map(|name| (name.clone(), graph.outlet(name))).filter(|(_, outlet)| is_exit(*outlet));
    let exits: Vec<NamedOutlet> = exits.collect();
    if exits.len() < 2 {
        return Err(Refusal::TooFewExits(exits.into_iter().map(|(name, _)| name).collect()));
    }
    let macs: Vec<u64> = (0..graph.model.nodes.len()).map(|node| node_macs(&graph.model, node).unwrap_or(0)).collect();
    let work = |nodes: &BTreeSet<usize>| nodes.iter().map(|&node| macs[node]).sum::<u64>();
    let ancestors: Vec<BTreeSet<usize>> = exits.iter().map(|(_, outlet)| graph.ancestors(*outlet)).collect();
    let last = (0..exits.len()).max_by_key(|&exit| (work(&ancestors[exit]), ancestors[exit].len(), exit));
    let last = last.expect("there are at least two");
    let shared = |exit: usize| ancestors[exit].intersection(&ancestors[last]).copied().collect::<BTreeSet<usize>>();
    let mut order: Vec<usize> = (0..exits.len()).filter(|exit| *exit != last).collect();
    order.sort_by_key(|&exit| (work(&shared(exit)), shared(exit).len(), exit));
    Ok(order.into_iter().chain([last]).map(|exit| exits[exit].clone()).collect())
}

/// Named f32 tensors through which every path from the input to the last exit goes, and beside which no exit reads
/// anything.
fn possible_cuts(graph: &Graph, exits: &[NamedOutlet]) -> Vec<OutletId> {
    let last = exits[exits.len() - 1].1;
    let backbone = graph.ancestors(last);
    let taps: Vec<BTreeSet<OutletId>> =
        exits.iter().map(|(_, exit)| graph.taps(*exit, |node| backbone.contains(&node))).collect();
    let serves = |cut: OutletId| {
        let batch_first = graph.float_shape(cut).is_some_and(|shape| shape.len() > 1 && shape[0] == 1);
        batch_first && cut != last && cut != graph.input && graph.name(cut).is_some()
    };
    let mut cuts = frontiers(graph, &backbone);
    cuts.retain(|cut| {
        let before = graph.ancestors(*cut);
        let split = |taps: &BTreeSet<OutletId>| {
            taps.iter().any(|tap| !before.contains(&tap.node))
                && taps.iter().any(|tap| before.contains(&tap.node) && tap != cut)
        };
        serves(*cut) && !taps[..taps.len() - 1].iter().any(split)
    });
    cuts
}

/// Tensors that are at some moment of the computation the only one still needed. In any order of computation these are
/// the tensors on all paths.
fn frontiers(graph: &Graph, backbone: &BTreeSet<usize>) -> Vec<OutletId> {
    let mut readers: BTreeMap<OutletId, usize> = BTreeMap::new();
    for outlet in backbone.iter().flat_map(|node| graph.variable_inputs(*node)) {
        *readers.entry(outlet).or_default() += 1;
    }
    let (mut live, mut found) = (BTreeMap::new(), Vec::new());
    for &node in graph.order.iter().filter(|node| backbone.contains(node)) {
        for outlet in graph.variable_inputs(node) {
            let left = live.get_mut(&outlet).expect("computed before it is read");
            *left -= 1;
            if *left == 0 {
                live.remove(&outlet);
            }
        }
        let outlets = (0..graph.model.node(node).outputs.len()).map(|slot| OutletId::new(node, slot));
        live.extend(outlets.filter_map(|outlet| Some((outlet, *readers.get(&outlet)?))));
        match live.keys().next() {
            Some(only) if live.len() == 1 && found.last() != Some(only) => found.push(*only),
            _ => (),
        }
    }
    found
}

/// For each exit but the last the first cut at which all is there that its head starts from; after the activation
/// where one follows, so that the next fragment need not begin with it.
fn recommended_cuts(
    graph: &Graph,
    exits: &[NamedOutlet],
    cuts: &[OutletId],
    activations: &BTreeMap<String, String>,
) -> Result<Vec<OutletId>, Refusal> {
    let (last, earlier) = exits.split_last().expect("there are at least two");
    let backbone = graph.ancestors(last.1);
    let before: Vec<BTreeSet<usize>> = cuts.iter().map(|cut| graph.ancestors(*cut)).collect();
    let activates = |pair: &&[OutletId]| {
        let from = graph.name(pair[1]).and_then(|name| activations.get(name));
        from.is_some_and(|from| graph.name(pair[0]) == Some(from))
    };
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for (_, exit) in earlier {
        let taps = graph.taps(*exit, |node| backbone.contains(&node));
        if let Some(first) = before.iter().position(|before| taps.iter().all(|tap| before.contains(&tap.node))) {
            chosen.insert(first + cuts[first..].windows(2).take_while(activates).count());
        }
    }
    if chosen.is_empty() {
        return Err(Refusal::NoCut { last: last.0.clone() });
    }
    Ok(chosen.into_iter().map(|cut| cuts[cut]).collect())
}

fn add_costs(inspection: &mut Inspection, network: &Network) -> TractResult<()> {
    let costs = costs(network)?;
    inspection.segments = costs.segments;
    for (exit, (segment, macs, weight_bytes)) in inspection.exits.iter_mut().zip(costs.exits) {
        (exit.segment, exit.macs, exit.weight_bytes) = (segment, macs, weight_bytes);
    }
    Ok(())
}

/// What the parts of a network cost.
struct Costs {
    segments: Vec<SegmentInspection>,
    /// Segment from 1, multiply-accumulates and bytes of weights of each head.
    exits: Vec<(usize, u64, u64)>,
}

fn costs(network: &Network) -> TractResult<Costs> {
    let graph = &network.graph;
    let last = network.segments.len();
    let mut costs = Costs { segments: Vec::new(), exits: vec![(last, 0, 0); network.model.exits.len()] };
    for (number, part) in network.segments.iter().enumerate() {
        let (macs, weight_bytes) = cost(&graph.extract(&[part.start], &segment_outputs(part))?.into_decluttered()?)?;
        let forward_bytes = network.forward_len(number).map_or(0, |values| bytes(&[values]));
        costs.segments.push(SegmentInspection { macs, weight_bytes, forward_bytes });
        for head in &part.heads {
            let (macs, weight_bytes) = match head_part(graph, head)? {
                Some(part) => cost(&part.into_decluttered()?)?,
                None => (0, 0),
            };
            costs.exits[head.exit] = (number + 1, macs, weight_bytes);
        }
    }
    Ok(costs)
}

impl Network {
    /// What its exits and segments cost, in the order of its description.
    pub fn costs(&self) -> Result<(Vec<ExitMeasurement>, Vec<SegmentMeasurement>), ModelError> {
        let failed = |error| Refusal::engine("count the operations")(error).of_file(&self.file);
        let costs = costs(self).map_err(failed)?;
        let exits = self.model.exits.iter().zip(costs.exits).map(|(exit, (segment, macs, weight_bytes))| {
            ExitMeasurement { name: exit.name.clone(), segment, macs, weight_bytes }
        });
        let segments = costs.segments.into_iter().map(|part| SegmentMeasurement {
            macs: part.macs,
            weight_bytes: part.weight_bytes,
            forward_bytes: part.forward_bytes,
        });
        Ok((exits.collect(), segments.collect()))
    }
}

fn bytes(shape: &[usize]) -> u64 {
    (shape.iter().product::<usize>() * size_of::<f32>()) as u64
}
