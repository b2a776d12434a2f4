//! The processes of local mode: devices first, then gateways that know where the devices listen.

use crate::exit_code::{Failure, Outcome};
use crate::process::fleet::{Launcher, this_executable};
use crate::process::{Config, Fleet, Interrupts, News, Started, Urgency};
use anyhow::{Context, anyhow};
use deployment::Deployment;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use tokio::sync::mpsc;
use wire::document::GatewayDocument;

/// Processes that run.
#[derive(Debug)]
pub(crate) struct Local {
    device_fleet: Fleet,
    gateway_fleet: Fleet,
    /// Devices by name.
    pub(crate) devices: BTreeMap<String, Started>,
    /// Gateways, in the order of services.
    pub(crate) gateways: Vec<Gateway>,
}

/// A gateway that runs.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    /// Service and device.
    pub(crate) name: String,
    /// The service.
    pub(crate) service: String,
    /// The device that it runs on.
    pub(crate) device: String,
    /// Its process.
    pub(crate) started: Started,
}

/// Name of a gateway in messages.
fn gateway_name(document: &GatewayDocument) -> String {
    format!("{}@{}", document.policy.service, document.device)
}

impl Local {
    /// Starts everything. None stays when something fails or when the user does not want to wait.
    pub(crate) async fn start(
        deployment: Deployment,
        listen: SocketAddr,
        news: mpsc::Sender<News>,
        interrupts: &Interrupts,
    ) -> Outcome<Option<Self>> {
        allow_many_files();
        let launcher = Launcher { executable: this_executable()?, news };
        let gateways = deployment.services.iter().map(|service| service.gateways.len()).sum();
        let addresses = free_addresses(gateways, listen)?;
        tokio::select! {
            local = Self::start_both(deployment, addresses, &launcher) => Ok(Some(local?)),
            () = interrupts.wanted(Urgency::Orderly) => Ok(None),
        }
    }

    async fn start_both(
        mut deployment: Deployment,
        addresses: Vec<SocketAddr>,
        launcher: &Launcher,
    ) -> anyhow::Result<Self> {
        let names: Vec<String> = deployment.devices.iter().map(|device| device.device.clone()).collect();
        let configs = deployment.devices.iter().cloned().map(|document| Config::Device(Box::new(document))).collect();
        let (device_fleet, started) = Fleet::start(configs, launcher).await?;
        let devices: BTreeMap<String, Started> = names.into_iter().zip(started).collect();
        let heard = devices.iter().map(|(name, started)| (name.clone(), started.ready.address.clone())).collect();
        deployment.with_addresses(&heard);
        let documents = gateway_documents(deployment, &addresses);
        let configs =
            documents.iter().map(|document| Config::Gateway(gateway_name(document), Box::new(document.clone())));
        match Fleet::start(configs.collect(), launcher).await {
            Err(error) => {
                device_fleet.stop(std::future::ready(())).await;
                Err(error)
            }
            Ok((gateway_fleet, started)) => {
                let gateways = documents.iter().zip(started).map(|(document, started)| Gateway {
                    name: gateway_name(document),
                    service: document.policy.service.clone(),
                    device: document.device.clone(),
                    started,
                });
                Ok(Self { device_fleet, gateway_fleet, devices, gateways: gateways.collect() })
            }
        }
    }

    /// Stops gateways, so that no new job enters, then devices.
    pub(crate) async fn stop(self, interrupts: &Interrupts) {
        self.gateway_fleet.stop(interrupts.wanted(Urgency::Now)).await;
        self.device_fleet.stop(interrupts.wanted(Urgency::Now)).await;
    }
}

/// One address per gateway, on ports that follow each other. Ports that are taken are an error now, not when a process
/// has been started for nothing.
fn free_addresses(count: usize, first: SocketAddr) -> Outcome<Vec<SocketAddr>> {
    (0..count)
        .map(|index| {
            let port = match first.port() {
                0 => 0,
                port => u16::try_from(usize::from(port) + index)
                    .map_err(|_| Failure::input("--listen: no port is left for all gateways"))?,
            };
            let address = SocketAddr::new(first.ip(), port);
            match TcpListener::bind(address) {
                Ok(_) => Ok(address),
                Err(error) => Err(Failure::Running(
                    anyhow!(error).context(format!("cannot listen on {address}; choose another address with --listen")),
                )),
            }
        })
        .collect()
}

fn gateway_documents(deployment: Deployment, addresses: &[SocketAddr]) -> Vec<GatewayDocument> {
    let mut documents: Vec<_> = deployment.services.into_iter().flat_map(|service| service.gateways).collect();
    for (document, address) in documents.iter_mut().zip(addresses) {
        document.listen = address.to_string();
    }
    documents
}

/// Every job in flight holds a connection here, and up to two in a gateway. Children inherit the limit. Where it cannot
/// be raised, connections are refused when they are too many, and counted as failed.
fn allow_many_files() {
    const ENOUGH: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// A folder for requests to try, removed at the end.
pub(crate) fn work_folder() -> Outcome<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("eenn-").tempdir().context("failed to make a temporary folder")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = free_addresses(1, address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("error: cannot listen on {address}; choose another")), "{error}");
        assert_eq!(free_addresses(2, "127.0.0.1:0".parse().unwrap()).unwrap().len(), 2);
        assert!(free_addresses(2, "127.0.0.1:65535".parse().unwrap()).is_err());
    }
}
