//! `eenn plan`: decide thresholds and chain probabilities without starting anything; `eenn explain`: what limits a service.
//!
//! * [`options`]: the options, and what is done in which order.
//! * [`rates`]: other arrival rates than those of the manifests.
//! * [`decision`]: asks the planner, then the evaluators.
//! * [`document`]: the decision as a document; [`table`] and [`words`] show it to people, [`mod@line`] on one line.
//! * [`manifest`]: the decision as EENNPlan objects.
//! * [`explain`]: the second command.

mod decision;
mod document;
#[cfg(test)]
mod example;
mod explain;
mod line;
mod manifest;
mod options;
mod progress;
mod rates;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use decision::decide;
pub(crate) use document::{MissDocument, PredictionDocument, ServiceDocument, TargetsDocument, schema};
pub(crate) use explain::limits;
pub(crate) use line::in_words;
pub(crate) use options::{Explain, Options};
pub(crate) use rates::{Rate, rates_of};
pub(crate) use table::render_service;
pub(crate) use words::judged;
