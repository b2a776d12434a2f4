//! A summary for people.

use super::summary::{DeviceSummary, Figures, PhaseSummary, ServiceSummary, Summary};
use crate::format::{count, digits, milliseconds, percent, plain_table};
use comfy_table::Table;
use std::fmt::Write;

/// All tables of a summary, with an empty line between them.
pub(crate) fn render(summary: &Summary) -> String {
    let mut text = String::new();
    let mut add = |table: Option<Table>| {
        if let Some(table) = table {
            let _ = writeln!(text, "\n{}", table.trim_fmt());
        }
    };
    add(Some(services(summary)));
    add(exits(&summary.services));
    add(losses(&summary.services));
    add(devices(&summary.devices));
    if let Some(again) = &summary.reoptimization {
        let _ = write!(text, "\n{}", again.in_words(summary.total.loss_ratio, summary.total.accuracy));
    }
    for warning in &summary.warnings {
        let _ = writeln!(text, "\nWARNING: {warning}");
    }
    text
}

fn services(summary: &Summary) -> Table {
    let mut table = plain_table(
        &["service"],
        &["arrived", "answered", "lost", "failed", "accuracy", "loss", "mean ms", "p50 ms", "p95 ms", "p99 ms"],
    );
    for service in &summary.services {
        table.add_row(figures(service.name.clone(), &service.total));
        if service.sources.len() > 1 {
            for source in &service.sources {
                table.add_row(figures(format!("  {}", source.name), &source.total));
            }
        }
        if service.phases.len() > 1 {
            for phase in &service.phases {
                table.add_row(figures(format!("  {}", phase_name(phase)), &phase.total));
            }
        }
    }
    if summary.services.len() > 1 {
        table.add_row(figures("all".to_owned(), &summary.total));
    }
    table
}

fn figures(name: String, figures: &Figures) -> Vec<String> {
    let latency = figures.latency_milliseconds;
    vec![
        name,
        count(figures.arrived),
        count(figures.answered),
        count(figures.lost),
        count(figures.failed),
        percent(figures.accuracy),
        percent(figures.loss_ratio),
        milliseconds(latency.map(|latency| latency.mean)),
        milliseconds(latency.map(|latency| latency.p50)),
        milliseconds(latency.map(|latency| latency.p95)),
        milliseconds(latency.map(|latency| latency.p99)),
    ]
}

fn phase_name(phase: &PhaseSummary) -> String {
    let source = phase.source.as_ref().map(|source| format!("{source}: ")).unwrap_or_default();
    match phase.rate {
        Some(rate) => format!("{source}{rate}/s for {} s", (phase.seconds * 1e3).round() / 1e3),
        None => format!("{source}trace of {} s", digits(phase.seconds)),
    }
}

/// Share of the answers per exit; a column for every exit.
fn exits(services: &[ServiceSummary]) -> Option<Table> {
    let most = services.iter().map(|service| service.total.exits.len()).max()?;
    let numbers: Vec<_> = (1..=most).map(|exit| format!("exit {exit}")).collect();
    let mut header: Vec<&str> = numbers.iter().map(String::as_str).collect();
    header.push("on overflow");
    let mut table = plain_table(&["answered by"], &header);
    for service in services {
        let mut row = vec![service.name.clone()];
        row.extend((0..most).map(|exit| percent(service.total.exits.get(exit).copied())));
        row.push(count(service.total.answered_on_overflow));
        table.add_row(row);
    }
    Some(table)
}

fn losses(services: &[ServiceSummary]) -> Option<Table> {
    let mut table = plain_table(&["service", "lost or failed"], &["jobs"]);
    for service in services {
        for (place, jobs) in &service.total.lost_at {
            table.add_row(vec![service.name.clone(), format!("lost at {place}"), count(*jobs)]);
        }
        for (reason, jobs) in &service.total.failed_by {
            table.add_row(vec![service.name.clone(), format!("failed: {reason}"), count(*jobs)]);
        }
    }
    (!table.is_empty()).then_some(table)
}

fn devices(devices: &[DeviceSummary]) -> Option<Table> {
    let mut table = plain_table(
        &["device", "fragment"],
        &["busy", "entered", "refused", "answered", "forwarded", "dropped", "late", "restarts"],
    );
    for device in devices {
        let mut name = device.name.clone();
        let mut busy = percent(device.utilization);
        let mut restarts = count(device.restarts);
        for fragment in &device.fragments {
            let counters = fragment.counters;
            let mut row = vec![std::mem::take(&mut name), fragment.name.clone(), std::mem::take(&mut busy)];
            let columns = [
                counters.entered,
                counters.refused,
                counters.answered,
                counters.forwarded,
                counters.dropped,
                counters.late,
            ];
            row.extend(columns.map(|value| count(value.max(0) as u64)));
            row.push(std::mem::take(&mut restarts));
            table.add_row(row);
        }
    }
    (!table.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::summary::tests::example;

    #[test]
    fn the_summary_table_looks_like_this() {
        let text = render(&example());
        crate::snapshot::check("measure/testdata/summary.txt", &text);
    }
}
