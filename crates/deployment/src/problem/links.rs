//! Emulated links: every process paces its own, so two processes of a node do not share a link to the same device.

use domain::Seconds;
use domain::problem::NamedLink;
use std::collections::BTreeMap;
use wire::document::LinkDocument;

/// The links that chains use, each added when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) links: Vec<NamedLink>,
    by_name: BTreeMap<String, usize>,
}

impl Links {
    /// The link over which `process` reaches a device; none where it is reached at the speed of the host.
    pub(super) fn index(
        &mut self,
        process: &str,
        to: &str,
        documents: &BTreeMap<String, LinkDocument>,
    ) -> Option<usize> {
        let document = documents.get(to)?;
        let name = format!("{process}→{to}");
        let links = &mut self.links;
        Some(*self.by_name.entry(name).or_insert_with_key(|name| {
            links.push(NamedLink { name: name.clone(), link: link(document) });
            links.len() - 1
        }))
    }
}

fn link(document: &LinkDocument) -> domain::Link {
    let latency = Seconds::new(document.latency_microseconds / 1e6).expect("the schema keeps it from 0 to a minute");
    domain::Link { bytes_per_second: document.bytes_per_second.unwrap_or(f64::INFINITY), latency }
}
