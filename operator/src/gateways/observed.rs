//! What services do, as their gateways count it: rounded, and over minutes, so that a status changes only where something has.

use api::Ratio;
use api::status::Metrics;
use std::collections::BTreeMap;
use wire::document::GatewayTelemetry;

/// What is said is over so many seconds.
const WINDOW: f64 = 300.0;
/// The first time after so many.
const FIRST: f64 = 60.0;
/// Fewer jobs say nothing.
const LEAST_JOBS: f64 = 100.0;

/// What the gateways of a service have counted together since they started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Counted {
    arrived: f64,
    lost: f64,
    answered: f64,
    /// Milliseconds, of all answers together.
    latency: f64,
}

/// Follows the counters of a service.
#[derive(Debug, Default)]
pub struct Observed {
    since: Option<(f64, Counted)>,
    said: bool,
}

impl Observed {
    /// Takes what gateways say at `now`, in seconds. What is to be said about the service, once in a while.
    pub fn take<'a>(&mut self, now: f64, gateways: impl IntoIterator<Item = &'a GatewayTelemetry>) -> Option<Metrics> {
        let counted = gateways.into_iter().flat_map(|one| one.sources.values()).fold(Counted::default(), |sum, one| {
            let of = |lost: &BTreeMap<String, u64>| lost.values().map(|count| *count as f64).sum::<f64>();
            let answered = one.answered as f64;
            Counted {
                arrived: sum.arrived + one.arrived as f64,
                lost: sum.lost + of(&one.lost),
                answered: sum.answered + answered,
                latency: sum.latency + answered * one.latency_milliseconds.mean,
            }
        });
        let Some((at, before)) = self.since else {
            self.since = Some((now, counted));
            return None;
        };
        // A gateway that is new, or was not heard of, says nothing about the time before.
        if counted.arrived < before.arrived || counted.answered < before.answered {
            self.since = Some((now, counted));
            return None;
        }
        if now - at < if self.said { WINDOW } else { FIRST } {
            return None;
        }
        (self.since, self.said) = (Some((now, counted)), true);
        let arrived = counted.arrived - before.arrived;
        let answered = counted.answered - before.answered;
        if arrived < LEAST_JOBS || answered <= 0.0 {
            return None;
        }
        let mean = (counted.latency - before.latency) / answered;
        Some(Metrics {
            loss_ratio: Ratio::rounded(two_digits((counted.lost - before.lost) / arrived).clamp(0.0, 1.0), 6),
            mean_latency_milliseconds: (0.0..8.64e7).contains(&mean).then_some(two_digits(mean).round() as i64),
            ..Metrics::default()
        })
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

    fn numbers(found: Option<Metrics>) -> Option<(String, i64)> {
        let found = found?;
        Some((found.loss_ratio?.as_str().to_owned(), found.mean_latency_milliseconds?))
    }

    #[test]
    fn what_was_counted_in_the_last_minutes_is_said_in_two_digits() {
        let mut observed = Observed::default();
        assert_eq!(observed.take(0.0, [&said(1_000, 0, 50.0)]), None);
        assert_eq!(observed.take(59.0, [&said(2_000, 5, 60.0)]), None);
        assert_eq!(numbers(observed.take(60.0, [&said(2_000, 5, 75.0)])), Some(("0.005".to_owned(), 100)));
        assert_eq!(observed.take(120.0, [&said(3_000, 5, 75.0)]), None, "not that often");
        assert_eq!(numbers(observed.take(361.0, [&said(5_000, 5, 75.0)])), Some(("0".to_owned(), 75)));
        assert_eq!(observed.take(800.0, [&said(5_050, 5, 75.0)]), None, "too few jobs");
        assert_eq!(observed.take(1_500.0, [&said(10, 0, 75.0)]), None, "the gateway was started anew");
        assert!(observed.take(1_800.0, [&said(1_010, 0, 75.0)]).is_some());
    }
}
