//! What limits each service, in words: the busiest part of its chains, or its memory.

use super::decision::Decision;
use super::document::PlanDocument;
use super::words::verdict;
use crate::format::{digits, percent};
use domain::plan::violations;
use domain::problem::Service;
use domain::{Evaluation, Plan, Problem, ServiceMetrics};
use planner::{Limit, Limiting};
use simulator::Simulation;
use std::fmt::Write;

/// From here on queues grow steeply.
const BUSY: f64 = 0.8;
/// Below this a part has time for everything that comes, but for bursts.
const CALM: f64 = 0.6;
/// More would not be read.
const MOST_LIMITS: usize = 3;
/// Losses below this are none.
const LOSES: f64 = 1e-4;

/// A device or link on the way of a service.
struct Part<'a> {
    kind: &'static str,
    name: &'a str,
    busy: f64,
}

/// Sentences about all services.
pub(super) fn render(problem: &Problem, decision: &Decision, document: &PlanDocument) -> String {
    let mut text = format!("{}\n", verdict(document));
    let Some(evaluation) = decision.judge().and_then(|judge| judge.evaluation()) else { return text };
    let limits = planner::explain(problem, &decision.plan, evaluation, &Simulation::default());
    for index in 0..problem.services.len() {
        let _ = write!(text, "\n{}", of_service(problem, evaluation, &limits, index));
    }
    text
}

/// What limits one service of a problem, of which this is predicted.
pub(crate) fn limits(problem: &Problem, plan: &Plan, evaluation: &Evaluation, service: usize) -> String {
    let limits = planner::explain(problem, plan, evaluation, &Simulation::default());
    of_service(problem, evaluation, &limits, service)
}

fn of_service(problem: &Problem, evaluation: &Evaluation, limits: &[Limit], index: usize) -> String {
    let mut text = format!("{}\n", about(problem, &problem.services[index], index, evaluation));
    for limit in limits.iter().filter(|limit| limit.service == index).take(MOST_LIMITS) {
        let _ = writeln!(text, "  {}", relief(limit));
    }
    text
}

/// What a quarter more of something would bring.
fn relief(limit: &Limit) -> String {
    let what = match limit.by {
        Limiting::Speed => "a quarter faster",
        Limiting::Memory => "a quarter more memory",
        Limiting::Bandwidth => "a quarter more bandwidth",
    };
    // What stays as it is, as far as it is shown, is left out.
    let change =
        |what: &str, now: String, then: String| (now != then).then(|| format!("{what} {then} instead of {now}"));
    let show = |seconds: f64| format!("{} ms", digits(seconds * 1e3));
    let share = |share: f64| percent(Some(share));
    let loses = limit.now.0 >= LOSES;
    let loss = loses.then(|| change("loss", share(limit.now.0), share(limit.relieved.0))).flatten();
    let p95 = change("p95", show(limit.now.1), show(limit.relieved.1));
    let changes: Vec<String> = loss.into_iter().chain(p95).collect();
    let changes = if changes.is_empty() { "next to nothing changes".to_owned() } else { changes.join(", ") };
    format!("{} with {what}: {changes}", limit.place)
}

fn about(problem: &Problem, service: &Service, index: usize, evaluation: &Evaluation) -> String {
    let metrics = evaluation.service(index);
    let taken: Vec<usize> =
        (0..service.chains.len()).filter(|&chain| metrics.chains.get(chain).is_none_or(|share| *share > 0.0)).collect();
    let parts = parts(problem, service, &taken, evaluation);
    let name = &service.name;
    let Some(most) = parts.iter().max_by(|a, b| a.busy.total_cmp(&b.busy)) else {
        return format!("{name}: nothing is known about the devices on its way.");
    };
    let (kind, part, busy) = (most.kind, most.name, percent(Some(most.busy)));
    let what = if metrics.failure > metrics.loss { "not answered in time" } else { "lost" };
    let lost = format!("{} of its jobs are {what}", percent(Some(metrics.unanswered())));
    let loses = metrics.unanswered() > LOSES;
    let sentence = match (most.busy, loses) {
        (share, _) if share >= BUSY => {
            format!("{kind} {part} limits it: it is busy {busy} of the time. {}", remedy(most, loses, &lost))
        }
        (share, true) if share < CALM => format!(
            "memory limits it: {lost} although nothing on its way is busier than {part} with {busy}. \
             More memory, or room for bursts, would help; a faster device would help less."
        ),
        (_, true) => format!(
            "{kind} {part} is busiest with {busy}, and {lost} when many come at once. \
             A faster {kind} or more memory there would help."
        ),
        (_, false) if misses_alone(service, &metrics) => format!(
            "no device or link is short of anything ({kind} {part} is busiest with {busy}): what is missed is a matter of how long a \
             single job takes, or of how accurate the exits are."
        ),
        (_, false) => format!("nothing limits it: {kind} {part} is busiest with {busy}, and next to nothing is lost."),
    };
    let idle = idle(service, &taken);
    format!("{name}: {sentence}{idle}")
}

/// Whether targets are missed although hardly anything is lost.
fn misses_alone(service: &Service, metrics: &ServiceMetrics) -> bool {
    !violations(&service.targets, metrics, metrics.unanswered()).is_empty()
}

fn remedy(part: &Part<'_>, loses: bool, lost: &str) -> String {
    let help = match part.kind {
        "link" => "More bandwidth, or a cut with a smaller tensor, would help",
        _ => "A faster device, earlier exits or another chain would help",
    };
    match loses {
        true => format!("{help}; {lost} now."),
        false => format!("{help} if more jobs come; next to nothing is lost now."),
    }
}

fn idle(service: &Service, taken: &[usize]) -> String {
    let unused: Vec<&str> = (0..service.chains.len())
        .filter(|chain| !taken.contains(chain))
        .map(|chain| service.chains[chain].name.as_str())
        .collect();
    match &unused[..] {
        [] => String::new(),
        [one] => format!(" Chain {one} is not taken."),
        many => format!(" Chains {} are not taken.", many.join(", ")),
    }
}

/// Devices and links that jobs of a service really use.
fn parts<'a>(problem: &'a Problem, service: &Service, taken: &[usize], evaluation: &Evaluation) -> Vec<Part<'a>> {
    let hops = || taken.iter().flat_map(|&chain| &service.chains[chain].hops);
    let first = service.gateways.iter().flat_map(|gateway| taken.iter().filter_map(|&chain| gateway.links[chain]));
    let links = hops().filter_map(|hop| hop.link).chain(first);
    let device = |index: usize| Some(("device", problem.devices[index].name.as_str(), *evaluation.devices.get(index)?));
    let link = |index: usize| Some(("link", problem.links[index].name.as_str(), *evaluation.links.get(index)?));
    let found = hops().filter_map(|hop| device(hop.device)).chain(links.filter_map(link));
    found.map(|(kind, name, busy)| Part { kind, name, busy: busy.min(1.0) }).collect()
}
