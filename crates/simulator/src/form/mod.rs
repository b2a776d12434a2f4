//! The outer form of networks: JSON, as in a file of cases or one case by itself.
//!
//! [`read`] checks everything in terms of the file, so that what it accepts can be simulated and what it refuses is named
//! by its place. The types of [`document`](self) are also what the schema is made from.

mod blocking;
mod chains;
mod deciders;
mod document;
mod error;
mod expected;
mod laws;
mod links;
mod models;
mod names;
mod network;
mod number;
mod object;
mod read;
mod regions;
mod sources;
#[cfg(test)]
mod tests;

pub use error::FormError;
pub use expected::{Expected, ExpectedChain, ExpectedDevice, ExpectedFragment, ExpectedMetric};
pub use read::{LARGEST_FILE, read};

use crate::Network;
use schemars::generate::SchemaSettings;

/// What a file holds.
#[derive(Debug)]
pub struct Cases {
    /// At least one.
    pub cases: Vec<Case>,
    /// What was ignored, one line each, with its place.
    pub warnings: Vec<String>,
}

/// A network with what the file says about it.
#[derive(Debug)]
pub struct Case {
    /// Its name; `case 1` and so on where the file gives none.
    pub id: String,
    /// In words.
    pub description: Option<String>,
    /// What to simulate.
    pub network: Network,
    /// Known answers.
    pub expected: Option<Expected>,
}

/// The JSON Schema of a file.
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<document::Document>().to_value()
}
