//! The state of a run at one moment, as values.

use crate::measure::account::WindowView;

/// A run at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct View {
    /// Seconds since the start.
    pub(crate) elapsed: f64,
    /// When the load ends, in seconds; none when it serves until Ctrl-C.
    pub(crate) ends: Option<f64>,
    /// Jobs per second that `--load` asks for now; none between or after loads.
    pub(crate) offered: Option<f64>,
    /// Services by name.
    pub(crate) services: Vec<ServiceView>,
    /// Devices by name.
    pub(crate) devices: Vec<DeviceView>,
}

impl View {
    /// Whether nothing is sent and nothing happens: not worth a line in a log.
    pub(crate) fn is_idle(&self) -> bool {
        let idle = |service: &ServiceView| service.in_flight == 0 && service.window.arrival_rate == 0.0;
        self.ends.is_none() && self.services.iter().all(idle)
    }
}

/// A service at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ServiceView {
    /// Its name.
    pub(crate) name: String,
    /// Jobs without an answer yet.
    pub(crate) in_flight: u64,
    /// The last seconds.
    pub(crate) window: WindowView,
}

/// A device at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct DeviceView {
    /// Its name.
    pub(crate) name: String,
    /// Share of its cores that is busy; none while it does not answer.
    pub(crate) busy: Option<f64>,
    /// Bytes that jobs hold.
    pub(crate) held_bytes: u64,
    /// Bytes that they may hold.
    pub(crate) budget_bytes: u64,
    /// Jobs waiting for a worker.
    pub(crate) waiting: u64,
    /// How often it was started again.
    pub(crate) restarts: u64,
}
