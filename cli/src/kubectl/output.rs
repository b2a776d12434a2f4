//! One document in the form that was asked for.

use crate::exit_code::Outcome;
use crate::yaml;
use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

/// Form of what is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Tables for people
    Table,
    /// One JSON document
    Json,
    /// The same in YAML
    Yaml,
}

impl Output {
    /// The document, or the table that `table` makes of it.
    pub(super) fn render<T: Serialize>(self, document: &T, table: impl FnOnce(&T) -> String) -> Outcome<String> {
        if self == Self::Table {
            return Ok(table(document));
        }
        let value = serde_json::to_value(document).context("failed to write JSON")?;
        match self {
            Self::Json => Ok(serde_json::to_string_pretty(&value).context("failed to write JSON")? + "\n"),
            _ => Ok(yaml::render(&value)),
        }
    }
}
