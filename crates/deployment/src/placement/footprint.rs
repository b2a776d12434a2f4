//! What processes take of the memory of nodes beside jobs.

use api::{Manifests, UnplacedService};
use std::collections::BTreeMap;

/// Memory of a process beside weights and jobs. `eenn model profile` measures what a fragment takes when it is idle; that of
/// the example is below this with its weights.
const PROCESS: u64 = 32 << 20;

/// Bytes that processes take of the memory of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Per model those of each segment with its heads, where processes hold only those they run.
    pub weights: BTreeMap<String, Vec<u64>>,
    /// Per model those of a fragment whatever segments it runs, beside jobs.
    pub fragments: BTreeMap<String, u64>,
    /// Per service those of its gateways on the node of a source, with jobs.
    pub gateways: BTreeMap<String, u64>,
}

impl Footprint {
    /// Processes without pods, one gateway each; `weights`: as in the footprint.
    pub fn of_processes(weights: BTreeMap<String, Vec<u64>>, services: &[UnplacedService]) -> Self {
        let gateway = |one: &UnplacedService| (one.name.clone(), PROCESS + one.gateway_memory_budget.0);
        let fragments = weights.keys().map(|model| (model.clone(), PROCESS)).collect();
        Self { weights, fragments, gateways: services.iter().map(gateway).collect() }
    }

    /// Pods that ask for `base` bytes each and, for a fragment, for twice the file of its model, of which they read all whatever they run.
    pub fn of_pods(manifests: &Manifests, base: u64) -> Self {
        let model = |model: &api::Object<api::EENNModelSpec>| {
            let nothing = vec![0; model.spec.cuts.len() + 1];
            let file = model.spec.artifact.size.bytes().0;
            (model.name.clone(), nothing, base.saturating_add(file.saturating_mul(2)))
        };
        let models: Vec<_> = manifests.models.iter().map(model).collect();
        let gateways = manifests.services.iter().map(|service| {
            let runtime = &service.spec.runtime;
            let each = base.saturating_add(runtime.gateway_memory_budget.bytes().0);
            (service.name.clone(), each.saturating_mul(u64::from(runtime.gateway_replicas.max(1).unsigned_abs())))
        });
        Self {
            weights: models.iter().map(|(name, nothing, _)| (name.clone(), nothing.clone())).collect(),
            gateways: gateways.collect(),
            fragments: models.into_iter().map(|(name, _, bytes)| (name, bytes)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::processes::example;

    const MIB: u64 = 1 << 20;

    #[test]
    fn pods_ask_for_the_same_whatever_segments_they_run_and_every_gateway_counts() {
        let mut manifests = example();
        manifests.models[0].spec.artifact.size = "200Mi".parse().unwrap();
        manifests.services[0].spec.runtime.gateway_memory_budget = "16Mi".parse().unwrap();
        manifests.services[0].spec.runtime.gateway_replicas = 3;
        let footprint = Footprint::of_pods(&manifests, 48 * MIB);
        assert_eq!(footprint.fragments["fashion-mnist"], (48 + 400) * MIB);
        assert!(footprint.weights["fashion-mnist"].iter().all(|bytes| *bytes == 0));
        assert_eq!(footprint.gateways["fashion-mnist"], 3 * (48 + 16) * MIB);
    }
}
