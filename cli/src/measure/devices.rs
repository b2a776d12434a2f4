//! Counters of device processes, summed over their restarts.

use std::collections::{BTreeMap, VecDeque};
use wire::document::{DeviceTelemetry, FragmentTelemetry};

/// What is known of one device since the log began.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceLog {
    /// Cores it has.
    pub(crate) cores: f64,
    /// How often its process was started again.
    pub(crate) restarts: u64,
    /// Sums of processes that ended, less what was there when the log began.
    past: Counters,
    /// The last state of the process that runs.
    last: Option<DeviceTelemetry>,
    /// Uptime and busy core-seconds of the last states, in seconds.
    recent: VecDeque<(f64, f64)>,
}

/// Seconds over which a device is said to be busy.
const RECENT: f64 = 2.0;

/// Counters that only grow.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counters {
    /// Core-seconds given to jobs.
    pub(crate) busy_core_seconds: f64,
    /// Per fragment.
    pub(crate) fragments: BTreeMap<String, FragmentCounters>,
}

/// Counters of one fragment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct FragmentCounters {
    /// Jobs admitted.
    pub(crate) entered: i64,
    /// Jobs refused.
    pub(crate) refused: i64,
    /// Jobs answered here.
    pub(crate) answered: i64,
    /// Jobs taken over by the next fragment.
    pub(crate) forwarded: i64,
    /// Jobs that overflowed at the next fragment, were late, or failed.
    pub(crate) dropped: i64,
    /// Jobs whose real compute took longer than the emulated device would have.
    pub(crate) late: i64,
}

impl DeviceLog {
    /// Takes a newer state of the device.
    pub(crate) fn observe(&mut self, telemetry: DeviceTelemetry) {
        self.cores = telemetry.cores;
        self.recent.push_back((telemetry.uptime_seconds, telemetry.busy_core_seconds));
        while self.recent.len() > 2 && telemetry.uptime_seconds - self.recent[1].0 >= RECENT {
            self.recent.pop_front();
        }
        self.last = Some(telemetry);
    }

    /// The process has died; the next state is of a new one that counts from 0. What happened between the last state
    /// and the death is not known.
    pub(crate) fn restart(&mut self) {
        self.restarts += 1;
        self.recent.clear();
        if let Some(last) = self.last.take() {
            self.past.add(&last, 1);
        }
    }

    /// Forgets all counts so far.
    pub(crate) fn begin(&mut self) {
        (self.past, self.restarts) = (Counters::default(), 0);
        if let Some(last) = &self.last {
            self.past.add(last, -1);
        }
    }

    /// Counts since the log began.
    pub(crate) fn counters(&self) -> Counters {
        let mut sum = self.past.clone();
        if let Some(last) = &self.last {
            sum.add(last, 1);
        }
        sum
    }

    /// Share of the cores that was busy in the last seconds; none while it is not known.
    pub(crate) fn busy_share(&self) -> Option<f64> {
        self.last.as_ref()?;
        let ((from, busy_before), (to, busy)) = (self.recent.front()?, self.recent.back()?);
        let available = (to - from) * self.cores;
        Some(if available > 0.0 { (busy - busy_before) / available } else { 0.0 })
    }

    /// The last state.
    pub(crate) fn last(&self) -> Option<&DeviceTelemetry> {
        self.last.as_ref()
    }
}

impl Counters {
    fn add(&mut self, telemetry: &DeviceTelemetry, sign: i64) {
        self.busy_core_seconds += sign as f64 * telemetry.busy_core_seconds;
        for (name, fragment) in &telemetry.fragments {
            self.fragments.entry(name.clone()).or_default().add(fragment, sign);
        }
    }
}

impl FragmentCounters {
    fn add(&mut self, fragment: &FragmentTelemetry, sign: i64) {
        self.entered += sign * fragment.entered as i64;
        self.refused += sign * fragment.refused.values().sum::<u64>() as i64;
        self.answered += sign * fragment.answered as i64;
        self.forwarded += sign * fragment.forwarded as i64;
        self.dropped += sign * fragment.dropped as i64;
        self.late += sign * fragment.late as i64;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn telemetry(uptime: f64, busy: f64, entered: u64) -> DeviceTelemetry {
        let fragment = FragmentTelemetry { entered, refused: [("memory".to_owned(), 1)].into(), ..Default::default() };
        DeviceTelemetry {
            device: "edge".into(),
            cores: 2.0,
            busy_core_seconds: busy,
            uptime_seconds: uptime,
            fragments: [("f".to_owned(), fragment)].into(),
        }
    }

    #[test]
    fn busy_is_a_share_of_the_last_seconds() {
        let mut log = DeviceLog::default();
        assert_eq!(log.busy_share(), None);
        for (uptime, busy) in [(1.0, 0.0), (2.0, 0.0), (3.0, 0.5), (4.0, 2.0)] {
            log.observe(telemetry(uptime, busy, 0));
        }
        assert_eq!(log.busy_share(), Some(0.5));
        log.restart();
        assert_eq!(log.busy_share(), None);
    }

    #[test]
    fn counts_survive_a_restart_and_start_where_the_log_begins() {
        let mut log = DeviceLog::default();
        log.observe(telemetry(10.0, 3.0, 100));
        log.begin();
        log.observe(telemetry(12.0, 5.0, 110));
        log.restart();
        log.observe(telemetry(1.0, 0.5, 7));
        let counters = log.counters();
        assert_eq!((counters.busy_core_seconds, log.restarts), (2.5, 1));
        assert_eq!(
            (counters.fragments["f"].entered, counters.fragments["f"].refused),
            (17, 1),
            "refused: 0 before the restart, 1 after"
        );
    }
}
