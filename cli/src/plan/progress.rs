//! How far a search is, on standard error, if that is a terminal.

use console::Term;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Faster than anybody reads.
const EVERY: Duration = Duration::from_millis(200);
/// Nobody waits for less.
const QUICK: Duration = Duration::from_millis(500);

/// One line that changes.
#[derive(Debug)]
pub(super) struct Line {
    terminal: Option<Term>,
    began: Instant,
    budget: Duration,
    last: Mutex<Instant>,
}

impl Line {
    pub(super) fn new(began: Instant, budget: Duration) -> Self {
        let terminal = Some(Term::stderr()).filter(|terminal| terminal.is_term() && budget > QUICK);
        Self { terminal, began, budget, last: Mutex::new(began) }
    }

    /// Cheap enough to be called for every plan that is looked at.
    pub(super) fn show(&self) {
        let Some(terminal) = &self.terminal else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < EVERY {
            return;
        }
        *last = Instant::now();
        let (gone, budget) = (self.began.elapsed().as_secs_f64(), self.budget.as_secs_f64());
        // Progress that cannot be shown is no reason to stop.
        let _ =
            terminal.clear_line().and_then(|()| terminal.write_str(&format!("planning: {gone:.1} of {budget:.1} s")));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear_line();
        }
    }
}
