//! Nodes that exist in the API only; KWOK keeps them ready and lets pods on them run.

use crate::api::Api;
use crate::error::Error;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Some fake nodes that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeNodes {
    /// How many.
    pub count: usize,
    /// They are called PREFIX-0, PREFIX-1 and so on.
    pub prefix: String,
    /// As in `kubernetes.io/arch`.
    pub architecture: String,
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// What pods can have: `cpu`, `memory`, `pods` and whatever else.
    pub allocatable: BTreeMap<String, String>,
}

impl Default for FakeNodes {
    /// One node of a middling size.
    fn default() -> Self {
        let allocatable = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110")];
        Self {
            count: 1,
            prefix: "node".to_owned(),
            architecture: "amd64".to_owned(),
            labels: BTreeMap::new(),
            allocatable: allocatable.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into(),
        }
    }
}

impl FakeNodes {
    /// Their names.
    pub fn names(&self) -> Vec<String> {
        (0..self.count).map(|number| format!("{}-{number}", self.prefix)).collect()
    }

    pub(crate) fn create(&self, api: &Api) -> Result<Vec<String>, Error> {
        let names = self.names();
        for name in &names {
            api.post("/api/v1/nodes", &self.node(name))?;
        }
        Ok(names)
    }

    fn node(&self, name: &str) -> Value {
        let mut labels = self.labels.clone();
        for (label, value) in [("arch", self.architecture.as_str()), ("os", "linux"), ("hostname", name)] {
            labels.insert(format!("kubernetes.io/{label}"), value.to_owned());
        }
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {
                "allocatable": self.allocatable,
                "capacity": self.allocatable,
                "nodeInfo": {
                    "architecture": self.architecture, "operatingSystem": "linux", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "osImage": "",
                    "systemUUID": "",
                },
            },
        })
    }
}
