//! The form itself, as types. Doc comments are what users read in the schema.

mod chains;
mod laws;

pub(super) use chains::{Chain, Choice, Fragment, Retry, Source};
pub(super) use laws::{Arrival, Service};

use super::expected::Expected;
use super::object::{Either, Object, Reference};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Networks to simulate: a file of cases, or one case by itself.
///
/// Times are in seconds, rates per second, memory in bytes; any other units do as well if they are the same everywhere.
/// Devices, chains, models and lanes are named by their index, from 0, or by their name.
#[derive(JsonSchema)]
#[schemars(untagged, title = "Networks for eenn simulate")]
#[expect(dead_code, reason = "for the schema only; a reader decides by the field `cases`")]
pub(super) enum Document {
    /// Several cases.
    File(Object<File>),
    /// One case.
    Case(Box<Object<Case>>),
}

/// A file of cases.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "some fields are only known to be fine")]
pub(super) struct File {
    /// The networks.
    pub(super) cases: Vec<Object<Case>>,
    /// Version of the form. Not looked at.
    #[schemars(with = "Option<serde_json::Value>")]
    schema_version: Option<IgnoredAny>,
    /// What the file is. Not looked at.
    #[schemars(with = "Option<serde_json::Value>")]
    about: Option<IgnoredAny>,
}

/// A network: devices with memory, chains of fragments on them, and jobs that arrive.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "some fields are only known to be fine")]
pub(super) struct Case {
    /// Name of the case in results. Default: `case 1` and so on.
    pub(super) id: Option<String>,
    /// The case in words.
    pub(super) description: Option<String>,
    /// Not looked at.
    #[schemars(with = "Option<serde_json::Value>")]
    level: Option<IgnoredAny>,
    /// Not looked at.
    #[schemars(with = "Option<serde_json::Value>")]
    cross_checks: Option<IgnoredAny>,
    /// Known answers, to compare with.
    pub(super) expected: Option<Object<Expected>>,
    /// What happens to a job that does not fit into memory; chains may differ. Default: drop.
    pub(super) overflow: Option<Overflow>,
    /// How a job changes from one region of memory to the next when no link is between them. Default: release_first.
    pub(super) handover: Option<Handover>,
    /// Where jobs are served.
    pub(super) devices: Vec<Object<Device>>,
    /// Memory that jobs hold. Default: one region per device, with the memory of the device.
    pub(super) regions: Option<Vec<Object<Region>>>,
    /// Directed links between devices. Extension.
    pub(super) links: Option<Vec<Object<Link>>>,
    /// Early-exit models that chains serve. Extension.
    pub(super) models: Option<Vec<Object<Model>>>,
    /// Ways through the devices.
    pub(super) chains: Vec<Object<Chain>>,
    /// Streams of jobs that may take several chains, beside the chains with an `arrival` of their own. Extension.
    pub(super) sources: Option<Vec<Object<Source>>>,
}

/// What happens to a job that does not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Overflow {
    /// It is lost.
    Drop,
    /// It stays where it is, on its core and in its memory, until there is room; at the first fragment it is lost.
    BlockAfterService,
    /// It is answered with the deepest exit evaluated for it; lost if there is none. Extension.
    AnswerWithLastExit,
}

/// How a job changes from one region of memory to the next when no link is between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Handover {
    /// Frees the old memory, then asks for the new.
    ReleaseFirst,
    /// Asks for the new memory while it still holds the old; inside one region for the difference only.
    ReserveFirst,
}

/// A machine.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Device {
    /// Its name. Default: `d0` and so on.
    pub(super) name: Option<String>,
    /// Cores; a whole number for all disciplines but `pods`.
    pub(super) servers: f64,
    /// Service time alone on a core = work ÷ speed.
    pub(super) speed: f64,
    /// Who is served next.
    pub(super) discipline: Discipline,
    /// Memory; for information where `regions` are given.
    pub(super) memory: Option<f64>,
    /// Fragments that share the cores of a device of the discipline `pods`. Extension.
    pub(super) lanes: Option<Vec<Object<Lane>>>,
    /// When it is down: pairs of from and until, or random. Extension.
    pub(super) outages: Option<Either<Vec<[f64; 2]>, RandomOutages>>,
}

/// Who is served next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Discipline {
    /// First come, first served.
    Fcfs,
    /// Egalitarian sharing: each of n jobs gets min(1, servers ÷ n) of a core.
    Ps,
    /// Non-preemptive priority by the `priority` of chains, first come first served among equals.
    Hol,
    /// First come first served inside each lane; cores are divided between busy lanes by CPU requests, each capped by
    /// its workers and its CPU limit. Extension.
    Pods,
}

/// A fragment on a device of the discipline `pods`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Lane {
    /// Its name. Default: `lane 0` and so on.
    pub(super) name: Option<String>,
    /// Jobs served at a time. Default: 1.
    pub(super) workers: Option<f64>,
    /// CPU request: the weight when lanes compete. Default: 1.
    pub(super) request: Option<f64>,
    /// CPU limit: the most cores it gets. Default: none.
    pub(super) limit: Option<f64>,
}

/// Exponential times up and down.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RandomOutages {
    /// Mean time from the end of an outage to the next.
    pub(super) mean_up: f64,
    /// Mean length of an outage.
    pub(super) mean_down: f64,
}

/// A budget of memory.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Region {
    /// Its name, as the place where jobs are lost. Default: the names of its devices. Extension.
    pub(super) name: Option<String>,
    /// Devices whose jobs hold this memory. A device may be in several regions: its jobs hold all of them.
    pub(super) devices: Vec<Reference>,
    /// Its size. Counted in millionths where any memory of the case has a fraction.
    pub(super) memory: f64,
}

/// A directed link: one first-come-first-served station with a bandwidth, followed by a latency.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Link {
    /// Its name. Default: `d0→d1`.
    pub(super) name: Option<String>,
    /// Device that sends.
    pub(super) from: Reference,
    /// Device that receives.
    pub(super) to: Reference,
    /// Units of memory (bytes) per unit of time. Default: not limited.
    pub(super) bandwidth: Option<f64>,
    /// Time from the last byte sent to the last byte received. Default: 0.
    pub(super) latency: Option<f64>,
    /// Time that an answer takes on its way back over this link. Default: 0.
    pub(super) return_latency: Option<f64>,
}

/// An early-exit model: what its parts cost and what its exits say.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Model {
    /// Its name. Default: `model 0` and so on.
    pub(super) name: Option<String>,
    /// Work of each segment: a mean, or mean and squared coefficient of variation.
    pub(super) segments: Vec<Either<f64, Work>>,
    /// Work of the head of each exit, the last one included.
    pub(super) heads: Vec<Either<f64, Work>>,
    /// The segment, from 1, behind which each exit hangs. Default: exit i behind segment i, when there are as many.
    pub(super) exit_segments: Option<Vec<u32>>,
    /// Whether work varies by its scv (log-normal). Default: true.
    pub(super) varies: Option<bool>,
    /// What each exit said about each sample; every job is a sample drawn at random.
    pub(super) exit_table: Object<ExitTable>,
}

/// Mean and variability of a time.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Work {
    /// Mean.
    pub(super) mean: f64,
    /// Squared coefficient of variation. Default: 0.
    pub(super) scv: Option<f64>,
}

/// One row per sample, one column per exit. Either `correct`, or `prediction` and `label`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExitTable {
    /// How sure each exit is, in [0, 1].
    pub(super) confidence: Vec<Vec<f32>>,
    /// Whether each exit is right.
    pub(super) correct: Option<Vec<Vec<bool>>>,
    /// The class each exit gives.
    pub(super) prediction: Option<Vec<Vec<u16>>>,
    /// The right class of each sample.
    pub(super) label: Option<Vec<u16>>,
}
