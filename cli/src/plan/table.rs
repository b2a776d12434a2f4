//! A plan for people.

use super::document::{
    BusyDocument, ChoiceDocument, DrawDocument, PlanDocument, PredictionDocument, ServiceDocument, SourceDocument,
};
use super::words::{beside, verdict};
use crate::format::{bar, count, digits, percent, plain_table};
use comfy_table::Table;
use std::fmt::Write;

/// Rows of a table over jobs present, unless everything is asked for.
const FEW_ROWS: usize = 12;
const BAR: usize = 20;
/// Losses below this are not told apart.
const SMALL: f64 = 1e-4;

/// The whole plan; `wide` shows every row of its tables.
pub(super) fn render(document: &PlanDocument, wide: bool) -> String {
    let mut text = format!("{}\n{}\n", verdict(document), search(document));
    if let Some(placement) = &document.placement {
        let _ = write!(text, "\n{}", placement.table());
    }
    for (index, service) in document.services.iter().enumerate() {
        let runner_up = document.runner_up.as_ref().and_then(|other| {
            let predicted = other.services.get(index)?.predicted.clone();
            Some(PredictionDocument { evaluator: "runner-up".to_owned(), ..predicted })
        });
        render_service(service, runner_up.as_ref(), wide, &mut text);
    }
    for (what, all) in [("device", &document.devices), ("link", &document.links)] {
        if !all.is_empty() {
            let _ = writeln!(text, "\n{}", busy(what, all).trim_fmt());
        }
    }
    if let Some(other) = &document.runner_up {
        let _ = writeln!(text, "\nRunner-up: {}.", other.why);
        for service in document.services.iter().zip(&other.services) {
            let _ = writeln!(text, "\n{}", choices(service.0, &service.1.sources).trim_fmt());
        }
    }
    text
}

fn search(document: &PlanDocument) -> String {
    let search = &document.search;
    let seed = search.seed;
    match search.plans {
        0 => format!("Nothing was searched for: the schedulers decide by themselves. Seed {seed}."),
        plans => {
            let end = if search.is_cut_short { ", when the budget was spent" } else { "" };
            format!("{} plans in {} ms{end}, seed {seed}.", count(plans), count(search.milliseconds))
        }
    }
}

/// What is done with the jobs of a service, and what is predicted of that.
pub(crate) fn render_service(
    service: &ServiceDocument,
    runner_up: Option<&PredictionDocument>,
    wide: bool,
    text: &mut String,
) {
    let when = if service.epoch == "Dispatch" { "when a job is sent" } else { "when a job arrives" };
    let _ = writeln!(text, "\n{}: {}, thresholds fixed {when}", service.name, service.scheduler);
    let _ = writeln!(text, "\n{}", choices(service, &service.sources).trim_fmt());
    let _ = writeln!(text, "A job leaves where its confidence is above the number; all leave at 0, – is closed.");
    for line in beside(service) {
        let _ = writeln!(text, "{line}");
    }
    for source in &service.sources {
        present(service, source, wide, text);
    }
    if wide {
        for row in &service.rates {
            let title = format!("Up to {} times these rates:", digits(row.up_to));
            let _ = writeln!(text, "\n{title}\n{}", choices(service, &row.sources).trim_fmt());
        }
    }
    let _ = writeln!(text, "\n{}", predictions(service, runner_up).trim_fmt());
    for one in service.predicted.iter().filter_map(|one| one.unsupported.as_ref()) {
        let _ = writeln!(text, "{one}.");
    }
    if service.predicted.iter().any(|one| one.p95_is_fitted) {
        let _ = writeln!(text, "~ is a fit to mean and variance; targets are not judged by it.");
    }
}

/// What is done with the jobs of each source.
fn choices(service: &ServiceDocument, sources: &[SourceDocument]) -> Table {
    let exits: Vec<&str> = open_exits(service).collect();
    let mut table = plain_table(&["source", "chain"], &[&["jobs/s", "share"], &exits[..]].concat());
    for source in sources {
        for (index, choice) in source.choices.iter().enumerate() {
            let (name, rate) = if index == 0 { (source.name.clone(), digits(source.rate)) } else { Default::default() };
            let words = vec![name, choice.chain.clone(), rate, percent(Some(choice.probability))];
            table.add_row([words, thresholds(&choice.thresholds)].concat());
        }
    }
    table
}

/// All but the last, which has no threshold.
fn open_exits(service: &ServiceDocument) -> impl Iterator<Item = &str> {
    let all = service.exits.len().saturating_sub(1);
    service.exits.iter().take(all).map(String::as_str)
}

fn thresholds(values: &[f32]) -> Vec<String> {
    let one = |value: &f32| match value {
        1.0.. => "–".to_owned(),
        0.0 => "0".to_owned(),
        value => format!("{value:.3}").trim_end_matches('0').to_owned(),
    };
    values.iter().map(one).collect()
}

/// Thresholds by jobs present; equal neighbours share a row.
fn present(service: &ServiceDocument, source: &SourceDocument, wide: bool, text: &mut String) {
    for choice in source.choices.iter().filter(|choice| !choice.by_present.is_empty()) {
        let exits: Vec<&str> = open_exits(service).collect();
        let mut table = plain_table(&["present"], &[&["share"], &exits[..]].concat());
        let rows = present_rows(choice);
        let most = if wide { usize::MAX } else { FEW_ROWS };
        for (range, draws) in rows.iter().take(most) {
            for (index, draw) in draws.iter().enumerate() {
                let range = if index == 0 { range.clone() } else { String::new() };
                table.add_row([vec![range, percent(Some(draw.probability))], thresholds(&draw.thresholds)].concat());
            }
        }
        let _ = writeln!(
            text,
            "\nBy the jobs present at the first fragment of {}, for {}:\n{}",
            choice.chain,
            source.name,
            table.trim_fmt()
        );
        if rows.len() > most {
            let _ = writeln!(text, "… and {} more rows; --wide shows them", rows.len() - most);
        }
    }
}

fn present_rows(choice: &ChoiceDocument) -> Vec<(String, &[DrawDocument])> {
    let mut rows: Vec<(usize, usize, &[DrawDocument])> = vec![];
    for (index, draws) in choice.by_present.iter().enumerate() {
        match rows.last_mut() {
            Some((_, last, same)) if *same == &draws[..] => *last = index + 1,
            _ => rows.push((index + 1, index + 1, draws)),
        }
    }
    let all = choice.by_present.len();
    let range = |first: usize, last: usize| match last {
        _ if last == all => format!("{first} and more"),
        _ if first == last => first.to_string(),
        _ => format!("{first}–{last}"),
    };
    rows.into_iter().map(|(first, last, draws)| (range(first, last), draws)).collect()
}

/// Columns of predictions that are not always there.
struct Columns {
    /// Answered jobs per second.
    throughput: bool,
    /// Jobs that fail for other reasons than memory.
    failed: bool,
    /// Where jobs leave.
    exits: bool,
}

/// Targets, and side by side what is predicted.
fn predictions(service: &ServiceDocument, runner_up: Option<&PredictionDocument>) -> Table {
    let shown = || service.predicted.iter().filter(|one| one.unsupported.is_none()).chain(runner_up);
    let columns = Columns {
        throughput: shown().any(|one| one.throughput.is_some()),
        failed: shown().any(|one| one.failure.is_some_and(|share| share >= SMALL)),
        exits: shown().any(|one| !one.exits.is_empty()),
    };
    let some = |there: bool, name: &'static str| there.then_some(name);
    let numbers = [some(columns.throughput, "answered/s"), Some("loss"), some(columns.failed, "failed")];
    let numbers = numbers.into_iter().flatten().chain(["accuracy", "mean ms", "p95 ms"]);
    let exits = service.exits.iter().map(String::as_str).filter(|_| columns.exits);
    let mut table = plain_table(&["predicted by"], &numbers.chain(exits).collect::<Vec<_>>());
    table.add_row(limits(service, &columns));
    for one in shown() {
        let exits = one.exits.iter().map(|share| percent(Some(*share)));
        table.add_row(row(one, &columns).into_iter().chain(exits));
    }
    table
}

fn limits(service: &ServiceDocument, columns: &Columns) -> Vec<String> {
    let limits = &service.targets;
    let limit = |sign: &str, text: Option<String>| text.map_or(String::new(), |text| format!("{sign} {text}"));
    let max_loss = limit("≤", limits.max_loss.map(|limit| percent(Some(limit))));
    let others = [
        limit("≥", limits.min_accuracy.map(|limit| percent(Some(limit)))),
        limit("≤", limits.max_mean_latency_milliseconds.map(digits)),
        limit("≤", limits.max_p95_latency_milliseconds.map(digits)),
    ];
    let start = ["target".to_owned()].into_iter().chain(columns.throughput.then(String::new)).chain([max_loss]);
    start.chain(columns.failed.then(String::new)).chain(others).collect()
}

fn row(one: &PredictionDocument, columns: &Columns) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), digits);
    let loss = match (one.loss, one.loss_upper) {
        // Seen never, in so many jobs.
        (Some(0.0), Some(upper)) if one.failure == Some(0.0) => format!("< {}", percent(Some(upper.max(SMALL)))),
        (Some(loss), _) if loss > 0.0 && loss < SMALL => format!("< {}", percent(Some(SMALL))),
        (loss, _) => percent(loss),
    };
    let p95 = number(one.p95_latency_milliseconds);
    let throughput = columns.throughput.then(|| number(one.throughput));
    let start = [one.evaluator.clone()].into_iter().chain(throughput).chain([loss]);
    let rest = [
        percent(one.accuracy),
        number(one.mean_latency_milliseconds),
        if one.p95_is_fitted { format!("~ {p95}") } else { p95 },
    ];
    start.chain(columns.failed.then(|| percent(one.failure))).chain(rest).collect()
}

fn busy(what: &str, all: &[BusyDocument]) -> Table {
    let mut table = plain_table(&[what, "busy"], &[""]);
    for one in all {
        // The time after the last arrival is not counted in full: a little more than all of it may come out.
        let busy = one.busy.min(1.0);
        table.add_row([one.name.clone(), bar(busy, BAR), percent(Some(busy))]);
    }
    table
}
