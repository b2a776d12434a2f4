//! A pool's devices and what reaches what.

use super::Problems;
use crate::{
    DeviceClass, DevicePoolSpec, Direction, LabelValue, Link, LinkEnd, Manifests, NamespacesFrom, Node, Object, Tier,
    TolerationOperator,
};
use domain::{Bytes, Seconds};
use std::collections::BTreeMap;

/// The devices of a pool and the links between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Devices by name of their node.
    pub devices: BTreeMap<String, Device>,
    links: Vec<Link>,
    /// Nothing is wrong with the pool itself, so what a service misses in it is the service's mistake.
    pub(super) sound: bool,
}

/// A node as a planner sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Name of its class.
    pub class: String,
    /// Where it stands.
    pub tier: Tier,
    /// Cores for fragments.
    pub cores: f64,
    /// Speed relative to the machine of the profile.
    pub speed_factor: f64,
    /// Memory for the jobs of all fragments.
    pub memory_budget: Bytes,
    /// What its node has for pods, where that is known.
    pub allocatable_memory: Option<Bytes>,
    /// Its architecture, where that is known.
    pub architecture: Option<String>,
    /// Why nothing new may be placed on it.
    pub trouble: Option<&'static str>,
}

/// How one device reaches another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// At the speed of the host: it is the same device, or the pool declares no links.
    Host,
    /// Over a link.
    Link(domain::Link),
    /// Not at all.
    Unreachable,
}

impl Pool {
    /// How `from` reaches `to`; both are devices of this pool. The link that names more devices counts, the first of
    /// equals.
    pub fn reach(&self, from: &str, to: &str) -> Reach {
        if from == to || self.links.is_empty() {
            return Reach::Host;
        }
        let fits = |link: &&Link| {
            let forth = self.is_end(&link.from, from) && self.is_end(&link.to, to);
            let back = self.is_end(&link.from, to) && self.is_end(&link.to, from);
            forth || (back && link.direction == Direction::Both)
        };
        let devices_named = |link: &Link| [&link.from, &link.to].iter().filter(|end| end.device.is_some()).count();
        // `max_by_key` returns the last of equals, hence from the back.
        match self.links.iter().rev().filter(fits).max_by_key(|link| devices_named(link)) {
            Some(link) => Reach::Link(domain_link(link)),
            None => Reach::Unreachable,
        }
    }

    fn is_end(&self, end: &LinkEnd, name: &str) -> bool {
        match (&end.device, end.tier) {
            (Some(device), _) => device.as_str() == name,
            (None, tier) => tier.is_some() && self.devices.get(name).map(|device| device.tier) == tier,
        }
    }
}

fn domain_link(link: &Link) -> domain::Link {
    let latency = Seconds::new(link.latency_microseconds as f64 / 1e6).expect("the schema keeps it from 0 to a minute");
    domain::Link { bytes_per_second: link.bytes_per_second.get(), latency }
}

pub(super) fn resolve(manifests: &Manifests, problems: &mut Problems) -> BTreeMap<String, Pool> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    let mut pools = BTreeMap::new();
    for object in &manifests.pools {
        let before = problems.0.len();
        let devices = devices(object, manifests, problems);
        for name in devices.keys() {
            if let Some(other) = owners.insert(name.clone(), &object.name) {
                let message = format!("selects node {name:?}, which is already in pool {other:?}");
                problems.report(&object.origin, "spec.nodeSelector", message);
            }
        }
        let mut pool = Pool { devices, links: object.spec.links.clone(), sound: problems.0.len() == before };
        check_links(object, &pool, problems);
        check_tolerations(object, problems);
        check_namespaces(object, problems);
        pool.sound = problems.0.len() == before;
        pools.insert(object.name.clone(), pool);
    }
    pools
}

fn devices(
    object: &Object<DevicePoolSpec>,
    manifests: &Manifests,
    problems: &mut Problems,
) -> BTreeMap<String, Device> {
    let spec = &object.spec;
    let selected: Vec<_> =
        manifests.nodes.iter().filter(|node| carries(node, &spec.node_selector.match_labels)).collect();
    if selected.is_empty() {
        let message = match manifests.nodes.is_empty() {
            true => {
                "there are no nodes to select from; add documents of kind Node (kubectl get nodes -o yaml)".to_owned()
            }
            false => format!("selects none of the {} nodes", manifests.nodes.len()),
        };
        problems.report(&object.origin, "spec.nodeSelector", message);
    }
    let mut devices = BTreeMap::new();
    for node in selected {
        match spec.classes.iter().position(|class| carries(node, &class.match_labels)) {
            Some(index) => {
                let path = format!("spec.classes[{index}]");
                if let Some(device) = device(node, &spec.classes[index], object, &path, problems) {
                    devices.insert(node.name.clone(), device);
                }
            }
            None => problems.report(&object.origin, "spec.classes", format!("no class fits node {:?}", node.name)),
        }
    }
    devices
}

fn carries(node: &Object<Node>, labels: &BTreeMap<String, LabelValue>) -> bool {
    labels.iter().all(|(key, value)| node.spec.metadata.labels.get(key).is_some_and(|found| found == value.as_str()))
}

fn device(
    node: &Object<Node>,
    class: &DeviceClass,
    pool: &Object<DevicePoolSpec>,
    path: &str,
    problems: &mut Problems,
) -> Option<Device> {
    let status = &node.spec.status;
    let cores = class.cores.as_ref().map(|cores| cores.get());
    let cores = cores.or_else(|| status.capacity.cpu.as_ref().map(|cpu| cpu.get())).filter(|cores| *cores > 0.0);
    let memory = class.memory_budget.as_ref().or(status.allocatable.memory.as_ref());
    let memory = memory.map(|memory| memory.bytes()).filter(|bytes| bytes.0 > 0);
    let mut missing = |field: &str, from: &str| {
        let message = format!("is needed: node {:?} has no {from}", node.name);
        problems.report(&pool.origin, &format!("{path}.{field}"), message);
    };
    if cores.is_none() {
        missing("cores", "status.capacity.cpu");
    }
    if memory.is_none() {
        missing("memoryBudget", "status.allocatable.memory");
    }
    Some(Device {
        class: class.name.to_string(),
        tier: class.tier,
        cores: cores?,
        speed_factor: class.speed_factor.as_ref().map_or(1.0, |speed| speed.get()),
        memory_budget: memory?,
        allocatable_memory: status.allocatable.memory.as_ref().map(|memory| memory.bytes()),
        architecture: status.node_info.architecture.clone(),
        trouble: node.spec.trouble(&pool.spec.tolerations),
    })
}

fn check_links(object: &Object<DevicePoolSpec>, pool: &Pool, problems: &mut Problems) {
    for (index, link) in object.spec.links.iter().enumerate() {
        for (end, name) in [(&link.from, "from"), (&link.to, "to")] {
            let path = format!("spec.links[{index}].{name}");
            match (&end.device, end.tier) {
                (Some(device), None) if pool.sound && !pool.devices.contains_key(device.as_str()) => {
                    let known: Vec<&str> = pool.devices.keys().map(String::as_str).collect();
                    let message =
                        format!("no device of the pool is named {}", crate::check::unknown(device.as_str(), &known));
                    problems.report(&object.origin, &format!("{path}.device"), message);
                }
                (Some(_), None) | (None, Some(_)) => {}
                (None, None) => problems.report(&object.origin, &path, "needs either a tier or a device"),
                (Some(_), Some(_)) => problems.report(&object.origin, &path, "has both a tier and a device; keep one"),
            }
        }
        if link.bytes_per_second.get() <= 0.0 {
            let path = format!("spec.links[{index}].bytesPerSecond");
            problems.report(&object.origin, &path, "must be more than 0; remove the link to say that it is down");
        }
    }
}

fn check_tolerations(object: &Object<DevicePoolSpec>, problems: &mut Problems) {
    for (index, toleration) in object.spec.tolerations.iter().enumerate() {
        let message = match (toleration.operator, &toleration.value) {
            (TolerationOperator::Equal, None) => "is missing; operator Equal needs it",
            (TolerationOperator::Exists, Some(_)) => {
                "belongs to operator Equal, not to Exists; remove it or change the operator"
            }
            _ => continue,
        };
        problems.report(&object.origin, &format!("spec.tolerations[{index}].value"), message);
    }
}

fn check_namespaces(object: &Object<DevicePoolSpec>, problems: &mut Problems) {
    let allowed = &object.spec.allowed_namespaces;
    let message = match (allowed.from, allowed.names.is_empty()) {
        (NamespacesFrom::Selected, true) => "is missing; from Selected needs it",
        (NamespacesFrom::All, false) => "belongs to from Selected, not to All; remove it or change from",
        _ => return,
    };
    problems.report(&object.origin, "spec.allowedNamespaces.names", message);
}
