//! Plans of a service for people. Pure.

use super::document::{ChainLine, PlansDocument, Proposal, ShownPlan};
use crate::format::{percent, plain_table};
use crate::plan::{judged, render_service};
use api::status::Metrics;
use jiff::Timestamp;
use std::fmt::Write;

use super::super::words::{age, milliseconds, share};

/// All plans in lines, one of them in full, and what waits for approval.
pub(crate) fn render(document: &PlansDocument, wide: bool, now: Timestamp) -> String {
    let mut text = format!("{}\n", lines(document, now));
    if let Some(plan) = &document.shown {
        let _ = write!(text, "\n{}", in_full(plan, wide));
    }
    if let Some(proposal) = &document.proposal {
        let _ = write!(
            text,
            "\n{}\nPut it into place: kubectl eenn approve {} -n {}\n",
            difference(proposal),
            document.service,
            document.namespace
        );
    }
    text
}

fn lines(document: &PlansDocument, now: Timestamp) -> String {
    let words = ["plan", "is", "age", "because"];
    let mut table = plain_table(&words, &["loss", "accuracy", "mean ms", "p95 ms"]);
    for plan in &document.plans {
        let created = plan.created.as_deref().map(|time| age(time, now)).unwrap_or_default();
        let words = [plan.name.clone(), plan.standing.words().to_owned(), created, plan.reason.clone()];
        table.add_row(words.into_iter().chain(numbers(plan.predicted.as_ref())));
    }
    table.trim_fmt()
}

/// Loss, accuracy, mean and 95th percentile of latency.
fn numbers(metrics: Option<&Metrics>) -> [String; 4] {
    let metrics = metrics.cloned().unwrap_or_default();
    [
        share(metrics.loss_ratio.as_ref()),
        share(metrics.accuracy.as_ref()),
        milliseconds(metrics.mean_latency_milliseconds),
        milliseconds(metrics.p95_latency_milliseconds),
    ]
}

fn in_full(plan: &ShownPlan, wide: bool) -> String {
    let mut text = format!("{}, {}\n", plan.name, plan.standing.words());
    if let Some(policy) = &plan.policy {
        let services = std::slice::from_ref(policy);
        let _ = writeln!(text, "{}", judged(plan.judge.as_deref(), services, plan.meets_targets, false));
    }
    let mut table = plain_table(&["chain", "device and segments"], &["share"]);
    for chain in &plan.chains {
        table.add_row([chain.name.clone(), chain.way.clone(), percent(Some(chain.share))]);
    }
    let _ = writeln!(text, "\n{}", table.trim_fmt());
    match (&plan.policy, &plan.unreadable) {
        (Some(policy), _) => render_service(policy, None, wide, &mut text),
        (None, why) => {
            let why = why.as_deref().unwrap_or_default();
            let _ = writeln!(text, "Its policy cannot be read: {why}");
        }
    }
    text
}

/// What a plan that waits changes.
pub(crate) fn difference(proposal: &Proposal) -> String {
    let before = proposal.instead_of.as_deref().unwrap_or("nothing");
    let mut text = format!("{} instead of {before}, because {}\n\n", proposal.name, proposal.reason);
    let mut table = plain_table(&["", before, &proposal.name], &[]);
    let chain = |chain: &Option<ChainLine>| match chain {
        Some(chain) => format!("{} of jobs: {}", percent(Some(chain.share)), chain.way),
        None => "–".to_owned(),
    };
    for one in &proposal.chains {
        table.add_row([format!("chain {}", one.name), chain(&one.before), chain(&one.after)]);
    }
    let [old, new] = proposal.predicted.each_ref().map(|metrics| numbers(metrics.as_ref()));
    for ((what, old), new) in ["loss", "accuracy", "mean ms", "p95 ms"].iter().zip(old).zip(new) {
        table.add_row([(*what).to_owned(), old, new]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for (what, pods) in [("Starts", &proposal.started), ("Then stops", &proposal.stopped)] {
        if !pods.is_empty() {
            let _ = writeln!(text, "{what} pods for: {}", pods.join(", "));
        }
    }
    text
}
