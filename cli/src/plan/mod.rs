//! `eenn plan`: decide thresholds and chain probabilities without starting anything; `eenn explain`: what limits a service.
//!
//! * [`options`]: the options, and what is done in which order.
//! * [`rates`]: other arrival rates than those of the manifests.
//! * [`mod@decide`]: asks the planner, then the evaluators; [`decision`] is what comes out.
//! * [`mod@replan`]: the same while gateways serve.
//! * [`document`]: the decision as a document; [`table`] and [`words`] show it to people.
//! * [`manifest`]: the decision as EENNPlan objects.
//! * [`explain`]: the second command.

mod decide;
mod decision;
mod document;
#[cfg(test)]
mod example;
mod explain;
mod manifest;
mod options;
mod progress;
mod rates;
mod replan;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use decide::{Ask, decide, tracks_confidence};
pub(crate) use document::schema;
pub(crate) use options::{Explain, Options};
pub(crate) use rates::{Rate, rates_of};
pub(crate) use replan::{Replanned, in_words, replan, retune};
