//! Links between devices.

use super::document;
use super::error::{FormError, Place};
use super::names::Names;
use super::network::Devices;
use super::number::{Unit, not_negative, positive};
use super::object::Object;
use crate::Link;
use std::collections::HashMap;

/// The links, and how to find them.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) all: Vec<Link>,
    between: HashMap<(usize, usize), usize>,
}

impl Links {
    pub(super) fn between(&self, from: usize, to: usize) -> Option<usize> {
        self.between.get(&(from, to)).copied()
    }
}

pub(super) fn links(
    list: &[Object<document::Link>],
    devices: &Devices,
    unit: Unit,
    place: &Place<'_>,
) -> Result<Links, FormError> {
    let mut links = Links { all: Vec::with_capacity(list.len()), between: HashMap::new() };
    let mut names = Names::new("link");
    for (index, link) in list.iter().enumerate() {
        let place = place.index(index);
        let from = devices.names.find(&link.from, &place.field("from"))?;
        let to = devices.names.find(&link.to, &place.field("to"))?;
        if from == to {
            return Err(place.field("to").error("is the device that the link starts from"));
        }
        if let Some(first) = links.between.insert((from, to), index) {
            return Err(place.error(format!("link {first} already leads from there to there")));
        }
        let usual = format!("{}→{}", devices.names.name(from), devices.names.name(to));
        let bandwidth = link.bandwidth.map(|bandwidth| positive(bandwidth, &place.field("bandwidth"))).transpose()?;
        links.all.push(Link {
            name: if link.name.is_none() { usual } else { names.add(link.name.as_deref(), "", &place)? },
            bytes_per_second: bandwidth.map_or(f64::INFINITY, |bandwidth| unit.rate(bandwidth)),
            latency: not_negative(link.latency.unwrap_or(0.0), &place.field("latency"))?,
            return_latency: not_negative(link.return_latency.unwrap_or(0.0), &place.field("return_latency"))?,
        });
    }
    Ok(links)
}
