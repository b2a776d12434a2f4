//! What a simulation has found.

/// An estimate with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// The estimate; NaN when nothing was observed.
    pub value: f64,
    /// Half width of its 99 % confidence interval; NaN when it is not known. 0 when it is exact.
    pub ci99: f64,
}

/// Everything measured in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Per source, in the order of the network.
    pub sources: Vec<SourceReport>,
    /// Per chain, in the order of the network.
    pub chains: Vec<ChainReport>,
    /// Per device, in the order of the network.
    pub devices: Vec<DeviceReport>,
    /// Per link, in the order of the network.
    pub links: Vec<LinkReport>,
    /// How much was simulated.
    pub run: RunReport,
    /// What happened over time, if it was asked for.
    pub series: Option<Series>,
    /// The jobs of the first replication, if they were asked for.
    pub jobs: Vec<JobRecord>,
}

/// How jobs fared, of a source or on a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Fates {
    /// Jobs per second that arrive.
    pub arrival_rate: Estimate,
    /// Jobs per second that are answered.
    pub throughput: Estimate,
    /// Share of arrivals that are lost: no memory.
    pub loss: Estimate,
    /// Share of arrivals that end otherwise without an answer: deadline, device down.
    pub failure: Estimate,
    /// Share of arrivals answered with their last exit evaluated because there was no memory.
    pub answered_on_overflow: Estimate,
    /// Mean time from arrival to answer, over answered jobs, in seconds.
    pub response: Estimate,
    /// Quantiles of that time.
    pub latency: Quantiles,
    /// Share of answers that are right; NaN where no model is served.
    pub accuracy: Estimate,
    /// Share of answers given by each exit (for chains without a model: behind each step).
    pub exits: Vec<Estimate>,
}

/// Quantiles of latency, in seconds. Resolution 0.2 %.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quantiles {
    /// Median.
    pub p50: Estimate,
    /// 95 %.
    pub p95: Estimate,
    /// 99 %.
    pub p99: Estimate,
}

/// A source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// All of its jobs.
    pub fates: Fates,
    /// Further attempts of lost jobs per arrival.
    pub retries: Estimate,
    /// Share of its arrivals lost at each place; places without a loss are left out.
    pub lost_at: Vec<(String, Estimate)>,
    /// Share of its arrivals that failed, by reason.
    pub failed_by: Vec<(String, Estimate)>,
}

/// A chain. Every attempt of a job counts as an arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainReport {
    /// Its name.
    pub name: String,
    /// The jobs that took it.
    pub fates: Fates,
    /// Per step.
    pub steps: Vec<StepReport>,
    /// Share of its arrivals lost at each place; places without a loss are left out.
    pub lost_at: Vec<(String, Estimate)>,
}

/// A step of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Jobs per second that ask for admission.
    pub offered_rate: Estimate,
    /// Jobs per second that are served.
    pub served_rate: Estimate,
    /// Mean time from admission to the end of service (of blocking, where jobs block), over jobs served, in seconds.
    pub residence_time: Estimate,
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceReport {
    /// Its name.
    pub name: String,
    /// Busy cores ÷ cores.
    pub utilization: Estimate,
    /// Mean number of jobs there, waiting, in service or blocked.
    pub mean_jobs: Estimate,
}

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkReport {
    /// Its name.
    pub name: String,
    /// Share of time it transmits.
    pub utilization: Estimate,
    /// Mean time from the end of service to the last byte received, in seconds.
    pub transit_time: Estimate,
}

/// How much was simulated, and why it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The seed.
    pub seed: u64,
    /// Independent replications.
    pub replications: u32,
    /// Batches over all replications from which confidence intervals are made.
    pub batches: u32,
    /// Arrivals that were measured.
    pub arrivals: u64,
    /// Events, those of warm-up included.
    pub events: u64,
    /// Simulated seconds that were measured, over all replications.
    pub seconds: f64,
    /// Why it ended.
    pub ended: Ended,
    /// Whether the run has an end of its own (a trace, pieces that do not repeat) and was simulated from its start.
    pub transient: bool,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything asked for was simulated.
    Complete,
    /// The precision asked for was reached.
    Precise,
    /// The limit of arrivals was reached before the precision asked for.
    Arrivals,
    /// The limit of events was reached.
    Events,
    /// The stop callback said so.
    Stopped,
    /// More than a million jobs were in the network at a time, or some waited for ever behind others: jobs arrive faster than
    /// they are served, and no memory bounds them. What was measured until then means little.
    Unstable,
}

/// What happened over time: means over replications per interval.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Length of an interval in seconds.
    pub interval: f64,
    /// Per source, then per interval.
    pub sources: Vec<Vec<Interval>>,
}

/// An interval of a series; counts are of jobs that arrived in it, as means over replications.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interval {
    /// Arrivals.
    pub arrived: f64,
    /// Of these: answered.
    pub answered: f64,
    /// Lost.
    pub lost: f64,
    /// Failed.
    pub failed: f64,
    /// Right answers.
    pub correct: f64,
    /// Sum of latencies of those answered, in seconds.
    pub latency_sum: f64,
    /// Mean number of jobs in the system during the interval.
    pub present: f64,
}

/// One job, for a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobRecord {
    /// Index of its source.
    pub source: usize,
    /// Index of its chain; `None` when it never got one.
    pub chain: Option<usize>,
    /// When it arrived, in seconds since the start of the replication.
    pub arrived: f64,
    /// When it ended.
    pub ended: f64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Answered.
    Answered {
        /// Exit (or step) it left at, from 0.
        exit: usize,
        /// Whether it left there because the next region was full.
        on_overflow: bool,
        /// Whether the answer is right, where that is known.
        correct: Option<bool>,
    },
    /// Lost for lack of memory at this step of its chain, or at its gateway.
    Lost {
        /// From 0; `None` at the gateway.
        step: Option<usize>,
    },
    /// Failed.
    Failed(Failure),
}

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its deadline passed.
    Deadline,
    /// No chain could be reached, or the next device was down.
    Unreachable,
    /// The device that held it went down.
    DeviceDown,
}

impl Interval {
    pub(crate) fn add(&mut self, other: &Interval) {
        self.combine(other, |a, b| a + b);
    }

    pub(crate) fn scale(&mut self, by: f64) {
        self.combine(&Interval::default(), |a, _| a * by);
    }

    fn combine(&mut self, other: &Interval, with: impl Fn(f64, f64) -> f64) {
        let fields = [
            (&mut self.arrived, other.arrived),
            (&mut self.answered, other.answered),
            (&mut self.lost, other.lost),
            (&mut self.failed, other.failed),
            (&mut self.correct, other.correct),
            (&mut self.latency_sum, other.latency_sum),
            (&mut self.present, other.present),
        ];
        fields.into_iter().for_each(|(field, other)| *field = with(*field, other));
    }
}
