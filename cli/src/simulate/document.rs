//! The results, as they are written in JSON. Tables and rows are made of them.

use super::agreement::{Agreement, agrees};
use super::input::Task;
use serde::Serialize;
use simulator::form::{Expected, ExpectedChain, ExpectedMetric};
use simulator::{ChainReport, DeviceReport, Ended, Estimate, Fates, LinkReport, Report, RunReport, SourceReport};
use std::collections::BTreeMap;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) cases: Vec<CaseDocument>,
    /// Cases that were not begun, because the user ended it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) skipped: Vec<String>,
}

/// A case.
#[derive(Debug, Serialize)]
pub(super) struct CaseDocument {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) chains: Vec<ChainDocument>,
    pub(super) devices: Vec<DeviceDocument>,
    pub(super) links: Vec<LinkDocument>,
    pub(super) sources: Vec<SourceDocument>,
    /// With known answers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agreement: Option<Agreement>,
    pub(super) run: RunDocument,
}

/// A number with the half width of its 99 % confidence interval; null where nothing was observed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Metric {
    pub(super) value: Option<f64>,
    pub(super) ci99: Option<f64>,
    /// With the known answer, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agrees: Option<bool>,
}

/// How jobs fared.
#[derive(Debug, Serialize)]
pub(super) struct FatesDocument {
    pub(super) arrival_rate: Metric,
    pub(super) throughput: Metric,
    pub(super) loss_prob: Metric,
    pub(super) failure_prob: Metric,
    pub(super) answered_on_overflow: Metric,
    pub(super) response_time_completed: Metric,
    pub(super) latency: LatencyDocument,
    /// Where a model is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<Metric>,
    /// Share of answers given behind each exit, or fragment.
    pub(super) exits: Vec<Metric>,
    /// Share of arrivals lost at each place.
    pub(super) lost_at: BTreeMap<String, Metric>,
}

/// Quantiles of the time from arrival to answer.
#[derive(Debug, Serialize)]
pub(super) struct LatencyDocument {
    pub(super) p50: Metric,
    pub(super) p95: Metric,
    pub(super) p99: Metric,
}

/// A chain.
#[derive(Debug, Serialize)]
pub(super) struct ChainDocument {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) fates: FatesDocument,
    pub(super) fragments: Vec<FragmentDocument>,
}

/// A fragment of a chain.
#[derive(Debug, Serialize)]
pub(super) struct FragmentDocument {
    pub(super) device: String,
    pub(super) offered_rate: Metric,
    pub(super) served_rate: Metric,
    pub(super) residence_time: Metric,
}

/// A source.
#[derive(Debug, Serialize)]
pub(super) struct SourceDocument {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) fates: FatesDocument,
    /// Further attempts per arrival.
    pub(super) retries: Metric,
    /// Share of arrivals that failed, by reason.
    pub(super) failed_by: BTreeMap<String, Metric>,
}

/// A device.
#[derive(Debug, Serialize)]
pub(super) struct DeviceDocument {
    pub(super) name: String,
    pub(super) utilization: Metric,
    pub(super) mean_jobs: Metric,
}

/// A link.
#[derive(Debug, Serialize)]
pub(super) struct LinkDocument {
    pub(super) name: String,
    pub(super) utilization: Metric,
    pub(super) transit_time: Metric,
}

/// How much was simulated.
#[derive(Debug, Serialize)]
pub(super) struct RunDocument {
    pub(super) seed: u64,
    pub(super) replications: u32,
    pub(super) batches: u32,
    pub(super) arrivals: u64,
    pub(super) events: u64,
    pub(super) seconds: f64,
    pub(super) ended: &'static str,
    pub(super) transient: bool,
}

impl Document {
    /// Of tasks and the reports that there are of them.
    pub(super) fn new(tasks: &[Task], reports: &[Report]) -> Self {
        let cases = tasks.iter().zip(reports).map(|(task, report)| CaseDocument::new(task, report)).collect();
        let skipped = tasks.iter().skip(reports.len()).map(|task| task.case.id.clone()).collect();
        Self { cases, skipped }
    }

    /// Of all cases together; none without known answers.
    pub(super) fn agreement(&self) -> Option<Agreement> {
        let each = self.cases.iter().filter_map(|case| case.agreement);
        each.reduce(|mut all, one| {
            all.add(one);
            all
        })
    }
}

impl CaseDocument {
    fn new(task: &Task, report: &Report) -> Self {
        let expected = task.expected.as_ref();
        let network = &task.case.network;
        let chains = report.chains.iter().zip(&network.chains).enumerate().map(|(index, (chain, steps))| {
            let devices = steps.steps.iter().map(|step| network.devices[step.device].name.clone());
            ChainDocument::new(chain, devices, expected.and_then(|expected| expected.chain(index)))
        });
        let devices = report.devices.iter().enumerate().map(|(index, device)| device_document(device, index, expected));
        let mut case = Self {
            id: task.case.id.clone(),
            description: task.description.clone(),
            chains: chains.collect(),
            devices: devices.collect(),
            links: report.links.iter().map(link_document).collect(),
            sources: report.sources.iter().map(SourceDocument::new).collect(),
            agreement: None,
            run: RunDocument::new(&report.run),
        };
        case.agreement = expected.is_some().then(|| case.compare());
        case
    }

    fn compare(&self) -> Agreement {
        let mut agreement = Agreement::default();
        for chain in &self.chains {
            let fates = &chain.fates;
            for metric in [fates.throughput, fates.loss_prob, fates.response_time_completed] {
                agreement.count(metric.agrees);
            }
            for one in &chain.fragments {
                for metric in [one.offered_rate, one.served_rate, one.residence_time] {
                    agreement.count(metric.agrees);
                }
            }
        }
        for device in &self.devices {
            agreement.count(device.utilization.agrees);
            agreement.count(device.mean_jobs.agrees);
        }
        agreement
    }
}

impl Metric {
    /// Without a known answer.
    pub(super) fn new(estimate: Estimate) -> Self {
        let number = |value: f64| Some(value).filter(|value| value.is_finite());
        Self { value: number(estimate.value), ci99: number(estimate.ci99), agrees: None }
    }

    fn compared(estimate: Estimate, known: Option<&ExpectedMetric>) -> Self {
        Self { agrees: known.and_then(|known| agrees(estimate, known)), ..Self::new(estimate) }
    }
}

impl ChainDocument {
    fn new(report: &ChainReport, devices: impl Iterator<Item = String>, known: Option<&ExpectedChain>) -> Self {
        let fragments = report.steps.iter().zip(devices).enumerate().map(|(index, (step, device))| {
            let known = known.and_then(|known| known.fragment(index));
            FragmentDocument {
                device,
                offered_rate: Metric::compared(step.offered_rate, known.and_then(|one| one.offered_rate.as_ref())),
                served_rate: Metric::compared(step.served_rate, known.and_then(|one| one.served_rate.as_ref())),
                residence_time: Metric::compared(
                    step.residence_time,
                    known.and_then(|one| one.residence_time.as_ref()),
                ),
            }
        });
        let fates = FatesDocument::new(&report.fates, &report.lost_at, known);
        Self { name: report.name.clone(), fates, fragments: fragments.collect() }
    }
}

impl FatesDocument {
    fn new(fates: &Fates, lost_at: &[(String, Estimate)], known: Option<&ExpectedChain>) -> Self {
        let response = known.and_then(|known| known.response_time_completed.as_ref());
        Self {
            arrival_rate: Metric::new(fates.arrival_rate),
            throughput: Metric::compared(fates.throughput, known.and_then(|known| known.throughput.as_ref())),
            loss_prob: Metric::compared(fates.loss, known.and_then(|known| known.loss_prob.as_ref())),
            failure_prob: Metric::new(fates.failure),
            answered_on_overflow: Metric::new(fates.answered_on_overflow),
            response_time_completed: Metric::compared(fates.response, response),
            latency: LatencyDocument {
                p50: Metric::new(fates.latency.p50),
                p95: Metric::new(fates.latency.p95),
                p99: Metric::new(fates.latency.p99),
            },
            accuracy: Some(Metric::new(fates.accuracy)).filter(|accuracy| accuracy.value.is_some()),
            exits: fates.exits.iter().copied().map(Metric::new).collect(),
            lost_at: named(lost_at),
        }
    }
}

impl SourceDocument {
    fn new(report: &SourceReport) -> Self {
        Self {
            name: report.name.clone(),
            fates: FatesDocument::new(&report.fates, &report.lost_at, None),
            retries: Metric::new(report.retries),
            failed_by: named(&report.failed_by),
        }
    }
}

impl RunDocument {
    fn new(report: &RunReport) -> Self {
        Self {
            seed: report.seed,
            replications: report.replications,
            batches: report.batches,
            arrivals: report.arrivals,
            events: report.events,
            seconds: report.seconds,
            ended: match report.ended {
                Ended::Complete => "complete",
                Ended::Precise => "precise",
                Ended::Arrivals => "arrivals",
                Ended::Events => "events",
                Ended::Stopped => "stopped",
                Ended::Unstable => "unstable",
            },
            transient: report.transient,
        }
    }
}

fn named(shares: &[(String, Estimate)]) -> BTreeMap<String, Metric> {
    shares.iter().map(|(name, share)| (name.clone(), Metric::new(*share))).collect()
}

fn device_document(report: &DeviceReport, index: usize, expected: Option<&Expected>) -> DeviceDocument {
    let known = expected.and_then(|expected| expected.device(index));
    DeviceDocument {
        name: report.name.clone(),
        utilization: Metric::compared(report.utilization, known.and_then(|known| known.utilization.as_ref())),
        mean_jobs: Metric::compared(report.mean_jobs, known.and_then(|known| known.mean_jobs.as_ref())),
    }
}

fn link_document(report: &LinkReport) -> LinkDocument {
    LinkDocument {
        name: report.name.clone(),
        utilization: Metric::new(report.utilization),
        transit_time: Metric::new(report.transit_time),
    }
}
