//! What is known of the processes while they run: polled telemetry and restarts.

use super::local::Local;
use crate::display::{DeviceView, ServiceView};
use crate::measure::DeviceLog;
use crate::measure::account::WINDOW;
use crate::measure::gateways::Counts;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use transport::client::{FragmentClient, GatewayClient};
use wire::document::GatewayTelemetry;

/// Devices and gateways by name.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Devices.
    pub(crate) devices: BTreeMap<String, DeviceLog>,
    /// Gateways, with their states of the last seconds.
    gateways: BTreeMap<String, VecDeque<(Instant, GatewayTelemetry)>>,
    /// Deaths of gateways.
    pub(crate) gateway_deaths: u64,
}

/// Whom to ask.
#[derive(Debug)]
pub(crate) struct Poller {
    devices: Vec<(String, FragmentClient)>,
    gateways: Vec<(String, GatewayClient)>,
    board: Arc<Mutex<Board>>,
}

/// Time between two polls.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(250);

impl Board {
    /// Takes note of the death of a process by its full name.
    pub(crate) fn died(&mut self, name: &str) {
        if let Some(name) = name.strip_prefix("device ") {
            self.devices.entry(name.to_owned()).or_default().restart();
        } else if let Some(name) = name.strip_prefix("gateway ") {
            self.gateway_deaths += 1;
            self.gateways.remove(name);
        }
    }

    /// Forgets all counts so far.
    pub(crate) fn begin(&mut self) {
        self.devices.values_mut().for_each(DeviceLog::begin);
        self.gateway_deaths = 0;
    }

    /// The last state of every gateway.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = (&str, &GatewayTelemetry)> {
        self.gateways.iter().filter_map(|(name, states)| Some((name.as_str(), &states.back()?.1)))
    }

    /// The last state of every gateway, with the time when it was asked for.
    pub(crate) fn gateway_states(&self) -> impl Iterator<Item = (&str, Instant, &GatewayTelemetry)> {
        self.gateways.iter().filter_map(|(name, states)| {
            let (at, telemetry) = states.back()?;
            Some((name.as_str(), *at, telemetry))
        })
    }

    /// Devices for the display.
    pub(crate) fn device_views(&self) -> Vec<DeviceView> {
        self.devices.iter().map(|(name, log)| device_view(name, log)).collect()
    }

    /// Services for the display, as their gateways see them.
    pub(crate) fn service_views(&self) -> Vec<ServiceView> {
        let mut services: BTreeMap<&str, (Counts, Counts, f64)> = BTreeMap::new();
        for states in self.gateways.values() {
            let (Some((from, old)), Some((to, new))) = (states.front(), states.back()) else { continue };
            let (before, after, seconds) = services.entry(&new.service).or_default();
            before.add(old);
            after.add(new);
            *seconds = seconds.max(to.duration_since(*from).as_secs_f64());
        }
        let view = |(name, (before, after, seconds)): (&str, (Counts, Counts, f64))| ServiceView {
            name: name.to_owned(),
            in_flight: after.in_flight,
            window: after.since(&before, seconds),
        };
        services.into_iter().map(view).collect()
    }

    fn observe_gateway(&mut self, name: &str, telemetry: GatewayTelemetry, now: Instant) {
        let states = self.gateways.entry(name.to_owned()).or_default();
        states.push_back((now, telemetry));
        while states.len() > 2 && now.duration_since(states[1].0) >= WINDOW {
            states.pop_front();
        }
    }
}

fn device_view(name: &str, log: &DeviceLog) -> DeviceView {
    let fragments = || log.last().into_iter().flat_map(|last| last.fragments.values());
    DeviceView {
        name: name.to_owned(),
        busy: log.busy_share(),
        held_bytes: fragments().map(|fragment| fragment.held_bytes).sum(),
        budget_bytes: fragments().map(|fragment| fragment.budget_bytes).sum(),
        waiting: fragments().map(|fragment| fragment.waiting).sum(),
        restarts: log.restarts,
    }
}

impl Poller {
    /// For all processes of `local`.
    pub(crate) fn new(local: &Local, board: Arc<Mutex<Board>>) -> Self {
        let devices = local.devices.iter().map(|(name, started)| (name.clone(), &started.ready.metrics));
        let gateways = local.gateways.iter().map(|gateway| (gateway.name.clone(), &gateway.started.ready.metrics));
        Self {
            devices: devices.map(|(name, address)| (name, FragmentClient::new(address, None))).collect(),
            gateways: gateways.map(|(name, address)| (name, GatewayClient::new(address, None))).collect(),
            board,
        }
    }

    /// Asks every process once. One that does not answer keeps its last state.
    pub(crate) async fn poll(&self) {
        for (name, client) in &self.devices {
            if let Ok(telemetry) = client.telemetry().await {
                self.board().devices.entry(name.clone()).or_default().observe(telemetry);
            }
        }
        for (name, client) in &self.gateways {
            if let Ok(telemetry) = client.telemetry().await {
                self.board().observe_gateway(name, telemetry, Instant::now());
            }
        }
    }

    /// Asks again and again.
    pub(crate) async fn poll_for_ever(&self) {
        loop {
            self.poll().await;
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().expect("nothing panics under this lock")
    }
}
