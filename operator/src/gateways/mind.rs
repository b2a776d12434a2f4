//! The drift loop of a pool: made of the plans that its gateways follow.

use super::standing::Wanted;
use crate::cache::Key;
use crate::plan::Gathered;
use crate::service::labels;
use api::{EENNPlanSpec, Manifests, PlannedChain};
use control::{DeviceReading, GatewayReading, Observation};
use deployment::cluster::Usable;
use deployment::{Change, Conclusion, Decided, Look, Mind, Refused};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::document::{DeviceTelemetry, GatewayTelemetry, PolicyVersion};

/// Where the file of a model is does not matter to a plan.
const FILE: &str = "/model/model.onnx";
/// Arrivals by which a new plan is looked at in the end.
const ARRIVALS: u64 = 100_000;
/// Seed of searches.
const SEED: u64 = 1;

/// What tells one plan of a service from another: its name, and what it was made for.
pub type Mark = (String, Option<String>);

/// The plans that a mind knows: of each service the one that gateways follow, and maybe the next one, which it has made.
#[derive(Debug, Default)]
pub struct Basis {
    marks: BTreeMap<Key, Vec<Mark>>,
    /// Services that nothing new is made for.
    held: BTreeSet<Key>,
}

impl Basis {
    /// Of what gateways follow.
    pub fn of(wanted: &BTreeMap<Key, Wanted>) -> Self {
        let marks = wanted.iter().map(|(key, wanted)| (key.clone(), vec![mark(wanted)])).collect();
        Self { marks, held: held(wanted) }
    }

    /// Whether gateways follow what is known. What is older than that is forgotten.
    pub fn holds(&mut self, wanted: &BTreeMap<Key, Wanted>) -> bool {
        let mut known = wanted.len() == self.marks.len() && held(wanted) == self.held;
        for (key, wanted) in wanted {
            let marks = self.marks.get_mut(key);
            let found = marks.and_then(|marks| {
                let at = marks.iter().position(|one| *one == mark(wanted))?;
                marks.drain(..at);
                Some(())
            });
            known &= found.is_some();
        }
        known
    }

    /// A plan was made for a service, and will be followed soon.
    pub fn add(&mut self, service: Key, mark: Mark) {
        self.marks.entry(service).or_default().push(mark);
    }
}

fn held(wanted: &BTreeMap<Key, Wanted>) -> BTreeSet<Key> {
    wanted.iter().filter(|(_, wanted)| wanted.held).map(|(key, _)| key.clone()).collect()
}

fn mark(wanted: &Wanted) -> Mark {
    (wanted.plan.name_any(), wanted.plan.annotations().get(labels::INPUTS).cloned())
}

/// A drift loop, and what it is about.
#[derive(Debug)]
pub struct PoolMind {
    mind: Mind,
    /// Services in the order of the problem: name in the manifests, key, and generation of the plan in force.
    services: Vec<(String, Key, i64)>,
}

/// A new plan for a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewed {
    /// The service.
    pub service: Key,
    /// The plan; its generation is not right yet.
    pub spec: EENNPlanSpec,
}

/// What came of a look at gateways.
#[derive(Debug, Default)]
pub struct Found {
    /// For the log.
    pub messages: Vec<String>,
    /// Plans to store.
    pub renewed: Vec<Renewed>,
}

impl PoolMind {
    /// For the services of a pool that gateways serve. `None` where none of them wants new plans.
    ///
    /// # Errors
    /// Plans that do not fit what is there by now: those will be made anew.
    pub fn new(gathered: &Gathered, wanted: &BTreeMap<Key, Wanted>) -> Result<Option<Self>, Refused> {
        let inputs = &gathered.inputs;
        // Those that are paused or move go on with what they have: it is known, although nothing new is made for them.
        let kept = inputs.kept.iter().map(|(name, kept)| (name, (&kept.key, &kept.plan.spec)));
        let followed =
            inputs.services.iter().filter_map(|(name, key)| Some((name, (key, &wanted.get(key)?.plan.spec))));
        let served: BTreeMap<&String, (&Key, &EENNPlanSpec)> = followed.chain(kept).collect();
        let mut manifests = inputs.manifests.clone();
        manifests.services.retain(|service| served.contains_key(&service.name));
        let chains: BTreeMap<String, Vec<PlannedChain>> =
            served.iter().map(|(name, (_, plan))| ((*name).clone(), plan.chains.clone())).collect();
        let manifests = deployment::with_chains(&manifests, &chains);
        // What is wrong with the others is in their conditions; the rates of these are followed.
        let manifests = deployment::sound(manifests, Manifests::resolve).manifests;
        if manifests.services.is_empty() {
            return Ok(None);
        }
        let unplaced = manifests.unplaced().map_err(|errors| Refused(errors.to_string()))?;
        let served_models = unplaced.services.iter().map(|service| &service.model);
        let Usable { manifests, models, .. } = deployment::cluster::usable(manifests, served_models, &gathered.tables);
        let resolved = manifests.resolve().map_err(|errors| Refused(errors.to_string()))?;
        if resolved.services.is_empty() {
            return Ok(None);
        }
        let names = resolved.services.iter().map(|service| service.model.model.name.clone());
        let deployed = deployment::deploy(&resolved, &names.map(|name| (name, FILE.to_owned())).collect());
        let specs: Vec<&EENNPlanSpec> = deployed.services.iter().map(|service| served[&service.name].1).collect();
        let problem = deployment::with_forecast(deployment::problem(&deployed, &models)?, &specs);
        let plan = deployment::read_back(&deployed, &specs)?;
        let of = |service: &deployment::ServicePlan| {
            let name = service.name.clone();
            let (key, plan) = served[&name];
            (name, key.clone(), plan.generation)
        };
        let services = deployed.services.iter().map(of).collect();
        let mind = Mind::new(problem, plan, deployed, PolicyVersion::default(), SEED);
        Ok(mind.map(|mind| Self { mind, services }))
    }

    /// Telemetry of gateways, each with the name of its pod, and of pods of fragments.
    pub fn observation(
        &self,
        gateways: &[(Key, String, GatewayTelemetry)],
        fragments: &[DeviceTelemetry],
    ) -> Observation {
        let reading = |(key, pod, telemetry): &(Key, String, GatewayTelemetry)| {
            let (name, _, generation) = self.services.iter().find(|(_, service, _)| service == key)?;
            let mut reading = GatewayReading::read(pod, telemetry);
            reading.service.clone_from(name);
            // The loop has one version for all services, plans have a generation for each.
            let follows = telemetry.policy.generation == generation.unsigned_abs();
            let version = self.mind.version();
            // What one counts by another policy says nothing of this one.
            let another = PolicyVersion { transitions: version.transitions + 1, ..telemetry.policy };
            reading.version = Some(if follows { version } else { another });
            Some(reading)
        };
        Observation { gateways: gateways.iter().filter_map(reading).collect(), devices: devices(fragments) }
    }

    /// Thinks, which takes some 100 ms where there is something to think about. `clock`: time since this was called.
    pub fn think(&mut self, now: f64, observation: &Observation, clock: &(dyn Fn() -> Duration + Sync)) -> Found {
        let Conclusion { messages, change } = self.mind.think(now, observation, clock);
        let mut found = Found { messages, renewed: vec![] };
        if let Some(change) = change {
            match self.specs(&change) {
                Ok(renewed) => found.renewed = renewed,
                Err(refused) => found.messages.push(refused.to_string()),
            }
        }
        found
    }

    /// Thinking panicked.
    pub fn stumbled(&mut self, now: f64) -> Found {
        Found { messages: self.mind.stumbled(now).messages, renewed: vec![] }
    }

    /// A plan was stored as this generation of its service.
    pub fn stored(&mut self, service: &Key, generation: i64) {
        if let Some(entry) = self.services.iter_mut().find(|(_, key, _)| key == service) {
            entry.2 = generation;
        }
    }

    fn specs(&self, change: &Change) -> Result<Vec<Renewed>, Refused> {
        let look = Look { arrivals: ARRIVALS, ..Look::default() };
        let predictions = deployment::predict(&change.problem, self.mind.plan(), &look);
        let decided = Decided {
            problem: &change.problem,
            deployment: self.mind.deployment(),
            plan: self.mind.plan(),
            predictions: &predictions,
        };
        let reason = format!("{}; {}", change.reasons.join("; "), change.gain);
        let renewed = change.services.iter().map(|&index| {
            let spec = deployment::spec(&decided, index, 1, &reason)?;
            Ok(Renewed { service: self.services[index].1.clone(), spec })
        });
        renewed.collect()
    }
}

/// Per device what its pods have counted together.
fn devices(fragments: &[DeviceTelemetry]) -> Vec<DeviceReading> {
    let mut devices: BTreeMap<String, DeviceReading> = BTreeMap::new();
    for reading in fragments.iter().filter_map(DeviceReading::read) {
        let device = devices.entry(reading.device.clone()).or_default();
        *device = DeviceReading {
            busy: device.busy + reading.busy,
            jobs: device.jobs.saturating_add(reading.jobs),
            work: device.work + reading.work,
            device: reading.device,
        };
    }
    devices.into_values().collect()
}
