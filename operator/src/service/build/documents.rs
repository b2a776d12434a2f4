//! What processes are told: a plan as the documents of the data plane.

use super::Blueprint;
use crate::identity;
use api::{Confidence, EENNModel, EENNModelSpec, EENNPlan, EENNService, ExitOutput, PlannedFragment};
use kube::ResourceExt;
use std::collections::BTreeSet;
use wire::document::{
    ConfidenceDocument, ControlDocument, DeviceDocument, ExitDocument, ExitOutputDocument, FragmentDocument,
    GatewayDocument, HopDocument, InputDocument, ModelDocument, PolicyDocument, ProfileDocument, TimeDocument,
    TlsDocument,
};

/// Where fragments take jobs.
pub const JOBS_PORT: i32 = 9000;
/// Where gateways take requests.
pub const REQUESTS_PORT: i32 = 8080;
/// Where the operator asks and tells.
pub const CONTROL_PORT: i32 = 9443;
/// Where pods find their certificate.
pub const CERTIFICATES: &str = "/etc/eenn-tls";
/// Metrics and health, without certificates.
pub const METRICS_PORT: i32 = 9090;
/// The network of a cluster takes up to some seconds to send no more requests to a gateway that is about to stop.
const LAST_REQUESTS_MILLISECONDS: u64 = 5_000;
/// One request must not take the memory of all others.
const LARGEST_BODY: u64 = 8 << 20;

/// Fragments of a plan, each once, also where several chains pass through it.
pub fn fragments(plan: &EENNPlan) -> BTreeSet<PlannedFragment> {
    plan.spec.chains.iter().flat_map(|chain| &chain.fragments).cloned().collect()
}

/// Nodes that sources are on.
pub fn gateway_nodes(service: &EENNService) -> BTreeSet<String> {
    service.spec.sources.iter().map(|source| source.node.to_string()).collect()
}

/// Name of a fragment in answers and metrics.
pub fn fragment_name(service: &str, fragment: &PlannedFragment) -> String {
    format!("{service}-{}-{}", fragment.first_segment, fragment.last_segment)
}

/// What a fragment is started with.
pub fn device(blueprint: &Blueprint<'_>, fragment: &PlannedFragment, file: &str) -> DeviceDocument {
    let runtime = &blueprint.service.spec.runtime;
    let any = |port: i32| format!("0.0.0.0:{port}");
    DeviceDocument {
        device: fragment.node.to_string(),
        listen: any(JOBS_PORT),
        metrics_listen: any(METRICS_PORT),
        fragments: vec![FragmentDocument {
            name: fragment_name(&blueprint.name(), fragment),
            file: file.to_owned(),
            model: model(blueprint.model),
            first_segment: index(fragment.first_segment),
            last_segment: index(fragment.last_segment),
            memory_budget_bytes: runtime.memory_budget.bytes().0,
            workers: index(runtime.workers),
            cpu_request_millis: runtime.cpu_request.as_ref().map(api::Quantity::millis),
            cpu_limit_millis: runtime.cpu_limit.as_ref().map(api::Quantity::millis),
            profile: blueprint.model.spec.profile.as_ref().map(|profile| ProfileDocument {
                segments: profile.segments.iter().map(time).collect(),
                heads: heads(&blueprint.model.spec, profile),
            }),
        }],
        links: Default::default(),
        emulate: None,
        memory_budget_bytes: None,
        tls: Some(tls(blueprint)),
    }
}

/// What a gateway is started with. `addresses`: where each fragment takes jobs.
pub fn gateway(blueprint: &Blueprint<'_>, node: &str, addresses: &[(PlannedFragment, String)]) -> GatewayDocument {
    let budget = blueprint.service.spec.runtime.gateway_memory_budget.bytes().0;
    let sources = &blueprint.service.spec.sources;
    let first = sources.iter().find(|source| source.node.as_str() == node);
    GatewayDocument {
        device: node.to_owned(),
        listen: format!("0.0.0.0:{REQUESTS_PORT}"),
        admin_listen: format!("0.0.0.0:{METRICS_PORT}"),
        model: model(blueprint.model),
        classes: None,
        source: first.map(|source| source.name.to_string()).unwrap_or_default(),
        policy: policy(blueprint, node, addresses),
        policy_file: Some("/var/lib/eenn/policy.json".to_owned()),
        last_requests_milliseconds: LAST_REQUESTS_MILLISECONDS,
        memory_budget_bytes: budget,
        max_body_bytes: (budget / 8).clamp(1, LARGEST_BODY),
        links: Default::default(),
        tls: Some(tls(blueprint)),
    }
}

/// Processes of a service speak to each other, and the operator to all of them; nobody else does.
fn tls(blueprint: &Blueprint<'_>) -> TlsDocument {
    let namespace = blueprint.service.namespace().unwrap_or_default();
    TlsDocument {
        folder: CERTIFICATES.to_owned(),
        name: identity::service_name(&blueprint.name(), &namespace),
        control: ControlDocument {
            listen: format!("0.0.0.0:{CONTROL_PORT}"),
            peer: identity::operator_name(blueprint.operator.name),
        },
    }
}

/// The policy of a plan as the gateway of a node gets it: with addresses, its version, and the forecast of its own sources.
pub fn policy(blueprint: &Blueprint<'_>, node: &str, addresses: &[(PlannedFragment, String)]) -> PolicyDocument {
    let mut policy: PolicyDocument =
        serde_json::from_str(&blueprint.plan.spec.policy).unwrap_or_else(|_| last_exit(blueprint));
    policy.service = blueprint.name();
    policy.version = blueprint.version;
    for hop in policy.chains.iter_mut().flat_map(|chain| &mut chain.hops) {
        if let Some((fragment, address)) = addresses.iter().find(|(fragment, _)| is_at(fragment, hop)) {
            hop.fragment = fragment_name(&blueprint.name(), fragment);
            hop.address.clone_from(address);
        }
    }
    if let Some(table) = &mut policy.rates {
        table.forecast_per_second *= share(blueprint.service, node);
    }
    policy
}

fn is_at(fragment: &PlannedFragment, hop: &HopDocument) -> bool {
    let segments = (index(fragment.first_segment), index(fragment.last_segment));
    fragment.node.as_str() == hop.device && segments == (hop.first_segment, hop.last_segment)
}

/// The part of a service's arrivals that each gateway of a node is expected to see.
fn share(service: &EENNService, node: &str) -> f64 {
    let sum = |here: &dyn Fn(&str) -> bool| -> f64 {
        service.spec.sources.iter().filter(|one| here(one.node.as_str())).map(|one| one.expected_rate.get()).sum()
    };
    sum(&|at| at == node) / sum(&|_| true) / f64::from(service.spec.runtime.gateway_replicas.max(1))
}

/// For a plan that somebody has written by hand: every job over the first chain, to the last exit.
fn last_exit(blueprint: &Blueprint<'_>) -> PolicyDocument {
    let chains: Vec<_> = blueprint.plan.spec.chains.iter().map(|chain| chain_document(blueprint, chain)).collect();
    let choice = wire::document::ChoiceDocument {
        probability: 1.0,
        chain: chains.first().map(|chain| chain.name.clone()).unwrap_or_default(),
        thresholds: vec![1.0; blueprint.model.spec.exits.len().saturating_sub(1)],
        by_present: vec![],
    };
    PolicyDocument {
        service: blueprint.name(),
        version: blueprint.version,
        epoch: Default::default(),
        overflow: Default::default(),
        chains,
        default: vec![choice],
        sources: Default::default(),
        rates: None,
        learning: None,
        audit_share: blueprint.service.spec.audit_share.get(),
        deadline_milliseconds: blueprint.service.spec.deadline_milliseconds.map(i64::unsigned_abs),
    }
}

fn chain_document(blueprint: &Blueprint<'_>, chain: &api::PlannedChain) -> wire::document::ChainDocument {
    let hops = chain.fragments.iter().map(|fragment| HopDocument {
        fragment: fragment_name(&blueprint.name(), fragment),
        device: fragment.node.to_string(),
        address: String::new(),
        first_segment: index(fragment.first_segment),
        last_segment: index(fragment.last_segment),
        workers: index(blueprint.service.spec.runtime.workers),
    });
    wire::document::ChainDocument { name: chain.name.to_string(), hops: hops.collect() }
}

/// What processes have to know of a model.
pub fn model(model: &EENNModel) -> ModelDocument {
    let spec = &model.spec;
    let exits = spec.exits.iter().map(|exit| ExitDocument {
        name: exit.name.to_string(),
        tensor: exit.tensor.to_string(),
        output: match exit.output {
            ExitOutput::Logits => ExitOutputDocument::Logits,
            ExitOutput::Probabilities => ExitOutputDocument::Probabilities,
        },
    });
    ModelDocument {
        name: model.name_any(),
        input: InputDocument {
            name: spec.input.name.to_string(),
            shape: spec.input.shape.iter().map(|size| index(*size)).collect(),
        },
        exits: exits.collect(),
        cuts: spec.cuts.iter().map(|cut| cut.tensor.to_string()).collect(),
        confidence: match spec.confidence {
            Confidence::MaxSoftmax => ConfidenceDocument::MaxSoftmax,
            Confidence::NormalizedEntropy => ConfidenceDocument::NormalizedEntropy,
        },
    }
}

/// Heads that cost nothing where the profile has none.
fn heads(spec: &EENNModelSpec, profile: &api::Profile) -> Vec<TimeDocument> {
    let nothing = TimeDocument { mean_microseconds: 0.0, scv: 0.0 };
    (0..spec.exits.len()).map(|index| profile.heads.get(index).map_or(nothing, time)).collect()
}

fn time(time: &api::ServiceTime) -> TimeDocument {
    TimeDocument { mean_microseconds: time.mean_microseconds.get(), scv: time.scv.get() }
}

/// A count of the schema, which keeps it above zero.
fn index(count: i32) -> usize {
    count.unsigned_abs() as usize
}
