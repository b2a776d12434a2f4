//! What there is to decide about: services with their sources and models, and the devices they share.
//!
//! Placement is part of it: which fragments exist, where they live, and which chains they form. A [`Plan`](crate::Plan)
//! says what gateways do on top of that. Everything refers to everything else by index; [`Problem::check`] says whether
//! it can.

use crate::{
    Bytes, ExitEvaluator, ExitTable, FragmentRange, Link, Overflow, PerSecond, Probability, Seconds, ServiceTimes,
};
use std::sync::Arc;

/// Services that are planned together, because they share devices.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Problem {
    /// Where fragments live.
    pub devices: Vec<Device>,
    /// Directed links between processes.
    pub links: Vec<NamedLink>,
    /// What is served.
    pub services: Vec<Service>,
}

/// A machine. Cores are divided between busy fragments by water-filling on CPU requests; each fragment serves its jobs
/// first come first served.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Cores for fragments; > 0.
    pub cores: f64,
    /// Speed relative to the machine of the profiles; > 0.
    pub speed: f64,
    /// Memory for the jobs of all fragments together, where that is limited beside their own budgets.
    pub memory_budget: Option<Bytes>,
    /// What lives here.
    pub fragments: Vec<Fragment>,
}

/// A fragment on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// Its name, distinct on its device.
    pub name: String,
    /// Index of the service it belongs to.
    pub service: usize,
    /// Its segments.
    pub range: FragmentRange,
    /// Jobs served at a time; ≥ 1.
    pub workers: u32,
    /// Weight when fragments compete for cores; > 0.
    pub cpu_request: f64,
    /// Most cores it gets; may be infinite.
    pub cpu_limit: f64,
    /// Memory for all jobs it holds.
    pub memory_budget: Bytes,
}

/// A link, or the way between two processes that share one.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLink {
    /// Its name, such as `pi-1→box`.
    pub name: String,
    /// What it carries per second, and its latency.
    pub link: Link,
}

/// A model served on chains of fragments.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What it serves.
    pub model: Arc<Model>,
    /// Ways through the devices.
    pub chains: Vec<Chain>,
    /// Where jobs enter.
    pub gateways: Vec<Gateway>,
    /// Streams of arrivals.
    pub sources: Vec<Source>,
    /// What to keep to.
    pub targets: Targets,
    /// What happens to a job that does not fit.
    pub overflow: Overflow,
    /// Time a job may take.
    pub deadline: Option<Seconds>,
    /// Share of jobs that run on to the last exit after their answer.
    pub audit: Probability,
}

/// A model with what is known about its times and its exits.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The segment behind which each exit hangs, from 0; not decreasing, the last one is that of the last segment.
    pub exit_segments: Vec<usize>,
    /// Bytes of the tensor in front of each segment, and 0 behind the last.
    pub tensor_bytes: Vec<u64>,
    /// Times on the machine of the profile.
    pub times: ServiceTimes,
    /// Whether times vary by their scv (log-normal); otherwise only means count, as on emulated devices.
    pub varies: bool,
    /// Samples by which thresholds are chosen.
    pub choose: Arc<Samples>,
    /// Samples by which a choice is judged: others.
    pub judge: Arc<Samples>,
}

/// Rows of an exit table, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The rows.
    pub table: Arc<ExitTable>,
    /// What thresholds do to them.
    pub exits: ExitEvaluator,
}

/// Fragments on devices, in order, that together hold the whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// At least one.
    pub hops: Vec<Hop>,
}

/// A stop of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// Index of the device.
    pub device: usize,
    /// Index of the fragment on it.
    pub fragment: usize,
    /// Index of the link over which jobs come from the hop before; `None` at host speed. The first hop is reached by
    /// [`Gateway::links`].
    pub link: Option<usize>,
}

/// Where jobs of a service enter.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Name of the device it runs on.
    pub device: String,
    /// Memory for the jobs it holds.
    pub memory_budget: Bytes,
    /// Per chain of the service the link to its first hop; `None` at host speed.
    pub links: Vec<Option<usize>>,
    /// Time beside links from the end of a service at a first fragment until the gateway's next job begins there, if it
    /// is sent only then: what processes and sockets take. It takes capacity where thresholds are fixed at dispatch.
    pub turnaround: Seconds,
}

/// A stream of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Index of its gateway.
    pub gateway: usize,
    /// Arrivals per second.
    pub rate: PerSecond,
    /// How they are spread.
    pub burstiness: Burstiness,
}

/// How arrivals are spread around their mean rate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Burstiness {
    /// Independent arrivals.
    #[default]
    Poisson,
    /// Two phases: Poisson with `rates[i]` times the mean rate in phase i, which ends at `switch[i]` per second.
    Phases {
        /// Rates ÷ mean rate; their mean over the phases is 1.
        rates: [f64; 2],
        /// Changes per second out of each phase; > 0.
        switch: [f64; 2],
    },
}

/// What a service must keep to. What is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Targets {
    /// Largest share of jobs lost.
    pub max_loss: Option<Probability>,
    /// Smallest share of right answers.
    pub min_accuracy: Option<Probability>,
    /// Largest mean latency of answered jobs.
    pub max_mean_latency: Option<Seconds>,
    /// Largest 95th percentile of that latency.
    pub max_p95_latency: Option<Seconds>,
    /// Weight against other services; > 0.
    pub priority: f64,
}

/// Why a problem cannot be planned for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ProblemError {
    /// Where, such as `service "camera", chain "left"`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl Default for Targets {
    fn default() -> Self {
        Self { max_loss: None, min_accuracy: None, max_mean_latency: None, max_p95_latency: None, priority: 1.0 }
    }
}

impl Samples {
    /// Makes rows ready to be evaluated.
    pub fn new(table: ExitTable) -> Self {
        let exits = ExitEvaluator::new(&table);
        Self { table: Arc::new(table), exits }
    }
}

impl Model {
    /// Number of exits L.
    pub fn exits(&self) -> usize {
        self.exit_segments.len()
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.times.segments.len()
    }

    /// Bytes of the tensor that a job brings to a fragment.
    pub fn input_bytes(&self, range: FragmentRange) -> u64 {
        self.tensor_bytes[range.first]
    }

    /// Bytes of the tensor that a job takes on from a fragment; 0 behind the last segment.
    pub fn output_bytes(&self, range: FragmentRange) -> u64 {
        self.tensor_bytes[range.last + 1]
    }

    /// Bytes that a fragment reserves for a job.
    pub fn held_bytes(&self, range: FragmentRange) -> u64 {
        self.input_bytes(range).max(self.output_bytes(range))
    }
}

impl Problem {
    /// The fragment of a hop.
    pub fn fragment(&self, hop: Hop) -> &Fragment {
        &self.devices[hop.device].fragments[hop.fragment]
    }

    /// The same problem with all arrival rates times `factor` (finite, ≥ 0).
    pub fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        for source in scaled.services.iter_mut().flat_map(|service| &mut service.sources) {
            source.rate = PerSecond::new(source.rate.get() * factor).expect("a rate times a finite factor is one");
        }
        scaled
    }

    /// Checks that indices point somewhere, chains hold the whole model, and numbers make sense. Everything that takes
    /// a problem expects one that has passed.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn check(&self) -> Result<(), ProblemError> {
        for device in &self.devices {
            let place = || format!("device {:?}", device.name);
            must(device.cores > 0.0 && device.cores.is_finite(), place, "cores must be above 0")?;
            must(device.speed > 0.0 && device.speed.is_finite(), place, "speed must be above 0")?;
            for fragment in &device.fragments {
                let place = || format!("device {:?}, fragment {:?}", device.name, fragment.name);
                let Some(service) = self.services.get(fragment.service) else {
                    return must(false, place, "belongs to no service");
                };
                let (first, last) = (fragment.range.first, fragment.range.last);
                must(first <= last && last < service.model.segments(), place, "holds segments that the model lacks")?;
                must(fragment.workers > 0, place, "workers must be at least 1")?;
                let weighs = fragment.cpu_request > 0.0 && fragment.cpu_request.is_finite();
                must(weighs, place, "its CPU request must be above 0")?;
                must(fragment.cpu_limit > 0.0, place, "its CPU limit must be above 0")?;
            }
        }
        for link in &self.links {
            must(link.link.bytes_per_second > 0.0, || format!("link {:?}", link.name), "bandwidth must be above 0")?;
        }
        self.services.iter().try_for_each(|service| self.check_service(service))
    }

    fn check_service(&self, service: &Service) -> Result<(), ProblemError> {
        let place = || format!("service {:?}", service.name);
        service.model.check().map_err(|message| ProblemError { place: place(), message: message.to_owned() })?;
        must(!service.chains.is_empty(), place, "has no chain")?;
        must(
            service.targets.priority > 0.0 && service.targets.priority.is_finite(),
            place,
            "priority must be above 0",
        )?;
        for chain in &service.chains {
            let place = || format!("service {:?}, chain {:?}", service.name, chain.name);
            let mut next = 0;
            for hop in &chain.hops {
                let fragment = self.devices.get(hop.device).and_then(|device| device.fragments.get(hop.fragment));
                let Some(fragment) = fragment else { return must(false, place, "visits a fragment that is not there") };
                must(
                    std::ptr::eq(&raw const self.services[fragment.service], service),
                    place,
                    "visits a fragment of another service",
                )?;
                must(fragment.range.first == next, place, "must hold all segments in order without gap")?;
                must(hop.link.is_none_or(|link| link < self.links.len()), place, "takes a link that is not there")?;
                next = fragment.range.last + 1;
            }
            must(next == service.model.segments(), place, "must hold all segments in order without gap")?;
        }
        for gateway in &service.gateways {
            let place = || format!("service {:?}, gateway on {:?}", service.name, gateway.device);
            must(gateway.links.len() == service.chains.len(), place, "must name a link, or none, for each chain")?;
            let links = gateway.links.iter().flatten();
            must(links.into_iter().all(|&link| link < self.links.len()), place, "takes a link that is not there")?;
        }
        must(!service.sources.is_empty(), place, "has no source")?;
        for source in &service.sources {
            let place = || format!("service {:?}, source {:?}", service.name, source.name);
            must(source.gateway < service.gateways.len(), place, "has no gateway")?;
            if let Burstiness::Phases { rates, switch } = source.burstiness {
                must(switch.iter().all(|&rate| rate > 0.0 && rate.is_finite()), place, "phases must end at some time")?;
                let mean = (rates[0] * switch[1] + rates[1] * switch[0]) / (switch[0] + switch[1]);
                let sound = rates.iter().all(|&rate| rate >= 0.0) && (mean - 1.0).abs() < 1e-6;
                must(sound, place, "the rates of its phases must have the mean 1")?;
            }
        }
        Ok(())
    }
}

impl Model {
    fn check(&self) -> Result<(), &'static str> {
        let segments = self.segments();
        let ordered = self.exit_segments.is_sorted() && self.exit_segments.last() == segments.checked_sub(1).as_ref();
        let checks = [
            (ordered, "exits must hang on segments in order, the last one on the last"),
            (
                self.tensor_bytes.len() == segments + 1,
                "needs the size of the tensor in front of each segment and behind",
            ),
            (self.times.heads.len() == self.exits(), "needs the time of each head"),
            (self.choose.table.exits() == self.exits(), "needs an exit table for its exits"),
            (self.judge.table.exits() == self.exits(), "needs an exit table for its exits"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message))
    }
}

fn must(holds: bool, place: impl Fn() -> String, message: &str) -> Result<(), ProblemError> {
    if holds { Ok(()) } else { Err(ProblemError { place: place(), message: message.to_owned() }) }
}
