//! The page on metrics.

use super::{MADE, table};
use wire::metric;

const INTRODUCTION: &str = "
# Metrics

Every process answers `GET /metrics` on a port of its own in the OpenMetrics text format. Metrics with the label
`fragment` come from devices, those with the label `source` from gateways. A family without any series yet is not shown.
Counters end in `_total` there, and histograms have `_bucket`, `_sum` and `_count`.

";

pub(super) fn page() -> String {
    let rows = metric::ALL.iter().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![format!("`{}`", metric.name), labels.join(", "), metric.help.to_owned()]
    });
    format!("{MADE}{INTRODUCTION}{}", table(&["metric", "labels", "meaning"], rows))
}
