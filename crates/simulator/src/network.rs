//! What is simulated, as plain values. Times are seconds, sizes bytes; any other units do as well if they are the same
//! everywhere.

use crate::{Control, Law};
use domain::{ExitTable, FragmentRange, ServiceTimes};
use std::fmt;
use std::sync::Arc;

/// Devices, memory, links, chains on them, and the jobs that arrive.
///
/// Everything refers to everything else by index. [`Network::check`] says what is wrong with it, and where.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Where jobs are served.
    pub devices: Vec<Device>,
    /// Memory that jobs hold.
    pub regions: Vec<Region>,
    /// Directed links between devices.
    pub links: Vec<Link>,
    /// Models that chains may serve.
    pub models: Vec<Model>,
    /// Ways through the devices.
    pub chains: Vec<Chain>,
    /// Who decides about jobs, for sources that do not decide by themselves.
    pub schedulers: Vec<Scheduling>,
    /// Where jobs come from.
    pub sources: Vec<Source>,
    /// How a job changes from one region of memory to the next when no link is between them.
    pub handover: Handover,
    /// Who looks at the run and may change it.
    pub control: Option<Control>,
}

impl Network {
    /// A seed for this network when several are simulated, from the one that was given for all of them.
    ///
    /// Networks of another name or with other arrivals see other random numbers: otherwise their errors would have one
    /// sign, and would look like a bias. Networks that differ in devices, memory or plans only see the same, so that
    /// they can be compared.
    pub fn seed(&self, seed: u64, name: &str) -> u64 {
        // FNV-1a: the same everywhere and in every version.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let rates = self.sources.iter().flat_map(|source| source.arrivals.rate().unwrap_or(0.0).to_le_bytes());
        let bytes = seed.to_le_bytes().into_iter().chain(name.bytes()).chain(rates);
        bytes.fold(0xCBF2_9CE4_8422_2325, hash)
    }
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Cores; a whole number for all disciplines but `pods`.
    pub cores: f64,
    /// Work done per second and core; service time alone on a core = work ÷ speed.
    pub speed: f64,
    /// Who is served next.
    pub discipline: Discipline,
    /// When it is down.
    pub outages: Outages,
}

/// Who is served next.
#[derive(Debug, Clone, PartialEq)]
pub enum Discipline {
    /// First come, first served, by as many cores as there are.
    Fcfs,
    /// Egalitarian sharing: each of n jobs gets min(1, cores ÷ n) of a core.
    Ps,
    /// Non-preemptive priority: the waiting job of the most urgent chain, first come first served among equals.
    Hol,
    /// First come first served inside each lane; cores are divided between busy lanes by water-filling.
    Pods(Vec<Lane>),
}

/// A fragment on a device of the discipline `pods`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Jobs served at a time; at least 1.
    pub workers: u32,
    /// Weight when lanes compete for cores: the CPU request.
    pub request: f64,
    /// Most cores it gets: the CPU limit. May be infinite.
    pub limit: f64,
}

/// When a device is down. What it holds when it goes down fails; what comes while it is down cannot reach it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Outages {
    /// Never.
    #[default]
    Never,
    /// From and until, in seconds since the start of the run, in order and without overlap.
    At(Vec<(f64, f64)>),
    /// Exponential times up and down with these means, in seconds.
    Random {
        /// Mean time between the end of an outage and the next.
        mean_up: f64,
        /// Mean length of an outage.
        mean_down: f64,
    },
}

/// A budget of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name: where a job is lost that does not fit.
    pub name: String,
    /// Bytes, or any other unit that the steps use as well.
    pub budget: u64,
}

/// A directed link: one first-come-first-served station with a bandwidth, followed by a latency.
///
/// A job is announced when its transmission starts: its memory at the receiver is held from then on, or refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Bytes per second; may be infinite.
    pub bytes_per_second: f64,
    /// Seconds from the last byte sent to the last byte received.
    pub latency: f64,
    /// Seconds that an answer takes on its way back over it.
    pub return_latency: f64,
}

/// A model with what is known about its samples.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The segment behind which each exit hangs, from 0; not decreasing, the last one is that of the last segment.
    pub exit_segments: Vec<usize>,
    /// Work of each segment and each head: means and squared coefficients of variation.
    pub times: ServiceTimes,
    /// Whether work varies by its scv (log-normal); otherwise only means count, as in local mode.
    pub varies: bool,
    /// What each exit said about each sample; every job is a row drawn at random.
    pub table: Arc<ExitTable>,
}

/// Ordered steps through devices.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Head-of-line priority; 0 is the most urgent.
    pub priority: u32,
    /// What happens to a job that does not fit.
    pub overflow: Overflow,
    /// The model that it serves, if its steps are segments of one.
    pub model: Option<usize>,
    /// At least one.
    pub steps: Vec<Step>,
}

/// What happens to a job that does not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It is lost.
    #[default]
    Drop,
    /// Behind the first step it stays on its core and in its memory until there is room; at the first step it is lost.
    BlockAfterService,
    /// It is answered with the deepest exit evaluated for it; lost if there is none.
    AnswerWithLastExit,
}

/// One visit of a job to a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Index of the device.
    pub device: usize,
    /// Index of the lane on a device of the discipline `pods`, else 0.
    pub lane: usize,
    /// Indices of the regions whose memory it holds; mostly one.
    pub regions: Vec<usize>,
    /// Memory held from admission to the end of service.
    pub memory: u64,
    /// Memory held from then until the next region has taken the job over; not more than `memory`.
    pub memory_after: u64,
    /// What there is to do.
    pub work: Work,
    /// Probability that the job leaves, answered, right after this step; not used for segments of a model.
    pub exit_probability: f64,
    /// The link over which it comes here, if any.
    pub link: Option<usize>,
    /// Bytes that this link carries.
    pub transfer: u64,
}

/// The work of a visit.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Drawn anew for each visit.
    Law(Law),
    /// Segments of the chain's model, up to the exit taken, and the heads evaluated on the way.
    Segments(FragmentRange),
}

/// A stream of arrivals.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// When jobs arrive.
    pub arrivals: Arrivals,
    /// What they do then.
    pub routing: Routing,
    /// Seconds after which a job has failed: it is dropped when its turn comes, and its answer comes too late.
    pub deadline: Option<f64>,
    /// Whether lost jobs try again.
    pub retry: Option<Retry>,
}

/// How lost jobs try again: from the start of a chain, as the same sample. Latency counts from the first attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts beside the first one.
    pub attempts: u32,
    /// Seconds from a loss to the next attempt.
    pub delay: f64,
}

/// Times of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Independent times between arrivals.
    Renewal(Law),
    /// Poisson with `rates[i]` in phase i; phase 0 ends at rate `switch[0]`, phase 1 at rate `switch[1]`. Starts in
    /// equilibrium.
    Mmpp2 {
        /// Arrivals per second in each phase.
        rates: [f64; 2],
        /// Changes per second from phase 0 to 1 and from 1 to 0.
        switch: [f64; 2],
    },
    /// Recorded times in seconds, not decreasing. The run ends with them.
    Trace(Arc<[f64]>),
    /// A rate that is constant for some time, then another. The run ends with the last one, unless it repeats.
    Piecewise {
        /// Times between arrivals at a rate of 1; a mean of 1.
        gaps: Law,
        /// Length in seconds and arrivals per second (may be 0) of each piece.
        pieces: Vec<(f64, f64)>,
        /// Whether it starts again at the end.
        repeat: bool,
    },
}

/// Which chain the jobs of a source take.
#[derive(Debug, Clone, PartialEq)]
pub enum Routing {
    /// Chains with their probabilities, which sum to one.
    Mixture(Vec<(usize, f64)>),
    /// A scheduler decides for each job; index into [`Network::schedulers`].
    Scheduled(usize),
}

/// A scheduler, made anew for each replication.
#[derive(Clone)]
pub struct Scheduling {
    /// Name of the service.
    pub name: String,
    /// Its chains, in the order of the scheduler's chains.
    pub chains: Vec<usize>,
    /// Memory of its gateway, and what a job holds there until its first fragment has taken it over. Bounds the queue of
    /// dispatch policies; not looked at for jobs whose thresholds are fixed at arrival.
    pub gateway: Option<(usize, u64)>,
    /// Seconds beside links until the gateway has sent the next job, of those whose thresholds are fixed at dispatch,
    /// after it was told that a first fragment is done with one.
    pub turnaround: f64,
    /// Makes the scheduler of a replication, given its number.
    pub make: MakeScheduler,
}

/// Makes the scheduler of a replication, given its number.
pub type MakeScheduler = Arc<dyn Fn(u32) -> Box<dyn policy::Scheduler> + Send + Sync>;

impl fmt::Debug for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduling").field("name", &self.name).field("chains", &self.chains).finish_non_exhaustive()
    }
}

/// How a job changes regions when no link is between its steps. Over links it is always `ReserveFirst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handover {
    /// Frees, then asks, in one step.
    #[default]
    ReleaseFirst,
    /// Asks while it still holds; inside one region for the difference only.
    ReserveFirst,
}
