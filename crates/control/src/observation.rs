//! Telemetry as the loop wants it: what was counted since processes started, read at one moment.
//!
//! Documents that did not arrive are left out, not repeated. Numbers that are none are dropped here.

use std::collections::BTreeMap;
use wire::document::{AuditTelemetry, DeviceTelemetry, GatewayTelemetry, PolicyVersion, SourceTelemetry};

/// What all gateways and devices that answered say now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// Per replica of each gateway.
    pub gateways: Vec<GatewayReading>,
    /// Per device.
    pub devices: Vec<DeviceReading>,
}

/// Counters of one gateway process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GatewayReading {
    /// Name of the process, distinct within the service.
    pub replica: String,
    /// Its service.
    pub service: String,
    /// Per source.
    pub sources: BTreeMap<String, SourceReading>,
    /// Per exit.
    pub audits: Vec<AuditTelemetry>,
    /// Per source and exit its answers; empty where that is not measured.
    pub exits: BTreeMap<String, Vec<u64>>,
    /// Version of the policy it follows; `None` where that is not known.
    pub version: Option<PolicyVersion>,
    /// Per exit the sum of the confidences of its answers, and their number; empty where that is not measured.
    pub confidences: Vec<(f64, u64)>,
    /// Row of the rate table in force, from 0; `None` where the policy has none.
    pub row: Option<usize>,
}

/// Counters of one source at one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceReading {
    /// Jobs that arrived.
    pub arrived: u64,
    /// Jobs that ended without an answer, lost or failed: both count against a limit of loss.
    pub unanswered: u64,
}

/// Counters of one device process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceReading {
    /// The device.
    pub device: String,
    /// Core-seconds given to jobs.
    pub busy: f64,
    /// Jobs answered there or taken over by the next device, of all fragments.
    pub jobs: u64,
    /// Seconds that the machine of the profile would have needed for what was computed; 0 where that is not known.
    pub work: f64,
}

impl Observation {
    /// Of documents; each gateway with the name of its process.
    pub fn read<'a>(
        gateways: impl IntoIterator<Item = (&'a str, &'a GatewayTelemetry)>,
        devices: impl IntoIterator<Item = &'a DeviceTelemetry>,
    ) -> Self {
        Self {
            gateways: gateways
                .into_iter()
                .map(|(replica, telemetry)| GatewayReading::read(replica, telemetry))
                .collect(),
            devices: devices.into_iter().filter_map(DeviceReading::read).collect(),
        }
    }
}

impl GatewayReading {
    /// Of a document.
    pub fn read(replica: &str, telemetry: &GatewayTelemetry) -> Self {
        let sum = |lost: &BTreeMap<String, u64>| lost.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let sources = telemetry.sources.iter().map(|(name, source)| {
            let unanswered = sum(&source.lost).saturating_add(sum(&source.failed));
            (name.clone(), SourceReading { arrived: source.arrived, unanswered })
        });
        let mut confidences: Vec<(f64, u64)> = vec![];
        for source in telemetry.sources.values() {
            confidences.resize(confidences.len().max(source.confidences.len()), (0.0, 0));
            for (sum, one) in confidences.iter_mut().zip(&source.confidences) {
                *sum = (sum.0 + one.sum, sum.1.saturating_add(one.count));
            }
        }
        Self {
            replica: replica.to_owned(),
            service: telemetry.service.clone(),
            sources: sources.collect(),
            audits: telemetry.audits.clone(),
            exits: telemetry.sources.iter().map(|(name, source)| (name.clone(), answers(source))).collect(),
            version: Some(telemetry.policy),
            confidences,
            row: telemetry.row.and_then(|row| usize::try_from(row.row).ok()?.checked_sub(1)),
        }
    }
}

/// Per exit.
fn answers(source: &SourceTelemetry) -> Vec<u64> {
    source.confidences.iter().map(|one| one.count).collect()
}

impl DeviceReading {
    /// Of a document; `None` where the busy time is no number.
    pub fn read(telemetry: &DeviceTelemetry) -> Option<Self> {
        let busy = telemetry.busy_core_seconds;
        let fragments = || telemetry.fragments.values();
        let work: f64 = fragments().map(|one| one.profiled_core_seconds).sum();
        let jobs = fragments().flat_map(|one| [one.answered, one.forwarded]).fold(0, u64::saturating_add);
        let sound = [busy, work].iter().all(|value| *value >= 0.0 && value.is_finite());
        sound.then(|| Self { device: telemetry.device.clone(), busy, jobs, work })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::document::{ConfidenceTelemetry, RowTelemetry};

    #[test]
    fn documents_are_summed_over_what_the_loop_does_not_tell_apart() {
        let source = |arrived| SourceTelemetry {
            arrived,
            lost: [("gateway: memory".to_owned(), 2), ("pi: memory".to_owned(), 3)].into(),
            confidences: vec![ConfidenceTelemetry { sum: 4.5, count: 5 }],
            ..SourceTelemetry::default()
        };
        let telemetry = GatewayTelemetry {
            service: "camera".into(),
            sources: [("a".to_owned(), source(10)), ("b".to_owned(), source(20))].into(),
            row: Some(RowTelemetry { row: 3, ..RowTelemetry::default() }),
            ..GatewayTelemetry::default()
        };
        let found = Observation::read([("gateway-1", &telemetry)], []).gateways.remove(0);
        assert_eq!(found.sources["b"], SourceReading { arrived: 20, unanswered: 5 });
        assert_eq!((found.confidences, found.row), (vec![(9.0, 10)], Some(2)));
        assert_eq!(found.exits, [("a".to_owned(), vec![5]), ("b".to_owned(), vec![5])].into());
    }

    #[test]
    fn devices_without_a_busy_time_are_left_out() {
        for busy_core_seconds in [f64::NAN, -1.0, f64::INFINITY] {
            assert_eq!(DeviceReading::read(&DeviceTelemetry { busy_core_seconds, ..DeviceTelemetry::default() }), None);
        }
    }
}
