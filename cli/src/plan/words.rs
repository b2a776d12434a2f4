//! A plan in sentences: whether targets are met, and why another plan lost.

use super::document::{MissDocument, PlanDocument, ServiceDocument};
use crate::format::{digits, percent};

/// Whether all targets are met; if not, which are missed and by how much.
pub(super) fn verdict(document: &PlanDocument) -> String {
    judged(document.judge.as_deref(), &document.services, document.meets_targets, document.search.plans > 0)
}

/// As [`verdict`], of services that an evaluator has judged; `searched`: after a search, which found nothing better.
pub(crate) fn judged(judge: Option<&str>, services: &[ServiceDocument], meets_targets: bool, searched: bool) -> String {
    let Some(judge) = judge else {
        return "No evaluator can predict this plan, so nobody knows whether it meets its targets.".to_owned();
    };
    let targets = services.iter().map(|service| &service.targets);
    let limits = targets.flat_map(|one| {
        [one.max_loss, one.min_accuracy, one.max_mean_latency_milliseconds, one.max_p95_latency_milliseconds]
    });
    match (limits.flatten().next(), meets_targets) {
        (None, _) => format!("There is no target to meet. Judged by {judge}."),
        (_, true) => format!("All targets are met, by {judge}."),
        (_, false) => {
            let missed = services
                .iter()
                .flat_map(|service| service.missed.iter().map(|miss| format!("\n  {}", sentence(&service.name, miss))));
            let how = if searched { "can be met; this is the least bad plan" } else { "are met" };
            format!("Not all targets {how}, by {judge}:{}", missed.collect::<String>())
        }
    }
}

/// `faces loses up to 2.1 % of its jobs; at most 1.0 % may be lost (2.10 times as much)`
fn sentence(service: &str, miss: &MissDocument) -> String {
    let share = |value: Option<f64>| percent(value);
    let (predicted, limit) = (miss.predicted, Some(miss.limit));
    let far = miss.relative.map(|relative| format!(" ({})", far(relative, miss.target))).unwrap_or_default();
    match miss.target {
        "maxLoss" => {
            format!("{service} loses up to {} of its jobs; at most {} may be lost{far}", share(predicted), share(limit))
        }
        "minAccuracy" => {
            format!(
                "{service} is right about {} of its answers; at least {} must be{far}",
                share(predicted),
                share(limit)
            )
        }
        target => {
            let what = if target == "maxMeanLatencyMilliseconds" { "on average" } else { "for 95 of 100 jobs" };
            let took = predicted.map_or("longer than is known".to_owned(), |value| format!("{} ms", digits(value)));
            format!("{service} takes {took} {what}; at most {} ms are allowed{far}", digits(miss.limit))
        }
    }
}

/// `12.5 % more`, `3.2 times as much`
fn far(relative: f64, target: &str) -> String {
    let much = if relative < 1.0 {
        format!("{} more", percent(Some(relative)))
    } else {
        format!("{} times as much", digits(1.0 + relative))
    };
    match target {
        "minAccuracy" => much.replace("more", "more wrong answers").replace("as much", "as many wrong answers"),
        _ => much,
    }
}

/// What a service does beside drawing thresholds: the rates it adapts to, what it learns.
pub(super) fn beside(service: &ServiceDocument) -> Vec<String> {
    let mut lines = vec![];
    if let [first, .., last] = &service.rates[..] {
        lines.push(format!(
            "Gateways adapt by themselves: {} rows for {} to {} times these rates (--wide shows them).",
            service.rates.len(),
            digits(first.up_to),
            digits(last.up_to),
        ));
    }
    if let Some(held_out) = service.held_out {
        lines.push(format!(
            "Accuracy by formulas is {} on the samples that chose these thresholds, {} on those that did not.",
            percent(Some(held_out.chosen)),
            percent(Some(held_out.judged)),
        ));
    }
    match &service.learning {
        Some(learning) if learning.kind == "AdaEE" => lines.push(format!(
            "Gateways learn thresholds by themselves: AdaEE chooses from {} vectors. Those above are a start.",
            learning.arms
        )),
        Some(_) => lines.push(
            "Gateways learn the exit by themselves: one earlier after a loss, one later whenever nobody waits."
                .to_owned(),
        ),
        None => {}
    }
    lines
}
