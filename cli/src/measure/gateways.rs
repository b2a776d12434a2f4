//! What gateways say about their jobs, for runs whose clients are not ours.

use super::account::WindowView;
use std::collections::BTreeMap;
use wire::document::{GatewayTelemetry, LatencyTelemetry, SourceTelemetry};

/// Counters of all sources of some gateways.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    /// Jobs that arrived.
    pub(crate) arrived: u64,
    /// Jobs answered.
    pub(crate) answered: u64,
    /// Jobs lost.
    pub(crate) lost: u64,
    /// Jobs failed.
    pub(crate) failed: u64,
    /// Jobs in flight.
    pub(crate) in_flight: u64,
    exits: Vec<u64>,
    /// Of the source with most answers: percentiles cannot be added.
    latency: LatencyTelemetry,
    most_answered: u64,
}

impl Counts {
    /// Adds the sources of a gateway.
    pub(crate) fn add(&mut self, gateway: &GatewayTelemetry) {
        gateway.sources.values().for_each(|source| self.add_source(source));
    }

    fn add_source(&mut self, source: &SourceTelemetry) {
        self.arrived += source.arrived;
        self.answered += source.answered;
        self.lost += sum(&source.lost);
        self.failed += sum(&source.failed);
        self.in_flight += source.in_flight;
        self.exits.resize(self.exits.len().max(source.exits.len()), 0);
        for (sum, exit) in self.exits.iter_mut().zip(&source.exits) {
            *sum += exit;
        }
        if source.answered >= self.most_answered {
            (self.most_answered, self.latency) = (source.answered, source.latency_milliseconds);
        }
    }

    /// What happened since `old`, over some seconds. Latency is since the start of the gateway.
    pub(crate) fn since(&self, old: &Counts, seconds: f64) -> WindowView {
        let arrived = self.arrived.saturating_sub(old.arrived);
        let answered = self.answered.saturating_sub(old.answered);
        let (lost, failed) = (self.lost.saturating_sub(old.lost), self.failed.saturating_sub(old.failed));
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let exits = self.exits.iter().enumerate().map(|(exit, count)| {
            share(count.saturating_sub(old.exits.get(exit).copied().unwrap_or(0)), answered).unwrap_or(0.0)
        });
        let settled = answered + lost + failed;
        WindowView {
            arrival_rate: if seconds > 0.0 { arrived as f64 / seconds } else { 0.0 },
            exits: exits.collect(),
            loss_ratio: share(lost, settled),
            failed_ratio: share(failed, settled),
            accuracy: None,
            p50: (self.answered > 0).then_some(self.latency.p50),
            p95: (self.answered > 0).then_some(self.latency.p95),
        }
    }
}

fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

/// Whether the counters of a gateway add up; what is wrong if they do not.
pub(crate) fn check(name: &str, gateway: &GatewayTelemetry) -> Result<(), String> {
    let mut counts = Counts::default();
    counts.add(gateway);
    let Counts { arrived, answered, lost, failed, in_flight, .. } = counts;
    if arrived == answered + lost + failed + in_flight {
        return Ok(());
    }
    Err(format!(
        "the accounting of gateway {name} does not hold: {arrived} arrived, but {answered} answered + {lost} lost + \
         {failed} failed + {in_flight} in flight; please report this"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(answered: u64, lost: u64, exits: &[u64]) -> GatewayTelemetry {
        let source = SourceTelemetry {
            arrived: answered + lost,
            answered,
            lost: [("edge: memory".to_owned(), lost)].into(),
            exits: exits.to_vec(),
            ..Default::default()
        };
        GatewayTelemetry { sources: [("camera".to_owned(), source)].into(), ..Default::default() }
    }

    fn counts(gateway: &GatewayTelemetry) -> Counts {
        let mut counts = Counts::default();
        counts.add(gateway);
        counts
    }

    #[test]
    fn a_window_is_the_difference_of_two_states() {
        let (old, new) = (counts(&gateway(10, 0, &[10])), counts(&gateway(18, 2, &[14, 4])));
        let view = new.since(&old, 5.0);
        assert_eq!((view.arrival_rate, view.loss_ratio, view.exits), (2.0, Some(0.2), vec![0.5, 0.5]));
    }

    #[test]
    fn counters_that_do_not_add_up_are_found() {
        let mut gateway = gateway(3, 1, &[3]);
        assert_eq!(check("g", &gateway), Ok(()));
        gateway.sources.get_mut("camera").unwrap().arrived += 1;
        assert!(check("g", &gateway).unwrap_err().contains("5 arrived, but 3 answered + 1 lost"));
    }
}
