//! What the loop saw and did, in types for programs and in words for people.

use arrivals::RateEstimate;
use domain::problem::Burstiness;
use std::fmt;
use wire::document::PolicyVersion;

/// What the loop saw or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A source's rate changed.
    DriftDetected {
        /// Its service.
        service: String,
        /// The source.
        source: String,
        /// Rate before.
        from: RateEstimate,
        /// Rate now.
        to: RateEstimate,
        /// Seconds since the likeliest time of the change.
        after: f64,
    },
    /// What looked like a change was a burst, or short bursts were found.
    BurstRecognised {
        /// Its service.
        service: String,
        /// The source.
        source: String,
        /// Rate, bursts included.
        rate: RateEstimate,
        /// How arrivals are spread.
        burstiness: Burstiness,
        /// Rate and seconds of the surge that returned, if it was one.
        surge: Option<(f64, f64)>,
    },
    /// A device is slower or faster than was assumed.
    SpeedCorrected {
        /// The device.
        device: String,
        /// Speed assumed, relative to the machine of the profile.
        from: f64,
        /// Speed measured.
        to: f64,
    },
    /// Exits agree with the last one less or more often than was assumed.
    AccuracyDrift {
        /// The service.
        service: String,
        /// Per exit but the last the agreement now.
        agreement: Vec<f64>,
        /// Per exit the accuracy estimated from it.
        accuracy: Vec<f64>,
        /// Share of the rows of the exit table that carry its weight.
        effective_rows: f64,
        /// Whether inputs are again as the exit table has them.
        recovered: bool,
    },
    /// Jobs leave at other exits than was assumed.
    ExitSharesDrift {
        /// The service.
        service: String,
        /// Per exit the share of answers given there.
        shares: Vec<f64>,
        /// Share of the rows of the exit table that carry its weight.
        effective_rows: f64,
        /// Whether jobs leave again as the exit table has it.
        recovered: bool,
    },
    /// A loss target is missed for some time.
    ViolationObserved {
        /// The service.
        service: String,
        /// Share of arrivals lost.
        loss: f64,
        /// What is allowed.
        limit: f64,
    },
    /// A plan was published.
    Replanned {
        /// Its version.
        version: PolicyVersion,
        /// Why.
        reasons: Vec<Reason>,
        /// In words, what it beat and by how much.
        gain: String,
    },
    /// There was a reason for a new plan, but it was not made or not taken.
    HeldBack {
        /// Why not.
        why: Held,
    },
    /// Nothing was heard for too long, or is heard again.
    Telemetry {
        /// Whether it is there.
        present: bool,
    },
}

/// Why a new plan may be needed.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The rate of a source is not the one planned for.
    Rate {
        /// Its service.
        service: String,
        /// The source.
        source: String,
        /// Arrivals per second planned for.
        planned: f64,
        /// Arrivals per second now.
        now: f64,
    },
    /// Arrivals are spread otherwise than planned for.
    Burstiness {
        /// Its service.
        service: String,
        /// The source.
        source: String,
    },
    /// A device has another speed than planned for.
    Speed {
        /// The device.
        device: String,
        /// Speed planned for.
        planned: f64,
        /// Speed now.
        now: f64,
    },
    /// Exits behave otherwise than planned for.
    Accuracy {
        /// The service.
        service: String,
    },
    /// Confidences are not those of the exit table.
    ConfidenceShift {
        /// The service.
        service: String,
    },
    /// An exit of a service whose scheduler tracks confidence is not as sure as its policy was made for.
    TrackedConfidence {
        /// The service.
        service: String,
        /// The exit, from 0.
        exit: usize,
        /// Confidence that the policy was made with.
        planned: f64,
        /// Confidence now.
        now: f64,
    },
    /// A target is missed.
    Violation {
        /// The service.
        service: String,
        /// Loss measured.
        loss: f64,
    },
}

/// Why there is no new plan in spite of a reason.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// The last change is too recent.
    MinimumInterval,
    /// Enough changes for an hour.
    ChangesPerHour,
    /// The plan in force does as well as is needed.
    GoodEnough,
    /// The last attempt was in vain; the next one is in so many seconds.
    Backoff(f64),
    /// The one in force was not beaten, and why.
    DidNotBeat(String),
    /// There was no new plan.
    Failed(String),
}

fn list(shares: &[f64]) -> String {
    shares.iter().map(|share| format!("{:.1} %", 100.0 * share)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DriftDetected { service, source, from, to, after } => write!(
                f,
                "{service}: {source} went from {:.1} to {:.1} jobs/s (95 %: {:.1} to {:.1}), {after:.1} s ago",
                from.rate, to.rate, to.low, to.high
            ),
            Self::BurstRecognised { service, source, rate, surge: Some((high, seconds)), .. } => write!(
                f,
                "{service}: {high:.1} jobs/s of {source} were a burst of {seconds:.0} s; {:.1} jobs/s in the mean",
                rate.rate
            ),
            Self::BurstRecognised { service, source, rate, .. } => {
                write!(f, "{service}: {source} comes in bursts, {:.1} jobs/s in the mean", rate.rate)
            }
            Self::SpeedCorrected { device, from, to } => {
                write!(f, "{device} computes at {to:.2} times the speed of the profile, not {from:.2}")
            }
            Self::AccuracyDrift { service, recovered: true, .. } => {
                write!(f, "{service}: exits agree as often as in the exit table again")
            }
            Self::ExitSharesDrift { service, recovered: true, .. } => {
                write!(f, "{service}: jobs leave at its exits as in the exit table again")
            }
            Self::ExitSharesDrift { service, shares, effective_rows, .. } => write!(
                f,
                "{service}: {} of jobs leave at its exits, not what the exit table has ({:.0} % of its rows in use)",
                list(shares),
                100.0 * effective_rows
            ),
            Self::AccuracyDrift { service, agreement, accuracy, effective_rows, .. } => {
                write!(
                    f,
                    "{service}: exits agree with the last one in {} of jobs; accuracy about {} ({:.0} % of rows in use)",
                    list(agreement),
                    list(accuracy),
                    100.0 * effective_rows
                )
            }
            Self::ViolationObserved { service, loss, limit } => {
                write!(f, "{service} loses {:.2} % of jobs, {:.2} % are allowed", 100.0 * loss, 100.0 * limit)
            }
            Self::Replanned { version, reasons, gain } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "plan {}: {}; {gain}", version.generation, reasons.join(", "))
            }
            Self::HeldBack { why } => write!(f, "plan stays: {why}"),
            Self::Telemetry { present: true } => write!(f, "telemetry is back"),
            Self::Telemetry { present: false } => write!(f, "no telemetry, plan stays"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { service, source, planned, now } => {
                write!(f, "{source} of {service} sends {now:.1} jobs/s, planned for {planned:.1}")
            }
            Self::Burstiness { service, source } => write!(f, "{source} of {service} sends in other bursts"),
            Self::Speed { device, planned, now } => write!(f, "{device} has speed {now:.2}, planned for {planned:.2}"),
            Self::Accuracy { service } => write!(f, "exits of {service} behave otherwise"),
            Self::ConfidenceShift { service } => write!(f, "confidences of {service} have shifted"),
            Self::TrackedConfidence { service, exit, planned, now } => {
                write!(f, "exit {} of {service} is {now:.2} sure, planned for {planned:.2}", exit + 1)
            }
            Self::Violation { service, loss } => write!(f, "{service} loses {:.2} %", 100.0 * loss),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinimumInterval => write!(f, "changed a moment ago"),
            Self::ChangesPerHour => write!(f, "changed often enough for an hour"),
            Self::GoodEnough => write!(f, "it does as well as is needed"),
            Self::Backoff(seconds) => write!(f, "the last attempt was in vain, next one in {seconds:.0} s"),
            Self::DidNotBeat(why) => f.write_str(why),
            Self::Failed(why) => write!(f, "no new one: {why}"),
        }
    }
}
