//! What is evaluated: the Fashion-MNIST example with its measured exit table and times, and the times of CEED with the
//! exit table of that example.

use anyhow::Context;
use api::exit_table;
use domain::problem::{Model, Samples};
use domain::{ExitTable, Seconds, ServiceTime, ServiceTimes};
use runtime_image::model::{self, Network, read_description};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wire::document::{ExitDocument, InputDocument, ModelDocument};

/// The exits of CEED that stand for the six of the example: spread over its depth, the first and the last included.
pub(crate) const CEED_GATES: [usize; 6] = [0, 2, 4, 6, 7, 8];
/// Backbone layers of CEED behind which its gates hang.
const CEED_LAYERS: [usize; 9] = [3, 5, 7, 9, 11, 13, 15, 17, 19];
/// Serialisation that the published sizes include.
const CEED_OVERHEAD: f64 = 747.0;
/// Bytes of an input of CEED: 3 × 32 × 32 numbers.
const CEED_INPUT: u64 = 3 * 32 * 32 * 4;

/// Speed of a Raspberry Pi relative to the machine on which the example was profiled, as in its pool.
pub(crate) const PI_SPEED: f64 = 0.04;

/// All that experiments run on.
#[derive(Debug)]
pub(crate) struct Models {
    /// Measured on one core of a server, scaled to a Raspberry Pi.
    pub(crate) fashion: Arc<Model>,
    /// Raspberry-Pi-class times; speed 1 is that machine.
    pub(crate) ceed: Arc<Model>,
    /// The test images, as they are and distorted.
    pub(crate) distortions: Vec<Distortion>,
}

/// The same images seen through a worse lens.
#[derive(Debug)]
pub(crate) struct Distortion {
    pub(crate) name: &'static str,
    pub(crate) table: ExitTable,
}

impl Models {
    /// Reads the example in `root` and runs its model on distorted images.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("examples/fashion-mnist");
        let (choose, _) = exit_table::read(&folder.join("exit-table.safetensors"))?;
        let (judge, _) = exit_table::read(&folder.join("exit-table-test.safetensors"))?;
        let (choose, judge) = (Arc::new(Samples::new(choose)), Arc::new(Samples::new(judge)));
        let network = network(&folder)?;
        let fashion = Model {
            name: "fashion-mnist".to_owned(),
            exit_segments: network.segments_of_exits(),
            tensor_bytes: tensor_bytes(&network),
            times: fashion_times(&folder)?,
            varies: true,
            choose: choose.clone(),
            judge: judge.clone(),
        };
        let ceed = ceed(root, choose, judge)?;
        Ok(Self { fashion: Arc::new(fashion), ceed: Arc::new(ceed), distortions: distortions(&folder, &network)? })
    }
}

fn network(folder: &Path) -> anyhow::Result<Arc<Network>> {
    let exits = (1..=6).map(|exit| ExitDocument {
        name: format!("exit{exit}"),
        tensor: format!("exit{exit}"),
        output: wire::document::ExitOutputDocument::Logits,
    });
    let description = read_description(ModelDocument {
        name: "fashion-mnist".to_owned(),
        input: InputDocument { name: "input".to_owned(), shape: vec![1, 28, 28] },
        exits: exits.collect(),
        cuts: (1..=5).map(|cut| format!("cut{cut}")).collect(),
        confidence: wire::document::ConfidenceDocument::MaxSoftmax,
    })?;
    Ok(Network::load(&folder.join("model.onnx"), &description)?)
}

fn tensor_bytes(network: &Network) -> Vec<u64> {
    let segments = network.model().segments();
    let cuts = (0..segments).map(|segment| network.forward_len(segment).unwrap_or(0));
    std::iter::once(network.model().input_len()).chain(cuts).map(|values| 4 * values as u64).collect()
}

/// The profile of the manifest.
fn fashion_times(folder: &Path) -> anyhow::Result<ServiceTimes> {
    let manifests = api::load(folder).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let resolved = manifests.resolve().map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let service = resolved.services.first().context("the example has a service")?;
    let mut times = service.model.profile.clone().context("the model of the example has a profile")?;
    for time in times.segments.iter_mut().chain(&mut times.heads) {
        time.mean = Seconds::new(time.mean.get() / PI_SPEED)?;
    }
    Ok(times)
}

#[derive(Debug, Deserialize)]
struct Profile {
    backbone_execution_time: BTreeMap<String, Measured>,
    gate_execution_time: BTreeMap<String, Measured>,
    backbone_output_memory: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    mean: f64,
    var: f64,
}

/// Times and sizes of CEED, exits and accuracies of the example. Times of layers are taken as independent.
fn ceed(root: &Path, choose: Arc<Samples>, judge: Arc<Samples>) -> anyhow::Result<Model> {
    let file = root.join("evaluation/data/ceed/system_profile.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let profile: Profile = serde_json::from_str(&text).with_context(|| format!("failed to read {}", file.display()))?;
    let sum = |parts: &mut dyn Iterator<Item = &Measured>| -> anyhow::Result<ServiceTime> {
        let (mean, var) = parts.fold((0.0, 0.0), |(mean, var), part| (mean + part.mean, var + part.var));
        Ok(ServiceTime { mean: Seconds::new(mean)?, scv: if mean > 0.0 { var / (mean * mean) } else { 0.0 } })
    };
    let (mut segments, mut heads, mut bytes, mut next) = (vec![], vec![], vec![CEED_INPUT], 0);
    for gate in CEED_GATES {
        let layers = next..=CEED_LAYERS[gate];
        let of_layer = |name: &str| name.split('_').nth(1).and_then(|number| number.parse::<usize>().ok());
        let here = |name: &String| of_layer(name).is_some_and(|layer| layers.contains(&layer));
        let backbone = &profile.backbone_execution_time;
        segments.push(sum(&mut backbone.iter().filter(|(name, _)| here(name)).map(|(_, time)| time))?);
        let head = format!("gate_{gate}_");
        let parts = profile.gate_execution_time.iter().filter(|(name, _)| name.starts_with(&head));
        heads.push(sum(&mut parts.map(|(_, time)| time))?);
        let last = format!("layer_{}_", CEED_LAYERS[gate]);
        let size = profile.backbone_output_memory.iter().find(|(name, _)| name.starts_with(&last));
        bytes.push((size.context("every layer has a size")?.1 - CEED_OVERHEAD) as u64);
        next = CEED_LAYERS[gate] + 1;
    }
    *bytes.last_mut().expect("it has one entry per gate") = 0;
    // The last head is part of the last segment.
    let last = heads.last_mut().context("there are gates")?;
    let (head, segment) = (*last, segments.last_mut().context("there are segments")?);
    *segment = sum(&mut [measured(segment), measured(&head)].iter())?;
    *last = ServiceTime { mean: Seconds::new(0.0)?, scv: 0.0 };
    Ok(Model {
        name: "ceed".to_owned(),
        exit_segments: (0..CEED_GATES.len()).collect(),
        tensor_bytes: bytes,
        times: ServiceTimes { segments, heads },
        varies: true,
        choose,
        judge,
    })
}

fn measured(time: &ServiceTime) -> Measured {
    Measured { mean: time.mean.get(), var: time.scv * time.mean.get().powi(2) }
}

/// Exit tables of the first 1,000 test images: as they are, blurred, and noisy.
fn distortions(folder: &Path, network: &Network) -> anyhow::Result<Vec<Distortion>> {
    let samples = api::samples::read(&folder.join("load.safetensors"))?;
    let labels: Vec<u16> = (0..samples.count()).filter_map(|sample| samples.label(sample)).collect();
    let distorted = |name: &'static str, distort: &dyn Fn(&[f32], usize) -> Vec<f32>| {
        let images: Vec<f32> = (0..samples.count()).flat_map(|sample| distort(samples.input(sample), sample)).collect();
        let table = model::exit_table(network, model::Samples(&images), &labels, |_, _| {})?;
        Ok(Distortion { name, table })
    };
    [
        distorted("clean", &|image, _| image.to_vec()),
        distorted("blurred", &|image, _| blur(image)),
        distorted("noisy", &|image, sample| add_noise(image, sample)),
    ]
    .into_iter()
    .collect()
}

const SIDE: usize = 28;

/// Each pixel becomes half of itself and half of the mean of the nine around it.
fn blur(image: &[f32]) -> Vec<f32> {
    let at = |x: usize, y: usize| image[y * SIDE + x];
    let near = |center: usize| center.saturating_sub(1)..=(center + 1).min(SIDE - 1);
    let pixel = |x: usize, y: usize| {
        let around = near(y).flat_map(|y| near(x).map(move |x| at(x, y)));
        let (sum, count) = around.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        (at(x, y) + sum / count) / 2.0
    };
    (0..SIDE * SIDE).map(|place| pixel(place % SIDE, place / SIDE)).collect()
}

/// Adds a number from −0.08 to 0.08 to each pixel and keeps it between black and white.
fn add_noise(image: &[f32], sample: usize) -> Vec<f32> {
    // Weyl sequence through a mixer: the same noise everywhere.
    let random = |place: usize| {
        let mut bits = ((sample * SIDE * SIDE + place) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((bits ^ (bits >> 29)) >> 40) as f32 / (1u32 << 24) as f32
    };
    image.iter().enumerate().map(|(place, value)| (value + 0.16 * (random(place) - 0.5)).clamp(0.0, 1.0)).collect()
}
