//! The results as rows: one metric each.

use super::document::{CaseDocument, Document, FatesDocument, Metric};
use std::fmt::Write;

const HEADER: &str = "case,object,name,fragment,metric,value,ci99\n";

/// All rows below a header.
pub(super) fn render(document: &Document) -> String {
    let mut rows = Rows { text: HEADER.to_owned(), prefix: String::new() };
    for case in &document.cases {
        rows.case(case);
    }
    rows.text
}

/// A field, in quotes where it needs them (RFC 4180).
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

struct Rows {
    text: String,
    /// What the next rows have in common: case, object, name, fragment.
    prefix: String,
}

impl Rows {
    fn of(&mut self, case: &str, object: &str, name: &str, fragment: Option<usize>) {
        let fragment = fragment.map(|index| index.to_string()).unwrap_or_default();
        self.prefix = format!("{},{object},{},{fragment}", field(case), field(name));
    }

    fn row(&mut self, metric: &str, value: &Metric) {
        let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (value, ci99) = (number(value.value), number(value.ci99));
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{},{},{value},{ci99}", self.prefix, field(metric));
    }

    fn case(&mut self, case: &CaseDocument) {
        for chain in &case.chains {
            self.of(&case.id, "chain", &chain.name, None);
            self.fates(&chain.fates);
            for (index, fragment) in chain.fragments.iter().enumerate() {
                self.of(&case.id, "chain", &chain.name, Some(index));
                self.row("offered_rate", &fragment.offered_rate);
                self.row("served_rate", &fragment.served_rate);
                self.row("residence_time", &fragment.residence_time);
            }
        }
        for device in &case.devices {
            self.of(&case.id, "device", &device.name, None);
            self.row("utilization", &device.utilization);
            self.row("mean_jobs", &device.mean_jobs);
        }
        for link in &case.links {
            self.of(&case.id, "link", &link.name, None);
            self.row("utilization", &link.utilization);
            self.row("transit_time", &link.transit_time);
        }
        for source in &case.sources {
            self.of(&case.id, "source", &source.name, None);
            self.fates(&source.fates);
            self.row("retries", &source.retries);
            source.failed_by.iter().for_each(|(reason, share)| self.row(&format!("failed_by {reason}"), share));
        }
    }

    fn fates(&mut self, fates: &FatesDocument) {
        self.row("arrival_rate", &fates.arrival_rate);
        self.row("throughput", &fates.throughput);
        self.row("loss_prob", &fates.loss_prob);
        self.row("failure_prob", &fates.failure_prob);
        self.row("answered_on_overflow", &fates.answered_on_overflow);
        self.row("response_time_completed", &fates.response_time_completed);
        self.row("latency_p50", &fates.latency.p50);
        self.row("latency_p95", &fates.latency.p95);
        self.row("latency_p99", &fates.latency.p99);
        fates.accuracy.iter().for_each(|accuracy| self.row("accuracy", accuracy));
        fates.exits.iter().enumerate().for_each(|(exit, share)| self.row(&format!("exit_{}", exit + 1), share));
        fates.lost_at.iter().for_each(|(place, share)| self.row(&format!("lost_at {place}"), share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(["a b", "a,b", "a\"b"].map(field), ["a b", "\"a,b\"", "\"a\"\"b\""]);
    }

    #[test]
    fn rows_look_like_this() {
        let text = render(&crate::simulate::example::document());
        crate::snapshot::check("simulate/testdata/results.csv", &text);
    }
}
