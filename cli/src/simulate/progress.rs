//! How far a simulation is, on standard error, if that is a terminal.

use crate::format::{count, digits};
use console::Term;
use simulator::Progress;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Faster than anybody reads.
const EVERY: Duration = Duration::from_millis(200);

/// One line that changes.
#[derive(Debug)]
pub(super) struct Line {
    terminal: Option<Term>,
    shown: Mutex<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    title: String,
    last: Option<Instant>,
}

impl Line {
    pub(super) fn new() -> Self {
        let terminal = Some(Term::stderr()).filter(Term::is_term);
        Self { terminal, shown: Mutex::default() }
    }

    /// The `index`-th of `all` cases begins.
    pub(super) fn begin(&self, id: &str, index: usize, all: usize) {
        let title = if all > 1 { format!("{id} ({} of {all})", index + 1) } else { id.to_owned() };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown { title, last: None };
    }

    pub(super) fn show(&self, progress: Progress) {
        let Some(terminal) = &self.terminal else { return };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        shown.last = Some(Instant::now());
        let text = format!("{}: {}", shown.title, describe(progress));
        // Progress that cannot be shown is no reason to stop.
        let _ = terminal.clear_line().and_then(|()| terminal.write_str(&text));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear_line();
        }
    }
}

fn describe(progress: Progress) -> String {
    let arrivals = format!("{} arrivals", count(progress.arrivals));
    match progress.imprecision {
        wide if wide > 1.0 => format!("{arrivals}, intervals are {} times as wide as they should be", digits(wide)),
        narrow if narrow <= 1.0 => format!("{arrivals}, precise enough"),
        _ => arrivals,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well() {
        let of = |imprecision| describe(Progress { arrivals: 1_000_000, imprecision });
        assert_eq!(of(2.5), "1,000,000 arrivals, intervals are 2.50 times as wide as they should be");
        assert_eq!(of(0.9), "1,000,000 arrivals, precise enough");
        assert_eq!(of(f64::NAN), "1,000,000 arrivals");
    }
}
