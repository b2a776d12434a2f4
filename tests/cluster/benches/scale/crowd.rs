//! Many services: pools of twenty on two nodes each, each in the namespace of a team, alike but for their names.

use anyhow::{Context as _, ensure};
use control_plane::{Api, ControlPlane, FakeNodes};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const EENN: &str = "/apis/eenn.dev/v1alpha1";
/// Where the operator has its own objects.
const HOME: &str = "eenn-system";
/// Services of a pool.
const PER_POOL: usize = 20;
/// A fragment and a gateway.
const DEPLOYMENTS: usize = 2;

pub(crate) struct Crowd<'a> {
    api: &'a Api,
    pub(crate) services: usize,
}

impl<'a> Crowd<'a> {
    /// Creates nodes, pools, the model and all services.
    pub(crate) fn gather(plane: &'a ControlPlane, services: usize) -> anyhow::Result<Self> {
        let crowd = Self { api: plane.api(), services };
        crowd.definitions(plane)?;
        crowd.namespace(HOME)?;
        for pool in 0..crowd.pools() {
            crowd.namespace(&namespace(pool))?;
            crowd.api.post(&path(pool, "/api/v1", "configmaps"), &exit_table()?)?;
            crowd.api.post(&path(pool, EENN, "eennmodels"), &model())?;
            let allocatable = [("cpu", "64"), ("memory", "64Gi"), ("pods", "200")];
            let nodes = FakeNodes {
                count: 2,
                prefix: format!("node-{pool}"),
                labels: BTreeMap::from([("example.com/pool".to_owned(), format!("pool-{pool}"))]),
                allocatable: allocatable.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into(),
                ..FakeNodes::default()
            };
            plane.add_fake_nodes(&nodes)?;
            crowd.api.post(&format!("{EENN}/devicepools"), &self::pool(pool))?;
        }
        for number in 0..services {
            crowd.api.post(&path(number / PER_POOL, EENN, "eennservices"), &service(number))?;
        }
        Ok(crowd)
    }

    fn definitions(&self, plane: &ControlPlane) -> anyhow::Result<()> {
        let tools = cluster_tests::Tools::of(plane, &[control_plane::Binary::Kubectl])?;
        let crds = cluster_tests::file("crds").display().to_string();
        tools.kubectl(&["apply", "--server-side", "-f", &crds], "")?.ok()?;
        tools.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")?.ok()?;
        let lists = ["get", "eennservices,eennmodels,eennplans,qostargets,devicepools", "--all-namespaces"];
        cluster_tests::eventually(plane, "definitions are served", || {
            tools.kubectl(&lists, "").is_ok_and(|said| said.success)
        })
    }

    fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.api.post("/api/v1/namespaces", &json!({"metadata": {"name": name}}))?;
        Ok(())
    }

    fn pools(&self) -> usize {
        self.services.div_ceil(PER_POOL)
    }

    /// How many objects there are at a path, without reading them.
    fn count(&self, path: &str) -> anyhow::Result<usize> {
        let list = self.api.get(&format!("{path}?limit=1"))?;
        let here = list["items"].as_array().map_or(0, Vec::len);
        Ok(here + list["metadata"]["remainingItemCount"].as_u64().unwrap_or_default() as usize)
    }

    /// How many of the last children of all services are there, and of how many.
    pub(crate) fn all_applied(&self) -> anyhow::Result<(usize, usize)> {
        Ok((self.count("/apis/apps/v1/deployments")?, DEPLOYMENTS * self.services))
    }

    /// Of how many services pods are ready, and of how many.
    pub(crate) fn all_ready(&self) -> anyhow::Result<(usize, usize)> {
        let list = self.api.get(&format!("{EENN}/eennservices"))?;
        let services = list["items"].as_array().context("a list has items")?;
        let is_ready = |service: &Value| {
            let conditions = service["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Placed" && one["status"] == "True"))
        };
        Ok((services.iter().filter(|service| is_ready(service)).count(), self.services))
    }

    /// Objects that the operator makes for one service; its plan is one of them.
    pub(crate) fn children_per_service(&self) -> anyhow::Result<f64> {
        let kinds = [
            (EENN, "eennplans"),
            ("/apis/apps/v1", "deployments"),
            ("/api/v1", "configmaps"),
            ("/api/v1", "services"),
            ("/api/v1", "serviceaccounts"),
            ("/api/v1", "secrets"),
            ("/apis/networking.k8s.io/v1", "networkpolicies"),
            ("/apis/policy/v1", "poddisruptionbudgets"),
        ];
        let paths = (0..self.pools()).flat_map(|pool| kinds.map(|(api, plural)| path(pool, api, plural)));
        let counts = paths.map(|path| self.count(&path)).collect::<anyhow::Result<Vec<_>>>()?;
        // In each namespace the exit table, the authority of the cluster, the default account.
        let others = 3 * self.pools();
        Ok((counts.iter().sum::<usize>() - others) as f64 / self.services as f64)
    }

    /// The name of a service that is edited.
    pub(crate) fn name(&self, number: usize) -> String {
        format!("service-{}", self.edited(number))
    }

    fn edited(&self, number: usize) -> usize {
        number * self.services.div_ceil(41) % self.services
    }

    /// An edit that changes children, and that plans do not depend on.
    pub(crate) fn edit(&self, number: usize, edit: Edit) -> anyhow::Result<()> {
        let path = format!("{}/{}", path(self.edited(number) / PER_POOL, EENN, "eennservices"), self.name(number));
        let mut service = self.api.get(&path)?;
        match edit {
            Edit::Replicas => service["spec"]["runtime"]["gatewayReplicas"] = json!(2),
            Edit::PullSecrets => service["spec"]["imagePullSecrets"] = json!([{"name": format!("registry-{number}")}]),
        }
        let reply = self.api.send("PUT", &path, Some(&service))?;
        ensure!(reply.status == 200, "{}", String::from_utf8_lossy(&reply.body));
        Ok(())
    }
}

/// What is edited, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit {
    /// One more gateway: nothing waits for a pod.
    Replicas,
    /// Another secret to pull images with: all pods are replaced, and those of gateways after those of their fragments.
    PullSecrets,
}

fn namespace(pool: usize) -> String {
    format!("team-{pool}")
}

fn path(pool: usize, api: &str, plural: &str) -> String {
    format!("{api}/namespaces/{}/{plural}", namespace(pool))
}

fn exit_table() -> anyhow::Result<Value> {
    let tools = cluster_tests::Tools::find(&[control_plane::Binary::Kubectl])?;
    let table = cluster_tests::file("examples/fashion-mnist/exit-table.safetensors");
    let from = format!("--from-file=exit-table.safetensors={}", table.display());
    let said = tools.kubectl(&["create", "configmap", "fashion-mnist", &from, "--dry-run=client", "-o", "json"], "")?;
    Ok(serde_json::from_str(&said.ok()?)?)
}

fn model() -> Value {
    let exits: Vec<Value> =
        (1..=6).map(|exit| json!({"name": format!("exit{exit}"), "tensor": format!("exit{exit}")})).collect();
    let cuts: Vec<Value> = (1..=5).map(|cut| json!({"tensor": format!("cut{cut}"), "bytes": 9408})).collect();
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNModel", "metadata": {"name": "fashion-mnist"},
        "spec": {
            "artifact": {"uri": "https://models.example.com/m.onnx", "sha256": "0".repeat(64), "size": "4Mi"},
            "input": {"name": "input", "shape": [1, 28, 28]}, "exits": exits, "cuts": cuts,
            "exitTable": {"uri": "configmap://fashion-mnist/exit-table.safetensors"},
            "profile": {"segments": vec![json!({"meanMicroseconds": "100", "scv": "0.03"}); 6]},
        },
    })
}

fn pool(number: usize) -> Value {
    let name = format!("pool-{number}");
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "DevicePool", "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"matchLabels": {"example.com/pool": name}},
            "classes": [{"name": "all", "tier": "Gateway", "cores": "4", "memoryBudget": "64Mi", "speedFactor": "0.1"}],
        },
    })
}

fn service(number: usize) -> Value {
    let (pool, node) = (number / PER_POOL, number % 2);
    let node = format!("node-{pool}-{node}");
    json!({
        "apiVersion": "eenn.dev/v1alpha1", "kind": "EENNService", "metadata": {"name": format!("service-{number}")},
        "spec": {
            "modelRef": {"name": "fashion-mnist"}, "devicePoolRef": {"name": format!("pool-{pool}")},
            "sources": [{"name": "camera", "node": node, "expectedRate": "5"}],
            "placement": {"strategy": "Pinned", "pinned": [{"chain": "local", "fragments": [
                {"node": node, "firstSegment": 1, "lastSegment": 6},
            ]}]},
            "runtime": {"memoryBudget": "64Ki", "gatewayMemoryBudget": "16Mi"},
        },
    })
}
