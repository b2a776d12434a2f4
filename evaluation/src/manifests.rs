//! The three tiers of [`crate::setting`] as manifests for local mode, with the network of an example.

use crate::models::PI_SPEED;
use crate::setting::{LINKS, LOSS_TARGET, ROOM, SPEEDS};
use anyhow::Context;
use std::path::Path;

const NODES: [&str; 3] = ["gateway", "near-edge", "far-edge"];
const TIERS: [&str; 3] = ["Gateway", "NearEdge", "FarEdge"];
const SEGMENTS: usize = 6;
const IMAGE_BYTES: u64 = 4 * 28 * 28;
/// Segments of a split chain on the gateway.
pub(crate) const FIRST: usize = 3;

/// A folder with the gateway and the first `beyond` tiers behind it, planned for so many jobs per second; `example` has the network, and the
/// jobs to send.
pub(crate) fn folder(example: &Path, beyond: usize, rate: f64) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    let own = ["nodes.yaml", "pool.yaml", "qos.yaml", "service.yaml"];
    for entry in std::fs::read_dir(example).with_context(|| format!("failed to list {}", example.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("files have names")?;
        if !own.iter().any(|own| name == *own) {
            std::os::unix::fs::symlink(&path, folder.path().join(name))?;
        }
    }
    let texts = [nodes(beyond), pool(beyond), qos(), service(beyond, rate)];
    for (name, text) in own.iter().zip(texts) {
        std::fs::write(folder.path().join(name), text)?;
    }
    Ok(folder)
}

fn nodes(beyond: usize) -> String {
    let node = |name: &&str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{ kubernetes.io/hostname: {name} }}\n\
             status:\n  capacity: {{ cpu: \"4\", memory: 4Gi }}\n  allocatable: {{ cpu: \"4\", memory: 3Gi }}\n"
        )
    };
    NODES[..=beyond].iter().map(node).collect::<Vec<_>>().join("---\n")
}

fn pool(beyond: usize) -> String {
    let mut text =
        "apiVersion: eenn.dev/v1alpha1\nkind: DevicePool\nmetadata:\n  name: tiers\nspec:\n  classes:\n".to_owned();
    for ((name, tier), speed) in NODES.iter().zip(TIERS).zip(SPEEDS).take(beyond + 1) {
        text.push_str(&format!(
            "    - name: {name}\n      matchLabels: {{ kubernetes.io/hostname: {name} }}\n      tier: {tier}\n      cores: \"1\"\n      \
             speedFactor: \"{:.3}\"\n      memoryBudget: 256Ki\n",
            speed * PI_SPEED
        ));
    }
    let links = TIERS[1..].iter().zip(LINKS).take(beyond);
    let link = |(tier, (bytes, latency)): (&&str, (f64, f64))| {
        format!(
            "    - from: {{ tier: Gateway }}\n      to: {{ tier: {tier} }}\n      bytesPerSecond: {bytes:.0}\n      latencyMicroseconds: {:.0}\n",
            1e6 * latency
        )
    };
    let links: String = links.map(link).collect();
    if !links.is_empty() {
        text.push_str(&format!("  links:\n{links}"));
    }
    text
}

fn qos() -> String {
    format!(
        "apiVersion: eenn.dev/v1alpha1\nkind: QoSTarget\nmetadata:\n  name: little-loss\nspec:\n  maxLossRatio: \"{LOSS_TARGET}\"\n"
    )
}

/// Chains as in [`crate::setting::tiers`], but for where they are split. Whoever does not decide about chains shares jobs by speed among
/// single devices.
fn service(beyond: usize, rate: f64) -> String {
    let fragment = |node: &str, first: usize, last: usize| {
        format!("          - {{ node: {node}, firstSegment: {first}, lastSegment: {last} }}\n")
    };
    let chain = |name: &str, share: f64, fragments: String| {
        format!("      - chain: {name}\n        probability: \"{share}\"\n        fragments:\n{fragments}")
    };
    let all: f64 = SPEEDS[..=beyond].iter().sum();
    let single = |(node, speed): (&&str, f64)| chain(node, speed / all, fragment(node, 1, SEGMENTS));
    let split = |node: &&str| {
        let fragments = fragment(NODES[0], 1, FIRST) + &fragment(node, FIRST + 1, SEGMENTS);
        chain(&format!("split-{node}"), 0.0, fragments)
    };
    let singles: String = NODES[..=beyond].iter().zip(SPEEDS).map(single).collect();
    let splits: String = NODES[1..=beyond].iter().map(split).collect();
    format!(
        "apiVersion: eenn.dev/v1alpha1\nkind: EENNService\nmetadata:\n  name: tiers\nspec:\n  modelRef: {{ name: fashion-mnist }}\n  \
         devicePoolRef: {{ name: tiers }}\n  qosTargetRef: {{ name: little-loss }}\n  sources:\n    - {{ name: source, node: {}, expectedRate: \"{rate:.2}\" }}\n  \
         placement:\n    strategy: Pinned\n    pinned:\n{singles}{splits}  auditShare: \"0\"\n  reoptimization: {{ mode: Disabled }}\n  \
         runtime:\n    workers: 1\n    memoryBudget: \"{}\"\n    gatewayMemoryBudget: 16Mi\n",
        NODES[0],
        ROOM * IMAGE_BYTES
    )
}
