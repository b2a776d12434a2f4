//! Where pods are reached.

use crate::pods::Pod;
use crate::service::build::documents::CONTROL_PORT;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use wire::document::PolicyDocument;

/// How pods and hops are found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Addresses {
    /// As the cluster says.
    #[default]
    OfCluster,
    /// Instead of pods there are processes, whose addresses are in a file that may change: JSON, from names of Deployments to their
    /// control addresses, and from addresses of hops to where these listen.
    Mapped(PathBuf),
}

/// What [`Addresses`] say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Book {
    /// As the cluster says.
    OfCluster,
    /// These.
    Mapped(BTreeMap<String, String>),
}

impl Addresses {
    /// Reads the file, if it is one; what cannot be read has no addresses.
    pub fn now(&self) -> Book {
        match self {
            Self::OfCluster => Book::OfCluster,
            Self::Mapped(file) => {
                let read = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok());
                Book::Mapped(read.unwrap_or_default())
            }
        }
    }
}

impl Book {
    /// Where a pod is controlled; `None` as long as it has no address.
    pub fn control(&self, pod: &Pod) -> Option<String> {
        match self {
            Self::OfCluster => Some(SocketAddr::new(pod.ip?, u16::try_from(CONTROL_PORT).ok()?).to_string()),
            Self::Mapped(map) => map.get(pod.workload.as_deref()?).cloned(),
        }
    }

    /// A policy with the addresses at which its hops are reached.
    pub fn hops(&self, policy: &PolicyDocument) -> PolicyDocument {
        let mut policy = policy.clone();
        if let Self::Mapped(map) = self {
            for hop in policy.chains.iter_mut().flat_map(|chain| &mut chain.hops) {
                if let Some(address) = map.get(&hop.address) {
                    hop.address.clone_from(address);
                }
            }
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline;
    use crate::service::labels;
    use serde_json::json;

    fn pod(ip: &str) -> Pod {
        let pod = json!({ "metadata": { "labels": { labels::WORKLOAD: "camera-g-1" } }, "status": { "podIP": ip } });
        serde_json::from_value::<outline::Pod>(pod).expect("it is a pod").into()
    }

    #[test]
    fn pods_are_reached_at_their_addresses_or_at_those_of_a_file() {
        assert_eq!(Book::OfCluster.control(&pod("10.42.0.7")).as_deref(), Some("10.42.0.7:9443"));
        assert_eq!(Book::OfCluster.control(&pod("fd00::7")).as_deref(), Some("[fd00::7]:9443"));
        assert_eq!(Book::OfCluster.control(&outline::Pod::default().into()), None);
        let mapped = Book::Mapped([("camera-g-1".to_owned(), "127.0.0.1:1".to_owned())].into());
        assert_eq!(mapped.control(&pod("")).as_deref(), Some("127.0.0.1:1"));
        assert_eq!(mapped.control(&outline::Pod::default().into()), None);
        assert_eq!(Addresses::Mapped("/nowhere".into()).now(), Book::Mapped(BTreeMap::new()));
    }
}
