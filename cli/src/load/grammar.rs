//! The words after `--load`: `[SOURCE:]rate=40/s for 30s, then 160/s for 30s`, or `[SOURCE:]trace=FILE`.

use std::path::PathBuf;

/// What one `--load` asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// The source, as `SOURCE` or `SERVICE/SOURCE`; none for all, in proportion to their expected rates.
    pub(crate) source: Option<String>,
    /// When jobs arrive.
    pub(crate) pattern: Pattern,
}

/// When jobs arrive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    /// At rates that hold for a while, one after the other.
    Phases(Vec<Phase>),
    /// At times recorded in a file.
    Trace(PathBuf),
}

/// A rate that holds for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Phase {
    /// Jobs per second.
    pub(crate) rate: f64,
    /// How long.
    pub(crate) extent: Extent,
}

/// How long a phase lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    /// A time in seconds.
    Seconds(f64),
    /// A number of jobs.
    Jobs(u64),
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrammarError {
    text: String,
    /// Byte offset.
    at: usize,
    allowed: String,
}

impl std::fmt::Display for GrammarError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = self.text[..self.at].chars().count();
        write!(f, "\n  {}\n  {:before$}^ {}", self.text, "", self.allowed)
    }
}

impl std::error::Error for GrammarError {}

/// Longest phase; more is a typing error.
const LONGEST_SECONDS: f64 = 31.0 * 86_400.0;
/// No single process sends faster; more is a typing error.
const HIGHEST_RATE: f64 = 1e6;

impl std::str::FromStr for Load {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        Parser { text, at: 0 }.load()
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn load(mut self) -> Result<Load, GrammarError> {
        let source = self.source()?;
        self.space();
        if self.eat("trace=") {
            let file = self.rest().trim();
            if file.is_empty() {
                return Err(self.error("name a file with one offset in seconds per line"));
            }
            return Ok(Load { source, pattern: Pattern::Trace(file.into()) });
        }
        let mut phases = vec![self.phase()?];
        while self.separator()? {
            phases.push(self.phase()?);
        }
        Ok(Load { source, pattern: Pattern::Phases(phases) })
    }

    /// What stands before a colon, if there is one.
    fn source(&mut self) -> Result<Option<String>, GrammarError> {
        let Some(colon) = self.text.find(':').filter(|&colon| !self.text[..colon].contains('=')) else {
            return Ok(None);
        };
        let name = self.text[..colon].trim().to_owned();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(self.error("name a source before the colon, or leave the colon out"));
        }
        self.at = colon + 1;
        Ok(Some(name))
    }

    /// `[rate=]40/s for 30s`
    fn phase(&mut self) -> Result<Phase, GrammarError> {
        self.space();
        if self.eat("rate") {
            self.space();
            self.expect("=", "write rate=40/s")?;
        }
        let start = self.at;
        let value = self.number("a rate such as 40/s, or trace=FILE")?;
        self.expect("/", "write the rate per s, m or h, such as 40/s")?;
        let rate = value / self.time_unit("s, m (or min) or h")?;
        if rate > HIGHEST_RATE {
            return Err(self.error_at(start, "at most 1000000/s"));
        }
        self.space();
        self.expect("for", "say how long: for 30s, or for 500 jobs")?;
        let extent = self.extent()?;
        if rate == 0.0 && matches!(extent, Extent::Jobs(_)) {
            return Err(
                self.error_at(start, "a rate above 0, or a pause such as 0/s for 10s: no job arrives at rate 0")
            );
        }
        Ok(Phase { rate, extent })
    }

    fn extent(&mut self) -> Result<Extent, GrammarError> {
        self.space();
        let start = self.at;
        let value = self.number("a time such as 30s, or a number of jobs such as 500 jobs")?;
        self.space();
        if self.eat("jobs") || self.eat("job") {
            if value.fract() != 0.0 || value < 1.0 {
                return Err(self.error_at(start, "a whole number of jobs, at least 1"));
            }
            return Ok(Extent::Jobs(value as u64));
        }
        let seconds = value * self.time_unit("s, m (or min), h or jobs")?;
        if seconds == 0.0 || seconds > LONGEST_SECONDS {
            return Err(self.error_at(start, "more than 0 s and at most 31 days"));
        }
        Ok(Extent::Seconds(seconds))
    }

    /// `, then`, or the end.
    fn separator(&mut self) -> Result<bool, GrammarError> {
        self.space();
        if self.rest().is_empty() {
            return Ok(false);
        }
        self.expect(",", "the end, or a comma and another phase: , then 160/s for 30s")?;
        self.space();
        self.eat("then");
        Ok(true)
    }

    fn number(&mut self, allowed: &str) -> Result<f64, GrammarError> {
        self.space();
        let length = self.rest().find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest().len());
        match self.rest()[..length].parse::<f64>() {
            Ok(value) => {
                self.at += length;
                Ok(value)
            }
            Err(_) => Err(self.error(allowed)),
        }
    }

    /// Seconds of a unit of time.
    fn time_unit(&mut self, allowed: &str) -> Result<f64, GrammarError> {
        self.space();
        let length = self.rest().find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest().len());
        let seconds = match &self.rest()[..length] {
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => return Err(self.error(allowed)),
        };
        self.at += length;
        Ok(seconds)
    }

    fn expect(&mut self, word: &str, allowed: &str) -> Result<(), GrammarError> {
        self.space();
        if self.eat(word) { Ok(()) } else { Err(self.error(allowed)) }
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, allowed: &str) -> GrammarError {
        self.error_at(self.at, allowed)
    }

    fn error_at(&self, at: usize, allowed: &str) -> GrammarError {
        GrammarError { text: self.text.to_owned(), at, allowed: allowed.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(rows: &[(f64, Extent)]) -> Pattern {
        Pattern::Phases(rows.iter().map(|&(rate, extent)| Phase { rate, extent }).collect())
    }

    fn check(text: &str, source: Option<&str>, pattern: Pattern) {
        let load: Load = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(load, Load { source: source.map(str::to_owned), pattern }, "{text}");
    }

    fn refused(text: &str, drawing: &str) {
        let error = text.parse::<Load>().expect_err(text).to_string();
        assert_eq!(error, format!("\n  {text}\n  {drawing}"));
    }

    #[test]
    fn phases_with_and_without_source() {
        use Extent::{Jobs, Seconds};
        check("rate=40/s for 30s", None, phases(&[(40.0, Seconds(30.0))]));
        check(
            "cam:rate=40/s for 30s, then 160/s for 1 min",
            Some("cam"),
            phases(&[(40.0, Seconds(30.0)), (160.0, Seconds(60.0))]),
        );
        check("s/cam: 90/m for 500 jobs,0/s for 2m", Some("s/cam"), phases(&[(1.5, Jobs(500)), (0.0, Seconds(120.0))]));
        check("cam:trace=a b:c.txt", Some("cam"), Pattern::Trace("a b:c.txt".into()));
    }

    #[test]
    fn errors_point_at_their_place() {
        refused("", "^ a rate such as 40/s, or trace=FILE");
        refused("rate=fast", "     ^ a rate such as 40/s, or trace=FILE");
        refused("rate=40 for 30s", "        ^ write the rate per s, m or h, such as 40/s");
        refused("rate=40/x for 30s", "        ^ s, m (or min) or h");
        refused("rate=40/s", "         ^ say how long: for 30s, or for 500 jobs");
        refused("rate=40/s for 30", "                ^ s, m (or min), h or jobs");
        refused("rate=40/s for 1.5 jobs", "              ^ a whole number of jobs, at least 1");
        refused("40/s for 0s", "         ^ more than 0 s and at most 31 days");
        refused("40/s for 3s 5", "            ^ the end, or a comma and another phase: , then 160/s for 30s");
        refused("ü:5/q for 3s", "    ^ s, m (or min) or h");
        refused(":5/s for 3s", "^ name a source before the colon, or leave the colon out");
        refused("0/s for 3 jobs", "^ a rate above 0, or a pause such as 0/s for 10s: no job arrives at rate 0");
        refused("9999999/s for 3s", "^ at most 1000000/s");
    }
}
