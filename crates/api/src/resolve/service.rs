//! A service manifest as chains, fragments, and who decides about its jobs.

use super::{Pool, Problems, Reach, ResolvedModel, ResolvedScheduler, find, planned, scheduler};
use crate::{
    EENNServiceSpec, Manifests, Object, Overflow, PinnedChain, PlacementStrategy, QoSTargetSpec, ReoptimizationMode,
    SchedulerType, check,
};
use domain::problem::Burstiness;
use domain::{
    Bytes, Chain, Choice, Epoch, FragmentRange, Mixture, PerSecond, Policy, Probability, Seconds, Thresholds,
};
use std::collections::BTreeMap;

/// A service with everything it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedService {
    /// Its name.
    pub name: String,
    /// Name of its pool.
    pub pool: String,
    /// What it serves.
    pub model: ResolvedModel,
    /// What it must keep to; the default limits nothing.
    pub targets: Option<QoSTargetSpec>,
    /// Where jobs arrive.
    pub sources: Vec<ResolvedSource>,
    /// The kind of its scheduler.
    pub kind: SchedulerType,
    /// How jobs are treated.
    pub scheduler: ResolvedScheduler,
    /// When thresholds are fixed.
    pub epoch: Epoch,
    /// What happens to a job that does not fit.
    pub overflow: domain::Overflow,
    /// Share of jobs that run on to the last exit after their answer.
    pub audit: Probability,
    /// Time a job may take.
    pub deadline: Option<Seconds>,
    /// When it is planned again; never where this is `None`.
    pub reoptimization: Option<ResolvedReoptimization>,
    /// The fragments that exist.
    pub fragments: Vec<Fragment>,
    /// Ways through them.
    pub chains: Vec<ResolvedChain>,
    /// The size of each fragment.
    pub size: FragmentSize,
    /// Memory of each gateway.
    pub gateway_memory_budget: Bytes,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedSource {
    /// Its name.
    pub name: String,
    /// The device of its gateway.
    pub device: String,
    /// The rate that is expected.
    pub expected_rate: PerSecond,
    /// How arrivals are spread around it.
    pub burstiness: Burstiness,
}

/// A way through the fragments of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedChain {
    /// Its name.
    pub name: String,
    /// Share of the jobs that take it, unless a planner decides; those of all chains sum to one.
    pub share: f64,
    /// Its fragments in order, as indices.
    pub fragments: Vec<usize>,
}

/// Limits of planning again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResolvedReoptimization {
    /// Least time between two changes.
    pub minimum_interval: Seconds,
    /// Most changes in any hour; ≥ 1.
    pub maximum_per_hour: u32,
}

/// A run of segments on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Its name, distinct on its device within the service.
    pub name: String,
    /// Where it lives.
    pub device: String,
    /// Its segments.
    pub range: FragmentRange,
}

/// The size of a fragment's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentSize {
    /// Jobs served at a time.
    pub workers: usize,
    /// Bytes for all jobs held.
    pub memory_budget: Bytes,
    /// CPU request in thousandths of a core.
    pub cpu_request_millis: Option<u64>,
    /// CPU limit in thousandths of a core.
    pub cpu_limit_millis: Option<u64>,
}

type Service = Object<EENNServiceSpec>;

/// What is known of a service wherever its fragments live.
pub(super) struct Frame<'a> {
    pub(super) pool: &'a Pool,
    pub(super) model: &'a ResolvedModel,
    pub(super) targets: Option<QoSTargetSpec>,
    pub(super) sources: Vec<ResolvedSource>,
    pub(super) size: FragmentSize,
}

/// Follows what a service refers to.
pub(super) fn frame<'a>(
    object: &Service,
    manifests: &Manifests,
    pools: &'a BTreeMap<String, Pool>,
    models: &'a BTreeMap<&str, ResolvedModel>,
    problems: &mut Problems,
) -> Option<Frame<'a>> {
    let (spec, origin) = (&object.spec, &object.origin);
    check_name(object, problems);
    let (model_name, pool_name) = (spec.model_ref.name.as_str(), spec.device_pool_ref.name.as_str());
    let found_model = find(&manifests.models, model_name, "EENNModel", origin, "spec.modelRef", problems);
    let found_pool = find(&manifests.pools, pool_name, "DevicePool", origin, "spec.devicePoolRef", problems);
    let target = spec.qos_target_ref.as_ref().map(|reference| {
        find(&manifests.targets, reference.name.as_str(), "QoSTarget", origin, "spec.qosTargetRef", problems)
    });
    // A model that is there and still not among `models` has been reported already.
    let (model, pool) = (models.get(found_model?.name.as_str())?, pools.get(&found_pool?.name)?);
    let targets = match target {
        None => None,
        Some(found) => Some(found?.spec.clone()),
    };
    let (sources, size) = (sources(object, pool, problems), size(object, model, problems));
    Some(Frame { pool, model, targets, sources, size })
}

pub(super) fn resolve(
    object: &Service,
    manifests: &Manifests,
    pools: &BTreeMap<String, Pool>,
    models: &BTreeMap<&str, ResolvedModel>,
    problems: &mut Problems,
) -> Option<ResolvedService> {
    let Frame { pool, model, targets, sources, size } = frame(object, manifests, pools, models, problems)?;
    let spec = &object.spec;
    let (chains, fragments) = chains(object, pool, model.model.segments(), problems)?;
    check_reach(object, pool, &sources, &fragments, &chains, problems);
    let before = problems.0.len();
    scheduler::refuse_other_fields(object, problems);
    let exits = model.model.exits.len();
    let planned = planned::resolve(object, exits, problems);
    let mut service = ResolvedService {
        name: object.name.clone(),
        pool: spec.device_pool_ref.name.to_string(),
        model: model.clone(),
        targets,
        sources,
        epoch: planned::epoch(object, planned.as_ref(), problems),
        kind: spec.scheduler.r#type,
        scheduler: ResolvedScheduler::Planned(planned::PlannedScheduler::SMDP),
        overflow: overflow(object),
        audit: audit(object),
        deadline: deadline(object),
        reoptimization: reoptimization(object),
        fragments,
        chains,
        size,
        gateway_memory_budget: spec.runtime.gateway_memory_budget.bytes(),
    };
    service.scheduler = match planned {
        Some(planned) => ResolvedScheduler::Planned(planned),
        None => ResolvedScheduler::Given(given(object, &service, problems)?),
    };
    (problems.0.len() == before).then_some(service)
}

pub(super) fn overflow(object: &Service) -> domain::Overflow {
    match object.spec.overflow {
        Overflow::Drop => domain::Overflow::Drop,
        Overflow::AnswerWithLastExit => domain::Overflow::AnswerWithLastExit,
    }
}

pub(super) fn audit(object: &Service) -> Probability {
    Probability::new(object.spec.audit_share.get()).expect("a ratio is a probability")
}

pub(super) fn deadline(object: &Service) -> Option<Seconds> {
    object.spec.deadline_milliseconds.map(milliseconds)
}

/// Names of pods and Services begin with that of their EENNService.
fn check_name(object: &Service, problems: &mut Problems) {
    const LONGEST: usize = 45;
    let name = &object.name;
    if name.len() > LONGEST || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let message = format!("{name:?} is not allowed; allowed: at most {LONGEST} characters, the first one a letter");
        problems.report(&object.origin, "metadata.name", message);
    }
    if ["default", "kubernetes"].contains(&name.as_str()) {
        let message = format!("{name:?} is not allowed: Kubernetes has a ServiceAccount or a Service of this name");
        problems.report(&object.origin, "metadata.name", message);
    }
}

/// The policy that a manifest gives.
fn given(object: &Service, service: &ResolvedService, problems: &mut Problems) -> Option<Policy> {
    let (exits, segments) = (service.model.model.exits.len(), service.model.model.segments());
    let default = scheduler::resolve(object, exits, &service.chains, problems)?;
    let policy = service.policy(default);
    if let Err(error) = policy.check(exits, segments) {
        problems.report(&object.origin, "spec", error.to_string());
    }
    Some(policy)
}

impl ResolvedService {
    /// What gateways do until there is a plan: what the manifest says, or the last exit for all jobs.
    pub fn initial_policy(&self) -> Policy {
        match &self.scheduler {
            ResolvedScheduler::Given(policy) => policy.clone(),
            ResolvedScheduler::Planned(_) => {
                let last = Thresholds::exit_last(self.model.model.exits.len());
                let taken = self.chains.iter().enumerate().filter(|(_, chain)| chain.share > 0.0);
                let choices = taken.map(|(index, chain)| {
                    let share = Probability::new(chain.share.min(1.0)).expect("a share is a probability");
                    Choice::new(share, index, last.clone())
                });
                self.policy(Mixture::new(choices.collect(), "the chains").expect("the shares of chains sum to one"))
            }
        }
    }

    /// A policy that treats all jobs alike.
    fn policy(&self, default: Mixture) -> Policy {
        let chain = |chain: &ResolvedChain| Chain {
            name: chain.name.clone(),
            fragments: chain.fragments.iter().map(|fragment| self.fragments[*fragment].range).collect(),
        };
        Policy {
            epoch: self.epoch,
            overflow: self.overflow,
            chains: self.chains.iter().map(chain).collect(),
            default,
            sources: vec![],
            rates: None,
            learning: None,
            audit: self.audit,
            deadline: self.deadline,
        }
    }
}

fn reoptimization(object: &Service) -> Option<ResolvedReoptimization> {
    let given = &object.spec.reoptimization;
    (given.mode == ReoptimizationMode::Enabled).then(|| ResolvedReoptimization {
        minimum_interval: Seconds::new(given.minimum_interval_seconds as f64).expect("the schema keeps it above 0"),
        maximum_per_hour: given.maximum_changes_per_hour.unsigned_abs(),
    })
}

fn milliseconds(given: i64) -> Seconds {
    Seconds::new(given as f64 / 1e3).expect("the schema keeps it above 0")
}

fn sources(object: &Service, pool: &Pool, problems: &mut Problems) -> Vec<ResolvedSource> {
    object
        .spec
        .sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            check_node(object, pool, source.node.as_str(), &format!("spec.sources[{index}].node"), problems);
            ResolvedSource {
                name: source.name.to_string(),
                device: source.node.to_string(),
                expected_rate: PerSecond::new(source.expected_rate.get()).expect("a positive decimal is a rate"),
                burstiness: source.burstiness.as_ref().map_or(Burstiness::Poisson, phases),
            }
        })
        .collect()
}

/// Calm and burst as phases. With the shares of time p in calm and 1 − p in bursts, and a ratio r of their rates, the rate
/// in calm is 1 ÷ (p + (1 − p)·r) of the mean.
fn phases(given: &crate::Burstiness) -> Burstiness {
    let (ratio, burst, calm) = (given.rate_ratio.get(), given.mean_burst_seconds.get(), given.mean_calm_seconds.get());
    let in_calm = calm / (calm + burst);
    let low = 1.0 / (in_calm + (1.0 - in_calm) * ratio);
    Burstiness::Phases { rates: [low, low * ratio], switch: [1.0 / calm, 1.0 / burst] }
}

fn check_node(object: &Service, pool: &Pool, node: &str, path: &str, problems: &mut Problems) {
    if pool.sound && !pool.devices.contains_key(node) {
        let known: Vec<&str> = pool.devices.keys().map(String::as_str).collect();
        let pool = &object.spec.device_pool_ref.name;
        let message = format!("no device of pool {:?} is named {}", pool.as_str(), check::unknown(node, &known));
        problems.report(&object.origin, path, message);
    }
}

fn size(object: &Service, model: &ResolvedModel, problems: &mut Problems) -> FragmentSize {
    let runtime = &object.spec.runtime;
    // Tensors are f32. A budget below one job would lose every job, which nobody wants.
    let job = Bytes(4 * model.model.input_len() as u64);
    let budgets = [("memoryBudget", &runtime.memory_budget), ("gatewayMemoryBudget", &runtime.gateway_memory_budget)];
    for (field, budget) in budgets {
        if budget.bytes() < job {
            let message = format!("{budget} cannot hold even one job: its input has {} bytes", job.0);
            problems.report(&object.origin, &format!("spec.runtime.{field}"), message);
        }
    }
    for (field, cpu) in [("cpuRequest", &runtime.cpu_request), ("cpuLimit", &runtime.cpu_limit)] {
        if cpu.as_ref().is_some_and(|cpu| cpu.millis() == 0) {
            problems.report(&object.origin, &format!("spec.runtime.{field}"), "must be more than 0");
        }
    }
    if let (Some(request), Some(limit)) = (&runtime.cpu_request, &runtime.cpu_limit)
        && request.millis() > limit.millis()
    {
        let message = format!("{request} is more than the cpuLimit of {limit}");
        problems.report(&object.origin, "spec.runtime.cpuRequest", message);
    }
    FragmentSize {
        workers: runtime.workers.unsigned_abs() as usize,
        memory_budget: runtime.memory_budget.bytes(),
        cpu_request_millis: runtime.cpu_request.as_ref().map(|cpu| cpu.millis()),
        cpu_limit_millis: runtime.cpu_limit.as_ref().map(|cpu| cpu.millis()),
    }
}

/// Chains, and the fragments they share.
pub(super) type Chains = (Vec<ResolvedChain>, Vec<Fragment>);

/// Whether nobody can place fragments so.
pub(super) fn refuse_strategy(object: &Service, problems: &mut Problems) -> bool {
    let placement = &object.spec.placement;
    let is_open = matches!(placement.strategy, PlacementStrategy::ILP | PlacementStrategy::Latency);
    if is_open {
        let message = format!("{:?} is not available yet; use Pinned", placement.strategy);
        problems.report(&object.origin, "spec.placement.strategy", message);
    }
    let is_doubtful = placement.strategy == PlacementStrategy::Auto && !placement.pinned.is_empty();
    if is_doubtful {
        let message = "belongs to strategy Pinned, not to Auto; write strategy: Pinned, or remove it";
        problems.report(&object.origin, "spec.placement.pinned", message);
    }
    is_open || is_doubtful
}

pub(super) fn chains(object: &Service, pool: &Pool, segments: usize, problems: &mut Problems) -> Option<Chains> {
    let placement = &object.spec.placement;
    if refuse_strategy(object, problems) {
        return None;
    }
    if placement.strategy == PlacementStrategy::Auto {
        let message = "Auto is for a planner to decide, which has not happened yet";
        problems.report(&object.origin, "spec.placement", message);
        return None;
    }
    if placement.pinned.is_empty() {
        problems.report(&object.origin, "spec.placement.pinned", "is missing; strategy Pinned needs it");
        return None;
    }
    let before = problems.0.len();
    let (mut chains, mut fragments) = (vec![], vec![]);
    let shares = chain_shares(object, problems)?;
    for (index, (pinned, share)) in placement.pinned.iter().zip(shares).enumerate() {
        let path = format!("spec.placement.pinned[{index}]");
        check_whole(object, pinned, segments, &path, problems);
        let walk: Vec<usize> = pinned
            .fragments
            .iter()
            .enumerate()
            .map(|(index, fragment)| {
                let path = format!("{path}.fragments[{index}]");
                check_node(object, pool, fragment.node.as_str(), &format!("{path}.node"), problems);
                place(object, fragment, &path, &mut fragments, problems)
            })
            .collect();
        chains.push(ResolvedChain { name: pinned.chain.to_string(), share, fragments: walk });
    }
    (problems.0.len() == before).then_some((chains, fragments))
}

/// The fragments of a chain hold segments 1 to `segments`, each once and in order.
fn check_whole(object: &Service, pinned: &PinnedChain, segments: usize, path: &str, problems: &mut Problems) {
    let before = problems.0.len();
    let mut next = 1;
    for (index, fragment) in pinned.fragments.iter().enumerate() {
        let path = format!("{path}.fragments[{index}]");
        let (first, last) = (fragment.first_segment, fragment.last_segment);
        if first != next {
            let why = if index == 0 { "a chain starts with it" } else { "it follows the fragment before" };
            let message = format!("is {first}, but must be {next}: {why}");
            problems.report(&object.origin, &format!("{path}.firstSegment"), message);
        }
        if last < first {
            let message = format!("is {last}, which is before firstSegment {first}");
            problems.report(&object.origin, &format!("{path}.lastSegment"), message);
        }
        next = last.max(first) + 1;
    }
    if problems.0.len() == before && next as usize != segments + 1 {
        let last = pinned.fragments.len().saturating_sub(1);
        let message = format!("is {}; the model has {segments} segments, and a chain holds all of them", next - 1);
        problems.report(&object.origin, &format!("{path}.fragments[{last}].lastSegment"), message);
    }
}

/// The index of the fragment; the same segments on the same node are one.
fn place(
    object: &Service,
    pinned: &crate::PinnedFragment,
    path: &str,
    fragments: &mut Vec<Fragment>,
    problems: &mut Problems,
) -> usize {
    let (first, last) = (pinned.first_segment.unsigned_abs() as usize, pinned.last_segment.unsigned_abs() as usize);
    let name = pinned.name.as_ref().map_or_else(|| format!("{}-{first}-{last}", object.name), ToString::to_string);
    let device = pinned.node.as_str();
    let range = FragmentRange { first: first.saturating_sub(1), last: last.saturating_sub(1) };
    let here = |fragment: &&Fragment| fragment.device == device && (fragment.range == range || fragment.name == name);
    if let Some(other) = fragments.iter().find(here).filter(|other| other.range != range || other.name != name) {
        let (a, b) = (other.range.first + 1, other.range.last + 1);
        let message =
            format!("on {device:?}, {:?} is already segments {a} to {b}; one name, one run of segments", other.name);
        problems.report(&object.origin, &format!("{path}.name"), message);
    }
    fragments.iter().position(|fragment| here(&fragment)).unwrap_or_else(|| {
        fragments.push(Fragment { name: name.clone(), device: device.to_owned(), range });
        fragments.len() - 1
    })
}

/// Every source reaches the first device of every chain, and every device the next one.
fn check_reach(
    object: &Service,
    pool: &Pool,
    sources: &[ResolvedSource],
    fragments: &[Fragment],
    chains: &[ResolvedChain],
    problems: &mut Problems,
) {
    for (chain, walk) in chains.iter().map(|chain| &chain.fragments).enumerate() {
        let devices: Vec<&str> = walk.iter().map(|fragment| fragments[*fragment].device.as_str()).collect();
        let steps = devices.windows(2).enumerate().map(|(index, pair)| (index + 1, pair[0], pair[1]));
        let arrivals = sources.iter().map(|source| (0, source.device.as_str(), devices[0]));
        for (index, from, to) in arrivals.chain(steps) {
            // A source on a node that the pool does not have has been reported already.
            let known = pool.sound && pool.devices.contains_key(from);
            if known && pool.reach(from, to) == Reach::Unreachable {
                let pool = &object.spec.device_pool_ref.name;
                let message = format!("{from:?} has no link to {to:?} in pool {:?}", pool.as_str());
                let path = format!("spec.placement.pinned[{chain}].fragments[{index}].node");
                problems.report(&object.origin, &path, message);
            }
        }
    }
}

/// The share of each chain: as given, and what is left in equal parts for the others.
fn chain_shares(object: &Service, problems: &mut Problems) -> Option<Vec<f64>> {
    let pinned = &object.spec.placement.pinned;
    let given: Vec<Option<f64>> = pinned.iter().map(|chain| chain.probability.as_ref().map(|p| p.get())).collect();
    let sum: f64 = given.iter().flatten().sum();
    let open = given.iter().filter(|share| share.is_none()).count();
    let wrong = if open == 0 { (sum - 1.0).abs() > 1e-6 } else { sum > 1.0 + 1e-6 };
    if wrong {
        let rule = if open == 0 { "not to 1" } else { "which is more than 1" };
        let message = format!("probabilities of the chains sum to {}, {rule}", (sum * 1e6).round() / 1e6);
        problems.report(&object.origin, "spec.placement.pinned", message);
        return None;
    }
    let rest = (1.0 - sum).max(0.0) / open.max(1) as f64;
    Some(given.into_iter().map(|share| share.unwrap_or(rest)).collect())
}
