//! Documents for small networks; fields are public and tests change what they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wire::document::{
    ChainDocument, ChoiceDocument, ConfidenceDocument, DeviceDocument, EmulateDocument, EpochDocument, ExitDocument,
    ExitOutputDocument, FragmentDocument, GatewayDocument, HopDocument, InputDocument, ModelDocument, OverflowDocument,
    PolicyDocument, PolicyVersion, ProfileDocument, TimeDocument,
};

/// The gateway's own source.
pub const SOURCE: &str = "camera";
/// Values of an input of both networks.
pub const INPUT: usize = 784;
/// Bytes of the tensor between the segments of `two-exits`.
pub const CUT_BYTES: u64 = 4096 * 4;

/// A file of this package.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The network with one exit and no cut.
pub fn trivial_model() -> ModelDocument {
    model("trivial", &["exit1"], &[])
}

/// The network with two exits and a cut of [`CUT_BYTES`] between them.
pub fn two_exits_model() -> ModelDocument {
    model("two-exits", &["exit1", "exit2"], &["cut1"])
}

fn model(name: &str, exits: &[&str], cuts: &[&str]) -> ModelDocument {
    let exit = |tensor: &&str| ExitDocument {
        name: (*tensor).to_owned(),
        tensor: (*tensor).to_owned(),
        output: ExitOutputDocument::Logits,
    };
    ModelDocument {
        name: name.to_owned(),
        input: InputDocument { name: "input".to_owned(), shape: vec![INPUT] },
        exits: exits.iter().map(exit).collect(),
        cuts: cuts.iter().map(|cut| (*cut).to_owned()).collect(),
        confidence: ConfidenceDocument::MaxSoftmax,
    }
}

/// A fragment of segments `first` to `last` (from 1).
pub fn fragment(model: &ModelDocument, first: usize, last: usize, budget: u64) -> FragmentDocument {
    FragmentDocument {
        name: format!("{}-{first}-{last}", model.name),
        file: file(&format!("models/{}.onnx", model.name)).display().to_string(),
        model: model.clone(),
        first_segment: first,
        last_segment: last,
        memory_budget_bytes: budget,
        workers: 1,
        cpu_request_millis: None,
        cpu_limit_millis: None,
        profile: None,
    }
}

/// A device that hosts `fragments`.
pub fn device(name: &str, fragments: Vec<FragmentDocument>) -> DeviceDocument {
    DeviceDocument {
        device: name.to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        metrics_listen: "127.0.0.1:0".to_owned(),
        fragments,
        links: BTreeMap::new(),
        emulate: None,
        memory_budget_bytes: None,
        tls: None,
    }
}

/// Makes a device as slow as one on which every segment takes `milliseconds`.
pub fn emulate(device: &mut DeviceDocument, milliseconds: f64) {
    device.emulate = Some(EmulateDocument { cores: 1.0, speed_factor: 1.0 });
    let time = |mean_microseconds: f64| TimeDocument { mean_microseconds, scv: 0.0 };
    for fragment in &mut device.fragments {
        let (segments, exits) = (fragment.model.cuts.len() + 1, fragment.model.exits.len());
        fragment.profile =
            Some(ProfileDocument { segments: vec![time(milliseconds * 1e3); segments], heads: vec![time(0.0); exits] });
    }
}

/// A chain over fragments as [`fragment`] names them: (device, first, last).
pub fn chain(name: &str, model: &ModelDocument, hops: &[(&str, usize, usize)]) -> ChainDocument {
    let hop = |(device, first, last): &(&str, usize, usize)| HopDocument {
        fragment: format!("{}-{first}-{last}", model.name),
        device: (*device).to_owned(),
        address: String::new(),
        first_segment: *first,
        last_segment: *last,
        workers: 1,
    };
    ChainDocument { name: name.to_owned(), hops: hops.iter().map(hop).collect() }
}

/// A gateway whose policy spreads jobs evenly over `chains`, all with `thresholds`.
pub fn gateway(model: &ModelDocument, chains: Vec<ChainDocument>, thresholds: &[f32]) -> GatewayDocument {
    let probability = 1.0 / chains.len() as f64;
    let choice = |chain: &ChainDocument| ChoiceDocument {
        probability,
        chain: chain.name.clone(),
        thresholds: thresholds.to_vec(),
        by_present: vec![],
    };
    let policy = PolicyDocument {
        service: model.name.clone(),
        version: PolicyVersion { transitions: 0, generation: 1 },
        epoch: EpochDocument::Arrival,
        overflow: OverflowDocument::Drop,
        default: chains.iter().map(choice).collect(),
        chains,
        sources: BTreeMap::new(),
        rates: None,
        learning: None,
        audit_share: 0.0,
        deadline_milliseconds: None,
    };
    GatewayDocument {
        device: "gateway".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        admin_listen: "127.0.0.1:0".to_owned(),
        model: model.clone(),
        classes: Some(10),
        source: SOURCE.to_owned(),
        policy,
        policy_file: None,
        last_requests_milliseconds: 0,
        memory_budget_bytes: 64 << 20,
        max_body_bytes: 4 << 20,
        links: BTreeMap::new(),
        tls: None,
    }
}

/// One device with the trivial network.
pub fn trivial() -> (Vec<DeviceDocument>, GatewayDocument) {
    let model = trivial_model();
    let chains = vec![chain("only", &model, &[("near", 1, 1)])];
    (vec![device("near", vec![fragment(&model, 1, 1, 16 << 20)])], gateway(&model, chains, &[]))
}

/// Devices `near` and `far`, each with one segment of `two-exits`.
pub fn near_and_far(thresholds: &[f32]) -> (Vec<DeviceDocument>, GatewayDocument) {
    let model = two_exits_model();
    let devices = vec![
        device("near", vec![fragment(&model, 1, 1, 4 << 20)]),
        device("far", vec![fragment(&model, 2, 2, 4 << 20)]),
    ];
    let chains = vec![chain("whole", &model, &[("near", 1, 1), ("far", 2, 2)])];
    (devices, gateway(&model, chains, thresholds))
}

/// Sample number `index` of an endless deterministic stream.
pub fn sample(index: u64) -> Vec<f32> {
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    (0..INPUT).map(|_| next()).collect()
}
