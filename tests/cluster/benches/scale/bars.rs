//! Bars, next to what was measured when they were set.

use crate::say;
use anyhow::Context as _;
use serde_json::Value;

/// One number of a run.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

/// Prints what was measured and held against the bars for so many services. Whether all are kept; what has no bar is only told.
pub(crate) fn compare(services: usize, measured: &[Measured]) -> anyhow::Result<bool> {
    let file: Value = serde_json::from_str(&cluster_tests::text("docs/benchmarks/operator.json")?)?;
    let all = file["bars"].as_array().context("the file has bars")?;
    let mut kept = true;
    for Measured { name, unit, value } in measured {
        let bar = all.iter().find(|bar| bar["name"] == *name && bar["services"] == services);
        let most = bar.and_then(|bar| bar["most"].as_f64());
        let verdict = match most {
            None => "no bar".to_owned(),
            Some(most) if *value <= most => format!("at most {most}: kept"),
            Some(most) => {
                kept = false;
                format!("at most {most}: MISSED")
            }
        };
        say(&format!("{name:24} {value:10.2} {unit:3} {verdict}"));
    }
    Ok(kept)
}
