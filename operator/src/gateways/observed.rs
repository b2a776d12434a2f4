//! What services do, as their gateways count it: rounded, and over minutes, so that a status changes only where something has.

use api::Ratio;
use api::status::Metrics;
use std::collections::BTreeMap;
use wire::document::GatewayTelemetry;

/// What is said is over so many seconds.
const WINDOW: f64 = 300.0;
/// The first time after so many.
const FIRST: f64 = 60.0;
/// What a pod said is forgotten when it has not been heard of for so long.
const FORGOTTEN: f64 = 3600.0;
/// Fewer jobs say nothing: more are waited for, so long that what was said before is not true any more.
const LEAST_JOBS: f64 = 100.0;
const LONGEST: f64 = 600.0;

/// What is to be said of a service.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Said {
    /// Nothing new.
    #[default]
    Nothing,
    /// That nothing is known: for minutes there were too few jobs.
    TooFew,
    /// What was counted.
    Counted(Metrics),
}

/// What a gateway has counted since it started, or several of them within a time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Counted {
    arrived: f64,
    lost: f64,
    answered: f64,
    /// Milliseconds, of all answers together.
    latency: f64,
}

/// Follows the counters of a service, gateway by gateway: one that is not heard of for a while is behind, and has not stopped.
#[derive(Debug, Default)]
pub struct Observed {
    /// Per pod when it was heard of last, and what it said.
    last: BTreeMap<String, (f64, Counted)>,
    /// What has been counted since this time.
    since: Option<f64>,
    counted: Counted,
    said: bool,
}

impl Observed {
    /// Takes what gateways say at `now`, in seconds, by the names of their pods. What is to be said about the service, once in a while.
    pub fn take<'a>(&mut self, now: f64, gateways: impl IntoIterator<Item = (&'a str, &'a GatewayTelemetry)>) -> Said {
        for (pod, telemetry) in gateways {
            let counted = Counted::of(telemetry);
            // One that is new, or was started anew, says nothing about the time before.
            if let Some((_, before)) = self.last.get(pod).filter(|(_, before)| counted.follows(before)) {
                self.counted.add(&counted, before);
            }
            self.last.insert(pod.to_owned(), (now, counted));
        }
        self.last.retain(|_, (heard, _)| now - *heard < FORGOTTEN);
        let since = *self.since.get_or_insert(now);
        let (passed, enough) = (now - since, self.counted.arrived >= LEAST_JOBS);
        if passed < if self.said { WINDOW } else { FIRST } || !enough && passed < LONGEST {
            return Said::Nothing;
        }
        let counted = std::mem::take(&mut self.counted);
        (self.since, self.said) = (Some(now), true);
        if !enough {
            return Said::TooFew;
        }
        // Not a number where all are lost.
        let mean = counted.latency / counted.answered;
        Said::Counted(Metrics {
            loss_ratio: Ratio::rounded(two_digits(counted.lost / counted.arrived).clamp(0.0, 1.0), 6),
            mean_latency_milliseconds: (0.0..8.64e7).contains(&mean).then_some(two_digits(mean).round() as i64),
            ..Metrics::default()
        })
    }
}

impl Counted {
    fn of(telemetry: &GatewayTelemetry) -> Self {
        telemetry.sources.values().fold(Self::default(), |sum, one| {
            let answered = one.answered as f64;
            Self {
                arrived: sum.arrived + one.arrived as f64,
                lost: sum.lost + one.lost.values().map(|count| *count as f64).sum::<f64>(),
                answered: sum.answered + answered,
                latency: sum.latency + answered * one.latency_milliseconds.mean,
            }
        })
    }

    /// Whether a gateway that has said `before` may say this: counters only rise.
    fn follows(&self, before: &Self) -> bool {
        self.arrived >= before.arrived && self.answered >= before.answered && self.lost >= before.lost
    }

    fn add(&mut self, now: &Self, before: &Self) {
        self.arrived += now.arrived - before.arrived;
        self.lost += now.lost - before.lost;
        self.answered += now.answered - before.answered;
        self.latency += now.latency - before.latency;
    }
}

/// More digits would change every time.
fn two_digits(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 0.0;
    }
    let unit = 10f64.powf(value.log10().floor() - 1.0);
    (value / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::document::{LatencyTelemetry, SourceTelemetry};

    fn said(arrived: u64, lost: u64, mean: f64) -> GatewayTelemetry {
        let source = SourceTelemetry {
            arrived,
            answered: arrived - lost,
            lost: [("pi: memory".to_owned(), lost)].into(),
            latency_milliseconds: LatencyTelemetry { mean, ..LatencyTelemetry::default() },
            ..SourceTelemetry::default()
        };
        GatewayTelemetry { sources: [("camera".to_owned(), source)].into(), ..GatewayTelemetry::default() }
    }

    fn numbers(found: Said) -> Option<(String, i64)> {
        let Said::Counted(found) = found else { return None };
        Some((found.loss_ratio?.as_str().to_owned(), found.mean_latency_milliseconds?))
    }

    #[test]
    fn what_was_counted_in_the_last_minutes_is_said_in_two_digits() {
        let mut observed = Observed::default();
        let mut take = |now, said: &GatewayTelemetry| observed.take(now, [("a", said)]);
        assert_eq!(take(0.0, &said(1_000, 0, 50.0)), Said::Nothing);
        assert_eq!(take(59.0, &said(2_000, 5, 60.0)), Said::Nothing);
        assert_eq!(numbers(take(60.0, &said(2_000, 5, 75.0))), Some(("0.005".to_owned(), 100)));
        assert_eq!(take(120.0, &said(3_000, 5, 75.0)), Said::Nothing, "not that often");
        assert_eq!(numbers(take(361.0, &said(5_000, 5, 75.0))), Some(("0".to_owned(), 75)));
        assert_eq!(take(800.0, &said(5_050, 5, 75.0)), Said::Nothing, "too few jobs");
        assert_eq!(numbers(take(900.0, &said(5_100, 55, 75.0))), Some(("0.5".to_owned(), 75)), "enough by now");
        assert_eq!(take(1_500.0, &said(10, 0, 75.0)), Said::TooFew, "the gateway was started anew");
        assert!(numbers(take(1_800.0, &said(1_010, 0, 75.0))).is_some());
    }

    #[test]
    fn what_was_said_is_taken_back_when_jobs_no_longer_come() {
        let mut observed = Observed::default();
        let said = said(1_000, 100, 50.0);
        let idle: Vec<Said> = (0..=1_800).map(|now| observed.take(f64::from(now), [("a", &said)])).collect();
        let news: Vec<usize> = (0..idle.len()).filter(|now| idle[*now] != Said::Nothing).collect();
        assert_eq!((news, &idle[600]), (vec![600, 1_200, 1_800], &Said::TooFew));
    }

    #[test]
    fn a_service_that_loses_all_says_so() {
        let mut observed = Observed::default();
        assert_eq!(observed.take(0.0, [("a", &said(0, 0, 0.0))]), Said::Nothing);
        let Said::Counted(found) = observed.take(60.0, [("a", &said(500, 500, 0.0))]) else { panic!("500 jobs") };
        assert_eq!(
            (found.loss_ratio.map(|ratio| ratio.as_str().to_owned()), found.mean_latency_milliseconds),
            (Some("1".to_owned()), None)
        );
    }

    #[test]
    fn a_gateway_that_is_away_for_a_while_counts_for_what_it_does_and_not_for_all_it_did() {
        let mut observed = Observed::default();
        let (old, young) = (said(1_000_000, 500_000, 900.0), said(1_000, 0, 50.0));
        assert_eq!(observed.take(0.0, [("a", &old), ("b", &young)]), Said::Nothing);
        // Not heard of, then back with some more jobs.
        assert_eq!(observed.take(30.0, [("b", &said(2_000, 0, 50.0))]), Said::Nothing);
        let (more, back) = (said(2_000, 0, 50.0), said(1_001_000, 500_000, 900.0));
        let (loss, _) = numbers(observed.take(61.0, [("a", &back), ("b", &more)])).expect("2,000 jobs");
        assert_eq!(loss, "0");
        // One more pod says nothing about the time before either.
        let third = said(5_000, 2_500, 10.0);
        assert_eq!(observed.take(100.0, [("b", &said(3_000, 0, 50.0)), ("c", &third)]), Said::Nothing);
        let found = observed.take(400.0, [("b", &said(4_000, 0, 50.0)), ("c", &third)]);
        assert_eq!(numbers(found), Some(("0".to_owned(), 50)));
    }
}
