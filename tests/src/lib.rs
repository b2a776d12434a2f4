//! Starts the real processes of the data plane on small networks, for the system tests and benchmarks.
//!
//! Documents are built by functions of [`build`], changed by a test where it needs to, and started by
//! [`Cluster::start`]. Everything stops when the cluster is dropped.

pub mod authority;
pub mod build;
mod client;
mod process;

pub use client::{Answer, Client, Reply, binary_request, json_request};
pub use process::{Process, binary};

use std::collections::BTreeMap;
use wire::document::{DeviceDocument, DeviceTelemetry, GatewayDocument, GatewayTelemetry, SourceTelemetry};

/// A gateway and the devices behind it.
#[derive(Debug)]
pub struct Cluster {
    /// `host:port` of the gateway.
    pub gateway: String,
    /// The gateway's process.
    pub gateway_process: Process,
    /// The devices' processes, by name.
    pub devices: BTreeMap<String, Process>,
}

impl Cluster {
    /// Starts devices, fills their addresses into the gateway's policy, and starts the gateway.
    pub fn start(devices: Vec<DeviceDocument>, mut gateway: GatewayDocument) -> Self {
        let devices: BTreeMap<_, _> =
            devices.into_iter().map(|device| (device.device.clone(), Process::start("fragment", &device))).collect();
        fill_addresses(&mut gateway, &devices);
        let gateway_process = Process::start("gateway", &gateway);
        Self { gateway: gateway_process.ready.address.clone(), gateway_process, devices }
    }

    /// A client of the gateway that keeps `connections` connections.
    pub fn client(&self) -> Client {
        Client::new(&self.gateway)
    }

    /// What the gateway says about itself.
    pub async fn telemetry(&self) -> GatewayTelemetry {
        Client::new(&self.gateway_process.ready.metrics).get("/telemetry").await
    }

    /// Whether the gateway says that it is ready.
    pub async fn ready(&self) -> bool {
        let path = "/v2/health/ready";
        let reply = self.client().send(hyper::Method::GET, path, &[], "").await.expect("the gateway answers");
        reply.status == hyper::StatusCode::OK
    }

    /// The books of the gateway's own source.
    pub async fn books(&self) -> SourceTelemetry {
        self.telemetry().await.sources.remove(build::SOURCE).unwrap_or_default()
    }

    /// What a device says about itself.
    pub async fn device(&self, name: &str) -> DeviceTelemetry {
        Client::new(&self.devices[name].ready.metrics).get("/telemetry").await
    }
}

/// Puts the addresses of running devices into the hops of a policy.
pub fn fill_addresses(gateway: &mut GatewayDocument, devices: &BTreeMap<String, Process>) {
    for hop in gateway.policy.chains.iter_mut().flat_map(|chain| &mut chain.hops) {
        hop.address.clone_from(&devices[&hop.device].ready.address);
    }
}

/// One device with the trivial network, and a gateway.
pub fn start_trivial() -> Cluster {
    let (devices, gateway) = build::trivial();
    Cluster::start(devices, gateway)
}

/// Panics with all numbers unless every job is accounted for.
pub fn assert_balanced(books: &SourceTelemetry) {
    let lost: u64 = books.lost.values().sum();
    let failed: u64 = books.failed.values().sum();
    assert_eq!(books.arrived, books.answered + lost + failed + books.in_flight, "{books:#?}");
}
