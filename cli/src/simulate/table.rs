//! The results for people.

use super::document::{CaseDocument, Document, FatesDocument, Metric, SourceDocument};
use super::numbers::{Unit, alone, number, share, with_mark};
use super::words::{how_it_ended, limit};
use crate::format::{bar, count, percent, plain_table};
use comfy_table::Table;
use std::collections::HashSet;
use std::fmt::Write;

/// Fragments are shown by themselves when they are so few.
const FEW_FRAGMENTS: usize = 12;
/// Rows of a table, unless everything is asked for.
const MOST_ROWS: usize = 30;
const BAR: usize = 20;

/// All cases with an empty line between them.
pub(super) fn render(document: &Document, wide: bool) -> String {
    let mut text = String::new();
    for case in &document.cases {
        if !text.is_empty() {
            text.push('\n');
        }
        render_case(case, wide, &mut text);
    }
    if let Some(all) = document.agreement().filter(|_| document.cases.len() > 1) {
        let _ =
            writeln!(text, "\nAll cases: {} of {} metrics agree with the known answers.", all.agreeing, all.compared);
    }
    if !document.skipped.is_empty() {
        let _ = writeln!(text, "\nEnded by Ctrl-C; not simulated: {}", document.skipped.join(", "));
    }
    text
}

fn render_case(case: &CaseDocument, wide: bool, text: &mut String) {
    let description = case.description.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    let _ = writeln!(text, "{}{description}\n{}", case.id, how_it_ended(&case.run));
    let most = if wide { usize::MAX } else { MOST_ROWS };
    let unit = unit(case);
    let mut add = |table: Option<Table>| {
        if let Some(table) = table {
            let _ = writeln!(text, "\n{}", table.trim_fmt());
        }
    };
    add(Some(chains(case, unit, most)));
    add(sources(case, unit, wide, most));
    add(exits(case, most));
    add(fragments(case, unit, wide));
    add(Some(devices(case, most)));
    add(links(case, unit, most));
    add(losses(case, most));
    if let Some(limit) = limit(case) {
        let _ = writeln!(text, "\n{limit}");
    }
    if let Some(agreement) = case.agreement {
        let (agreeing, compared) = (agreement.agreeing, agreement.compared);
        let _ = writeln!(text, "\n{agreeing} of {compared} metrics agree with the known answers.");
    }
}

/// Milliseconds where answers take less than a second.
fn unit(case: &CaseDocument) -> Unit {
    let times = case.chains.iter().filter_map(|chain| chain.fates.response_time_completed.value);
    if times.fold(f64::NEG_INFINITY, f64::max) < 1.0 { Unit::Milliseconds } else { Unit::Seconds }
}

fn fates_header(first: &'static str, unit: Unit, has_accuracy: bool) -> Table {
    let name = unit.name();
    let numbers = ["arrivals/s", "answered/s", "loss", "mean", "p50", "p95", "p99"].map(|column| match column {
        "mean" | "p50" | "p95" | "p99" => format!("{column} {name}"),
        _ => column.to_owned(),
    });
    let mut numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    if has_accuracy {
        numbers.push("accuracy");
    }
    plain_table(&[first], &numbers)
}

fn fates_row(name: &str, fates: &FatesDocument, unit: Unit, has_accuracy: bool) -> Vec<String> {
    let mean = &fates.response_time_completed;
    // Intervals of all of them would make the table too wide to read.
    let quantile = |metric: &Metric| alone(&unit.number(metric));
    let mut row = vec![
        name.to_owned(),
        number(&fates.arrival_rate),
        with_mark(&fates.throughput, number(&fates.throughput)),
        with_mark(&fates.loss_prob, share(&fates.loss_prob)),
        with_mark(mean, unit.number(mean)),
        quantile(&fates.latency.p50),
        quantile(&fates.latency.p95),
        quantile(&fates.latency.p99),
    ];
    if has_accuracy {
        row.push(fates.accuracy.as_ref().map_or("–".to_owned(), share));
    }
    row
}

fn chains(case: &CaseDocument, unit: Unit, most: usize) -> Table {
    let has_accuracy = case.chains.iter().any(|chain| chain.fates.accuracy.is_some());
    let mut table = fates_header("chain", unit, has_accuracy);
    for chain in case.chains.iter().take(most) {
        table.add_row(fates_row(&chain.name, &chain.fates, unit, has_accuracy));
    }
    with_rest(table, case.chains.len(), most)
}

/// Where they are not the same as the chains.
fn sources(case: &CaseDocument, unit: Unit, wide: bool, most: usize) -> Option<Table> {
    let chains: HashSet<&str> = case.chains.iter().map(|chain| chain.name.as_str()).collect();
    let is_chain = |source: &SourceDocument| chains.contains(source.name.as_str());
    if !wide && case.sources.len() == chains.len() && case.sources.iter().all(is_chain) {
        return None;
    }
    let has_accuracy = case.sources.iter().any(|source| source.fates.accuracy.is_some());
    let mut table = fates_header("source", unit, has_accuracy);
    for source in case.sources.iter().take(most) {
        table.add_row(fates_row(&source.name, &source.fates, unit, has_accuracy));
    }
    Some(with_rest(table, case.sources.len(), most))
}

/// Where a model is served.
fn exits(case: &CaseDocument, most: usize) -> Option<Table> {
    let chains = || case.chains.iter().filter(|chain| chain.fates.accuracy.is_some()).take(most);
    let columns = chains().map(|chain| chain.fates.exits.len()).max().filter(|columns| *columns > 1)?;
    let header: Vec<_> = (1..=columns).map(|exit| format!("exit {exit}")).collect();
    let mut header: Vec<&str> = header.iter().map(String::as_str).collect();
    header.push("on overflow");
    let mut table = plain_table(&["answered by"], &header);
    for chain in chains() {
        let mut row = vec![chain.name.clone()];
        row.extend((0..columns).map(|exit| percent(chain.fates.exits.get(exit).and_then(|exit| exit.value))));
        row.push(percent(chain.fates.answered_on_overflow.value));
        table.add_row(row);
    }
    Some(table)
}

fn fragments(case: &CaseDocument, unit: Unit, wide: bool) -> Option<Table> {
    let all: usize = case.chains.iter().map(|chain| chain.fragments.len()).sum();
    if !wide && (all > FEW_FRAGMENTS || all == case.chains.len() && case.agreement.is_none()) {
        return None;
    }
    let residence = format!("residence {}", unit.name());
    let mut table = plain_table(&["chain", "fragment", "device"], &["offered/s", "served/s", &residence]);
    for chain in &case.chains {
        for (index, one) in chain.fragments.iter().enumerate() {
            table.add_row(vec![
                if index == 0 { chain.name.clone() } else { String::new() },
                (index + 1).to_string(),
                one.device.clone(),
                with_mark(&one.offered_rate, number(&one.offered_rate)),
                with_mark(&one.served_rate, number(&one.served_rate)),
                with_mark(&one.residence_time, unit.number(&one.residence_time)),
            ]);
        }
    }
    Some(table)
}

fn devices(case: &CaseDocument, most: usize) -> Table {
    let mut table = plain_table(&["device", "busy"], &["", "jobs"]);
    for device in case.devices.iter().take(most) {
        table.add_row(vec![
            device.name.clone(),
            bar(device.utilization.value.unwrap_or(0.0), BAR),
            with_mark(&device.utilization, share(&device.utilization)),
            with_mark(&device.mean_jobs, number(&device.mean_jobs)),
        ]);
    }
    with_rest(table, case.devices.len(), most)
}

fn links(case: &CaseDocument, unit: Unit, most: usize) -> Option<Table> {
    let mut table = plain_table(&["link", "busy"], &["", &format!("transit {}", unit.name())]);
    for link in case.links.iter().take(most) {
        table.add_row(vec![
            link.name.clone(),
            bar(link.utilization.value.unwrap_or(0.0), BAR),
            share(&link.utilization),
            unit.number(&link.transit_time),
        ]);
    }
    (!case.links.is_empty()).then(|| with_rest(table, case.links.len(), most))
}

fn losses(case: &CaseDocument, most: usize) -> Option<Table> {
    let mut table = plain_table(&["chain or source", "lost at"], &["of its arrivals"]);
    let rows = case
        .chains
        .iter()
        .flat_map(|chain| chain.fates.lost_at.iter().map(|(place, lost)| (&chain.name, place.clone(), *lost)));
    let failed = case
        .sources
        .iter()
        .flat_map(|source| source.failed_by.iter().map(|(why, part)| (&source.name, format!("failed: {why}"), *part)));
    let mut rows: Vec<_> = rows.chain(failed).filter(|(.., lost)| lost.value != Some(0.0)).collect();
    rows.sort_by(|(.., one), (.., other)| other.value.unwrap_or(0.0).total_cmp(&one.value.unwrap_or(0.0)));
    let all = rows.len();
    for (name, place, lost) in rows.into_iter().take(most) {
        table.add_row(vec![name.clone(), place, share(&lost)]);
    }
    (!table.is_empty()).then(|| with_rest(table, all, most))
}

/// Says in a last row what is left out.
fn with_rest(mut table: Table, all: usize, most: usize) -> Table {
    if all > most {
        table.add_row(vec![format!("… {} more with --wide", count((all - most) as u64))]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_look_like_this() {
        let text = render(&crate::simulate::example::document(), false);
        crate::snapshot::check("simulate/testdata/results.txt", &text);
    }
}
