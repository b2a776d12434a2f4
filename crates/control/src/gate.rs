//! When the plan may change: not too soon, not too often, and more patiently after attempts in vain.

use crate::{Held, LoopOptions};
use std::collections::VecDeque;

const HOUR: f64 = 3600.0;

/// Times of changes and attempts.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// Changes of the last hour.
    changes: VecDeque<f64>,
    /// When the next attempt may be made, and how long was waited for it.
    backoff: Option<(f64, f64)>,
}

impl Gate {
    /// Why the plan may not change at `now`; `None` if it may.
    pub fn held(&self, now: f64, options: &LoopOptions) -> Option<Held> {
        if now.is_nan() {
            return Some(Held::MinimumInterval);
        }
        if self.changes.back().is_some_and(|last| now - last < options.min_interval) {
            return Some(Held::MinimumInterval);
        }
        let recent = self.changes.iter().filter(|change| now - **change < HOUR).count();
        if recent >= options.max_changes_per_hour {
            return Some(Held::ChangesPerHour);
        }
        let until = self.backoff.map_or(f64::NEG_INFINITY, |(until, _)| until);
        (now < until).then_some(Held::Backoff(until - now))
    }

    /// The plan changed.
    pub fn change(&mut self, now: f64) {
        self.backoff = None;
        self.changes.push_back(now);
        while self.changes.front().is_some_and(|first| now - first >= HOUR) {
            self.changes.pop_front();
        }
    }

    /// An attempt was in vain.
    pub fn fail(&mut self, now: f64, options: &LoopOptions) {
        let wait = self.backoff.map_or(options.backoff, |(_, wait)| (2.0 * wait).min(options.longest_backoff));
        self.backoff = Some((now + wait, wait));
    }

    /// Something new was seen: there is no need to wait any longer, but the next failure waits as long as before.
    pub fn news(&mut self) {
        if let Some((until, _)) = &mut self.backoff {
            *until = f64::NEG_INFINITY;
        }
    }
}
