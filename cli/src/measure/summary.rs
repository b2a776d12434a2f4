//! The end of a run as a document: what `--output json` prints.

use super::account::{Account, Key, Stream};
use super::devices::{DeviceLog, FragmentCounters};
use super::tally::Tally;
use serde::Serialize;
use std::collections::BTreeMap;

/// A run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// Version of eenn.
    pub(crate) version: &'static str,
    /// Seed of the arrivals.
    pub(crate) seed: u64,
    /// From the first job to the last answer.
    pub(crate) seconds: f64,
    /// All services together.
    #[serde(flatten)]
    pub(crate) total: Figures,
    /// Per service.
    pub(crate) services: Vec<ServiceSummary>,
    /// Per device.
    pub(crate) devices: Vec<DeviceSummary>,
    /// New plans, and what would have been without them; null where nothing is planned, or with `--no-reoptimize`.
    pub(crate) reoptimization: Option<crate::up::Reoptimization>,
    /// What makes the figures doubtful; empty when all is well.
    pub(crate) warnings: Vec<String>,
}

/// Figures of some jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Jobs that were due.
    pub(crate) arrived: u64,
    /// Jobs answered.
    pub(crate) answered: u64,
    /// Of these, with the last exit evaluated because the next device was full or away.
    pub(crate) answered_on_overflow: u64,
    /// Jobs lost because memory was full.
    pub(crate) lost: u64,
    /// Jobs failed.
    pub(crate) failed: u64,
    /// Right ÷ answered; null without labels or answers.
    pub(crate) accuracy: Option<f64>,
    /// Lost ÷ arrived.
    pub(crate) loss_ratio: Option<f64>,
    /// From the scheduled arrival to the answer.
    pub(crate) latency_milliseconds: Option<Latency>,
    /// Share of the answers per exit.
    pub(crate) exits: Vec<f64>,
    /// Jobs lost, by place.
    pub(crate) lost_at: BTreeMap<String, u64>,
    /// Jobs failed, by reason.
    pub(crate) failed_by: BTreeMap<String, u64>,
}

/// Latency of answered jobs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    /// Mean.
    pub(crate) mean: f64,
    /// Median.
    pub(crate) p50: f64,
    /// 95th percentile.
    pub(crate) p95: f64,
    /// 99th percentile.
    pub(crate) p99: f64,
}

/// A service.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServiceSummary {
    /// Its name.
    pub(crate) name: String,
    /// All its jobs.
    #[serde(flatten)]
    pub(crate) total: Figures,
    /// Per source.
    pub(crate) sources: Vec<SourceSummary>,
    /// Per phase of the load.
    pub(crate) phases: Vec<PhaseSummary>,
}

/// A source.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SourceSummary {
    /// Its name.
    pub(crate) name: String,
    /// Its jobs.
    #[serde(flatten)]
    pub(crate) total: Figures,
}

/// A phase of the load, as far as one service saw it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PhaseSummary {
    /// The source that `--load` names; null for all.
    pub(crate) source: Option<String>,
    /// Jobs per second that were asked for, of all services; null for a trace.
    pub(crate) rate: Option<f64>,
    /// Length in seconds; for phases of a number of jobs the expected one.
    pub(crate) seconds: f64,
    /// Jobs that arrived in it.
    #[serde(flatten)]
    pub(crate) total: Figures,
}

/// A device.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DeviceSummary {
    /// Its name.
    pub(crate) name: String,
    /// Busy core-seconds ÷ (cores × seconds).
    pub(crate) utilization: Option<f64>,
    /// Core-seconds given to jobs.
    pub(crate) busy_core_seconds: f64,
    /// Cores.
    pub(crate) cores: f64,
    /// How often its process died and was started again.
    pub(crate) restarts: u64,
    /// Per fragment.
    pub(crate) fragments: Vec<FragmentSummary>,
}

/// A fragment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FragmentSummary {
    /// Its name.
    pub(crate) name: String,
    /// Its counters.
    #[serde(flatten)]
    pub(crate) counters: FragmentCounters,
}

/// A phase of one `--load`, for the summary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PhaseLabel {
    /// Index of the `--load`.
    pub(crate) load: usize,
    /// Index of the phase in it.
    pub(crate) phase: usize,
    /// Source that was named.
    pub(crate) source: Option<String>,
    /// Jobs per second.
    pub(crate) rate: Option<f64>,
    /// Length.
    pub(crate) seconds: f64,
}

/// What a summary is made of, beside the account.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Seed of the arrivals.
    pub(crate) seed: u64,
    /// From the first job to the last answer.
    pub(crate) seconds: f64,
    /// Phases that were begun.
    pub(crate) phases: &'a [PhaseLabel],
    /// Devices by name.
    pub(crate) devices: &'a BTreeMap<String, DeviceLog>,
    /// What else makes the figures doubtful.
    pub(crate) warnings: Vec<String>,
}

/// Sums up.
pub(crate) fn summarise(account: &Account, mut run: Run<'_>) -> Summary {
    let total = account.sum(|_, _| true);
    if total.in_flight() != 0 {
        run.warnings.push(format!(
            "the accounting does not hold: {} arrived, but {} answered + {} lost + {} failed; please report this",
            total.arrived,
            total.answered,
            total.lost(),
            total.failed()
        ));
    }
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        seed: run.seed,
        seconds: run.seconds,
        total: figures(&total),
        services: account.services().into_iter().map(|name| service(account, name, run.phases)).collect(),
        devices: run.devices.iter().map(|(name, log)| device(name, log, run.seconds)).collect(),
        reoptimization: None,
        warnings: run.warnings,
    }
}

fn service(account: &Account, name: &str, phases: &[PhaseLabel]) -> ServiceSummary {
    let ours = |stream: &Stream| stream.service == name;
    let streams = account.streams().iter().filter(|stream| ours(stream));
    let phase = |label: &PhaseLabel| {
        let of_phase = |key: &Key| (key.load, key.phase) == (label.load, label.phase);
        let tally = account.sum(|key, stream| ours(stream) && of_phase(key));
        (tally.arrived > 0).then(|| PhaseSummary {
            source: label.source.clone(),
            rate: label.rate,
            seconds: label.seconds,
            total: figures(&tally),
        })
    };
    ServiceSummary {
        name: name.to_owned(),
        total: figures(&account.sum(|_, stream| ours(stream))),
        sources: streams
            .map(|wanted| SourceSummary {
                name: wanted.source.clone(),
                total: figures(&account.sum(|_, stream| stream == wanted)),
            })
            .collect(),
        phases: phases.iter().filter_map(phase).collect(),
    }
}

fn figures(tally: &Tally) -> Figures {
    let latency = |mean| {
        Some(Latency { mean, p50: tally.latency_at(0.5)?, p95: tally.latency_at(0.95)?, p99: tally.latency_at(0.99)? })
    };
    Figures {
        arrived: tally.arrived,
        answered: tally.answered,
        answered_on_overflow: tally.answered_on_overflow,
        lost: tally.lost(),
        failed: tally.failed(),
        accuracy: tally.accuracy(),
        loss_ratio: tally.loss_ratio(),
        latency_milliseconds: tally.latency_mean().and_then(latency),
        exits: tally.exit_shares(),
        lost_at: tally.lost_at.clone(),
        failed_by: tally.failed_by.clone(),
    }
}

fn device(name: &str, log: &DeviceLog, seconds: f64) -> DeviceSummary {
    let counters = log.counters();
    let available = log.cores * seconds;
    DeviceSummary {
        name: name.to_owned(),
        utilization: (available > 0.0).then(|| counters.busy_core_seconds / available),
        busy_core_seconds: counters.busy_core_seconds,
        cores: log.cores,
        restarts: log.restarts,
        fragments: counters.fragments.into_iter().map(|(name, counters)| FragmentSummary { name, counters }).collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::account::tests::{key, stream};
    use crate::measure::devices::tests::telemetry;
    use crate::measure::tally::{Fate, tests::answered};
    use std::time::Duration;

    pub(crate) fn example() -> Summary {
        let mut account = Account::new(vec![stream("fashion", "camera"), stream("fashion", "phone")], vec![2, 2]);
        for i in 0..8usize {
            let key = key(i % 2, i / 4);
            account.arrive(key, Duration::ZERO);
            let fate = match i {
                6 => Fate::Lost { place: "edge-1".into() },
                7 => Fate::Failed { reason: "deadline".into() },
                _ => answered(i % 2, i != 0),
            };
            account.settle(key, fate, Duration::from_millis(10 + i as u64), Duration::ZERO);
        }
        let mut log = DeviceLog::default();
        log.observe(telemetry(10.0, 3.0, 8));
        let label = |phase, rate| PhaseLabel { load: 0, phase, source: None, rate: Some(rate), seconds: 2.0 };
        let run = Run {
            seed: 7,
            seconds: 4.0,
            phases: &[label(0, 1.0), label(1, 2.0)],
            devices: &[("edge-1".to_owned(), log)].into(),
            warnings: vec![],
        };
        summarise(&account, run)
    }

    #[test]
    fn a_run_is_summed_up() {
        let json = serde_json::to_value(example()).unwrap();
        assert_eq!(json["arrived"], 8);
        assert_eq!(json["services"][0]["answered"], 6);
        assert_eq!(json["services"][0]["sources"][1]["failed_by"]["deadline"], 1);
        assert_eq!(json["services"][0]["phases"][1]["lost_at"]["edge-1"], 1);
        assert_eq!(json["devices"][0]["utilization"], 3.0 / 8.0);
        assert_eq!(json["devices"][0]["fragments"][0]["entered"], 8);
        assert_eq!(json["latency_milliseconds"]["p50"], 12.007);
        assert_eq!(json["warnings"], serde_json::json!([]));
    }

    #[test]
    fn jobs_without_a_fate_are_said_loudly() {
        let mut account = Account::new(vec![stream("a", "x")], vec![1]);
        account.arrive(key(0, 0), Duration::ZERO);
        let run = Run { seed: 0, seconds: 1.0, phases: &[], devices: &BTreeMap::new(), warnings: vec![] };
        assert!(summarise(&account, run).warnings[0].contains("the accounting does not hold"));
    }
}
