//! `eenn reference`: pages of the documentation that are made from the code. `cargo xtask generate` writes them.
//!
//! * [`commands`]: every subcommand with its help, and the exit codes.
//! * [`metrics`]: what processes expose to Prometheus.
//! * [`manifests`]: every field of every kind.
//!
//! The schema of networks is made by the crate that reads them, that of plans by the command that makes them.

mod commands;
mod manifests;
mod metrics;

use crate::exit_code::Outcome;
use clap::{Args, ValueEnum};
use std::io::Write;

/// Print a page of the reference documentation, in Markdown or as JSON Schema
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The page
    page: Page,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// Subcommands and exit codes
    Cli,
    /// Prometheus metrics
    Metrics,
    /// Kinds and fields
    Manifests,
    /// JSON Schema of networks
    Network,
    /// JSON Schema of plans
    Plan,
    /// CustomResourceDefinitions, as YAML
    Crds,
}

impl Options {
    /// Writes the page to `out`.
    pub(crate) fn exec(self, out: &mut dyn Write) -> Outcome {
        let page = match self.page {
            Page::Cli => commands::page(),
            Page::Metrics => metrics::page(),
            Page::Manifests => manifests::page(),
            Page::Network => format!("{:#}\n", simulator::form::schema()),
            Page::Plan => format!("{:#}\n", crate::plan::schema()),
            Page::Crds => api::crd::all().iter().map(crate::yaml::render).collect::<Vec<_>>().join("---\n"),
        };
        Ok(out.write_all(page.as_bytes())?)
    }
}

const MADE: &str = "<!-- Made by `cargo xtask generate`. Change the code instead. -->\n";

/// A table in Markdown.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| escape(cell)).collect::<Vec<_>>().join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule = vec!["---".to_owned(); head.len()];
    [line(&head), line(&rule)].into_iter().chain(rows.map(|row| line(&row))).collect()
}

/// Text that stays within its cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        let text = table(&["a", "b"], [vec!["x|y".to_owned(), "1\n2".to_owned()]].into_iter());
        assert_eq!(text, "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |\n");
    }
}
