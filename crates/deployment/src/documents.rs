//! The documents that processes are started with.

use api::{Pool, Reach, Resolved, ResolvedChain, ResolvedModel, ResolvedService};
use domain::Bytes;
use std::collections::BTreeMap;
use wire::document::{
    ChainDocument, ConfidenceDocument, DeviceDocument, EmulateDocument, ExitDocument, ExitOutputDocument,
    FragmentDocument, GatewayDocument, HopDocument, InputDocument, LinkDocument, ModelDocument, PolicyDocument,
    PolicyVersion, ProfileDocument, TimeDocument,
};

/// Processes on one machine: any free port will do.
const ANY_PORT: &str = "127.0.0.1:0";
/// Larger than any sample that an edge device should be sent, in JSON and with a few of them in one request.
const LARGEST_BODY: u64 = 8 << 20;
/// What gateways start with.
pub(crate) const FIRST: PolicyVersion = PolicyVersion { transitions: 0, generation: 1 };

/// The process on a device that hosts fragments.
pub(crate) fn device(
    name: &str,
    hosts: &[&str],
    resolved: &Resolved,
    files: &BTreeMap<String, String>,
) -> DeviceDocument {
    let pool = resolved.pools.values().find(|pool| pool.devices.contains_key(name));
    let pool = pool.expect("fragments live on devices of a pool");
    let device = &pool.devices[name];
    let fragments = resolved.services.iter().flat_map(|service| fragments(name, service, files)).collect();
    DeviceDocument {
        device: name.to_owned(),
        listen: ANY_PORT.to_owned(),
        metrics_listen: ANY_PORT.to_owned(),
        fragments,
        links: links(name, hosts, pool),
        emulate: Some(EmulateDocument { cores: device.cores, speed_factor: device.speed_factor }),
        // The budgets of the fragments together are within that of the device, so another region would never bind.
        memory_budget_bytes: None,
        tls: None,
    }
}

fn fragments(device: &str, service: &ResolvedService, files: &BTreeMap<String, String>) -> Vec<FragmentDocument> {
    let here = service.fragments.iter().filter(|fragment| fragment.device == device);
    here.map(|fragment| FragmentDocument {
        name: fragment.name.clone(),
        file: files[&service.model.model.name].clone(),
        model: model(&service.model),
        first_segment: fragment.range.first + 1,
        last_segment: fragment.range.last + 1,
        memory_budget_bytes: service.size.memory_budget.0,
        workers: service.size.workers,
        cpu_request_millis: service.size.cpu_request_millis,
        cpu_limit_millis: service.size.cpu_limit_millis,
        profile: service.model.profile.as_ref().map(profile),
    })
    .collect()
}

/// Links from a device to those that host fragments. Where the pool declares none, all are reached at host speed.
pub(crate) fn links(from: &str, hosts: &[&str], pool: &Pool) -> BTreeMap<String, LinkDocument> {
    let others = hosts.iter().filter(|to| pool.devices.contains_key(**to));
    others
        .filter_map(|to| match pool.reach(from, to) {
            Reach::Link(link) => Some(((*to).to_owned(), link_document(link))),
            // Chains that need a device out of reach have been refused.
            Reach::Host | Reach::Unreachable => None,
        })
        .collect()
}

fn link_document(link: domain::Link) -> LinkDocument {
    LinkDocument {
        bytes_per_second: link.bytes_per_second.is_finite().then_some(link.bytes_per_second),
        latency_microseconds: microseconds(link.latency),
    }
}

/// The process on a device with sources.
pub(crate) fn gateway(node: &str, service: &ResolvedService, links: BTreeMap<String, LinkDocument>) -> GatewayDocument {
    let first = service.sources.iter().find(|source| source.device == node);
    let Bytes(budget) = service.gateway_memory_budget;
    GatewayDocument {
        device: node.to_owned(),
        listen: ANY_PORT.to_owned(),
        admin_listen: ANY_PORT.to_owned(),
        model: model(&service.model),
        classes: None,
        source: first.expect("a gateway runs where a source is").name.clone(),
        policy: policy(service, &service.initial_policy(), FIRST),
        policy_file: None,
        last_requests_milliseconds: 0,
        memory_budget_bytes: budget,
        // One request must not take the memory of all others.
        max_body_bytes: (budget / 8).clamp(1, LARGEST_BODY),
        links,
        tls: None,
    }
}

/// A policy, without addresses.
pub(crate) fn policy(service: &ResolvedService, policy: &domain::Policy, version: PolicyVersion) -> PolicyDocument {
    let chains = service.chains.iter().map(|chain| hops(chain, service)).collect();
    policy::write(policy, &service.name, version, chains)
}

fn hops(chain: &ResolvedChain, service: &ResolvedService) -> ChainDocument {
    let fragments = chain.fragments.iter().map(|fragment| &service.fragments[*fragment]);
    let hops = fragments.map(|fragment| HopDocument {
        fragment: fragment.name.clone(),
        device: fragment.device.clone(),
        address: String::new(),
        first_segment: fragment.range.first + 1,
        last_segment: fragment.range.last + 1,
        workers: service.size.workers,
    });
    ChainDocument { name: chain.name.clone(), hops: hops.collect() }
}

fn model(model: &ResolvedModel) -> ModelDocument {
    let model = &model.model;
    let exits = model.exits.iter().map(|exit| ExitDocument {
        name: exit.name.clone(),
        tensor: exit.tensor.clone(),
        output: match exit.output {
            domain::ExitOutput::Logits => ExitOutputDocument::Logits,
            domain::ExitOutput::Probabilities => ExitOutputDocument::Probabilities,
        },
    });
    ModelDocument {
        name: model.name.clone(),
        input: InputDocument { name: model.input.clone(), shape: model.input_shape.clone() },
        exits: exits.collect(),
        cuts: model.cuts.clone(),
        confidence: match model.confidence {
            domain::Confidence::MaxSoftmax => ConfidenceDocument::MaxSoftmax,
            domain::Confidence::NormalizedEntropy => ConfidenceDocument::NormalizedEntropy,
        },
    }
}

fn profile(times: &domain::ServiceTimes) -> ProfileDocument {
    let time = |time: &domain::ServiceTime| TimeDocument { mean_microseconds: microseconds(time.mean), scv: time.scv };
    ProfileDocument {
        segments: times.segments.iter().map(time).collect(),
        heads: times.heads.iter().map(time).collect(),
    }
}

/// Rounded to nanoseconds: 103.5 µs stays 103.5 and does not become 103.49999999999999.
fn microseconds(time: domain::Seconds) -> f64 {
    (time.get() * 1e9).round() / 1e3
}
