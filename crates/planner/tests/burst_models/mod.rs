//! The models and settings of the evaluation: one device with room for ten jobs, a fifth of the time at ten times the rate of
//! the rest.

use crate::one_device;
use domain::problem::{Burstiness, Model, Problem, Samples};
use domain::{ExitTable, Seconds, ServiceTime, ServiceTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Rows of numbers of a safetensors file.
fn exit_table(name: &str) -> Arc<Samples> {
    let data = std::fs::read(root().join("examples/fashion-mnist").join(name)).expect("the example has exit tables");
    let length = u64::from_le_bytes(data[..8].try_into().expect("eight bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&data[8..8 + length]).expect("a header");
    let part = |name: &str| {
        let offset = |at: usize| header[name]["data_offsets"][at].as_u64().expect("an offset") as usize + 8 + length;
        &data[offset(0)..offset(1)]
    };
    let number = |bytes: &[u8]| u16::from_le_bytes(bytes.try_into().expect("two bytes"));
    let numbers = |name: &str| part(name).chunks_exact(2).map(number).collect::<Vec<u16>>();
    let confidence =
        part("confidence").chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")));
    let exits = header["confidence"]["shape"][1].as_u64().expect("a shape") as usize;
    let table = ExitTable::new(exits, confidence.collect(), numbers("prediction"), numbers("label"));
    Arc::new(Samples::new(table.expect("lengths fit")))
}

fn time((mean, scv): (f64, f64)) -> ServiceTime {
    ServiceTime { mean: Seconds::new(mean).expect("a time"), scv }
}

fn model(name: &str, tensor_bytes: Vec<u64>, segments: &[(f64, f64)], heads: &[(f64, f64)]) -> Arc<Model> {
    let times = |parts: &[(f64, f64)]| parts.iter().copied().map(time).collect();
    Arc::new(Model {
        name: name.to_owned(),
        exit_segments: (0..segments.len()).collect(),
        tensor_bytes,
        times: ServiceTimes { segments: times(segments), heads: times(heads) },
        varies: true,
        choose: exit_table("exit-table.safetensors"),
        judge: exit_table("exit-table-test.safetensors"),
    })
}

/// The example, on a machine as slow as a Raspberry Pi.
pub(crate) fn fashion() -> Arc<Model> {
    let slow = |parts: [(f64, f64); 6]| parts.map(|(microseconds, scv)| (microseconds * 1e-6 / 0.04, scv));
    let segments = [(111.8, 0.042), (84.9, 0.031), (89.0, 0.042), (100.6, 0.029), (169.2, 0.014), (281.5, 0.009)];
    let heads = [(9.3, 0.230), (6.8, 0.156), (6.0, 0.283), (6.7, 0.265), (7.4, 0.326), (0.0, 0.0)];
    model("fashion-mnist", vec![3136, 4000, 4000, 4000, 4000, 4000, 0], &slow(segments), &slow(heads))
}

/// The times published with CEED at six of its nine gates.
pub(crate) fn ceed() -> Arc<Model> {
    let file = root().join("evaluation/data/ceed/system_profile.json");
    let text = std::fs::read_to_string(file).expect("the evaluation has the profile");
    let profile: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let (gates, layers) = ([0, 2, 4, 6, 7, 8], [3, 5, 7, 9, 11, 13, 15, 17, 19]);
    let sum = |part: &str, is_here: &dyn Fn(&str) -> bool| {
        let parts = profile[part].as_object().expect("an object").iter().filter(|(name, _)| is_here(name));
        parts.fold((0.0, 0.0), |sum, (_, one)| {
            let number = |key: &str| one[key].as_f64().expect("a number");
            (sum.0 + number("mean"), sum.1 + number("var"))
        })
    };
    let scv = |(mean, variance): (f64, f64)| (mean, if mean > 0.0 { variance / (mean * mean) } else { 0.0 });
    let (mut segments, mut heads, mut next) = (vec![], vec![], 0);
    for gate in gates {
        let layer = |name: &str| name.split('_').nth(1).and_then(|number| number.parse::<usize>().ok());
        let here = |name: &str| layer(name).is_some_and(|layer| (next..=layers[gate]).contains(&layer));
        segments.push(sum("backbone_execution_time", &here));
        heads.push(sum("gate_execution_time", &|name: &str| name.starts_with(&format!("gate_{gate}_"))));
        next = layers[gate] + 1;
    }
    // The last head is part of the last segment.
    let head = std::mem::take(heads.last_mut().expect("there are gates"));
    let last = segments.last_mut().expect("there are segments");
    *last = (last.0 + head.0, last.1 + head.1);
    let [segments, heads] = [segments, heads].map(|parts| parts.into_iter().map(scv).collect::<Vec<_>>());
    model("ceed", vec![12_288, 65_536, 65_536, 32_768, 16_384, 8_192, 0], &segments, &heads)
}

/// One device at `load` times the rate at which it can run the whole network, in bursts of 40 arrivals.
pub(crate) fn problem(model: &Arc<Model>, load: f64) -> Problem {
    let rate = load / model.times.segments.iter().map(|segment| segment.mean.get()).sum::<f64>();
    let low = 1.0 / 2.8;
    let leave = 10.0 * low * rate / 40.0;
    let burstiness = Burstiness::Phases { rates: [low, 10.0 * low], switch: [leave / 4.0, leave] };
    one_device::problem(Arc::clone(model), rate, burstiness)
}
