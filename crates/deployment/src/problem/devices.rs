//! Device processes with their fragments.

use crate::{Deployment, Models, Refused};
use domain::problem::{Device, Fragment};
use domain::{Bytes, FragmentRange};
use std::collections::BTreeMap;
use wire::document::{DeviceDocument, FragmentDocument};

/// All devices, and where on them each fragment is.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) devices: Vec<Device>,
    /// Indices of device and fragment, by their names.
    spots: BTreeMap<(String, String), (usize, usize)>,
}

impl Hosts {
    pub(super) fn new(deployment: &Deployment, models: &Models) -> Result<Self, Refused> {
        let mut hosts = Self { devices: vec![], spots: BTreeMap::new() };
        for document in &deployment.devices {
            let fragments = document.fragments.iter().enumerate().map(|(index, fragment)| {
                hosts.spots.insert((document.device.clone(), fragment.name.clone()), (hosts.devices.len(), index));
                read(document, fragment, owner(deployment, &document.device, &fragment.name), models)
            });
            let fragments = fragments.collect::<Result<Vec<_>, Refused>>()?;
            hosts.devices.push(device(document, fragments));
        }
        Ok(hosts)
    }

    /// Where the fragment of a hop is: indices of its device, and of the fragment there.
    pub(super) fn spot(&self, device: &str, fragment: &str) -> (usize, usize) {
        self.spots[&(device.to_owned(), fragment.to_owned())]
    }
}

fn device(document: &DeviceDocument, fragments: Vec<Fragment>) -> Device {
    let emulate = document.emulate.expect("deployments say how fast their devices are");
    Device {
        name: document.device.clone(),
        cores: emulate.cores,
        speed: emulate.speed_factor,
        memory_budget: document.memory_budget_bytes.map(Bytes),
        fragments,
    }
}

/// The service that a fragment is part of; names are distinct on a device, also across services.
fn owner(deployment: &Deployment, device: &str, name: &str) -> usize {
    let owns = |fragments: &[api::Fragment]| fragments.iter().any(|one| one.device == device && one.name == name);
    let found = deployment.services.iter().position(|service| owns(&service.resolved.fragments));
    found.expect("devices run the fragments of services")
}

fn read(
    device: &DeviceDocument,
    document: &FragmentDocument,
    service: usize,
    models: &Models,
) -> Result<Fragment, Refused> {
    let cores = |millis: Option<u64>| millis.map(|millis| millis as f64 / 1e3);
    let range = FragmentRange { first: document.first_segment - 1, last: document.last_segment - 1 };
    check_budget(device, document, models.get(&document.model.name).held_bytes(range))?;
    Ok(Fragment {
        name: document.name.clone(),
        service,
        range,
        workers: u32::try_from(document.workers).unwrap_or(u32::MAX),
        // Without a request every fragment weighs the same, as on the emulated processor.
        cpu_request: cores(document.cpu_request_millis).unwrap_or(1.0),
        cpu_limit: cores(document.cpu_limit_millis).unwrap_or(f64::INFINITY),
        memory_budget: Bytes(document.memory_budget_bytes),
    })
}

/// The process would refuse to start.
fn check_budget(document: &DeviceDocument, fragment: &FragmentDocument, job: u64) -> Result<(), Refused> {
    let budget = fragment.memory_budget_bytes;
    if budget >= job {
        return Ok(());
    }
    let (name, device) = (&fragment.name, &document.device);
    Err(Refused(format!(
        "fragment {name:?} on {device:?} has a memoryBudget of {budget} bytes, which does not hold one job of {job} bytes"
    )))
}
