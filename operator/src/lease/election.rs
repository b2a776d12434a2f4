//! Who leads, decided from what the lease says and when that was seen. Pure: the time is an argument.
//!
//! Clocks of machines are never compared: another holder's time runs from when its last renewal was *seen* here.

use std::time::Duration;

/// How long things take. `renew_within` < `lasts`: a leader stops before others may begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// For so long after it was last renewed a lease is another's.
    pub lasts: Duration,
    /// A leader that could not renew for so long writes nothing any more.
    pub renew_within: Duration,
    /// Time between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    /// Those of Kubernetes' own controllers.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lasts: seconds(15), renew_within: seconds(10), retry: seconds(2) }
    }
}

/// What a lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Who holds it; empty when it was given up.
    pub holder: String,
    /// How often the holder changed.
    pub transitions: i32,
    /// Changes with every write.
    pub version: String,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is no lease: make one.
    Create,
    /// It is ours: renew it.
    Renew,
    /// It was given up, or its holder is gone: take it, with so many transitions.
    Take(i32),
    /// It is another's.
    Wait,
}

/// What was seen of the lease.
#[derive(Debug, Clone, Default)]
pub struct Election {
    me: String,
    seen: Option<(Record, f64)>,
}

impl Election {
    /// For a process with this identity.
    pub fn new(me: String) -> Self {
        Self { me, seen: None }
    }

    /// Looks at the lease as it is at a time.
    pub fn step(&mut self, record: Option<Record>, timing: Timing, now: f64) -> Step {
        let Some(record) = record else {
            self.seen = None;
            return Step::Create;
        };
        let since = match &self.seen {
            Some((before, since)) if before.version == record.version => *since,
            _ => now,
        };
        let step = if record.holder == self.me {
            Step::Renew
        } else if record.holder.is_empty() || now - since >= timing.lasts.as_secs_f64() {
            Step::Take(record.transitions.saturating_add(1))
        } else {
            Step::Wait
        };
        self.seen = Some((record, since));
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: &str) -> Option<Record> {
        Some(Record { holder: holder.into(), transitions: 3, version: version.into() })
    }

    #[test]
    fn a_lease_is_taken_when_it_was_not_renewed_for_as_long_as_it_lasts() {
        let (mut election, timing) = (Election::new("a".into()), Timing::default());
        assert_eq!(election.step(record("b", "1"), timing, 0.0), Step::Wait);
        assert_eq!(election.step(record("b", "1"), timing, 14.0), Step::Wait);
        assert_eq!(election.step(record("b", "2"), timing, 14.5), Step::Wait, "renewed");
        assert_eq!(election.step(record("b", "2"), timing, 29.4), Step::Wait);
        assert_eq!(election.step(record("b", "2"), timing, 29.5), Step::Take(4));
        assert_eq!(election.step(record("c", "3"), timing, 30.0), Step::Wait, "another was faster");
    }

    #[test]
    fn a_lease_that_was_given_up_is_taken_at_once() {
        let (mut election, timing) = (Election::new("a".into()), Timing::default());
        assert_eq!(election.step(None, timing, 0.0), Step::Create);
        assert_eq!(election.step(record("", "1"), timing, 0.0), Step::Take(4));
        assert_eq!(election.step(record("a", "2"), timing, 0.0), Step::Renew);
    }
}
