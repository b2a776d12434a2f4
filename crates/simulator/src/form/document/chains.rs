//! Chains and sources.

use super::super::object::{Object, Reference};
use super::{Arrival, Overflow, Service};
use schemars::JsonSchema;
use serde::Deserialize;

/// Ordered fragments on devices.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Chain {
    /// Its name. Default: `c0` and so on.
    pub(in super::super) name: Option<String>,
    /// For the discipline `hol`: 0 is the most urgent. Default: 0.
    pub(in super::super) priority: Option<u32>,
    /// When jobs arrive. Left out where `sources` name the chain.
    pub(in super::super) arrival: Option<Object<Arrival>>,
    /// At least one.
    pub(in super::super) fragments: Vec<Object<Fragment>>,
    /// What happens to its jobs that do not fit. Default: that of the case. Extension.
    pub(in super::super) overflow: Option<Overflow>,
    /// The model whose segments its fragments are. Extension.
    pub(in super::super) model: Option<Reference>,
    /// For a chain with a model: one threshold in [0, 1] per exit but the last; 0 always leaves, 1 closes the exit.
    /// Extension.
    pub(in super::super) thresholds: Option<Vec<f32>>,
    /// Several threshold vectors, each for a share of the jobs, instead of `thresholds`. Extension.
    pub(in super::super) mixture: Option<Vec<Object<Choice>>>,
    /// Device where the jobs arrive: they come to the first fragment over the link from there. Extension.
    pub(in super::super) gateway: Option<Reference>,
    /// Time after which a job has failed. Extension.
    pub(in super::super) deadline: Option<f64>,
    /// Whether lost jobs try again. Extension.
    pub(in super::super) retry: Option<Object<Retry>>,
}

/// A share of the jobs with their thresholds.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Choice {
    /// Share of the jobs; shares sum to one.
    pub(in super::super) probability: f64,
    /// One per exit but the last.
    pub(in super::super) thresholds: Vec<f32>,
}

/// One visit of a job to a device.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Fragment {
    /// Where.
    pub(in super::super) device: Reference,
    /// The lane of a device of the discipline `pods`; may be left out when it has only one. Extension.
    pub(in super::super) lane: Option<Reference>,
    /// The work of a visit.
    pub(in super::super) service: Option<Object<Service>>,
    /// First and last segment, from 1, of the chain's model, instead of `service`. Extension.
    pub(in super::super) segments: Option<[u32; 2]>,
    /// Memory held from admission to the end of service.
    pub(in super::super) memory: f64,
    /// Memory held from then until the next fragment has taken the job over. Default: `memory`. Extension.
    pub(in super::super) memory_after: Option<f64>,
    /// Probability that the job leaves, answered, right after this fragment; 1 for the last. Not used with `segments`.
    pub(in super::super) exit_prob_after: Option<f64>,
    /// What the link to this fragment carries, in units of memory. Default: `memory`. Extension.
    pub(in super::super) transfer: Option<f64>,
}

/// A stream of jobs that takes chains by chance.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Source {
    /// Its name. Default: `source 0` and so on.
    pub(in super::super) name: Option<String>,
    /// When jobs arrive.
    pub(in super::super) arrival: Object<Arrival>,
    /// The chains its jobs take.
    pub(in super::super) chains: Vec<Object<Share>>,
    /// Time after which a job has failed.
    pub(in super::super) deadline: Option<f64>,
    /// Whether lost jobs try again.
    pub(in super::super) retry: Option<Object<Retry>>,
}

/// A chain with the share of jobs that take it.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Share {
    /// The chain.
    pub(in super::super) chain: Reference,
    /// Share of the jobs; shares sum to one. Default: 1.
    pub(in super::super) probability: Option<f64>,
}

/// How lost jobs try again.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct Retry {
    /// Attempts beside the first one.
    pub(in super::super) attempts: u32,
    /// Time from a loss to the next attempt.
    pub(in super::super) delay: f64,
}
