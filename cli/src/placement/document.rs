//! A placement as a document, and in lines.

use crate::format::{count, plain_table};
use api::{PinnedChain, Unplaced};
use deployment::placement::{LeftOut, Placements};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::Write;

/// Where fragments live, for the services of strategy Auto.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacementDocument {
    /// Services that were placed.
    pub(crate) services: Vec<PlacedServiceDocument>,
    /// Devices that host nothing, or nothing of a service, and why.
    pub(crate) left_out: Vec<LeftOutDocument>,
    /// Evaluations that it took.
    pub(crate) evaluations: u64,
}

/// A service with the chains that were found for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedServiceDocument {
    /// Its name.
    pub(crate) name: String,
    /// Its chains.
    pub(crate) chains: Vec<PlacedChainDocument>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedChainDocument {
    /// Its name.
    pub(crate) name: String,
    /// Its fragments in order.
    pub(crate) fragments: Vec<PlacedFragmentDocument>,
}

/// A fragment on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedFragmentDocument {
    /// Where it lives.
    pub(crate) device: String,
    /// First segment, from 1.
    pub(crate) first_segment: i32,
    /// Last segment.
    pub(crate) last_segment: i32,
}

/// A device that is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftOutDocument {
    /// Its name.
    pub(crate) device: String,
    /// By which service; null for all that were placed.
    pub(crate) service: Option<String>,
    /// Why, in words.
    pub(crate) reason: String,
}

impl PlacementDocument {
    /// Of what was decided for all pools; services of a pool in the order of the manifests.
    pub(super) fn new(unplaced: &Unplaced, placements: &Placements) -> Self {
        let services = placements.pools.iter().flat_map(|(name, pool)| {
            let ours = unplaced.services.iter().filter(move |service| service.pool == *name);
            ours.filter_map(|service| {
                let chains = pool.chains.get(&service.name)?.iter().map(chain).collect();
                Some(PlacedServiceDocument { name: service.name.clone(), chains })
            })
        });
        let pools = placements.pools.values();
        Self {
            services: services.collect(),
            left_out: pools.clone().flat_map(|pool| &pool.left_out).map(LeftOutDocument::new).collect(),
            evaluations: pools.map(|pool| pool.evaluations).sum(),
        }
    }

    /// As a table, and the devices that are left out in lines below it.
    pub(crate) fn table(&self) -> String {
        let mut table = plain_table(&["placed", "chain", "device and segments"], &[]);
        for service in &self.services {
            for (index, chain) in service.chains.iter().enumerate() {
                let name = if index == 0 { service.name.as_str() } else { "" };
                table.add_row([name, &chain.name, &chain.in_words()]);
            }
        }
        let mut text = format!("{}\nFound with {} evaluations.\n", table.trim_fmt(), count(self.evaluations));
        for one in &self.left_out {
            let _ = writeln!(text, "Left out: {}", one.in_words());
        }
        text
    }

    /// One line per chain, and per device that is left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let chains = self.services.iter().flat_map(|service| {
            let line = |chain: &PlacedChainDocument| {
                format!("placed {}, chain {}: {}", service.name, chain.name, chain.in_words())
            };
            service.chains.iter().map(line).collect::<Vec<_>>()
        });
        chains.chain(self.left_out.iter().map(|one| format!("left out {}", one.in_words()))).collect()
    }
}

impl PlacedChainDocument {
    /// `pi 1–3 → box 4–6`
    fn in_words(&self) -> String {
        let fragment = |one: &PlacedFragmentDocument| match (one.first_segment, one.last_segment) {
            (first, last) if first == last => format!("{} {first}", one.device),
            (first, last) => format!("{} {first}–{last}", one.device),
        };
        self.fragments.iter().map(fragment).collect::<Vec<_>>().join(" → ")
    }
}

impl LeftOutDocument {
    fn new(left_out: &LeftOut) -> Self {
        let LeftOut { device, service, reason } = left_out.clone();
        Self { device, service, reason }
    }

    fn in_words(&self) -> String {
        match &self.service {
            Some(service) => format!("{} for {service}: {}", self.device, self.reason),
            None => format!("{}: {}", self.device, self.reason),
        }
    }
}

fn chain(chain: &PinnedChain) -> PlacedChainDocument {
    let fragment = |one: &api::PinnedFragment| PlacedFragmentDocument {
        device: one.node.to_string(),
        first_segment: one.first_segment,
        last_segment: one.last_segment,
    };
    PlacedChainDocument { name: chain.chain.to_string(), fragments: chain.fragments.iter().map(fragment).collect() }
}
