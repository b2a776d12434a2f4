//! JSON documents between processes. Readers refuse unknown fields: both ends are of one release or negotiate.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An early-exit model as a fragment needs to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelDocument {
    /// Name of the model.
    pub name: String,
    /// Input tensor.
    pub input: InputDocument,
    /// Exits in order.
    pub exits: Vec<ExitDocument>,
    /// Tensor names at which the model may be split, in order.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// How confidence is read off class probabilities.
    #[serde(default)]
    pub confidence: ConfidenceDocument,
}

/// Input tensor of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputDocument {
    /// Tensor name.
    pub name: String,
    /// Shape of one sample, without the batch axis.
    pub shape: Vec<usize>,
}

/// One exit of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExitDocument {
    /// Name in metrics and tables.
    pub name: String,
    /// Output tensor.
    pub tensor: String,
    /// What the tensor holds.
    #[serde(default)]
    pub output: ExitOutputDocument,
}

/// What an exit's tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ExitOutputDocument {
    /// Scores before the softmax.
    #[default]
    Logits,
    /// Class probabilities.
    Probabilities,
}

/// Confidence function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ConfidenceDocument {
    /// The largest probability.
    #[default]
    MaxSoftmax,
    /// 1 − entropy ÷ ln(classes).
    NormalizedEntropy,
}

/// What a gateway does with jobs of a service. A gateway keeps the one with the highest version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    /// The service it is for.
    pub service: String,
    /// Which of two documents is newer.
    pub version: PolicyVersion,
    /// When thresholds are fixed.
    #[serde(default)]
    pub epoch: EpochDocument,
    /// What happens on overflow.
    #[serde(default)]
    pub overflow: OverflowDocument,
    /// Chains that choices name.
    pub chains: Vec<ChainDocument>,
    /// How jobs are treated whose source is not named in `sources`.
    pub default: Vec<ChoiceDocument>,
    /// How jobs of single sources are treated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, Vec<ChoiceDocument>>,
    /// Other mixtures for other arrival rates; `default` and `sources` are then not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<RateTableDocument>,
    /// Thresholds that the gateway finds by itself; choices then decide about chains only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<LearningDocument>,
    /// Share of the jobs that run on to the last exit after their answer.
    #[serde(default)]
    pub audit_share: f64,
    /// Deadline of jobs whose request names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_milliseconds: Option<u64>,
}

/// Orders policy documents: first by leader transitions, then by generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyVersion {
    /// How often the leader changed.
    pub transitions: u64,
    /// Generation under that leader.
    pub generation: u64,
}

/// When thresholds are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EpochDocument {
    /// When the job arrives.
    #[default]
    Arrival,
    /// When the job is sent to the first fragment.
    Dispatch,
}

/// What happens to a job that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OverflowDocument {
    /// It is lost.
    #[default]
    Drop,
    /// It is answered with the deepest exit evaluated for it.
    AnswerWithLastExit,
}

/// A chain of fragments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainDocument {
    /// Name in answers and metrics.
    pub name: String,
    /// Hops in order.
    pub hops: Vec<HopDocument>,
}

/// One fragment of a chain and where it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HopDocument {
    /// Name of the fragment on its device.
    pub fragment: String,
    /// The device.
    pub device: String,
    /// `host:port` of the fragment.
    pub address: String,
    /// First segment, from 1.
    pub first_segment: usize,
    /// Last segment, from 1.
    pub last_segment: usize,
    /// Jobs served at a time; what a dispatch policy keeps outstanding.
    #[serde(default = "one")]
    pub workers: usize,
}

fn one() -> usize {
    1
}

/// One way to treat a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChoiceDocument {
    /// Share of the jobs.
    pub probability: f64,
    /// Name of the chain.
    pub chain: String,
    /// One per exit but the last: 0 always leaves, 1 is closed.
    pub thresholds: Vec<f32>,
    /// Under the epoch `Dispatch`: what is drawn from instead with one job present at the first fragment, with two, and so on;
    /// the last entry also serves all larger numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_present: Vec<Vec<DrawDocument>>,
}

/// Thresholds with the share of jobs that get them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrawDocument {
    /// Share of the jobs.
    pub probability: f64,
    /// One per exit but the last.
    pub thresholds: Vec<f32>,
}

/// Mixtures over arrival rates, around a forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateTableDocument {
    /// Arrivals per second at this gateway, of all its sources together, that the ratio 1 stands for.
    pub forecast_per_second: f64,
    /// How the rate is measured.
    pub measured: MeasuredDocument,
    /// In increasing order of `upTo`; the last row also serves all higher rates.
    pub rows: Vec<RateRowDocument>,
}

/// How a gateway measures the rate by which it chooses a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum MeasuredDocument {
    /// Over a sliding window.
    Window(WindowDocument),
    /// As that of the likelier of two phases.
    Phases(PhasesDocument),
    /// As the mean of that of two phases, by what is believed of them.
    Belief(PhasesDocument),
}

/// A sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowDocument {
    /// Its length.
    pub seconds: f64,
}

/// Arrivals in calm and bursts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PhasesDocument {
    /// Rate of each phase ÷ forecast, the lower one first.
    pub rates: [f64; 2],
    /// Changes per second out of each phase.
    pub switch_per_second: [f64; 2],
}

/// One row of a rate table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateRowDocument {
    /// Largest measured rate ÷ forecast that the row is for.
    pub up_to: f64,
    /// How jobs are treated whose source is not named in `sources`.
    pub default: Vec<ChoiceDocument>,
    /// How jobs of single sources are treated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, Vec<ChoiceDocument>>,
}

/// Thresholds that a gateway finds by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum LearningDocument {
    /// One exit for all jobs: one earlier after each loss, one later whenever a job finds nobody else present.
    Reactive(ReactiveDocument),
    /// A bandit over threshold vectors.
    AdaEE(AdaEEDocument),
}

/// Reactive has nothing to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReactiveDocument {}

/// A bandit over threshold vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdaEEDocument {
    /// What it chooses from.
    pub arms: Vec<Vec<f32>>,
    /// Weight of the exploration term.
    pub exploration: f64,
    /// Per exit what it costs to leave there instead of at the first one, in units of confidence.
    pub costs: Vec<f64>,
    /// Jobs that the first fragment has room for, if waiting jobs make going on dearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u32>,
}

/// What a fragment process is started with: a device and the fragments it hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceDocument {
    /// Name of the device.
    pub device: String,
    /// `host:port` to listen on; port 0 takes a free one.
    pub listen: String,
    /// `host:port` of metrics and health, and of telemetry without `tls`.
    pub metrics_listen: String,
    /// Fragments hosted here.
    pub fragments: Vec<FragmentDocument>,
    /// Links to other devices, by name, that are emulated. A device not named is reached at the speed of the host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, LinkDocument>,
    /// Emulated processor; absent where the real one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulate: Option<EmulateDocument>,
    /// Bytes for the jobs of all fragments together, beside their own budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget_bytes: Option<u64>,
    /// Who may connect; absent, all do, and nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsDocument>,
}

/// A fragment of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FragmentDocument {
    /// Name, distinct on its device.
    pub name: String,
    /// Path of the ONNX file.
    pub file: String,
    /// Description of the model in it.
    pub model: ModelDocument,
    /// First segment, from 1.
    pub first_segment: usize,
    /// Last segment, from 1.
    pub last_segment: usize,
    /// Bytes for all jobs held: waiting, running, being sent.
    pub memory_budget_bytes: u64,
    /// Jobs served at a time.
    #[serde(default = "one")]
    pub workers: usize,
    /// CPU request in thousandths of a core: the weight when fragments compete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_request_millis: Option<u64>,
    /// CPU limit in thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_millis: Option<u64>,
    /// Service times on the profiled machine, for emulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileDocument>,
}

/// Service times per segment and per head on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileDocument {
    /// One per segment of the model.
    pub segments: Vec<TimeDocument>,
    /// One per exit of the model; the last is part of the last segment and counts zero.
    pub heads: Vec<TimeDocument>,
}

/// A service time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeDocument {
    /// Mean, in microseconds.
    pub mean_microseconds: f64,
    /// Squared coefficient of variation.
    #[serde(default)]
    pub scv: f64,
}

/// An emulated processor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmulateDocument {
    /// Cores.
    pub cores: f64,
    /// Speed relative to the machine of the profile.
    pub speed_factor: f64,
}

/// An emulated link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkDocument {
    /// Bytes per second; absent when unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<f64>,
    /// One-way latency, in microseconds.
    #[serde(default)]
    pub latency_microseconds: f64,
}

/// What a gateway process is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayDocument {
    /// The device it runs on.
    pub device: String,
    /// `host:port` for requests.
    pub listen: String,
    /// `host:port` of metrics and health, and of telemetry and policy without `tls`.
    pub admin_listen: String,
    /// The model, for metadata and to check requests.
    pub model: ModelDocument,
    /// Class count of the answers, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Source of requests that name none.
    pub source: String,
    /// The first policy; a newer one on disk wins.
    pub policy: PolicyDocument,
    /// File that keeps the last good policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<String>,
    /// Bytes for all requests held.
    pub memory_budget_bytes: u64,
    /// Largest body, before and after decompression.
    pub max_body_bytes: u64,
    /// Links to devices, by name, that are emulated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, LinkDocument>,
    /// Who may connect to the control endpoint, and which fragments are sent jobs; absent, all do, and nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsDocument>,
    /// So long after it was told to stop it takes requests all the same: not everybody who sends them has heard of it yet. Readiness
    /// fails at once.
    #[serde(default)]
    pub last_requests_milliseconds: u64,
}

/// Mutual TLS on hops, and on a control endpoint of its own: telemetry, and a gateway's policies, are then served there and
/// no longer beside metrics and health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsDocument {
    /// Folder with `tls.crt`, `tls.key` and `ca.crt`, the last with one or more authorities. It is read again when it changes.
    pub folder: String,
    /// DNS name in the certificates of all gateways and fragments of the service: who is sent jobs, and from whom they are
    /// taken.
    pub name: String,
    /// The control endpoint.
    pub control: ControlDocument,
}

/// Where a process is controlled, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlDocument {
    /// `host:port` to listen on.
    pub listen: String,
    /// DNS name in the certificate of the only peer that may connect.
    pub peer: String,
}

/// What a process prints on its first line when it is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadyDocument {
    /// `host:port` that serves jobs or requests.
    pub address: String,
    /// `host:port` of metrics and admin.
    pub metrics: String,
    /// `host:port` of control, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
}

/// Counters of a gateway since it started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayTelemetry {
    /// The service.
    pub service: String,
    /// Policy in force.
    pub policy: PolicyVersion,
    /// Per source.
    pub sources: BTreeMap<String, SourceTelemetry>,
    /// Requests rejected as malformed, outside of arrivals.
    pub rejected: u64,
    /// Chains that are avoided now, with the reason.
    pub avoided: BTreeMap<String, String>,
    /// Per exit: audit jobs, and those of them in which the exit agreed with the last.
    pub audits: Vec<AuditTelemetry>,
    /// Row of the policy's rate table in force, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<RowTelemetry>,
    /// Exit, from 1, to which a reactive policy sends jobs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactive_exit: Option<u64>,
}

/// The row of a rate table that is in force, and why.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowTelemetry {
    /// Its number, from 1.
    pub row: u64,
    /// Rows of the table.
    pub rows: u64,
    /// Largest rate ÷ forecast that it is for.
    pub up_to: f64,
    /// Arrivals per second that the ratio 1 stands for.
    pub forecast: f64,
    /// Arrivals per second of all sources together, as the table measures them.
    pub measured: f64,
    /// Where it tells phases: the probability of the one with the higher rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_probability: Option<f64>,
}

/// Counters of one source. arrived = answered + lost + failed + in flight, always.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceTelemetry {
    /// Jobs that arrived.
    pub arrived: u64,
    /// Jobs answered.
    pub answered: u64,
    /// Of these, answered with the last exit evaluated because the next device was full or away.
    pub answered_on_overflow: u64,
    /// Jobs lost, by place and reason.
    pub lost: BTreeMap<String, u64>,
    /// Jobs failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Jobs in flight.
    pub in_flight: u64,
    /// Answers per exit.
    pub exits: Vec<u64>,
    /// Confidence of the answers per exit.
    #[serde(default)]
    pub confidences: Vec<ConfidenceTelemetry>,
    /// Answers per chain.
    pub chains: BTreeMap<String, u64>,
    /// Estimated arrival rate per second, all attempts.
    pub arrival_rate: f64,
    /// Latency of answered jobs, in milliseconds.
    pub latency_milliseconds: LatencyTelemetry,
}

/// Confidence of answers at an exit; the mean is `sum` ÷ `count`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfidenceTelemetry {
    /// Of all answers.
    pub sum: f64,
    /// Answers.
    pub count: u64,
}

/// Latency percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyTelemetry {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Agreement of an exit with the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditTelemetry {
    /// Audit jobs that evaluated this exit and the last.
    pub compared: u64,
    /// Of these, those that agreed.
    pub agreed: u64,
}

/// State of a device process since it started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTelemetry {
    /// The device.
    pub device: String,
    /// Cores it has.
    pub cores: f64,
    /// Core-seconds given to jobs since the start.
    pub busy_core_seconds: f64,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Per fragment.
    pub fragments: BTreeMap<String, FragmentTelemetry>,
}

/// Counters of one fragment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FragmentTelemetry {
    /// Jobs admitted.
    pub entered: u64,
    /// Jobs refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Jobs answered here.
    pub answered: u64,
    /// Jobs taken over by the next fragment.
    pub forwarded: u64,
    /// Jobs that overflowed at the next fragment, were late, or failed.
    pub dropped: u64,
    /// Jobs held.
    pub held: u64,
    /// Bytes held.
    pub held_bytes: u64,
    /// Budget.
    pub budget_bytes: u64,
    /// Jobs waiting for a worker.
    pub waiting: u64,
    /// Jobs whose real compute took longer than the emulated device would have.
    pub late: u64,
    /// Time that the machine of the profile would have needed for all that was computed here, in seconds; 0 without a profile.
    /// Divided by the core-seconds that it took, it is the speed of this device.
    #[serde(default)]
    pub profiled_core_seconds: f64,
}
