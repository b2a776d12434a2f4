//! Whether old and new pods have room side by side, for as long as the old ones serve until the new ones do. Pure.
//!
//! What counts is what the scheduler counts: the memory that pods ask for, as Deployments say it, and what nodes have to give. Pods of others are not known.

use crate::cache::Key;
use crate::head::{self, Head, Rollout};
use crate::service::labels;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The pods of a Deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pods {
    /// The Deployment.
    pub name: Key,
    /// The node that they are on.
    pub node: String,
    /// Memory that all of them ask for, in bytes.
    pub bytes: u64,
}

/// A node that has room for what there will be, and not for what goes beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowded {
    /// The node.
    pub node: String,
    /// Bytes that old and new pods ask for together.
    pub need: u64,
    /// Bytes that it has for pods.
    pub allocatable: u64,
}

impl Pods {
    /// Those of a Deployment that is wanted; `None` where it does not say what they ask for.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let (node, bytes) = head::taken(&deployment.metadata)?;
        Some(Self { name: Key::of(deployment), node: node.into(), bytes })
    }

    /// Those of a Deployment that is there.
    pub fn there(head: &Head<Deployment, Rollout>) -> Option<Self> {
        let (node, bytes) = head.status.takes.as_ref()?;
        Some(Self { name: head.key.clone(), node: node.to_string(), bytes: *bytes })
    }
}

/// Nodes where what is `there` and what is `wanted` have no room at a time, although what is wanted has room by itself. What is in both counts
/// once. `allocatable`: bytes per node; others are not known, and have room.
pub fn crowded(allocatable: &BTreeMap<String, u64>, there: &[Pods], wanted: &[Pods]) -> Vec<Crowded> {
    let known: BTreeSet<&Key> = there.iter().map(|one| &one.name).collect();
    let on = |pods: &[Pods], node: &str| pods.iter().filter(|one| one.node == node).map(|one| one.bytes).sum::<u64>();
    let new: Vec<Pods> = wanted.iter().filter(|one| !known.contains(&one.name)).cloned().collect();
    let nodes: BTreeSet<&str> = new.iter().map(|one| one.node.as_str()).collect();
    let crowded = nodes.into_iter().filter_map(|node| {
        let allocatable = *allocatable.get(node)?;
        let (need, after) = (on(there, node) + on(&new, node), on(wanted, node));
        (need > allocatable && after <= allocatable).then(|| Crowded { node: node.to_owned(), need, allocatable })
    });
    crowded.collect()
}

/// Memory that nodes have for pods, in bytes.
pub fn allocatable<'a>(nodes: impl IntoIterator<Item = &'a k8s_openapi::api::core::v1::Node>) -> BTreeMap<String, u64> {
    let of = |node: &k8s_openapi::api::core::v1::Node| {
        let memory = node.status.as_ref()?.allocatable.as_ref()?.get("memory")?;
        Some((node.name_any(), memory.0.parse::<api::Quantity>().ok()?.bytes().0))
    };
    nodes.into_iter().filter_map(of).collect()
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (need, has) = (mebibytes(self.need).ceil(), mebibytes(self.allocatable).floor());
        write!(f, "old and new pods on {} ask for {need:.0} MiB together, and it has {has:.0} MiB", self.node)
    }
}

/// All of them in words, and what helps.
pub fn in_words(crowded: &[Crowded]) -> Option<String> {
    let each: Vec<String> = crowded.iter().map(ToString::to_string).collect();
    let annotation = labels::REPLACEMENT;
    (!each.is_empty()).then(|| {
        format!(
            "{}: the annotation {annotation}=BreakBeforeMake lets the old ones go first, and jobs are lost until the new ones are ready",
            each.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(all: &[(&str, &str, u64)]) -> Vec<Pods> {
        all.iter()
            .map(|(name, node, bytes)| Pods { name: Key::new("edge", *name), node: (*node).into(), bytes: *bytes })
            .collect()
    }

    #[test]
    fn old_and_new_pods_count_together_and_what_stays_once() {
        let nodes = BTreeMap::from([("pi".to_owned(), 100), ("box".to_owned(), 100)]);
        let there = pods(&[("gateway", "pi", 20), ("old", "pi", 50), ("other", "box", 60)]);
        let names = |wanted: &[(&str, &str, u64)]| {
            let found = crowded(&nodes, &there, &pods(wanted));
            found.into_iter().map(|one| (one.node, one.need)).collect::<Vec<_>>()
        };
        let others = [("gateway", "pi", 20), ("other", "box", 60)];
        let with = |new: (&'static str, &'static str, u64)| [&others[..], &[new]].concat();
        assert_eq!(names(&with(("new", "pi", 30))), [], "there is just enough for both");
        assert_eq!(names(&with(("new", "pi", 31))), [("pi".to_owned(), 101)]);
        assert_eq!(names(&with(("new", "box", 40))), [], "the old one is elsewhere");
        assert_eq!(names(&with(("old", "pi", 50))), [], "nothing is new");
        assert_eq!(names(&with(("new", "pi", 81))), [], "it would not fit alone: nothing has to go for it");
        assert_eq!(names(&with(("new", "unknown", 1000))), []);
    }

    #[test]
    fn words_say_what_is_missing_and_what_helps() {
        let one = Crowded { node: "pi".into(), need: (3 << 30) + 1, allocatable: 3 << 30 };
        let words = in_words(&[one]).expect("there is one");
        for part in ["on pi ask for 3073 MiB", "it has 3072 MiB", "eenn.dev/replacement=BreakBeforeMake"] {
            assert!(words.contains(part), "{words}");
        }
        assert_eq!(in_words(&[]), None);
    }
}
