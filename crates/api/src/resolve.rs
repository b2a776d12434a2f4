//! Manifests seen together, as domain values: every name leads somewhere, every chain is whole and can be walked.
//!
//! Behind [`Manifests::resolve`] nothing is checked again. It knows neither processes nor pods, so that local mode and a
//! controller call the same function.

mod model;
mod planned;
mod pool;
mod scheduler;
mod service;
mod unplaced;

pub use model::ResolvedModel;
pub use planned::{PlannedScheduler, ResolvedScheduler};
pub use pool::{Device, Pool, Reach};
pub use service::{Fragment, FragmentSize, ResolvedChain, ResolvedReoptimization, ResolvedService, ResolvedSource};
pub use unplaced::{ServicePlacement, Unplaced, UnplacedService};

use crate::{LoadErrors, Manifests, Object, Origin, Problem, Scheduler};
use domain::Bytes;
use std::collections::BTreeMap;

/// All pools and services, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Services, in the order of the manifests.
    pub services: Vec<ResolvedService>,
}

impl Manifests {
    /// Checks all objects against each other and reports every problem. Services that a planner has to place need their
    /// chains before ([`Manifests::with_placement`]).
    pub fn resolve(&self) -> Result<Resolved, LoadErrors> {
        let mut problems = Problems::default();
        let pools = pool::resolve(self, &mut problems);
        let models: BTreeMap<&str, ResolvedModel> = self
            .models
            .iter()
            .filter_map(|object| Some((object.name.as_str(), model::resolve(object, &mut problems)?)))
            .collect();
        let services: Vec<(&Object<_>, ResolvedService)> = self
            .services
            .iter()
            .filter_map(|object| Some((object, service::resolve(object, self, &pools, &models, &mut problems)?)))
            .collect();
        check_devices(&pools, &services, &mut problems);
        check_fragment_names(&services, &mut problems);
        LoadErrors::none_or(problems.0)?;
        Ok(Resolved { pools, services: services.into_iter().map(|(_, service)| service).collect() })
    }

    /// The same manifests with another scheduler in every service; what is wrong with it is reported as `by`.
    pub fn with_scheduler(&self, scheduler: &Scheduler, by: &str) -> Self {
        let mut changed = self.clone();
        for service in &mut changed.services {
            service.spec.scheduler = scheduler.clone();
            service.origin.override_field("spec.scheduler", by);
        }
        changed
    }
}

/// What is wrong so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn report(&mut self, origin: &Origin, path: &str, message: impl Into<String>) {
        self.0.push(origin.problem(path, message));
    }
}

/// Finds what a reference names; a name without an object is a problem.
fn find<'a, Spec>(
    objects: &'a [Object<Spec>],
    name: &str,
    kind: &str,
    origin: &Origin,
    path: &str,
    problems: &mut Problems,
) -> Option<&'a Object<Spec>> {
    let found = objects.iter().find(|object| object.name == name);
    if found.is_none() {
        let known: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let message = match known.is_empty() {
            true => format!("no {kind} is named {name:?}; there is none at all"),
            false => format!("no {kind} is named {}", crate::check::unknown(name, &known)),
        };
        problems.report(origin, &format!("{path}.name"), message);
    }
    found
}

/// What the fragments of all services ask of a device, against what it has.
fn check_devices<Spec>(
    pools: &BTreeMap<String, Pool>,
    services: &[(&Object<Spec>, ResolvedService)],
    problems: &mut Problems,
) {
    for (name, device) in pools.values().flat_map(|pool| &pool.devices) {
        let (mut bytes, mut millis) = (0u64, 0u64);
        for (object, service) in services {
            let fragments = service.fragments.iter().filter(|fragment| fragment.device == *name).count() as u64;
            let size = &service.size;
            let before = (bytes, millis);
            bytes = bytes.saturating_add(size.memory_budget.0.saturating_mul(fragments));
            millis = millis.saturating_add(size.cpu_request_millis.unwrap_or(0).saturating_mul(fragments));
            // Reported once, at the service that is one too many.
            if before.0 <= device.memory_budget.0 && bytes > device.memory_budget.0 {
                let message = format!(
                    "the fragments on {name:?} have budgets of {} together; device class {:?} has {}",
                    show(Bytes(bytes)),
                    device.class,
                    show(device.memory_budget),
                );
                problems.report(&object.origin, "spec.runtime.memoryBudget", message);
            }
            if before.1 as f64 <= device.cores * 1000.0 && millis as f64 > device.cores * 1000.0 {
                let message = format!(
                    "the fragments on {name:?} ask for {millis}m cores together; device class {:?} has {}m",
                    device.class,
                    device.cores * 1000.0,
                );
                problems.report(&object.origin, "spec.runtime.cpuRequest", message);
            }
        }
    }
}

/// On a device a name means one fragment, also across services.
fn check_fragment_names<Spec>(services: &[(&Object<Spec>, ResolvedService)], problems: &mut Problems) {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (object, service) in services {
        for Fragment { name, device, .. } in &service.fragments {
            let owner = owners.insert((device, name), &service.name);
            if let Some(other) = owner.filter(|other| *other != service.name) {
                let message = format!("fragment {name:?} on {device:?} has the name of one of service {other:?}");
                problems.report(&object.origin, "spec.placement.pinned", message);
            }
        }
    }
}

/// Bytes in the largest unit that divides them.
fn show(Bytes(bytes): Bytes) -> String {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit && bytes % unit == 0) {
        Some((suffix, unit)) => format!("{}{suffix}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
