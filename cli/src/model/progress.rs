//! Progress of long work on standard error: a line that changes on a terminal, a line now and then elsewhere.

use console::Term;
use std::io::Write;
use std::time::{Duration, Instant};

/// Shows how far some work is.
#[derive(Debug)]
pub(super) struct Progress {
    what: &'static str,
    terminal: Term,
    last: Instant,
}

impl Progress {
    /// Of some work.
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, terminal: Term::stderr(), last: Instant::now() }
    }

    /// So much is done.
    pub(super) fn at(&mut self, done: usize, all: usize) {
        let every = Duration::from_millis(if self.terminal.is_term() { 200 } else { 5000 });
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let text = format!("{}: {done} of {all}", self.what);
        // Progress that cannot be shown is no reason to stop.
        let _ = if self.terminal.is_term() {
            self.terminal.clear_line().and_then(|()| self.terminal.write_str(&text))
        } else {
            writeln!(self.terminal, "{text}")
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal.is_term() {
            let _ = self.terminal.clear_line();
        }
    }
}
