//! Device processes: their fragments as lanes, each with a region of memory.

use super::models::Models;
use crate::exit_code::{Failure, Outcome};
use domain::FragmentRange;
use simulator::{Device, Discipline, Lane, Outages, Region};
use std::collections::BTreeMap;
use wire::document::{DeviceDocument, FragmentDocument};

/// All devices, and where on them each fragment is.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) devices: Vec<Device>,
    pub(super) regions: Vec<Region>,
    /// By device and fragment.
    spots: BTreeMap<(String, String), Spot>,
}

/// A fragment in the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) device: usize,
    pub(super) lane: usize,
    pub(super) region: usize,
    pub(super) range: FragmentRange,
}

impl Hosts {
    pub(super) fn new(documents: &[DeviceDocument], models: &Models) -> Outcome<Self> {
        let mut hosts = Self { devices: vec![], regions: vec![], spots: BTreeMap::new() };
        for document in documents {
            hosts.add(document, models)?;
        }
        Ok(hosts)
    }

    /// Where the fragment of a hop is.
    pub(super) fn spot(&self, device: &str, fragment: &str) -> Spot {
        self.spots[&(device.to_owned(), fragment.to_owned())]
    }

    fn add(&mut self, document: &DeviceDocument, models: &Models) -> Outcome {
        let device = self.devices.len();
        for (lane, fragment) in document.fragments.iter().enumerate() {
            let range = FragmentRange { first: fragment.first_segment - 1, last: fragment.last_segment - 1 };
            check_budget(document, fragment, models.sizes(&fragment.model.name).of(range).held())?;
            let spot = Spot { device, lane, region: self.regions.len(), range };
            self.regions.push(region(document, fragment));
            self.spots.insert((document.device.clone(), fragment.name.clone()), spot);
        }
        self.devices.push(emulated(document));
        Ok(())
    }
}

fn emulated(document: &DeviceDocument) -> Device {
    let emulate = document.emulate.expect("local mode emulates all devices");
    Device {
        name: document.device.clone(),
        cores: emulate.cores,
        speed: emulate.speed_factor,
        discipline: Discipline::Pods(document.fragments.iter().map(lane).collect()),
        outages: Outages::Never,
    }
}

fn lane(fragment: &FragmentDocument) -> Lane {
    let cores = |millis: Option<u64>| millis.map(|millis| millis as f64 / 1e3);
    Lane {
        name: fragment.name.clone(),
        workers: u32::try_from(fragment.workers).unwrap_or(u32::MAX),
        // Without a request every fragment weighs the same, as on the emulated processor.
        request: cores(fragment.cpu_request_millis).unwrap_or(1.0),
        limit: cores(fragment.cpu_limit_millis).unwrap_or(f64::INFINITY),
    }
}

/// Named like the place at which `eenn up` counts its losses; several fragments of a device are told apart.
fn region(document: &DeviceDocument, fragment: &FragmentDocument) -> Region {
    let name = match &document.fragments[..] {
        [_] => document.device.clone(),
        _ => format!("{}/{}", document.device, fragment.name),
    };
    Region { name, budget: fragment.memory_budget_bytes }
}

/// The process would refuse to start.
fn check_budget(document: &DeviceDocument, fragment: &FragmentDocument, job: u64) -> Outcome {
    let budget = fragment.memory_budget_bytes;
    if budget >= job {
        return Ok(());
    }
    let (name, device) = (&fragment.name, &document.device);
    Err(Failure::input(format!(
        "fragment {name:?} on {device:?} has a memoryBudget of {budget} bytes, which does not hold one job of {job} bytes"
    )))
}
