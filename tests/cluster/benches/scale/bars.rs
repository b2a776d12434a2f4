//! Bars, next to what was measured when they were set.

use crate::say;
use anyhow::{Context as _, ensure};
use serde_json::Value;

/// One number of a run.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

/// The file of bars, once what it says of itself is so: it is written by hand.
pub(crate) fn read() -> anyhow::Result<Value> {
    let file: Value = serde_json::from_str(&cluster_tests::text("docs/benchmarks/operator.json")?)?;
    let bars = file["bars"].as_array().context("the file has bars")?;
    let wrong =
        bars.iter().filter_map(|bar| Some(format!("{} of {}: {}", bar["name"], bar["services"], mistake(bar)?)));
    let wrong: Vec<String> = wrong.collect();
    ensure!(wrong.is_empty(), "docs/benchmarks/operator.json: {}", wrong.join("; "));
    Ok(file)
}

fn mistake(bar: &Value) -> Option<&'static str> {
    let runs: Vec<f64> = bar["runs"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let Some(most) = bar["most"].as_f64() else { return Some("there is no bar") };
    let (low, high) = runs.iter().fold((f64::MAX, f64::MIN), |(low, high), run| (low.min(*run), high.max(*run)));
    let near = |name: &str, is: f64| bar[name].as_f64().is_some_and(|said| (said - is).abs() <= 0.011);
    match () {
        () if runs.is_empty() => Some("there is no run"),
        () if !near("mean", runs.iter().sum::<f64>() / runs.len() as f64) => Some("mean is not that of the runs"),
        () if runs.len() > 1 && !near("spread", high - low) => Some("spread is not that of the runs"),
        () if bar["kept"].as_bool() != Some(high <= most) => Some("kept is not what the runs say"),
        () if high > most && bar["why"].as_str().is_none() => Some("nothing says why it is missed"),
        () => None,
    }
}

/// Prints what was measured and held against the bars for so many services. Whether all are kept; what has no bar is only told.
pub(crate) fn compare(file: &Value, services: usize, measured: &[Measured]) -> bool {
    let all = file["bars"].as_array().map(Vec::as_slice).unwrap_or_default();
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
    // A bar that nothing is held against is kept by nobody.
    let is_measured = |bar: &&Value| bar["services"] != services || measured.iter().any(|one| bar["name"] == one.name);
    for bar in all.iter().filter(|bar| !is_measured(bar)) {
        kept = false;
        say(&format!("{:24} was not measured", bar["name"].as_str().unwrap_or("?")));
    }
    kept
}
