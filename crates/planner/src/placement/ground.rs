//! What placement decides about: sites, the ways between them, and what services ask for.

use super::route::Route;
use domain::problem::{Burstiness, Model, Targets};
use domain::{Bytes, FragmentRange, Link, Overflow, PerSecond, Probability, Seconds, Thresholds};
use std::sync::Arc;

/// Where fragments can live.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// The devices.
    pub sites: Vec<Site>,
    /// Per site how it reaches each of them; itself at host speed.
    pub ways: Vec<Vec<Way>>,
}

/// A device that may host fragments.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Cores for fragments; > 0.
    pub cores: f64,
    /// Speed relative to the machine of the profiles; > 0.
    pub speed: f64,
    /// Memory for the jobs of all fragments together, where that is limited.
    pub memory_budget: Option<Bytes>,
    /// Memory for processes, weights and jobs together: what is allocatable, less what others (gateways too) ask for.
    /// `None` where that is not known, and so not a limit.
    pub free_memory: Option<Bytes>,
    /// Its architecture, such as `arm64`, where that is known.
    pub architecture: Option<String>,
    /// Why nothing may be placed here, such as `not ready`; `None` where something may.
    pub trouble: Option<String>,
}

/// How one site reaches another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// At the speed of the host.
    Host,
    /// Over a link.
    Link(Link),
    /// Not at all.
    None,
}

/// A service that has to live somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Its name.
    pub name: String,
    /// What it serves.
    pub model: Arc<Model>,
    /// Bytes of the weights of each segment, heads included.
    pub weight_bytes: Vec<u64>,
    /// Where its jobs come from; at least one.
    pub sources: Vec<Origin>,
    /// What to keep to.
    pub targets: Targets,
    /// What happens to a job that does not fit.
    pub overflow: Overflow,
    /// Time a job may take.
    pub deadline: Option<Seconds>,
    /// Share of jobs that run on to the last exit.
    pub audit: Probability,
    /// Memory of each gateway for jobs.
    pub gateway_memory_budget: Bytes,
    /// What each fragment takes.
    pub size: Size,
    /// Architectures that its images are there for; empty for all.
    pub architectures: Vec<String>,
    /// Chains, at most; ≥ 1.
    pub most_chains: usize,
    /// How its jobs will be treated.
    pub treatment: Treatment,
    /// Chains that it has whatever is found: a placement by hand. Whether they fit is not asked.
    pub pinned: Option<Vec<Route>>,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Index of the site of its gateway.
    pub site: usize,
    /// Arrivals per second.
    pub rate: PerSecond,
    /// How they are spread.
    pub burstiness: Burstiness,
}

/// What a fragment takes of its site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Jobs served at a time; ≥ 1.
    pub workers: u32,
    /// Memory for the jobs it holds.
    pub memory_budget: Bytes,
    /// Memory of its process beside weights and jobs.
    pub process: Bytes,
    /// Cores it asks for, which are kept for it; none where it takes its equal part of what there is.
    pub cpu_request: Option<f64>,
    /// Most cores it gets; may be infinite.
    pub cpu_limit: f64,
}

/// Who decides about the jobs of a service once it is placed.
#[derive(Debug, Clone, PartialEq)]
pub enum Treatment {
    /// The planner, as well as it can. Also the closest there is to schedulers of one device.
    Planned,
    /// These shares of jobs have these thresholds, and all chains get equal parts. The shares sum to one.
    Given(Vec<(Probability, Thresholds)>),
}

impl Demand {
    /// Memory that a fragment takes of a site: process, weights and jobs.
    pub fn memory(&self, range: FragmentRange) -> Bytes {
        let weights: u64 = self.weight_bytes[range.first..=range.last].iter().sum();
        Bytes(self.size.process.0.saturating_add(weights).saturating_add(self.size.memory_budget.0))
    }

    /// Arrivals per second of all sources.
    pub fn rate(&self) -> f64 {
        self.sources.iter().map(|source| source.rate.get()).sum()
    }

    pub(super) fn whole(&self) -> FragmentRange {
        FragmentRange { first: 0, last: self.model.segments() - 1 }
    }
}
