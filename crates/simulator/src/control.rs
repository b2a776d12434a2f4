//! A controller that looks at a run from time to time and may change it.

use std::fmt;
use std::sync::Arc;

/// Looks at a run from time to time and may change what schedulers do from then on.
pub trait Controller: Send {
    /// One look.
    fn look(&mut self, view: &mut View<'_>);
}

/// A controller, made anew for each replication.
#[derive(Clone)]
pub struct Control {
    /// Seconds between two looks.
    pub every: f64,
    /// Makes the controller of a replication, given its number.
    pub make: MakeController,
}

/// Makes the controller of a replication, given its number.
pub type MakeController = Arc<dyn Fn(u32) -> Box<dyn Controller> + Send + Sync>;

/// What a controller sees and may change.
pub struct View<'a> {
    pub(crate) now: f64,
    pub(crate) counts: &'a [Counts],
    pub(crate) audits: &'a [Vec<Agreement>],
    pub(crate) schedulers: &'a mut [Box<dyn policy::Scheduler>],
}

/// How often an exit agreed with the last one, in audits since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Audits that reached the last exit.
    pub compared: u64,
    /// Of these, those in which this exit said the same.
    pub agreed: u64,
}

/// Jobs of a source since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Arrivals.
    pub arrived: u64,
    /// Answers.
    pub answered: u64,
    /// Lost jobs.
    pub lost: u64,
    /// Failed jobs.
    pub failed: u64,
}

impl View<'_> {
    /// Seconds since the start of the run.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// What became of the jobs of each source, in the order of the network.
    pub fn counts(&self) -> &[Counts] {
        self.counts
    }

    /// Per source what its audits have found, per exit; empty where there was none.
    pub fn audits(&self) -> &[Vec<Agreement>] {
        self.audits
    }

    /// Replaces a scheduler; index into [`crate::Network::schedulers`]. Jobs that have been decided keep what was decided.
    /// An index that is not there is ignored.
    pub fn replace(&mut self, scheduler: usize, by: Box<dyn policy::Scheduler>) {
        if let Some(place) = self.schedulers.get_mut(scheduler) {
            *place = by;
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("every", &self.every).finish_non_exhaustive()
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("now", &self.now).field("counts", &self.counts).finish_non_exhaustive()
    }
}
