//! Draws frames and messages on a terminal, or prints plain lines where there is none. Always on standard error, so
//! that standard output holds results only.

use super::frame;
use super::view::View;
use console::{Term, measure_text_width, truncate_str};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Where progress is shown.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: Term,
    /// Lines of the frame that is shown.
    drawn: usize,
    last: Option<Instant>,
}

impl Screen {
    /// Standard error.
    pub(crate) fn stderr() -> Self {
        Self { terminal: Term::buffered_stderr(), drawn: 0, last: None }
    }

    /// How often a view should come.
    pub(crate) fn interval(&self) -> Duration {
        if self.terminal.is_term() { Duration::from_millis(200) } else { Duration::from_secs(1) }
    }

    /// Shows a message that stays. The frame moves below it.
    pub(crate) fn message(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(self.terminal, "{text}")?;
        self.terminal.flush()
    }

    /// Shows a view: a frame in place of the last one, or a line.
    pub(crate) fn draw(&mut self, view: &View, now: Instant) -> io::Result<()> {
        if !self.due(now) {
            return Ok(());
        }
        if !self.terminal.is_term() {
            if view.is_idle() {
                return Ok(());
            }
            writeln!(self.terminal, "{}", frame::plain(view))?;
            return self.terminal.flush();
        }
        let (rows, columns) = self.terminal.size();
        let lines = fit(frame::lines(view), rows as usize, columns as usize);
        self.erase()?;
        for line in &lines {
            writeln!(self.terminal, "{line}")?;
        }
        self.drawn = lines.len();
        self.terminal.flush()
    }

    /// Takes the frame away.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.erase()?;
        self.terminal.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.drawn) {
            0 => Ok(()),
            lines => self.terminal.clear_last_lines(lines),
        }
    }

    fn due(&mut self, now: Instant) -> bool {
        // A tick that is a little early counts: two intervals should not pass between views.
        let due = self.last.is_none_or(|last| now.duration_since(last) >= self.interval().mul_f64(0.75));
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// Cuts lines that would wrap, and leaves out those that would scroll: both would break the next frame.
fn fit(mut lines: Vec<String>, rows: usize, columns: usize) -> Vec<String> {
    lines.truncate(rows.saturating_sub(1));
    let cut = |line: String| {
        if measure_text_width(&line) < columns {
            line
        } else {
            truncate_str(&line, columns.saturating_sub(1), "…").into_owned()
        }
    };
    lines.into_iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_fit_the_terminal() {
        let lines = vec!["123456789".to_owned(), "abc".to_owned(), "d".to_owned()];
        assert_eq!(fit(lines, 3, 6), ["1234…", "abc"]);
    }
}
