//! `eenn simulate`: predict loss, latency and accuracy without serving anything.
//!
//! * [`options`]: the options, and what is done in which order.
//! * [`input`]: cases from a file, or from the manifests of local mode ([`manifests`]).
//! * [`run`]: simulates them, until they are precise enough or the user has had enough.
//! * [`document`]: the results, compared with known answers; [`table`] and [`csv`] show the same.
//! * [`jobs`]: single jobs, for `--trace`. [`plot`]: pictures.

mod agreement;
mod case;
mod csv;
mod document;
#[cfg(test)]
mod example;
mod input;
mod jobs;
mod manifests;
mod numbers;
mod options;
mod plot;
mod progress;
mod quantity;
mod run;
mod table;
mod words;

pub(crate) use manifests::network_of;
pub(crate) use options::Options;
