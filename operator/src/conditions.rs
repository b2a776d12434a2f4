//! Conditions: aspects of an object, whether each holds, and why. All are good news when true.

use api::status::{Condition, ConditionStatus};

/// What a reconcile found out about one aspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The condition: `Ready`.
    pub aspect: &'static str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

impl Finding {
    /// It holds.
    pub fn holds(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, status: ConditionStatus::True, reason, message: message.into() }
    }

    /// It does not, and the message says what would help.
    pub fn fails(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, status: ConditionStatus::False, reason, message: message.into() }
    }

    /// It cannot be told yet.
    pub fn unknown(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, status: ConditionStatus::Unknown, reason, message: message.into() }
    }

    /// Whether it is good news.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Whether a condition is news: another status or reason than before; not that nothing is known yet, nor that all is well from the
/// beginning.
pub fn is_news(before: &[Condition], condition: &Condition) -> bool {
    let old = said(before).find(|old| old.r#type == condition.r#type);
    let same = old.is_some_and(|old| (old.status, &old.reason) == (condition.status, &condition.reason));
    let expected = match condition.status {
        ConditionStatus::Unknown => true,
        ConditionStatus::True => old.is_none(),
        ConditionStatus::False => false,
    };
    !same && !expected
}

/// What is false in the ordinary course of things: something is being measured, nobody uses a class, and a plan comes before or after the
/// one in force.
const ORDINARY: [&str; 4] = ["BeingMeasured", "NotUsed", "WaitsForApproval", "Superseded"];

/// Whether a condition is bad news.
pub fn is_bad(condition: &Condition) -> bool {
    condition.status == ConditionStatus::False && !ORDINARY.contains(&condition.reason.as_str())
}

/// Those that an operator has said; others are defaults of the definition.
pub fn said(conditions: &[Condition]) -> impl Iterator<Item = &Condition> {
    conditions.iter().filter(|condition| condition.observed_generation > 0)
}

/// Longest message that the schema takes.
const LONGEST: usize = 4096;

/// The conditions of an object after a reconcile. Times change only where a status does; aspects that nothing was found out
/// about are dropped.
pub fn conditions(before: &[Condition], findings: &[Finding], generation: i64, now: &str) -> Vec<Condition> {
    let condition = |finding: &Finding| {
        let old = said(before).find(|old| old.r#type == finding.aspect && old.status == finding.status);
        Condition {
            r#type: finding.aspect.to_owned(),
            status: finding.status,
            reason: finding.reason.to_owned(),
            message: shortened(&finding.message),
            last_transition_time: old.map_or(now, |old| &old.last_transition_time).to_owned(),
            observed_generation: generation,
        }
    };
    findings.iter().map(condition).collect()
}

fn shortened(message: &str) -> String {
    match message.chars().count() <= LONGEST {
        true => message.to_owned(),
        false => message.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_change_only_with_the_status() {
        let first = conditions(&[], &[Finding::fails("Ready", "NoDevices", "none")], 1, "t1");
        let same = conditions(&first, &[Finding::fails("Ready", "NoClass", "other")], 2, "t2");
        assert_eq!((same[0].last_transition_time.as_str(), same[0].reason.as_str()), ("t1", "NoClass"));
        assert_eq!(same[0].observed_generation, 2);
        let good = conditions(&same, &[Finding::holds("Ready", "Ready", "")], 2, "t3");
        assert_eq!(good[0].last_transition_time, "t3");
    }

    #[test]
    fn messages_fit_the_schema() {
        let long = conditions(&[], &[Finding::fails("Ready", "Long", "ä".repeat(5000))], 1, "t1");
        assert_eq!(long[0].message.chars().count(), 4096);
    }
}
