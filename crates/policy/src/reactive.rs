//! Reactive: one exit for all jobs, which follows what happens to them.
//!
//! The last exit at first; one exit earlier whenever a job is lost because memory was full, one later whenever a job that
//! is sent finds nobody else present. No model, no rate, no confidence: a baseline that always works a little.
//!
//! Reference: the reactive policy among the single-device schedulers of Casale and Roveri, "Scheduling inputs in early
//! exit neural networks", IEEE Transactions on Computers 73 (2024). A job that finds nobody else present is itself sent to
//! the later exit.

use domain::Thresholds;

/// The exit in use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reactive {
    exits: Vec<Thresholds>,
    exit: usize,
}

impl Reactive {
    /// For a model of `exits` (≥ 1) exits.
    pub(crate) fn new(exits: usize) -> Self {
        let exits = exits.max(1);
        Self { exits: (0..exits).map(|exit| Thresholds::exit_at(exits, exit)).collect(), exit: exits - 1 }
    }

    /// The thresholds of a job that is sent with `present` jobs there, itself included.
    pub(crate) fn choose(&mut self, present: usize) -> &Thresholds {
        if present <= 1 {
            self.exit = (self.exit + 1).min(self.exits.len() - 1);
        }
        &self.exits[self.exit]
    }

    /// A job was lost.
    pub(crate) fn lost(&mut self) {
        self.exit = self.exit.saturating_sub(1);
    }

    /// The exit in use, from 0.
    pub(crate) fn exit(&self) -> usize {
        self.exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_one_exit_and_each_empty_fragment_one_back() {
        let mut reactive = Reactive::new(3);
        assert_eq!(reactive.choose(1), &Thresholds::exit_last(3));
        reactive.lost();
        assert_eq!(reactive.choose(2), &Thresholds::exit_at(3, 1));
        reactive.lost();
        reactive.lost();
        assert_eq!(reactive.choose(5), &Thresholds::exit_first(3), "there is none before the first");
        assert_eq!(reactive.choose(1), &Thresholds::exit_at(3, 1));
        assert_eq!(reactive.choose(1), &Thresholds::exit_last(3));
        assert_eq!(reactive.choose(1), &Thresholds::exit_last(3), "there is none behind the last");
    }
}
