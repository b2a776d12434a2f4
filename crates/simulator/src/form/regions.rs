//! Regions of memory, and which of them the jobs on a device hold.

use super::document::{self};
use super::error::{FormError, Place};
use super::network::Devices;
use super::number::{Unit, at_least_one, at_most};
use crate::Region;
use std::collections::HashSet;

/// Most regions that jobs on one device hold.
const MOST_PER_DEVICE: usize = 16;

/// The regions, and for each device those it is in.
pub(super) fn regions(
    case: &document::Case,
    devices: &Devices,
    unit: Unit,
    place: &Place<'_>,
) -> Result<(Vec<Region>, Vec<Vec<usize>>), FormError> {
    match &case.regions {
        None => own(case, devices, unit, &place.field("devices")),
        Some(list) => shared(list, devices, unit, &place.field("regions")),
    }
}

/// One region per device.
fn own(
    case: &document::Case,
    devices: &Devices,
    unit: Unit,
    place: &Place<'_>,
) -> Result<(Vec<Region>, Vec<Vec<usize>>), FormError> {
    let regions = case.devices.iter().enumerate().map(|(index, device)| {
        let place = place.index(index);
        let Some(memory) = device.memory else {
            return Err(place.error("needs `memory`, because the case has no `regions`"));
        };
        let budget = unit.capacity(memory, &place.field("memory"))?;
        Ok(Region { name: devices.names.name(index).to_owned(), budget })
    });
    Ok((regions.collect::<Result<_, _>>()?, (0..case.devices.len()).map(|index| vec![index]).collect()))
}

fn shared(
    list: &[super::object::Object<document::Region>],
    devices: &Devices,
    unit: Unit,
    place: &Place<'_>,
) -> Result<(Vec<Region>, Vec<Vec<usize>>), FormError> {
    let mut taken = HashSet::new();
    let mut regions = Vec::with_capacity(list.len());
    let mut of_devices = vec![Vec::new(); devices.lanes.len()];
    for (index, region) in list.iter().enumerate() {
        let place = place.index(index);
        let members = members(region, devices, &place.field("devices"))?;
        for (position, &device) in members.iter().enumerate() {
            of_devices[device].push(index);
            let list = place.field("devices");
            at_most(MOST_PER_DEVICE, of_devices[device].len(), "regions of this device", &list.index(position))?;
        }
        let name = name(region, index, &members, devices, &taken);
        if !taken.insert(name.clone()) {
            return Err(place.field("name").error(format!("another region has the name {name:?} already")));
        }
        regions.push(Region { name, budget: unit.capacity(region.memory, &place.field("memory"))? });
    }
    Ok((regions, of_devices))
}

fn members(region: &document::Region, devices: &Devices, place: &Place<'_>) -> Result<Vec<usize>, FormError> {
    at_least_one(region.devices.len(), "device", place)?;
    let mut members = Vec::with_capacity(region.devices.len());
    let mut seen = HashSet::new();
    for (index, reference) in region.devices.iter().enumerate() {
        let place = place.index(index);
        let device = devices.names.find(reference, &place)?;
        if !seen.insert(device) {
            return Err(place.error(format!("names device {:?} a second time", devices.names.name(device))));
        }
        members.push(device);
    }
    Ok(members)
}

/// The given name, or those of its devices, as many as are readable.
fn name(
    region: &document::Region,
    index: usize,
    members: &[usize],
    devices: &Devices,
    taken: &HashSet<String>,
) -> String {
    const MOST_NAMES: usize = 4;
    if let Some(name) = &region.name {
        return name.clone();
    }
    let names: Vec<_> = members.iter().take(MOST_NAMES).map(|&device| devices.names.name(device)).collect();
    let more = if members.len() > MOST_NAMES { "+…" } else { "" };
    let name = format!("{}{more}", names.join("+"));
    if taken.contains(&name) { format!("{name} (region {index})") } else { name }
}
