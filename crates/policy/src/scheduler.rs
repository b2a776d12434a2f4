//! What every scheduler is to those who drive it: a gateway, or a simulation of one.

use domain::Thresholds;
use rand::Rng;

/// Decides about the jobs of one gateway. May keep state and learn from outcomes.
///
/// Times are seconds since any fixed start. The same calls with the same random numbers give the same decisions.
pub trait Scheduler: Send {
    /// Decides for a job that arrives. `None` when no chain is usable.
    fn arrive(&mut self, arriving: &Arriving<'_>, rng: &mut dyn Rng) -> Option<Selected<'_>>;

    /// Decides the thresholds of a job that is sent now, if they were left open when it arrived. `None` when its chain is
    /// no longer given to its source: the job has then failed. (A gateway keeps for each job the policy of its arrival.)
    fn dispatch(&mut self, dispatching: &Dispatching<'_>, rng: &mut dyn Rng) -> Option<(&Thresholds, u32)>;

    /// Hears how a job has ended. Schedulers that do not learn ignore it.
    fn ended(&mut self, _outcome: &Outcome<'_>) {}
}

/// A job that arrives.
#[derive(Clone, Copy)]
pub struct Arriving<'a> {
    /// Name of its source.
    pub source: &'a str,
    /// When it arrives, in seconds.
    pub now: f64,
    /// Whether all devices of a chain can be reached.
    pub usable: &'a dyn Fn(usize) -> bool,
    /// Whether the same attempt of the job has been asked about before, with other usable chains: it is then no further arrival.
    pub again: bool,
}

/// What was decided when a job arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected<'a> {
    /// Index of the chain.
    pub chain: usize,
    /// Thresholds, unless they wait for the dispatch.
    pub thresholds: Option<&'a Thresholds>,
    /// Whether the job runs on to the last exit after its answer.
    pub audit: bool,
    /// What the scheduler calls its decision, to recognise it in the outcome; 0 where nothing is learnt.
    pub tag: u32,
}

/// A job that is sent to the first fragment of its chain.
#[derive(Debug, Clone, Copy)]
pub struct Dispatching<'a> {
    /// Name of its source.
    pub source: &'a str,
    /// When it is sent, in seconds.
    pub now: f64,
    /// Index of its chain.
    pub chain: usize,
    /// Jobs queued or outstanding at that fragment, this one included.
    pub present: usize,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome<'a> {
    /// Name of its source.
    pub source: &'a str,
    /// When it ended, in seconds.
    pub now: f64,
    /// What the scheduler called its decision ([`Selected::tag`]).
    pub tag: u32,
    /// What became of the job.
    pub end: End,
    /// Of an answered job: exits evaluated for its answer, in order and from 0, with their confidences. The last one has
    /// answered. May be empty where nobody asked for it.
    pub evaluated: &'a [(usize, f32)],
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// It was answered.
    Answered {
        /// The exit it left at, from 0.
        exit: usize,
        /// Confidence of that exit.
        confidence: f32,
        /// Time from its arrival, in seconds.
        latency: f64,
    },
    /// No memory.
    Lost,
    /// Any other end without an answer.
    Failed,
}

impl std::fmt::Debug for Arriving<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving").field("source", &self.source).field("now", &self.now).finish_non_exhaustive()
    }
}
